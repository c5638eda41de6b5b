"""Answers that are built to cost memory or time: none costs more than a good one, and none is believed.

Each call is made in a process of its own, whose memory is measured and bounded.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import queue
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

from bot.sandbox.local_billing import nusoap
from tests.billing.scripted import (
    ALL,
    LOGIN,
    MODULES,
    PAY,
    UNPAID,
    WSDL,
    Answer,
    Scripted,
    envelope,
    outcome,
    plain,
    row,
    rows,
    scripted,
)

MOST_MB = 80
"""More than a call may add to the process."""

PATIENCE = 6.0
"""BILLING_TIMEOUT of the calls here, in seconds."""

MB = 1024 * 1024


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    async with scripted() as server:
        yield server


class Scales:
    """Weighs two calls at once; what each needs is loaded once and for all."""

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        self._all = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.billing.weighed"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for _ in range(2)
        ]
        for process in self._all:
            self._free.put(process)

    def weigh(self, *call: str | float) -> dict[str, Any]:
        process = self._free.get()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{json.dumps(call)}\n")
        found: dict[str, Any] = json.loads(process.stdout.readline())
        self._free.put(process)
        assert "died" not in found, found
        return found

    def close(self) -> None:
        for process in self._all:
            process.kill()
            process.communicate()


Weighed = Callable[..., Awaitable[dict[str, Any]]]
"""Makes one call at a server in a process of its own: what became of it, and what it cost."""


@pytest.fixture(scope="module")
def scales() -> Iterator[Scales]:
    scales = Scales()
    yield scales
    scales.close()


@pytest.fixture
def weighed(scales: Scales, server: Scripted) -> Weighed:
    async def weigh(call: str, patience: float = PATIENCE) -> dict[str, Any]:
        async with asyncio.timeout(patience * 2 + 40):
            return await asyncio.to_thread(scales.weigh, server.url, call, patience)

    return weigh


def assert_bounded(found: dict[str, Any], patience: float = PATIENCE) -> None:
    """It cost no more than a good answer may."""
    assert found["grew"] < MOST_MB, found
    assert found["took"] < patience + 3.0, found


# -- bodies -----------------------------------------------------------------------------------------


def expanding(name: str) -> bytes:
    """Each reference refers to two more: 2^24 elements out of 3 kB."""
    parts = [f'<ns1:{name}Response xmlns:ns1="urn:myapi"><return href="#i0"/></ns1:{name}Response>']
    parts += [
        f'<multiRef id="i{n}"><status href="#i{n + 1}"/><status href="#i{n + 1}"/></multiRef>'
        for n in range(24)
    ]
    return envelope("".join(parts) + '<multiRef id="i24" xsi:type="xsd:string">ok</multiRef>')


def circular(name: str) -> bytes:
    """A reference to what it stands in."""
    return envelope(
        f'<ns1:{name}Response xmlns:ns1="urn:myapi"><return href="#a"/></ns1:{name}Response>'
        '<multiRef id="a"><item href="#b"/></multiRef><multiRef id="b"><item href="#a"/></multiRef>'
    )


def repeated(name: str) -> bytes:
    """One long text, referred to four thousand times."""
    items = "".join(f'<status{n % 2} href="#t"/>' for n in range(4000))
    return envelope(
        f'<ns1:{name}Response xmlns:ns1="urn:myapi"><return>{items}</return></ns1:{name}Response>'
        f'<multiRef id="t" xsi:type="xsd:string">{"x" * MB}</multiRef>'
    )


def inside(name: str, value: str) -> bytes:
    """Something in the place of the value that was asked for."""
    return nusoap.response(name, value)


BODIES: dict[str, Callable[[str], bytes]] = {
    "references that expand": expanding,
    "references in a circle": circular,
    "a long text, referred to often": repeated,
    "deep nesting": lambda name: inside(name, "<a>" * 300_000),
    "deep nesting that ends": lambda name: inside(name, "<a>" * 200 + "</a>" * 200),
    "many attributes": lambda name: inside(name, "<a" + "".join(f" a{n}=''" for n in range(300_000)) + "/>"),
    "a long attribute": lambda name: inside(name, f'<a b="{"x" * 3 * MB}"/>'),
    "a long name": lambda name: inside(name, f"<{'a' * 3 * MB}/>"),
    "many namespaces": lambda name: inside(
        name, "<a" + "".join(f" xmlns:n{n}='u'" for n in range(2_000)) + ">" + "<b/>" * 4_000 + "</a>"
    ),
    "many names": lambda name: inside(name, "".join(f"<n{n}/>" for n in range(300_000))),
    "many elements": lambda name: inside(name, "<a/>" * 900_000),
    "a long comment": lambda name: inside(name, f"<!--{'c' * 3 * MB}-->"),
    "a long instruction": lambda name: inside(name, f"<?pi {'c' * 3 * MB}?>"),
    "entities that expand": lambda name: inside(name, "&e9;").replace(
        b"?>", b"?><!DOCTYPE x [<!ENTITY e0 'ha'>"
        + b"".join(b"<!ENTITY e%d '%s'>" % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10)) + b"]>", 1
    ),
    "no end": lambda name: inside(name, f"<a>{'x' * 3 * MB}</a>")[:-20],
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_would_cost_much_leaves_a_payment_unknown(
    what: str, server: Scripted, weighed: Weighed
) -> None:
    """It may have been paid; and it was sent once."""
    server.answers[PAY] = BODIES[what](PAY)
    found = await weighed("pay")
    assert_bounded(found)
    assert found["said"][0] == "UNKNOWN", found
    assert server.received.count(PAY) == 1


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_would_cost_much_is_no_list(what: str, server: Scripted, weighed: Weighed) -> None:
    """Neither an empty one nor one of what came before the trouble."""
    server.answers[UNPAID] = BODIES[what](UNPAID)
    found = await weighed("unpaid")
    assert_bounded(found)
    assert found["said"][0] == "AnswerLost", found


@pytest.mark.parametrize("what", ["references that expand", "many names", "deep nesting", "many attributes"])
@pytest.mark.parametrize("operation", [LOGIN, MODULES, WSDL])
async def test_every_other_answer_is_bounded_as_well(
    what: str, operation: str, server: Scripted, weighed: Weighed
) -> None:
    """The login, the modules, and the WSDL, of which a payment says that it was not sent."""
    server.answers[operation] = BODIES[what](operation)
    found = await weighed("modules" if operation == MODULES else "pay")
    assert_bounded(found)
    assert found["said"][0] == ("AnswerLost" if operation == MODULES else "NOT_SENT"), found
    assert PAY not in server.received


async def test_names_that_are_new_every_time_are_not_kept_for_ever(
    server: Scripted, weighed: Weighed
) -> None:
    """The parser under zeep keeps each name while its thread lives."""
    asked = 0

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return plain(inside(MODULES, "".join(f"<n{asked}_{n}{'x' * 200}/>" for n in range(4_900))))

    server.answers[MODULES] = answer
    found = await weighed("modules, often", 30.0)
    assert asked == 100
    assert found["grew"] < 30, found


# -- what comes before and around a body ------------------------------------------------------------


def coded(coding: str, body: bytes) -> Answer:
    """An answer that says how it is compressed."""

    async def answer(request: web.Request, _body: bytes) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": "text/xml", "Content-Encoding": coding})

    return answer


def chunked(coding: str, body: bytes) -> Answer:
    """The same, in chunks."""

    async def answer(request: web.Request, _body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml", "Content-Encoding": coding})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for start in range(0, len(body), 100_000):
            await response.write(body[start : start + 100_000])
        await response.write_eof()
        return response

    return answer


@functools.cache
def bomb(levels: int = 1) -> bytes:
    """300 MB of spaces, compressed."""
    squeezed = gzip.compress(b" " * 300 * MB, 1)
    for _ in range(levels - 1):
        squeezed = gzip.compress(squeezed)
    return squeezed


def endless(head: bytes, again: bytes) -> Answer:
    """Sends `again` and again, past the server's own framing, until nobody listens."""

    async def answer(request: web.Request, _body: bytes) -> web.StreamResponse:
        transport = request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(head)
        while not transport.is_closing():
            if transport.get_write_buffer_size() < MB:
                transport.write(again)
            await asyncio.sleep(0.001)
        return web.Response()

    return answer


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n"
AROUND: dict[str, Callable[[], Answer]] = {
    "a bomb of gzip": lambda: coded("gzip", bomb()),
    "a bomb of gzip, in chunks": lambda: chunked("gzip", bomb()),
    "a bomb in a bomb": lambda: coded("gzip, gzip", bomb(2)),
    "a bomb of deflate": lambda: coded("deflate", zlib.compress(b" " * 300 * MB, 1)),
    "gzip that is none": lambda: coded("gzip", b"<not gzip/>" * 1000),
    "gzip that breaks off": lambda: coded("gzip", gzip.compress(outcome("ok", "x" * 1000))[:-12]),
    "headers without end": lambda: endless(OK, b"X-A: " + b"b" * 1000 + b"\r\n"),
    "a header without end": lambda: endless(OK + b"X-A: ", b"b" * 100_000),
    "interim answers without end": lambda: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "a chunk's extension without end": lambda: endless(
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x" * 100_000
    ),
    "trailers without end": lambda: endless(
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 10_000
    ),
    "a body without end": lambda: endless(OK + b"\r\n<a>", b"x" * 100_000),
    "a body of spaces without end": lambda: endless(OK + b"\r\n", b" " * 100_000),
    "one byte in a while": lambda: endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n<\r\n"),
}


@pytest.mark.parametrize("what", AROUND)
async def test_what_is_around_a_body_is_bounded(what: str, server: Scripted, weighed: Weighed) -> None:
    """Of a payment, and of a list: in memory, and by the call's deadline."""
    server.answers[PAY] = server.answers[UNPAID] = AROUND[what]()
    paid, listed = await asyncio.gather(weighed("pay", 3.0), weighed("unpaid", 3.0))
    for found in (paid, listed):
        assert_bounded(found, 3.0)
    assert paid["said"][0] == "UNKNOWN", paid
    assert listed["said"][0] == "AnswerLost", listed


@pytest.mark.parametrize("what", ["a bomb of gzip", "a header without end", "a body without end"])
async def test_what_is_around_a_wsdl_is_bounded(what: str, server: Scripted, weighed: Weighed) -> None:
    """Nothing is sent where it cannot be loaded."""
    server.answers[WSDL] = AROUND[what]()
    found = await weighed("pay", 3.0)
    assert_bounded(found, 3.0)
    assert found["said"][0] == "NOT_SENT", found


async def test_a_wsdl_that_imports_without_end_is_refused(server: Scripted, weighed: Weighed) -> None:
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
    found = await weighed("pay")
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
async def test_a_wsdl_whose_types_expand_is_refused(what: str, server: Scripted, weighed: Weighed) -> None:
    """Where the payment's session should be of such a type: 26 of them had taken a GB, and minutes."""

    async def answer(request: web.Request, document: bytes) -> web.StreamResponse:
        document = document.replace(
            b'<xsd:complexType name="array">', GROUPS[what] + b'<xsd:complexType name="array">', 1
        )
        before, after = document.split(b'<message name="api_make_paymentRequest">')
        after = after.replace(b'type="xsd:string"', b'type="tns:bomb"', 1)
        return plain(before + b'<message name="api_make_paymentRequest">' + after)

    server.answers[WSDL] = answer
    found = await weighed("pay")
    assert_bounded(found)
    assert found["said"][:2] == [
        "NOT_SENT",
        "the WSDL could not be used: MarkupRefused: the WSDL has types that may expand without end",
    ]


# -- what is only long ------------------------------------------------------------------------------


async def test_a_long_status_text_is_cut_and_the_payment_is_paid(server: Scripted, weighed: Weighed) -> None:
    """Three MB of text do not make it unknown; what is kept of it is 16 kB."""
    server.answers[PAY] = outcome("ok", "x" * 3 * MB)
    found = await weighed("pay")
    assert_bounded(found)
    assert found["said"][0] == "PAID"
    assert 15_900 < found["said"][2] <= 16_000


async def test_an_answer_that_is_compressed_unasked_is_read(server: Scripted, weighed: Weighed) -> None:
    """Gateways do that."""
    server.answers[PAY] = coded("gzip", gzip.compress(outcome("ok", "x" * 200_000)))
    assert (await weighed("pay"))["said"][0] == "PAID"


async def test_a_hundred_thousand_rows_are_a_customer(server: Scripted, weighed: Weighed) -> None:
    """Ninety MB of history are read in the memory of a few rows; ours is the last."""
    old = row(id=5, paid=1).encode()
    number = 100_000
    head, tail = nusoap.response(
        ALL,
        '<return xsi:type="SOAP-ENC:Array" '
        f'SOAP-ENC:arrayType="tns:sql_row_invoices[{number + 2}]">@</return>',
    ).split(b"@")

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        await response.write(head)
        for _ in range(number // 100):
            await response.write(old * 100)
        await response.write(
            row(paid=1).encode() + row(id=90001, type=10, extra=10101, paid=1).encode() + tail
        )
        await response.write_eof()
        return response

    server.answers[UNPAID] = rows(UNPAID, row(id=5))
    server.answers[ALL] = answer
    found = await weighed("evidence", 120.0)
    assert found["said"] == [False, True, 90001, True], found
    assert found["grew"] < 30, found
