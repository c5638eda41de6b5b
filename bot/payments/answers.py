"""What became of what people asked at the desk: values, for the Slack layer to put into words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.batch import Batch
from bot.domain.payment import Payment, PaymentRequest
from bot.domain.policy import Reason, Refusal
from bot.payments.approvals import ApprovalStatus

NOT_DONE = "Slack delivered this once more. Nothing was done when it came first, and nothing is done now."


def refused_before(why: str) -> Refusal:
    """The answer to what was refused, and is delivered again when nothing stands in its way any more."""
    return Refusal(Reason.REPEATED, why, "Do it again if it is still wanted.")


@dataclass(frozen=True, slots=True)
class Requested:
    """The payment request is in the ledger; the rest follows by itself.

    held: what was asked for as well, and another request holds already.
    """

    batch: Batch
    held: tuple[Payment, ...] = ()


@dataclass(frozen=True, slots=True)
class AlreadyRequested:
    """The invoice has a live payment request, or was paid by one. Of several that all have: the first."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no request with this number."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was clicked is about a request that the ledger knows no more; `request` has its number now."""

    request: PaymentRequest


@dataclass(frozen=True, slots=True)
class AlreadyDecided:
    """The request, or the payment of it, is in no state in which this can be done; `batch` says in which."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class AlreadyApproved:
    """This person's approval was counted before."""

    batch: Batch
    approvals: ApprovalStatus


@dataclass(frozen=True, slots=True)
class Outdated:
    """What was clicked showed another amount, or none: nobody approves what they did not see."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class NotYours:
    """Only the requester may withdraw; only an approver may settle."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class TooEarly:
    """A call whose answer was lost may still be carried out; until then nobody can say it was not paid."""

    payment: Payment
    until: datetime


@dataclass(frozen=True, slots=True)
class WhichInvoice:
    """Several payments of the request are unknown, and it was not said which of them is meant."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Done:
    """It is done and recorded. line: of the payment that it was done with; None: with the whole request."""

    batch: Batch
    line: int | None = None


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
    | WhichInvoice
    | Done
    | Refusal
)


def is_done(answer: Answer) -> bool:
    """Whether what was asked for is done; anything else is a no."""
    return isinstance(answer, Requested | Done)
