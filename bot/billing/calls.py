"""The calls of the billing API, synchronous, for many threads at once.

The rules that keep a payment from being sent twice are here, each in one place: `pay` makes exactly
one exchange; `_exchange` is the only way to the wire, has no loop, and turns whatever goes wrong into
a `Failure` that carries neither body nor secret.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import zeep
from pydantic import SecretStr
from zeep.wsdl.bindings import Soap11Binding

from bot.billing import reading, wire
from bot.billing.shared import Shared
from bot.billing.transport import BillingTransport, open_transport
from bot.billing.verdicts import Failure, failure_of
from bot.domain.payment import Invoice, InvoiceRef, Outcome, Standing, Verdict
from bot.errors import AnswerLost, BillingError, NeverSent, Unreadable

SESSION_PROOF = 30.0
"""Seconds for which a login, or a read that gave rows, is proof enough that the session is alive.

Longer than the ten seconds for which the snapshot of an invoice serves, so that a payment right after
its read needs no login; far shorter than any session lasts.
"""

MODULES_AGE = 3600.0
"""Seconds for which the list of modules is not asked for again."""

_SESSION_ID = re.compile(r"[0-9A-Za-z,-]{16,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Service:
    """The loaded WSDL: zeep's proxy, and the names of the operations it has."""

    proxy: zeep.proxy.ServiceProxy
    operations: frozenset[str]


class BillingCalls:
    """One account at one billing API. Makes no connection before the first call."""

    def __init__(self, *, wsdl_url: str, username: str, password: SecretStr, connections: int) -> None:
        self._wsdl_url = wsdl_url
        self._username = username
        self._password = password
        self._connections = connections
        self._transport: BillingTransport | None = None
        self._service = Shared(self._load)
        self._session = Shared(self._log_in)
        self._modules = Shared(self._ask_modules)

    def prepare(self, deadline: float) -> None:
        """Load the WSDL and prove a session with some of its time left, as `pay` wants them."""
        self._payable(deadline)
        self._session.get(deadline, max_age=SESSION_PROOF / 2)

    def pay(
        self, ref: InvoiceRef, *, ready_by: float, timeout: float, may_begin: Callable[[], bool]
    ) -> Outcome:
        """Call api_make_payment once, or not at all. Raises nothing.

        ready_by: when the WSDL and a proven session must be there, on the clock of `time.monotonic`.
        timeout: seconds for the call itself.
        """
        try:
            service = self._payable(ready_by)
            session = self._session.get(ready_by, max_age=SESSION_PROOF)
        except BillingError as error:
            return Outcome(Verdict.NOT_SENT, None, None, str(error))
        call = wire.Call(time.monotonic() + timeout, fresh=True)
        if not may_begin():
            return Outcome(Verdict.NOT_SENT, None, None, "the intent to pay is too old; others may act on it")
        answer = self._exchange(service, call, "api_make_payment", session, ref.module, ref.number)
        if isinstance(answer, Failure):
            outcome = Outcome(answer.verdict, None, None, answer.evidence)
        else:
            outcome = reading.outcome(answer)
        if outcome.verdict is Verdict.UNKNOWN:
            self._session.drop(session)
        return outcome

    def unpaid_invoices(self, module: str, deadline: float) -> list[Invoice]:
        """The unpaid invoices of a module; see `BillingClient.unpaid_invoices`."""
        return reading.invoices(module, self._rows(_unpaid_list(module), deadline))

    def standing(self, ref: InvoiceRef, deadline: float) -> Standing:
        """What two reads say about one invoice; see `BillingClient.standing`."""
        everything = self._rows(f"api_{ref.module}_get_client_invoices", deadline)
        return reading.standing(ref, everything, self._rows(_unpaid_list(ref.module), deadline))

    def modules(self, deadline: float) -> tuple[str, ...]:
        """The modules that the API names, asked for once in `MODULES_AGE` seconds."""
        return self._modules.get(deadline, max_age=MODULES_AGE)

    def close(self) -> None:
        """Close the idle connections."""
        if self._transport is not None:
            self._transport.session.close()

    def _rows(self, operation: str, deadline: float) -> list[object]:
        """Call an operation that lists rows.

        A session that has died is assumed to give a fault, but nobody has said so: an empty list would
        do, and would read as "not payable", or worse, as "paid". So what is no row is believed only of
        a session whose proof is young; of any other, one fresh login and one more read decide.
        """
        service = self._service.get(deadline)
        _require(service, operation)
        session = self._session.get(deadline)
        answer = self._exchange(service, wire.Call(deadline), operation, session)
        if _says_no_more_than_a_dead_session(answer):
            if answer != []:
                self._session.drop(session)
            renewed = self._session.get(deadline, max_age=SESSION_PROOF)
            if renewed is not session:
                session = renewed
                answer = self._exchange(service, wire.Call(deadline), operation, session)
        if isinstance(answer, Failure):
            self._session.drop(session)
            if answer.fault:
                raise Unreadable("the API answers with a fault, also after a fresh login")
        rows = reading.rows(_usable(answer))
        if rows is None:
            raise AnswerLost("the answer is not a list of invoices")
        if rows:
            self._session.proved(session)
        return rows

    def _payable(self, deadline: float) -> _Service:
        """The WSDL, with the operation that all is about; one that lacks it is not kept."""
        service = self._service.get(deadline)
        try:
            _require(service, "api_make_payment")
        except NeverSent:
            self._service.drop(service)
            raise
        return service

    def _ask_modules(self, deadline: float) -> tuple[str, ...]:
        service = self._service.get(deadline)
        _require(service, "get_modules")
        names = reading.module_names(_usable(self._exchange(service, wire.Call(deadline), "get_modules")))
        if not names:
            raise AnswerLost("the API named no modules")
        return names

    def _log_in(self, deadline: float) -> SecretStr:
        service = self._service.get(deadline)
        _require(service, "api_login")
        answer = self._exchange(service, wire.Call(deadline), "api_login", self._username, self._password)
        if isinstance(answer, Failure):
            raise NeverSent(f"login failed: {answer.evidence}")
        if not answer or answer == "0":
            raise NeverSent("login refused: check the billing user name and password")
        if not isinstance(answer, str) or not _SESSION_ID.fullmatch(answer):
            raise NeverSent("login failed: the API did not answer with a session id")
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
            settings=zeep.Settings(strict=True, forbid_dtd=True, force_https=False),
        )
        for service in client.wsdl.services.values():
            for port in service.ports.values():
                if isinstance(port.binding, Soap11Binding):
                    self._transport.require_origin(port.binding_options["address"] or "")
                    proxy = client.bind(service.name, port.name)
                    operations = port.binding.all()  # type: ignore[no-untyped-call]
                    return _Service(proxy, frozenset(operations))
        raise LookupError("the WSDL has no SOAP 1.1 port")

    def _exchange(
        self, service: _Service, call: wire.Call, operation: str, *arguments: str | int | SecretStr
    ) -> object:
        """Make one call. Never two, and never an exception."""
        plain = [
            argument.get_secret_value() if isinstance(argument, SecretStr) else argument
            for argument in arguments
        ]
        try:
            with wire.calling(call):
                answer: object = service.proxy[operation](*plain)
                return answer
        except Exception as error:  # noqa: BLE001 -- zeep lets a bare IndexError through, and more
            return failure_of(error, sent=call.sent)


def _says_no_more_than_a_dead_session(answer: object) -> bool:
    if isinstance(answer, Failure):
        return answer.fault
    return not reading.rows(answer)


def _unpaid_list(module: str) -> str:
    return f"api_{module}_get_client_unpaid_invoices"


def _require(service: _Service, operation: str) -> None:
    if operation in service.operations:
        return
    if operation.endswith("_invoices"):
        raise Unreadable("the API has no operation that lists these invoices")
    raise NeverSent(f"the WSDL has no operation {operation}")


def _usable(answer: object) -> object:
    if not isinstance(answer, Failure):
        return answer
    if answer.verdict is Verdict.NOT_SENT:
        raise NeverSent(answer.evidence)
    raise AnswerLost(answer.evidence)
