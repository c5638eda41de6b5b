"""SOAP 1.1, rpc/encoded, as NuSOAP 0.9.5 reads and writes it. No network, no DTD, no state."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from lxml import etree

Value = str | int | float | bool | None
"""What a field may hold. None becomes xsi:nil, as a NULL of the database does."""

CONTENT_TYPE = "text/xml; charset=ISO-8859-1"

_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_NUMBER = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?)")

_HEAD = (
    '<?xml version="1.0" encoding="ISO-8859-1"?>'
    '<SOAP-ENV:Envelope SOAP-ENV:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"'
    f' xmlns:SOAP-ENV="{_ENVELOPE}"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xmlns:SOAP-ENC="http://schemas.xmlsoap.org/soap/encoding/"'
    ' xmlns:tns="urn:myapi"><SOAP-ENV:Body>'
)
_FOOT = "</SOAP-ENV:Body></SOAP-ENV:Envelope>"


class NotSoap(Exception):
    """The request is no SOAP envelope with one operation in it."""


@dataclass(frozen=True, slots=True)
class Request:
    """An operation and the texts of its arguments, in order: NuSOAP passes them on by place."""

    operation: str
    arguments: tuple[str, ...]

    def argument(self, place: int) -> str:
        """The argument at `place`, or an empty text where the caller left it out."""
        return self.arguments[place] if place < len(self.arguments) else ""


def parse(body: bytes) -> Request:
    """Read an envelope; raises `NotSoap`."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise NotSoap("error in msg parsing") from error
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise NotSoap("a DTD is not allowed")
    element = root.find(f"{{{_ENVELOPE}}}Body/*")
    if element is None:
        raise NotSoap("no operation in the body")
    arguments = tuple("".join(map(str, child.itertext())) for child in element.iterchildren("*"))
    return Request(etree.QName(element).localname, arguments)


def intval(text: str) -> int:
    """PHP's intval: `10003.7` is 10003, `1e4` is 10000, `10000abc` is 10000, `abc` is 0."""
    number = _NUMBER.match(text)
    value = float(number[1]) if number else 0.0
    return int(value) if math.isfinite(value) else 0


def response(operation: str, value: str) -> bytes:
    """The envelope of a good answer; `value` is what `simple`, `struct` or `array` made."""
    name = f"ns1:{operation}Response"
    return _encoded(f'{_HEAD}<{name} xmlns:ns1="urn:myapi">{value}</{name}>{_FOOT}')


def empty() -> bytes:
    """An envelope with nothing in its body."""
    return _encoded(_HEAD + _FOOT)


def fault(text: str, code: str = "SOAP-ENV:Client") -> bytes:
    """The envelope of a fault."""
    parts = {"faultcode": code, "faultactor": "", "faultstring": text, "detail": ""}
    inner = "".join(simple(value, name) for name, value in parts.items())
    return _encoded(f"{_HEAD}<SOAP-ENV:Fault>{inner}</SOAP-ENV:Fault>{_FOOT}")


def simple(value: Value, name: str = "return") -> str:
    """One element with its xsi:type."""
    if value is None:
        return f'<{name} xsi:nil="true" xsi:type="xsd:string"/>'
    if isinstance(value, bool):
        kind, text = "boolean", "true" if value else "false"
    elif isinstance(value, int):
        kind, text = "int", str(value)
    elif isinstance(value, float):
        kind, text = "float", repr(value).removesuffix(".0")
    else:
        kind, text = "string", escape(value)
    return f'<{name} xsi:type="xsd:{kind}">{text}</{name}>'


def struct(kind: str, fields: Mapping[str, object], name: str = "return") -> str:
    """A complex type of the WSDL."""
    inner = "".join(simple(_value(value), field) for field, value in fields.items())
    return f'<{name} xsi:type="tns:{kind}">{inner}</{name}>'


def array(kind: str, items: Iterable[str]) -> str:
    """A SOAP-ENC:Array of elements named `item`; `kind` is their type with its prefix."""
    elements = list(items)
    return (
        f'<return xsi:type="SOAP-ENC:Array" SOAP-ENC:arrayType="{kind}[{len(elements)}]">'
        f"{''.join(elements)}</return>"
    )


def _value(value: object) -> Value:
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"bug: {type(value).__name__} has no xsi:type")


def _encoded(envelope: str) -> bytes:
    return envelope.encode("iso-8859-1", "xmlcharrefreplace")
