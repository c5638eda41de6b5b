"""Every way in which the local billing API can be told to fail. One table; the command line prints it.

The names end in -before where the operation is not carried out, and in -after where it is and only
its answer suffers. Names without an ending say it in their line.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import MappingProxyType

from aiohttp import web

from bot.sandbox.local_billing import nusoap
from bot.sandbox.local_billing.service import LOGIN, PAYMENT

SLOW_SECONDS = 3.0
"""How long every answer takes while the API is `slow`."""

DRIP_SECONDS = 0.05
"""The pause between two bytes of a dripping answer."""

LARGE = 5 * 1024 * 1024
"""Bytes; more than a client should ever take."""

INVOICES = "api_*_invoices"
WSDL = "wsdl"
"""The name under which a GET of the WSDL goes in `Failure.on`."""

_HTML = b"<html><head><title>Error</title></head><body><hr>Something went wrong<br></body></html>"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, the answer that would be right, and when to stop holding on to it."""

    request: web.Request
    body: bytes
    status: int
    released: asyncio.Event


Answer = Callable[[Exchange], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail.

    about: what a person sees, in one line.
    answer: what goes out in place of the right answer; None where the server does it by itself.
    carried_out: whether the operation takes effect.
    on: the operations it concerns, as a shell pattern.
    late: seconds after which an operation that was not carried out is carried out after all.
    """

    about: str
    answer: Answer | None
    carried_out: bool
    on: str = PAYMENT
    late: float | None = None


async def plain(exchange: Exchange) -> web.StreamResponse:
    """The right answer."""
    return _reply(exchange.body, exchange.status)


def _reply(body: bytes, status: int = 200, kind: str = nusoap.CONTENT_TYPE) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": kind})


def _fixed(body: bytes, status: int = 200, kind: str = nusoap.CONTENT_TYPE) -> Answer:
    async def answer(exchange: Exchange) -> web.StreamResponse:
        return _reply(body, status, kind)

    return answer


def _changed(change: Callable[[bytes], bytes], status: int = 200) -> Answer:
    async def answer(exchange: Exchange) -> web.StreamResponse:
        return _reply(change(exchange.body), status)

    return answer


def _replaced(old: bytes, new: bytes) -> Answer:
    return _changed(lambda body: body.replace(old, new))


def _returned(operation: str, value: str) -> Answer:
    return _fixed(nusoap.response(operation, value))


def _abort(exchange: Exchange) -> web.StreamResponse:
    if exchange.request.transport is not None:
        exchange.request.transport.abort()
    return web.Response()


async def _reset(exchange: Exchange) -> web.StreamResponse:
    return _abort(exchange)


async def _silent(exchange: Exchange) -> web.StreamResponse:
    await exchange.released.wait()
    return _abort(exchange)


async def _slow(exchange: Exchange) -> web.StreamResponse:
    await _pause(exchange, SLOW_SECONDS)
    return await plain(exchange)


async def _pause(exchange: Exchange, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await exchange.released.wait()
    except TimeoutError:
        return


async def _truncated(exchange: Exchange) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": nusoap.CONTENT_TYPE})
    response.content_length = len(exchange.body)
    await response.prepare(exchange.request)
    await response.write(exchange.body[: len(exchange.body) // 2])
    if exchange.request.transport is not None:
        exchange.request.transport.close()
    return response


def _dripping(head: bytes) -> Answer:
    """Sends `head` at once, and then the body a byte at a time, past the server's own framing."""

    async def answer(exchange: Exchange) -> web.StreamResponse:
        transport = exchange.request.transport
        assert isinstance(transport, asyncio.Transport)
        transport.write(head)
        for byte in exchange.body:
            if transport.is_closing() or exchange.released.is_set():
                break
            transport.write(bytes([byte]))
            await _pause(exchange, DRIP_SECONDS)
        return _abort(exchange)

    return answer


async def _redirected(exchange: Exchange) -> web.StreamResponse:
    # A client that follows is served: the query tells the server that this failure is over.
    return web.Response(status=307, headers={"Location": "/api.php?redirected=1"})


async def _compressed(exchange: Exchange) -> web.StreamResponse:
    body = gzip.compress(exchange.body + b" " * LARGE)
    headers = {"Content-Type": nusoap.CONTENT_TYPE, "Content-Encoding": "gzip"}
    return web.Response(body=body, headers=headers)


def _with_dtd(body: bytes) -> bytes:
    declaration, envelope = body.split(b"?>", 1)
    envelope = envelope.replace(b">ok<", b">&fine;<")
    return declaration + b'?><!DOCTYPE x [<!ENTITY fine "ok">]>' + envelope


async def _echoed(exchange: Exchange) -> web.StreamResponse:
    """What was sent, session and all, follows the right status_text."""
    sent = ", ".join(nusoap.parse(await exchange.request.read()).arguments).encode()
    return _reply(exchange.body.replace(b"Successful.", b"Successful. You sent: " + sent))


def _expanding(body: bytes) -> bytes:
    """The right answer, and beside it 2 kB of references that expand to 2^24 elements."""
    parts = "".join(
        f'<multiRef id="i{n}"><a href="#i{n + 1}"/><a href="#i{n + 1}"/></multiRef>' for n in range(24)
    )
    end = b"</SOAP-ENV:Body>"
    return body.replace(end, parts.encode() + b'<multiRef id="i24">x</multiRef>' + end)


def _elsewhere(body: bytes) -> bytes:
    return body.replace(b'<soap:address location="http://', b'<soap:address location="http://not.')


_DECLINED = nusoap.struct(
    "make_payment_return",
    {"status": "error", "status_text": "The Credit Card on file was declined."},
)
_OK = b'<status xsi:type="xsd:string">ok</status>'
_UNAVAILABLE = _fixed(nusoap.fault("Internal error", "SOAP-ENV:Server"), 500)

FAILURES = MappingProxyType(
    {
        "declined": Failure("the payment is declined: status error", _returned(PAYMENT, _DECLINED), False),
        "timeout-before": Failure("no answer; nothing was paid", _silent, False),
        "timeout-after": Failure("no answer; the payment was made", _silent, True),
        "reset-before": Failure("the connection is reset; nothing was paid", _reset, False),
        "reset-after": Failure("the connection is reset; the payment was made", _reset, True),
        "truncated-after": Failure("the answer breaks off; paid", _truncated, True),
        "bad-xml-after": Failure("the answer is no XML; paid", _changed(lambda body: body[:-40]), True),
        "html-after": Failure("the answer is an HTML page; paid", _fixed(_HTML), True),
        "http-500-before": Failure(
            "HTTP 500 with an HTML page; not paid", _fixed(_HTML, 500, "text/html"), False
        ),
        "http-500-after": Failure(
            "HTTP 500 over a good answer; paid", _changed(lambda body: body, 500), True
        ),
        "http-503-before": Failure(
            "HTTP 503 with an HTML page; not paid", _fixed(_HTML, 503, "text/html"), False
        ),
        "redirect-before": Failure("a redirect (307) to itself; nothing was paid yet", _redirected, False),
        "redirect-after": Failure("a redirect (307) to itself; already paid", _redirected, True),
        "fault-before": Failure("a SOAP fault; nothing was paid", _UNAVAILABLE, False),
        "fault-after": Failure("a SOAP fault; the payment was made", _UNAVAILABLE, True),
        "empty-answer-after": Failure("HTTP 200 without a byte; paid", _fixed(b""), True),
        "empty-body-after": Failure("an envelope with nothing in it; paid", _fixed(nusoap.empty()), True),
        "missing-status-after": Failure("no status in the answer; paid", _replaced(_OK, b""), True),
        "odd-status-after": Failure("a status nobody knows; paid", _replaced(b">ok<", b">pending<"), True),
        "shouted-ok": Failure("status OK in capitals and blanks; paid", _replaced(b">ok<", b">  OK <"), True),
        "unknown-type-after": Failure(
            "a type that the WSDL lacks; paid",
            _replaced(b"tns:make_payment_return", b"tns:nobody_knows"),
            True,
        ),
        "huge-after": Failure("an answer of 5 MiB; paid", _changed(lambda body: body + b" " * LARGE), True),
        "huge-compressed-after": Failure("an answer of 5 MiB, sent in a few kB; paid", _compressed, True),
        "dtd-after": Failure("status ok by way of an entity; paid", _changed(_with_dtd), True),
        "expanding-after": Failure("2 kB of answer that expand to a GB; paid", _changed(_expanding), True),
        "echo-after": Failure("status ok, and what was sent comes back; paid", _echoed, True),
        "drip-after": Failure(
            "the answer comes a byte at a time; paid",
            _dripping(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n"),
            True,
        ),
        "drip-head-after": Failure(
            "the answer's headers come a byte at a time; paid",
            _dripping(b"HTTP/1.1 200 OK\r\nX-Padding: "),
            True,
        ),
        "login-blank": Failure("login gives no session", _returned(LOGIN, nusoap.simple("")), False, LOGIN),
        "login-false": Failure(
            "login gives a boolean false", _returned(LOGIN, nusoap.simple(False)), False, LOGIN
        ),
        "login-odd": Failure(
            "login gives what is no session id",
            _returned(LOGIN, nusoap.simple("<b>Welcome</b> to the API")),
            False,
            LOGIN,
        ),
        "login-fault": Failure("login answers with a fault", _UNAVAILABLE, False, LOGIN),
        "session-expired": Failure("every session ends now; a new login works", None, False, "*"),
        "unreadable": Failure(
            "the account may not list invoices: a fault",
            _fixed(nusoap.fault("Access denied", "SOAP-ENV:Server"), 500),
            False,
            INVOICES,
        ),
        "unlisted": Failure(
            "the WSDL has no operations that list invoices",
            _replaced(b"_invoices", b"_bills"),
            True,
            WSDL,
        ),
        "unpayable": Failure(
            "the WSDL has no api_make_payment",
            _replaced(b"api_make_payment", b"api_pay"),
            True,
            WSDL,
        ),
        "elsewhere": Failure("the WSDL names another host for the calls", _changed(_elsewhere), True, WSDL),
        "no-wsdl": Failure("the WSDL is not found", _fixed(_HTML, 404, "text/html"), False, WSDL),
        "down": Failure("connections are refused", None, False, "*"),
        "slow": Failure(f"every answer takes {SLOW_SECONDS:g} seconds", _slow, True, "*"),
        "stall": Failure("nothing is answered, and nothing is done", _silent, False, "*"),
    }
)
