"""The calls of the billing API, synchronous, for many threads at once.

The rules that keep a payment from being sent twice are here, each in one place: `pay` makes exactly
one exchange; `_exchange` is the only way to the wire, has no loop, and turns whatever goes wrong into
a `Failure` that carries neither body nor secret.

zeep writes every request, and reads the short answers once they were vetted. Lists are read here.
"""

from __future__ import annotations

import io
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import requests
import zeep
from pydantic import SecretStr
from zeep.wsdl.bindings import Soap11Binding

from bot.billing import reading, wire
from bot.billing.list_answer import Rows, read_list
from bot.billing.markup import vet
from bot.billing.payment_answer import require_one_meaning
from bot.billing.transport import MAX_LIST_BYTES, BillingTransport, open_transport, pieces, whole
from bot.billing.verdicts import Failure, failure_of
from bot.clocks import BootClock, boottime
from bot.domain.login import Login
from bot.domain.payment import InvoiceRef, Outcome, Verdict
from bot.domain.unpaid_list import UnpaidList
from bot.errors import AnswerLost, BillingError, CannotPay, NeverSent, NotOffered, Unreadable
from bot.redaction import Redaction
from bot.singleflight import ThreadSingleflight

SESSION_PROOF_S = 30.0
"""Seconds for which a login, or a read that gave rows, is proof enough that the session is alive.

Longer than the ten seconds for which the snapshot of an invoice serves, so that a payment right after
its read needs no login; far shorter than any session lasts.
"""

PAY = "api_make_payment"
"""The operation that moves money."""

_TAKES = frozenset({"sid", "module", "invoice"})
"""What it takes, by name: in what order is for the WSDL to say, and nothing else is guessed."""

SESSIONS_REDACTED = 16
"""Session ids that are still taken out of what the API answers, after others have replaced them."""

Argument = str | int | SecretStr
"""What an operation takes."""

T = TypeVar("T")
R = TypeVar("R", bound=Rows)

_SESSION_ID = re.compile(r"[0-9A-Za-z,-]{16,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Service:
    """The loaded WSDL: zeep's client and proxy, and the binding with the operations that it has.

    payment_takes: the names of what the payment takes.
    """

    client: zeep.Client
    proxy: zeep.proxy.ServiceProxy
    binding: Soap11Binding
    operations: frozenset[str]
    payment_takes: frozenset[str]

    def read(self, operation: str, response: requests.Response) -> object:
        """What zeep makes of a short answer."""
        content = whole(response)
        vet(content)
        if operation == PAY:
            require_one_meaning(content)
        # zeep must read what was vetted, and not the first of several parts that may be in it.
        response.headers.pop("Content-Type", None)
        response.raw = io.BytesIO(content)
        called = self.binding.get(operation)  # type: ignore[no-untyped-call]
        answer: object = self.binding.process_reply(self.client, called, response)  # type: ignore[no-untyped-call]
        return answer


class BillingCalls:
    """One account at one billing API. Makes no connection before the first call."""

    def __init__(
        self,
        *,
        wsdl_url: str,
        username: str,
        password: SecretStr,
        connections: int,
        clock: BootClock = boottime,
    ) -> None:
        self.login: Login | None = None
        self._clock = clock
        self._wsdl_url = wsdl_url
        self._username = username
        self._password = password
        self._connections = connections
        self._transport: BillingTransport | None = None
        self._service = ThreadSingleflight(self._load)
        self._session = ThreadSingleflight(self._log_in, clock=clock)
        self._sessions: deque[str] = deque(maxlen=SESSIONS_REDACTED)

    def prepare(self, deadline: float) -> None:
        """Load the WSDL and prove a session with some of its time left, as `pay` wants them."""
        self._payable(deadline)
        _prepared(self._session, deadline, max_age_s=SESSION_PROOF_S / 2)

    def pay(
        self, ref: InvoiceRef, *, ready_by: float, timeout: float, may_begin: Callable[[], bool]
    ) -> Outcome:
        """Call api_make_payment once, or not at all. Raises nothing.

        ready_by: when the WSDL and a proven session must be there, on the clock of `time.monotonic`.
        timeout: seconds for the call itself.
        may_begin: asked before it is begun, and again right before its first byte goes out.
        """
        try:
            service = self._payable(ready_by)
            session = _prepared(self._session, ready_by, max_age_s=SESSION_PROOF_S)
        except BillingError as error:
            return Outcome(Verdict.NOT_SENT, None, None, str(error))
        call = wire.Call(time.monotonic() + timeout, fresh=True, may_send=may_begin)
        if not may_begin():
            return Outcome(Verdict.NOT_SENT, None, None, wire.TOO_OLD)
        answer = self._answer(service, call, PAY, sid=session, module=ref.module, invoice=ref.number)
        if isinstance(answer, Failure):
            outcome = Outcome(answer.verdict, None, None, answer.evidence, answer.answered)
        else:
            outcome = reading.outcome(answer, self._redaction())
        if outcome.verdict is Verdict.UNKNOWN:
            self._session.drop(session)
        return outcome

    def unpaid_invoices(self, module: str, deadline: float) -> UnpaidList:
        """The unpaid invoices of a module; see `BillingClient.unpaid_invoices`."""
        unpaid = self._list(
            _unpaid_list(module), deadline, lambda: reading.UnpaidCharges(module, self._redaction())
        )
        return unpaid.found()

    def among_unpaid(self, ref: InvoiceRef, deadline: float) -> reading.AmongUnpaid:
        """What the list of unpaid invoices says about one."""
        return self._list(_unpaid_list(ref.module), deadline, lambda: reading.AmongUnpaid(ref))

    def among_all(self, ref: InvoiceRef, deadline: float) -> reading.AmongAll:
        """What the list of all invoices, paid or not, says about one."""
        operation = f"api_{ref.module}_get_client_invoices"
        return self._list(operation, deadline, lambda: reading.AmongAll(ref))

    def modules(self, deadline: float) -> tuple[str, ...]:
        """The modules that the API names."""
        service = _prepared(self._service, deadline)
        _require(service, "get_modules")
        answer = _usable(self._answer(service, wire.Call(deadline), "get_modules"))
        names = reading.module_names(answer, self._redaction())
        if not names:
            raise AnswerLost("the API named no modules")
        return names

    def close(self) -> None:
        """Close the idle connections."""
        if self._transport is not None:
            self._transport.session.close()

    def _list(self, operation: str, deadline: float, begin: Callable[[], R]) -> R:
        """Call an operation that lists rows. begin: makes what takes them, anew for each reading.

        A session that has died is assumed to give a fault, but nobody has said so: an empty list would
        do, and would read as "not payable", or worse, as "paid". So what is no row is believed only of
        a session whose proof is young; of any other, one fresh login and one more read decide.
        """
        service = _prepared(self._service, deadline)
        _require(service, operation)
        session = _prepared(self._session, deadline)
        rows = begin()
        count = self._read_list(service, deadline, operation, session, rows)
        if _says_no_more_than_a_dead_session(count):
            if count != 0:
                self._session.drop(session)
            renewed = _prepared(self._session, deadline, max_age_s=SESSION_PROOF_S)
            if renewed is not session:
                session, rows = renewed, begin()
                count = self._read_list(service, deadline, operation, session, rows)
        if isinstance(count, Failure):
            self._session.drop(session)
            if count.fault:
                raise Unreadable("the API answers with a fault, also after a fresh login")
        if _usable(count) is None:
            raise AnswerLost("the answer is not a list of invoices")
        if count:
            self._session.proved(session)
        return rows

    def _payable(self, deadline: float) -> _Service:
        """The WSDL, with the operation that all is about; one that lacks it, or has another, is not kept."""
        service = _prepared(self._service, deadline)
        try:
            _require(service, PAY)
            if service.payment_takes != _TAKES:
                raise CannotPay(f"the WSDL's operation {PAY} takes other things than are known")
        except NeverSent:
            self._service.drop(service)
            raise
        return service

    def _read_list(
        self, service: _Service, deadline: float, operation: str, session: SecretStr, rows: Rows
    ) -> int | Failure | None:
        def read(response: requests.Response) -> int | None:
            return read_list(operation, pieces(response, MAX_LIST_BYTES), response.status_code, rows)

        return self._exchange(service, wire.Call(deadline), operation, session, read=read)

    def _redaction(self) -> Redaction:
        """For what the API answers: it knows our secrets, and may send them back."""
        return Redaction([self._password.get_secret_value(), *self._sessions.copy()], sessions_by_shape=False)

    def _log_in(self, deadline: float) -> SecretStr:
        service = _prepared(self._service, deadline)
        _require(service, "api_login")
        answer = self._answer(service, wire.Call(deadline), "api_login", self._username, self._password)
        if isinstance(answer, Failure):
            raise NeverSent(f"login failed: {answer.evidence}")
        refused = not answer or answer == "0"
        self.login = Login(refused, self._clock())
        if refused:
            raise NeverSent("login refused: check the billing user name and password")
        if not isinstance(answer, str) or not _SESSION_ID.fullmatch(answer):
            raise NeverSent("login failed: the API did not answer with a session id")
        self._sessions.append(answer)
        return SecretStr(answer)

    def _load(self, deadline: float) -> _Service:
        answer = self._attempt_to_load(wire.Call(deadline))
        if isinstance(answer, Failure):
            raise NeverSent(f"the WSDL could not be used: {answer.evidence}")
        return answer

    def _attempt_to_load(self, call: wire.Call) -> _Service | Failure:
        try:
            with wire.calling(call):
                return self._loaded()
        except Exception as error:  # noqa: BLE001 -- a WSDL can make zeep raise anything; nothing was sent
            return failure_of(error, sent=call.sent)

    def _loaded(self) -> _Service:
        if self._transport is None:
            self._transport = open_transport(self._wsdl_url, self._connections)
        client = zeep.Client(  # type: ignore[no-untyped-call]
            self._wsdl_url,
            transport=self._transport,
            # force_https would mend an http address unseen; `require_origin` refuses it instead.
            settings=zeep.Settings(strict=True, forbid_dtd=True, force_https=False, raw_response=True),
        )
        for service in client.wsdl.services.values():
            for port in service.ports.values():
                if isinstance(port.binding, Soap11Binding):
                    self._transport.require_origin(port.binding_options["address"] or "")
                    proxy = client.bind(service.name, port.name)
                    operations = port.binding.all()  # type: ignore[no-untyped-call]
                    takes = operations[PAY].input.body.type.elements if PAY in operations else ()
                    names = frozenset(name for name, _ in takes)
                    return _Service(client, proxy, port.binding, frozenset(operations), names)
        raise LookupError("the WSDL has no SOAP 1.1 port")

    def _answer(
        self,
        service: _Service,
        call: wire.Call,
        operation: str,
        *arguments: Argument,
        **named: Argument,
    ) -> object:
        """Make one call whose answer is short. Never two, and never an exception."""
        return self._exchange(
            service,
            call,
            operation,
            *arguments,
            read=lambda response: service.read(operation, response),
            **named,
        )

    def _exchange(
        self,
        service: _Service,
        call: wire.Call,
        operation: str,
        *arguments: Argument,
        read: Callable[[requests.Response], T],
        **named: Argument,
    ) -> T | Failure:
        """Make one call, and read its answer while it comes. Never two, and never an exception."""
        plain = [_plain(one) for one in arguments]
        by_name = {name: _plain(one) for name, one in named.items()}
        try:
            with wire.calling(call), closing(service.proxy[operation](*plain, **by_name)) as response:
                return read(response)
        except Exception as error:  # noqa: BLE001 -- zeep lets a bare IndexError through, and more
            return failure_of(error, sent=call.sent)


def _plain(argument: Argument) -> str | int:
    return argument.get_secret_value() if isinstance(argument, SecretStr) else argument


def _says_no_more_than_a_dead_session(count: int | Failure | None) -> bool:
    return count.fault if isinstance(count, Failure) else not count


def _unpaid_list(module: str) -> str:
    return f"api_{module}_get_client_unpaid_invoices"


def _require(service: _Service, operation: str) -> None:
    if operation in service.operations:
        return
    if operation.endswith("_invoices"):
        raise NotOffered("the API has no operation that lists these invoices")
    raise CannotPay(f"the WSDL has no operation {operation}")


def _prepared(needed: ThreadSingleflight[T], deadline: float, *, max_age_s: float = float("inf")) -> T:
    """What one call makes for all. Raises the `BillingError` of making it, or `NeverSent` at the deadline."""
    try:
        return needed.get(deadline, max_age_s=max_age_s)
    except TimeoutError:
        raise NeverSent("another call was still preparing the billing API at the deadline") from None


def _usable(answer: T | Failure) -> T:
    if not isinstance(answer, Failure):
        return answer
    if answer.verdict is Verdict.NOT_SENT:
        raise NeverSent(answer.evidence)
    raise AnswerLost(answer.evidence)
