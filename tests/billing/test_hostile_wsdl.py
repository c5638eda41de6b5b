"""WSDLs that are built to cost memory or time: nothing is sent where one cannot be loaded."""

from __future__ import annotations

import pytest
from aiohttp import web

from tests.billing.scripted import WSDL, Scripted, plain
from tests.billing.weighed import Weigh, assert_bounded


async def test_a_wsdl_that_imports_without_end_is_refused(server: Scripted, weigh: Weigh) -> None:
    """Each schema names the next, at the same address."""
    served = 0

    async def answer(request: web.Request, document: bytes) -> web.StreamResponse:
        nonlocal served
        served += 1
        where = f'<xsd:import namespace="urn:n{served}" schemaLocation="/api.php?wsdl={served}"/>'.encode()
        if served == 1:
            return plain(document.replace(b" <xsd:import namespace", where + b" <xsd:import namespace", 1))
        schema = b'<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:n%d">'
        return plain(schema % (served - 1) + where + b"</xsd:schema>")

    server.answers[WSDL] = answer
    found = await weigh("pay")
    assert found["said"][0] == "NOT_SENT", found
    assert served < 100


def doubling(name: str, inner: str, last: str) -> bytes:
    """Types of which each is made of two of the one before."""
    parts = [f'<xsd:{name} name="g0">{last}</xsd:{name}>']
    parts += [
        f'<xsd:{name} name="g{n}">{inner.replace("@", f"tns:g{n - 1}")}</xsd:{name}>' for n in range(1, 27)
    ]
    return "".join(parts).encode()


GROUPS = {
    "group": doubling(
        "group",
        '<xsd:sequence><xsd:group ref="@"/><xsd:group ref="@"/></xsd:sequence>',
        '<xsd:sequence><xsd:element name="e" type="xsd:string"/></xsd:sequence>',
    )
    + b'<xsd:complexType name="bomb"><xsd:group ref="tns:g26"/></xsd:complexType>',
    "attributeGroup": doubling(
        "attributeGroup",
        '<xsd:attributeGroup ref="@"/><xsd:attributeGroup ref="@"/>',
        '<xsd:attribute name="e" type="xsd:string"/>',
    )
    + b'<xsd:complexType name="bomb"><xsd:attributeGroup ref="tns:g26"/></xsd:complexType>',
    "union": doubling("simpleType", '<xsd:union memberTypes="@ @"/>', '<xsd:restriction base="xsd:string"/>')
    + b'<xsd:simpleType name="bomb"><xsd:restriction base="tns:g26"/></xsd:simpleType>',
}


@pytest.mark.parametrize("what", GROUPS)
async def test_a_wsdl_whose_types_expand_is_refused(what: str, server: Scripted, weigh: Weigh) -> None:
    """Where the payment's session should be of such a type: 26 of them had taken a GB, and minutes."""

    async def answer(request: web.Request, document: bytes) -> web.StreamResponse:
        document = document.replace(
            b'<xsd:complexType name="array">', GROUPS[what] + b'<xsd:complexType name="array">', 1
        )
        before, after = document.split(b'<message name="api_make_paymentRequest">')
        after = after.replace(b'type="xsd:string"', b'type="tns:bomb"', 1)
        return plain(before + b'<message name="api_make_paymentRequest">' + after)

    server.answers[WSDL] = answer
    found = await weigh("pay")
    assert_bounded(found)
    assert found["said"][:2] == [
        "NOT_SENT",
        "the WSDL could not be used: MarkupRefused: the WSDL has types that may expand without end",
    ]
