"""What of the billing API's WSDL is loaded: the operations that this bot calls, and no other.

The WSDL names about a hundred, some of which buy servers, cancel services or delete domains with the same
credentials. What was never loaded cannot be called, whatever a later line of code does; an odd description
of it stops no payment; and loading takes a third of the time.
"""

from __future__ import annotations

import re

from lxml import etree

from bot.billing.markup import MarkupRefused

_CALLED = re.compile(r"get_modules|api_login|api_make_payment|api_\w+_get_client_(unpaid_)?invoices")
"""What `BillingCalls` calls. Whoever calls another adds it here; until then the WSDL lacks it."""

_XSD = "{http://www.w3.org/2001/XMLSchema}"
_EXPANDING = tuple(f"{_XSD}{name}" for name in ("group", "attributeGroup", "union", "redefine"))
"""Each can be made of two of the one before, and zeep makes all of them. NuSOAP writes none."""

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


def called_only(document: bytes) -> bytes:
    """The document without the operations that are never called, and without their messages.

    What is no WSDL, or none that can be read, is returned as it is: whoever loads it says what is wrong.
    Raises `MarkupRefused` where its types could expand without end.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError:
        return document
    if next(root.iter(*_EXPANDING), None) is not None:
        raise MarkupRefused("the WSDL has types that may expand without end")
    if root.tag != f"{_WSDL}definitions" or root.getroottree().docinfo.internalDTD is not None:
        return document
    for operation in list(root.iter(f"{_WSDL}operation")):
        if not _CALLED.fullmatch(operation.get("name", "")):
            _remove(operation)
    carried = {_local(one.get("message", "")) for one in root.iterfind(f"{_WSDL}portType/*/*")}
    for message in root.findall(f"{_WSDL}message"):
        if message.get("name") not in carried:
            _remove(message)
    return etree.tostring(root)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _remove(element: etree._Element) -> None:
    parent = element.getparent()
    assert parent is not None, "bug: the root is no operation and no message"
    parent.remove(element)
