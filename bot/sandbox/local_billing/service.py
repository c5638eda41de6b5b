"""What the operations of the local billing API do: one account, its sessions, its books."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass

from bot.sandbox.local_billing import nusoap
from bot.sandbox.local_billing.books import MODULES, REFUSED, Books

LOGIN = "api_login"
MODULE_LIST = "get_modules"
PAYMENT = "api_make_payment"
PREPAY = "api_get_prepay_remaining"

_LIST = re.compile(f"api_({'|'.join(MODULES)})_get_client_(unpaid_invoices|invoices)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """One SOAP request that arrived.

    at: when, on the clock of `time.monotonic`.
    sid_ok: whether its session was good, or it needs none.
    module, invoice: as the server understood them; None where the operation has none.
    effect: `login`, `read`, `paid`, `refused`, or `nothing` (a failure mode or a fault came first).
    """

    at: float
    operation: str
    sid_ok: bool
    module: str | None
    invoice: int | None
    effect: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What an operation did, and the envelope and HTTP status that say so."""

    effect: str
    body: bytes
    status: int = 200


class Service:
    """Carries out operations as MyAdmin documents them, as leniently as PHP does."""

    def __init__(self, username: str, password: str, books: Books) -> None:
        self.books = books
        self._credentials = (username, password)
        self._sessions: set[str] = set()

    def expire_sessions(self) -> None:
        """Forget every session."""
        self._sessions.clear()

    def carry_out(self, request: nusoap.Request) -> tuple[Call, Answered]:
        """Do what the request says."""
        return self._described(request, self._answered(request))

    def ignore(self, request: nusoap.Request) -> tuple[Call, Answered]:
        """Take note of the request, and do nothing."""
        return self._described(request, Answered("nothing", b""))

    def _described(self, request: nusoap.Request, answered: Answered) -> tuple[Call, Answered]:
        listed = _LIST.fullmatch(request.operation)
        module = listed[1] if listed else None
        invoice = None
        if request.operation in (PAYMENT, PREPAY):
            module = request.argument(1)
        if request.operation == PAYMENT:
            invoice = nusoap.intval(request.argument(2))
        call = Call(
            at=time.monotonic(),
            operation=request.operation,
            sid_ok=self._session_ok(request),
            module=module,
            invoice=invoice,
            effect=answered.effect,
        )
        return call, answered

    def _session_ok(self, request: nusoap.Request) -> bool:
        return request.operation in (LOGIN, MODULE_LIST) or request.argument(0) in self._sessions

    def _answered(self, request: nusoap.Request) -> Answered:
        operation = request.operation
        listed = _LIST.fullmatch(operation)
        if not listed and operation not in (LOGIN, MODULE_LIST, PAYMENT, PREPAY):
            text = f"Operation '{operation}' is not defined in the WSDL for this service"
            return Answered("nothing", nusoap.fault(text), 500)
        if not self._session_ok(request):
            return Answered("nothing", nusoap.fault("Session expired", "SOAP-ENV:Server"), 500)
        if listed:
            effect, value = "read", self._rows(listed[1], unpaid=listed[2] == "unpaid_invoices")
        elif operation == LOGIN:
            effect, value = self._log_in(request.argument(0), request.argument(1))
        elif operation == PAYMENT:
            effect, value = self._pay(request.argument(1), nusoap.intval(request.argument(2)))
        elif operation == PREPAY:
            fields = {"status": "ok", "status_text": "0"}
            effect, value = "read", nusoap.struct("result_status", fields)
        else:
            items = (nusoap.simple(module, "item") for module in MODULES)
            effect, value = "read", nusoap.array("xsd:string", items)
        return Answered(effect, nusoap.response(operation, value))

    def _log_in(self, username: str, password: str) -> tuple[str, str]:
        if (username, password) != self._credentials:
            return "refused", nusoap.simple("")
        session = secrets.token_hex(16)
        self._sessions.add(session)
        return "login", nusoap.simple(session)

    def _rows(self, module: str, *, unpaid: bool) -> str:
        rows = self.books.unpaid(module) if unpaid else self.books.invoices(module)
        items = (nusoap.struct("sql_row_invoices", row, "item") for row in rows)
        return nusoap.array("tns:sql_row_invoices", items)

    def _pay(self, module: str, number: int) -> tuple[str, str]:
        paid = self.books.pay(module, number)
        fields = {"status": "ok" if paid else "error", "status_text": paid or REFUSED}
        value = nusoap.struct("make_payment_return", fields)
        return "paid" if paid else "refused", value
