"""What a payment is, which states it can be in, and the only moves between them.

The table `MOVES` is the safety argument of the whole bot: every change of state goes through `move`,
and a move that is not in the table is a bug and raises. Two absences carry the promise "never twice":
nothing leads from UNKNOWN or SENDING back to APPROVED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

from bot.domain.schedule import PayOn

MAX_INVOICE = 2**31 - 1
"""The API's invoice number is an xsd:int; above this, servers wrap round or round off."""

DOCUMENTED_MODULES = (
    "domains",
    "vps",
    "backups",
    "mail",
    "licenses",
    "ssl",
    "floating_ips",
    "webhosting",
    "quickservers",
    "servers",
)
"""The modules that MyAdmin's `get_modules` documents; used until the API has told its own."""


class State(StrEnum):
    """The state of a payment. The value is what the ledger stores."""

    REQUESTED = "REQUESTED"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"
    PAID = "PAID"
    DECLINED = "DECLINED"
    DENIED = "DENIED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


MOVES: dict[State, frozenset[State]] = {
    # Not looked up yet, so nobody can decide on it.
    State.REQUESTED: frozenset({State.PENDING_APPROVAL, State.APPROVED, State.CANCELLED, State.EXPIRED}),
    State.PENDING_APPROVAL: frozenset({State.APPROVED, State.DENIED, State.CANCELLED, State.EXPIRED}),
    # Back to the approvers: what they approved without knowing its amount was read before it was sent.
    State.APPROVED: frozenset({State.SENDING, State.CANCELLED, State.PENDING_APPROVAL}),
    State.SENDING: frozenset({State.PAID, State.DECLINED, State.NOT_SENT, State.UNKNOWN}),
    State.NOT_SENT: frozenset({State.APPROVED, State.CANCELLED}),
    State.UNKNOWN: frozenset({State.PAID, State.DECLINED}),
    State.PAID: frozenset(),
    State.DECLINED: frozenset(),
    State.DENIED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}

FINAL = frozenset(state for state, following in MOVES.items() if not following)
"""States that nothing leaves by itself."""

CANCELLABLE = frozenset(state for state, following in MOVES.items() if State.CANCELLED in following)
"""States in which a request can be taken back: nothing was sent, or nothing arrived."""

CORRECTIONS: dict[State, State] = {State.PAID: State.DECLINED, State.DECLINED: State.PAID}
"""What a person may still set right where it rests on somebody's word or on the weakest evidence."""

WITHDRAWN = "withdrawn by its requester"
"""The reason of a payment that its requester took back."""

BY_ITS_REQUESTER = "by its requester"
"""The same in the event that tells it."""

PAUSED = "payments are paused"
"""What the reason begins with of a payment that is held because nothing is sent just now."""

WITHDRAWN_WORDS = (WITHDRAWN, "cancelled by its requester")
"""The same, with the words of earlier versions."""

RELEASED = frozenset({State.DECLINED, State.DENIED, State.CANCELLED, State.EXPIRED})
"""States in which the invoice may be requested again: nothing was, or will be, paid by this request."""


class IllegalMove(Exception):
    """A bug: the code asked for a move that the table does not list."""

    def __init__(self, current: State, to: State) -> None:
        super().__init__(f"bug: {current} -> {to} is not a legal move")


def move(current: State, to: State, *, correction: bool = False) -> State:
    """Return `to` if the table allows it from `current`; raise `IllegalMove` otherwise.

    correction: a person sets right what was settled, by the other table.
    """
    if not (CORRECTIONS.get(current) is to if correction else to in MOVES[current]):
        raise IllegalMove(current, to)
    return to


STEP_TRIGGER = "step:"
"""What the trigger of a request begins with that a workflow's step made; its run's id follows."""


def step_run_in(trigger_id: str) -> str | None:
    """The run of the workflow step whose trigger this is; None for those of people."""
    return trigger_id.removeprefix(STEP_TRIGGER) if trigger_id.startswith(STEP_TRIGGER) else None


_MODULE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


def mark_of(created_at: datetime) -> str:
    """What tells one thing from another that was given the same number at another time."""
    return created_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")


@dataclass(frozen=True, slots=True)
class InvoiceRef:
    """The natural key of a payment: one invoice of one module. Never pruned, never reused."""

    module: str
    number: int

    def __post_init__(self) -> None:
        # zeep sends 10003.7, "1e4" and True as they stand, and servers pay something for each of them.
        if type(self.number) is not int or not 1 <= self.number <= MAX_INVOICE:
            raise ValueError(f"an invoice number is a whole number from 1 to {MAX_INVOICE}")
        if not _MODULE_NAME.fullmatch(self.module):
            raise ValueError("a module is a lower-case name such as vps")

    def __str__(self) -> str:
        return f"{self.module} {self.number}"

    @classmethod
    def read(cls, text: str) -> InvoiceRef:
        """Read what `str` makes of one. Raises ValueError."""
        module, _, number = text.partition(" ")
        return cls(module, int(number))


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as the billing API told it at one moment.

    amount: in `currency`, exact (the API sends an xsd:float). due: None where no day can be read.
    """

    ref: InvoiceRef
    description: str
    amount: Decimal
    currency: str
    due: date | None

    @property
    def price(self) -> str:
        """Amount and currency, as they are kept and compared; see `batch.amounts_in`."""
        return f"{self.amount:f} {self.currency}"


class Proof(StrEnum):
    """What a reading's verdict rests on, the strongest first. The value is what the trail stores."""

    PAYMENT_ROW = "payment_row"
    PAID_FLAG = "paid_flag"
    ABSENCE = "absence"
    """It is not unpaid any more, and nothing says that it was paid: a person may know better."""
    STILL_UNPAID = "still_unpaid"


WEAK = frozenset({Proof.ABSENCE, Proof.STILL_UNPAID})
"""No positive proofs: the invoice left the list, or stayed in it."""


@dataclass(frozen=True, slots=True)
class InvoiceEvidence:
    """What readings of the billing API say about one invoice; the reconciler's evidence.

    Only rows of the invoice's own module count. A row that names no module proves nothing.

    unpaid: it is in the list of unpaid invoices.
    paid_flag: its own row says whether it is paid; None if there is no such row.
    payment: the id of a payment row that names this invoice; None if there is none.
    gone: the list of unpaid invoices was read whole, holds others, and not this one.
    unclear: rows about it contradict each other, or do not say enough: nothing follows from any.
    history: the list of all invoices was read as well, on which paid_flag and payment rest.
    """

    unpaid: bool
    paid_flag: bool | None
    payment: int | None
    gone: bool = False
    unclear: bool = False
    history: bool = True

    @property
    def proof(self) -> Proof | None:
        """What it proves, if anything. ABSENCE does only of an invoice that was in the list before."""
        if self.unclear:
            return None
        if self.unpaid:
            return None if self.paid_flag or self.payment is not None else Proof.STILL_UNPAID
        if self.paid_flag is False:
            # Deleted, perhaps; and a payment row of it is that of another time.
            return None
        if self.payment is not None:
            return Proof.PAYMENT_ROW
        if self.paid_flag:
            return Proof.PAID_FLAG
        return Proof.ABSENCE if self.gone else None


class Verdict(StrEnum):
    """What became of one call of api_make_payment. The values are those of the `State` it leads to."""

    PAID = "PAID"
    DECLINED = "DECLINED"
    NOT_SENT = "NOT_SENT"
    UNKNOWN = "UNKNOWN"

    @property
    def state(self) -> State:
        """The state that a payment moves to from SENDING."""
        return State(self.value)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reading of one call.

    status, status_text: verbatim from the API, None where it did not answer so.
    answered: an answer came, whether or not it could be read.
    evidence: one line that says what the verdict rests on; never holds a secret, a session id or a body.
    """

    verdict: Verdict
    status: str | None
    status_text: str | None
    evidence: str
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Cards:
    """Where the cards of a request stand in Slack.

    ts: of the one in its own channel; None until posted. lost: that one was deleted. approval_channel: where
    approvals are given, if that is named. approval_ts: of the card there.
    """

    ts: str | None = None
    lost: bool = False
    approval_channel: str | None = None
    approval_ts: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Which instance works on a payment, and until when without a heartbeat. owner: None: it is put aside."""

    owner: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What people ask for, decide on and see as one card; it holds one payment or more. Times are in UTC.

    size: how many payments it was made with. trigger_id: Slack's id of the command, form or workflow step
    that asked; one makes one request. approvals_required: frozen with the look-up, as it depends on amounts.
    expires_at: until when it can be decided on. pay_on: None: at once.
    """

    id: int
    team: str
    channel: str
    requester: str
    note: str | None
    trigger_id: str
    response_url: str | None
    rule: str
    approvals_required: int
    size: int
    cards: Cards
    created_at: datetime
    expires_at: datetime
    pay_on: PayOn | None

    @property
    def number(self) -> str:
        """How people are told of it: #42."""
        return f"#{self.id}"

    @property
    def approved_elsewhere(self) -> bool:
        """Whether approvals are given in another channel than the one where it was asked for."""
        return self.cards.approval_channel not in (None, self.channel)

    @property
    def decided_on(self) -> tuple[str, str] | None:
        """Channel and ts of the card where approvals are given; of the other one while that is not posted."""
        if self.cards.approval_channel is not None and self.cards.approval_ts is not None:
            return self.cards.approval_channel, self.cards.approval_ts
        return None if self.cards.ts is None else (self.channel, self.cards.ts)

    @property
    def mark(self) -> str:
        """Tells it from another request of its number: a ledger that was set back gives numbers again."""
        return mark_of(self.created_at)

    @property
    def step_run(self) -> str | None:
        """The run of the workflow step that asked for it and waits for its end; None for people."""
        return step_run_in(self.trigger_id)


@dataclass(frozen=True, slots=True)
class Payment:
    """One invoice of a request, as the ledger holds it. Times are aware, in UTC.

    line: its place in the request, from 1.
    invoice: what the API told when it was asked, frozen there; None where it would not tell.
    looked_up_at: when the invoice was looked up last; None where that has not been tried.
    listed: it stood in the list of unpaid ones then; None where that could not be read.
    reason: why it was denied, cancelled or is waiting, in words for people.
    tries: wire calls so far. due_at: when the bot looks at it next. lease: None where nobody works on it.
    not_before: the morning of the day that was asked for, frozen with the invoice; it is not sent before.
    """

    id: int
    request: PaymentRequest
    line: int
    ref: InvoiceRef
    state: State
    version: int
    looked_up_at: datetime | None
    listed: bool | None
    invoice: Invoice | None
    status: str | None
    status_text: str | None
    reason: str | None
    tries: int
    updated_at: datetime
    due_at: datetime
    lease: Lease | None
    not_before: datetime | None

    def too_early(self, now: datetime) -> bool:
        """Whether the time at which it may be sent has not come."""
        return self.not_before is not None and now < self.not_before

    def too_late(self, now: datetime) -> bool:
        """Whether what allows it is too old: as old as a request may grow, and that counts from its day."""
        if now < self.request.expires_at:
            return False
        lasts = self.request.expires_at - self.request.created_at
        return self.not_before is None or now - self.not_before >= lasts

    @property
    def day_meant(self) -> date | None:
        """The day for which it was asked; None: it was asked for at once, or when it is due is not known."""
        if self.request.pay_on is None:
            return None
        return self.request.pay_on.day or (self.invoice.due if self.invoice else None)

    @property
    def pay_day(self) -> date | None:
        """The day on which it is sent; None: at once, also where it was over when it was looked up."""
        if self.not_before is None or self.looked_up_at is None or self.not_before <= self.looked_up_at:
            return None
        return self.day_meant

    @property
    def scheduled(self) -> bool:
        """Whether it is approved and waits for its day."""
        return self.state is State.APPROVED and self.pay_day is not None and not self.tries

    @property
    def withdrawn(self) -> bool:
        """Whether its requester took it back."""
        return self.state is State.CANCELLED and self.reason in WITHDRAWN_WORDS

    @property
    def number(self) -> str:
        """How people are told of it: by its request, #42, and by its invoice where that holds several."""
        return self.request.number if self.request.size == 1 else f"{self.request.number} {self.ref}"

    @property
    def price(self) -> str:
        """What it costs as far as that is known, in a form that a button can carry: what a click is about."""
        return self.invoice.price if self.invoice else "unknown"
