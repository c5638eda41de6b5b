"""What comes before and around a body, built to cost memory or time: compression, headers, chunks."""

from __future__ import annotations

import asyncio
import functools
import gzip
import struct
import zlib
from collections.abc import Callable

import pytest
from aiohttp import web

from tests.billing.scripted import PAY, UNPAID, WSDL, Answer, Scripted, outcome
from tests.billing.weighed import Weigh, assert_bounded

SHORT_S = 2.0
"""BILLING_TIMEOUT here: what never ends is read for so long."""

MB = 1024 * 1024


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


def bomb(coding: str) -> bytes:
    """300 MB of spaces, compressed: a megabyte of them is, and stands there three hundred times."""
    spaces, times = b" " * MB, 300
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = compressor.compress(spaces) + compressor.flush(zlib.Z_FULL_FLUSH)
    packed = block * times + compressor.flush()
    checksum = zlib.adler32 if coding == "deflate" else zlib.crc32
    proof = functools.reduce(lambda so_far, _: checksum(spaces, so_far), range(times), checksum(b""))
    if coding == "deflate":
        return zlib.compress(b"")[:2] + packed + proof.to_bytes(4, "big")
    return gzip.compress(b"")[:10] + packed + struct.pack("<LL", proof, times * MB)


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
    "a bomb of gzip": lambda: coded("gzip", bomb("gzip")),
    "a bomb of gzip, in chunks": lambda: chunked("gzip", bomb("gzip")),
    "a bomb in a bomb": lambda: coded("gzip, gzip", gzip.compress(bomb("gzip"))),
    "a bomb of deflate": lambda: coded("deflate", bomb("deflate")),
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
async def test_what_is_around_a_body_is_bounded(what: str, server: Scripted, weigh: Weigh) -> None:
    """Of a payment, and of a list: in memory, and by the call's deadline."""
    server.answers[PAY] = server.answers[UNPAID] = AROUND[what]()
    paid, listed = await asyncio.gather(weigh("pay", SHORT_S), weigh("unpaid", SHORT_S))
    for found in (paid, listed):
        assert_bounded(found, SHORT_S)
    assert paid["said"][0] == "UNKNOWN", paid
    assert listed["said"][0] == "AnswerLost", listed


@pytest.mark.parametrize("what", ["a bomb of gzip", "a header without end", "a body without end"])
async def test_what_is_around_a_wsdl_is_bounded(what: str, server: Scripted, weigh: Weigh) -> None:
    """Nothing is sent where it cannot be loaded."""
    server.answers[WSDL] = AROUND[what]()
    found = await weigh("pay", SHORT_S)
    assert_bounded(found, SHORT_S)
    assert found["said"][0] == "NOT_SENT", found
