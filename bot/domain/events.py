"""What can happen to a request and its payments: a type an event, kept in the trail and told in the thread.

Stored, hashed, in ledgers of every release, are the `action` and the fields as JSON: one is only added, at
the end and with a default, which older events have and which is not stored. The rest is `Unrecognized`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from enum import Enum
from typing import Any, ClassVar, Union, get_args, get_type_hints


class Absent(Enum):
    """In an event of an older release there is no such field; None may be a value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Requested:
    """Somebody asked for a payment. state: where it began. pay_on: as stored. seen: the price as shown."""

    action: ClassVar = "requested"
    channel: str
    invoice: str
    note: str | None
    rule: str
    team: str | None = None
    state: str | None = None
    approvals_required: int | None = None
    expires_at: str | None = None
    pay_on: str | None = None
    seen: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Somebody may not do what they asked for. reason: the value of a `Reason`, or a word of its kind."""

    action: ClassVar = "refused"
    what: str
    reason: str
    team: str | None = None


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the billing API told was frozen, with how many must approve and before when it is not sent."""

    action: ClassVar = "looked_up"
    listed: bool | None
    amount: str | None
    currency: str | None
    approvals_required: int
    description: str | Absent | None = ABSENT
    due_date: str | Absent | None = ABSENT
    rule: str | None = None
    not_before: str | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """One person approved. price: what they were shown, as `Payment.price`."""

    action: ClassVar = "approved"
    given: int
    required: int
    price: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalComplete:
    """It may be sent. approvers: those who count, separated by commas; none where the rules ask for none."""

    action: ClassVar = "approval_complete"
    rule: str
    approvers: str


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """What was approved without its amount can be read now, or costs more: approvals so far do not count."""

    action: ClassVar = "asked_again"


@dataclass(frozen=True, slots=True)
class Denied:
    """An approver's no."""

    action: ClassVar = "denied"
    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It will not be sent. remedy: how to go on. other…: the payment in its way, and where its card is.

    ask: who may ask for it instead, separated by commas.
    """

    action: ClassVar = "cancelled"
    reason: str
    refusal: str | None = None
    remedy: str | None = None
    other: str | None = None
    other_channel: str | None = None
    other_ts: str | None = None
    ask: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One payment of several is taken out of the request before it is decided on. price: of what is left."""

    action: ClassVar = "left_out"
    reason: str
    price: str | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """Of several payments none is under way any more. What became of each is told of each."""

    action: ClassVar = "completed"


@dataclass(frozen=True, slots=True)
class Expired:
    """Nobody decided in time."""

    action: ClassVar = "expired"


@dataclass(frozen=True, slots=True)
class Stranded:
    """Its card never came to stand in Slack, until its time was over."""

    action: ClassVar = "stranded"


@dataclass(frozen=True, slots=True)
class NoCard:
    """Slack takes no card there. error: Slack's word."""

    action: ClassVar = "no_card"
    reason: str
    error: str
    channel: str


@dataclass(frozen=True, slots=True)
class Reminded:
    """Those who may approve were reminded."""

    action: ClassVar = "reminded"


@dataclass(frozen=True, slots=True)
class Held:
    """It is not sent for now."""

    action: ClassVar = "held"
    reason: str


@dataclass(frozen=True, slots=True)
class Sending:
    """A call is about to be made. attempt: counted from 1. account: which pays, as `account_mark` says."""

    action: ClassVar = "sending"
    instance: str
    attempt: int
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a call. status, status_text: verbatim from the API. attempt: which call, from 1.

    unclear: an answer came and could not be read; otherwise, where nothing is known of it, none came.
    """

    action: ClassVar = "answered"
    verdict: str
    status: str | None
    status_text: str | None
    evidence: str
    attempt: int | None = None
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class AnsweredLate(Answered):
    """The same, when the payment had been settled otherwise."""

    action: ClassVar = "answered_late"


@dataclass(frozen=True, slots=True)
class Retry:
    """Provably nothing was sent, so it may be sent."""

    action: ClassVar = "retry"


@dataclass(frozen=True, slots=True)
class LeaseRanOut:
    """Whoever was sending it died, or lost the ledger."""

    action: ClassVar = "lease_ran_out"
    instance: str | None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The invoice was read again, and that settles it. rests_on: the value of a `Proof`."""

    action: ClassVar = "reconciled"
    evidence: str
    read_at: str
    rests_on: str | None = None


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The invoice was read again and that proves nothing: people are asked."""

    action: ClassVar = "unsettled"
    reading: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """A person settled it. note: how they know. trigger: as of `Resumed`."""

    action: ClassVar = "resolved"
    paid: bool
    note: str
    trigger: str | Absent = ABSENT


@dataclass(frozen=True, slots=True)
class Corrected(Resolved):
    """A person set right what was settled."""

    action: ClassVar = "corrected"


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing is sent from now on, whatever is approved. trigger: as of `Resumed`."""

    action: ClassVar = "paused"
    reason: str
    trigger: str | Absent = ABSENT


@dataclass(frozen=True, slots=True)
class Resumed:
    """What is approved is sent again. trigger: of the command, where it was one of Slack's."""

    action: ClassVar = "resumed"
    trigger: str | Absent = ABSENT


@dataclass(frozen=True, slots=True)
class NotTold:
    """Slack did not take it for days. kind: the value of the delivery's `Kind`. error: Slack's word."""

    action: ClassVar = "not_told"
    kind: str
    channel: str
    error: str


@dataclass(frozen=True, slots=True)
class Pruned:
    """What is personal is erased in earlier events: of its request, or of what is no request's.

    before: the day before which it was over. export: the SHA-256 of the trail in a file, written for this.
    count, remains: how many events, and the SHA-256 of what is left: see `ledger/erased.py`.
    """

    action: ClassVar = "pruned"
    before: str
    export: str
    count: int
    remains: str


@dataclass(frozen=True, slots=True)
class Unrecognized:
    """An event that this version does not know. detail: its fields as they are stored."""

    action: str
    detail: str


KnownEvent = (
    Requested
    | Refused
    | LookedUp
    | Approved
    | ApprovalComplete
    | AskedAgain
    | Denied
    | Cancelled
    | LeftOut
    | Completed
    | Expired
    | Stranded
    | NoCard
    | Reminded
    | Held
    | Sending
    | Answered
    | AnsweredLate
    | Retry
    | LeaseRanOut
    | Reconciled
    | Unsettled
    | Resolved
    | Corrected
    | Paused
    | Resumed
    | NotTold
    | Pruned
)
DomainEvent = Union[KnownEvent, Unrecognized]  # noqa: UP007 - of a union

_STORED_AS = {"attempt": "try"}
"""Fields whose stored name is a word of Python."""


def _fields(event: type[Any]) -> Mapping[str, tuple[Field[Any], Any]]:
    hints = get_type_hints(event)
    return {_STORED_AS.get(one.name, one.name): (one, hints[one.name]) for one in fields(event)}


_TYPES: Mapping[str, tuple[type[KnownEvent], Mapping[str, tuple[Field[Any], Any]]]] = {
    event.action: (event, _fields(event)) for event in get_args(KnownEvent)
}
"""By action: the event, and its fields with the types of their values, by the names they are stored under."""


def encode(event: DomainEvent, line: int | None = None) -> str:
    """The fields as they are stored: a JSON object, sorted by name.

    line: the payment of a request that it is about; None where that has one only, or it is about all.
    """
    if isinstance(event, Unrecognized):
        return event.detail
    stored = {
        name: value
        for name, (field, _) in _TYPES[event.action][1].items()
        if (value := getattr(event, field.name)) is not field.default
    }
    if line is not None:
        stored["line"] = line
    return json.dumps(stored, ensure_ascii=False, sort_keys=True)


def decode(action: str, detail: str) -> DomainEvent:
    """Read a stored event, whatever stands in it. Fields that this version does not know are left out."""
    if action not in _TYPES:
        return Unrecognized(action, detail)
    event, known = _TYPES[action]
    try:
        stored = json.loads(detail)
        given = known.items()
        return event(**{one.name: _checked(stored[key], hint) for key, (one, hint) in given if key in stored})
    except (TypeError, ValueError, RecursionError):
        return Unrecognized(action, detail)


def line_of(detail: str) -> int | None:
    """The line that a stored event names: a whole number from 1, or None."""
    try:
        # A text inside the detail cannot be taken for it, because its quotes are escaped.
        if '"line": ' not in detail:
            return None
        line = json.loads(detail)["line"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return line if type(line) is int and line > 0 else None


def _checked(value: object, hint: Any) -> Any:
    """The value, if it is of that type. Raises TypeError."""
    # To Python, True is a number; to whoever counts approvals, it is not.
    if not isinstance(value, hint) or (isinstance(value, bool) and bool not in (hint, *get_args(hint))):
        raise TypeError(f"no {hint}")
    return value
