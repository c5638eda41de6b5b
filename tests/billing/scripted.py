"""A billing API whose every answer is written by the test, byte by byte where it wants to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources

from aiohttp import web

from bot.sandbox.local_billing import nusoap

SESSION = "0123456789abcdef0123456789abcdef"
PASSWORD = "p&ssw<rd"
PAY = "api_make_payment"
LOGIN = "api_login"
MODULES = "get_modules"
UNPAID = "api_vps_get_client_unpaid_invoices"
ALL = "api_vps_get_client_invoices"
WSDL = "wsdl"

Answer = bytes | Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]
"""A body, or what answers a request with this envelope."""

ROW = {
    "invoices_id": 10101,
    "invoices_description": "KVM Linux VPS",
    "invoices_amount": 10.0,
    "invoices_custid": 160884,
    "invoices_type": 1,
    "invoices_date": "2021-02-24 01:38:45",
    "invoices_group": 0,
    "invoices_extra": 19150001,
    "invoices_paid": 0,
    "invoices_module": "vps",
    "invoices_due_date": "2021-03-10 01:38:45",
    "invoices_service": 8556,
    "invoices_deleted": 0,
    "invoices_currency": "USD",
}


def row(**changes: object) -> str:
    """One row as NuSOAP writes it."""
    told = ROW | {f"invoices_{name}": value for name, value in changes.items()}
    return nusoap.struct("sql_row_invoices", told, "item")


def rows(operation: str, *items: str) -> bytes:
    """A list of rows."""
    return nusoap.response(operation, nusoap.array("tns:sql_row_invoices", items))


def outcome(status: str, text: str) -> bytes:
    """The answer of a payment."""
    return nusoap.response(PAY, nusoap.struct("make_payment_return", {"status": status, "status_text": text}))


def envelope(body: str) -> bytes:
    """A body in the envelope that NuSOAP writes."""
    return nusoap.empty().replace(b"</SOAP-ENV:Body>", body.encode() + b"</SOAP-ENV:Body>")


def plain(body: bytes) -> web.Response:
    """A good answer with this body."""
    return web.Response(body=body, headers={"Content-Type": nusoap.CONTENT_TYPE})


class Scripted:
    """answers: by operation; `WSDL` is the document itself. received: operations, in order."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.url = ""
        self.answers: dict[str, Answer] = {
            LOGIN: nusoap.response(LOGIN, nusoap.simple(SESSION)),
            PAY: outcome("ok", "Payment made."),
            UNPAID: rows(UNPAID, row()),
            ALL: rows(ALL, row()),
        }

    async def _wsdl(self, request: web.Request) -> web.StreamResponse:
        document = resources.files("bot.sandbox.local_billing").joinpath("myapi.wsdl").read_bytes()
        own = f"http://{request.host}/api.php".encode()
        document = document.replace(b"https://my.interserver.net/api.php", own)
        return await self._answer(WSDL, request, document)

    async def _soap(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        operation = nusoap.parse(body).operation
        self.received.append(operation)
        return await self._answer(operation, request, body)

    async def _answer(self, operation: str, request: web.Request, body: bytes) -> web.StreamResponse:
        answer = self.answers.get(operation, body)
        return plain(answer) if isinstance(answer, bytes) else await answer(request, body)


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    """One that listens on a port of its own."""
    server = Scripted()
    app = web.Application()
    app.router.add_get("/api.php", server._wsdl)
    app.router.add_post("/api.php", server._soap)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    server.url = f"http://{host}:{port}/api.php?wsdl"
    yield server
    await runner.cleanup()
