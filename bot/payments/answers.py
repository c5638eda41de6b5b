"""What became of what people asked at the desk: values, for the Slack layer to put into words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.payment import Payment
from bot.domain.policy import Refusal
from bot.payments.approvals import ApprovalStatus


@dataclass(frozen=True, slots=True)
class Requested:
    """The payment request is in the ledger; the rest follows by itself."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class AlreadyRequested:
    """The invoice has a live payment request, or was paid by one."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no payment with this number."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was clicked is about a request that the ledger knows no more; `payment` has its number now."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class AlreadyDecided:
    """The payment is in no state in which this can be done; `payment` says how it stands."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class AlreadyApproved:
    """This person's approval was counted before."""

    payment: Payment
    approvals: ApprovalStatus


@dataclass(frozen=True, slots=True)
class Outdated:
    """What was clicked showed another amount, or none: nobody approves what they did not see."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class NotYours:
    """Only the requester may withdraw; only an approver may settle."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class TooEarly:
    """A call whose answer was lost may still be carried out; until then nobody can say it was not paid."""

    payment: Payment
    until: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """It is done and recorded."""

    payment: Payment


Answer = (
    Requested
    | AlreadyRequested
    | NotFound
    | Forgotten
    | AlreadyDecided
    | AlreadyApproved
    | Outdated
    | NotYours
    | TooEarly
    | Done
    | Refusal
)
