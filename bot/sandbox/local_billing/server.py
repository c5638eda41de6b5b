"""The local billing API: MyAdmin's SOAP service over a real socket, with invoices to try the bot on.

Everything that arrives is in `log`, and every way to fail is in `failures.FAILURES`. A payment that
arrives a second time is counted, whether or not the first was answered.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import resources

from aiohttp import web

from bot.sandbox.local_billing import nusoap
from bot.sandbox.local_billing.books import Books, sample_books
from bot.sandbox.local_billing.failures import FAILURES, WSDL, Exchange, Failure, plain
from bot.sandbox.local_billing.service import PAYMENT, Call, Service

_PUBLISHED_ADDRESS = b"https://my.interserver.net/api.php"


@dataclass(slots=True)
class _Armed:
    failure: Failure
    on: str
    left: int | None


class LocalBilling:
    """A billing API on this machine; one account, sample invoices, no state on disk.

    books: the sample ones, unless told otherwise.
    port: 0 takes a free one, and keeps it when stopped and started again.
    on_call: is called with every `Call` when it has arrived and taken effect, before it is answered.

    `add_invoice`, `add_history` and `row` are those of its `Books`, `expire_sessions` that of its `Service`.
    """

    def __init__(
        self,
        books: Books | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        on_call: Callable[[Call], None] | None = None,
    ) -> None:
        self.username = "sandbox"
        self.password = "local-api-key"  # noqa: S105 -- opens nothing but this local server
        self.log: list[Call] = []
        self._host = host
        self._port = port
        self.on_call = on_call
        books = books or sample_books()
        self.add_invoice, self.add_history, self.row = books.add, books.add_history, books.row
        self._service = Service(self.username, self.password, books)
        self.expire_sessions = self._service.expire_sessions
        self._armed: _Armed | None = None
        self._released = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._down = False

    @property
    def wsdl_url(self) -> str:
        """The address of the WSDL; known after `start`."""
        return f"http://{self._host}:{self._port}/api.php?wsdl"

    async def start(self) -> None:
        """Listen, at the same address as before if it was stopped."""
        self._released = asyncio.Event()
        self._down = False
        app = web.Application()
        app.router.add_get("/api.php", self._wsdl)
        app.router.add_post("/api.php", self._soap)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await self._listen(self._bound())

    async def stop(self) -> None:
        """Let go of every call that hangs, and listen no more."""
        self._released.set()
        if self._reopening is not None:
            await self._reopening
            self._reopening = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def fail(self, mode: str | Failure, *, times: int | None = None, operation: str | None = None) -> None:
        """Fail in one of the ways of `FAILURES`, or in one's own, in place of any other, until `heal`.

        times: only for so many calls. operation: a shell pattern of the operations to fail, in place
        of the mode's own; `wsdl` is the GET of the WSDL.
        """
        if isinstance(mode, str) and mode not in FAILURES:
            raise ValueError(f"no failure mode {mode!r}; there are {', '.join(FAILURES)}")
        if mode == "down" and self._down:
            return
        self.heal()
        if mode == "session-expired":
            self.expire_sessions()
        elif mode == "down":
            self._go_down()
        failure = FAILURES[mode] if isinstance(mode, str) else mode
        if failure.answer is not None:
            self._armed = _Armed(failure, operation or failure.on, times)

    def heal(self) -> None:
        """Fail no more. Calls that hang are let go without an answer."""
        self._armed = None
        self._released.set()
        self._released = asyncio.Event()
        if self._down:
            self._down = False
            self._reopening = asyncio.create_task(self._listen(self._bound()))

    def mix_modules(self) -> None:
        """From now on list the rows of every module under each of them, as one table for all would."""
        self._service.books.mixed = True

    def payments_received(self, module: str, invoice: int) -> int:
        """How many calls of api_make_payment for this invoice arrived, answered or not."""
        return len(self._payments(module, invoice))

    def payments_made(self, module: str, invoice: int) -> int:
        """How many of them took effect."""
        return sum(call.effect == "paid" for call in self._payments(module, invoice))

    def _payments(self, module: str, invoice: int) -> list[Call]:
        return [
            call
            for call in self.log
            if (call.operation, call.module, call.invoice) == (PAYMENT, module, invoice)
        ]

    def _bound(self) -> socket.socket:
        listening = socket.create_server((self._host, self._port), backlog=512)
        self._port = listening.getsockname()[1]
        return listening

    async def _listen(self, listening: socket.socket) -> None:
        assert self._runner is not None
        assert self._runner.server is not None
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self._runner.server, sock=listening)
        if self._down:
            listener.close()
        else:
            self._listener = listener

    def refuse_connections(self) -> None:
        """Take no new connection, and go on with those that are open, until `heal`."""
        self._down = True
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _go_down(self) -> None:
        self.refuse_connections()
        if self._runner is not None and self._runner.server is not None:
            for connection in self._runner.server.connections:
                connection.force_close()

    async def _wsdl(self, request: web.Request) -> web.StreamResponse:
        if "wsdl" not in request.query:
            return web.Response(text="NuSOAP: myapi", content_type="text/html")
        document = resources.files(__package__).joinpath("myapi.wsdl").read_bytes()
        own = f"http://{self._host}:{self._port}/api.php".encode()
        armed = self._due(WSDL)
        return await self._answer(request, armed, document.replace(_PUBLISHED_ADDRESS, own), 200)

    async def _soap(self, request: web.Request) -> web.StreamResponse:
        try:
            called = nusoap.parse(await request.read())
        except nusoap.NotSoap as error:
            return web.Response(body=nusoap.fault(str(error)), status=500)
        armed = None if "redirected" in request.query else self._due(called.operation)
        if armed is not None and not armed.carried_out:
            call, answered = self._service.ignore(called)
        else:
            call, answered = self._service.carry_out(called)
            if called.operation == PAYMENT and call.effect in ("nothing", "refused"):
                armed = None  # a failure after it was done would say what is not so
        self.log.append(call)
        if armed is not None and armed.late is not None:
            place = len(self.log) - 1
            asyncio.get_running_loop().call_later(armed.late, self._carry_out_late, called, place)
        if self.on_call is not None:
            self.on_call(call)
        return await self._answer(request, armed, answered.body, answered.status)

    def _carry_out_late(self, called: nusoap.Request, place: int) -> None:
        done, _answered = self._service.carry_out(called)
        self.log[place] = replace(self.log[place], effect=done.effect)

    async def _answer(
        self, request: web.Request, failure: Failure | None, body: bytes, status: int
    ) -> web.StreamResponse:
        answer = plain if failure is None or failure.answer is None else failure.answer
        return await answer(Exchange(request, body, status, self._released))

    def _due(self, operation: str) -> Failure | None:
        armed = self._armed
        if armed is None or not fnmatchcase(operation, armed.on):
            return None
        if armed.left is not None:
            armed.left -= 1
            if armed.left <= 0:
                self._armed = None
        return armed.failure
