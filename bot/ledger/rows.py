"""What the ledger's rows are in Python: small frozen records, and how a payment is read from its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import structlog
from sqlalchemy import MappingResult, RowMapping, func, select
from sqlalchemy.exc import MultipleResultsFound, NoResultFound

from bot.domain.batch import Batch
from bot.domain.events import DomainEvent, decode, line_of
from bot.domain.payment import Cards, Invoice, InvoiceRef, Lease, Payment, PaymentRequest, State
from bot.errors import LedgerContradicted
from bot.ledger.schema import chain, events, requests

log = structlog.get_logger()

Record = TypeVar("Record")
M = TypeVar("M", bound=Mapping[Any, Any])


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the audit trail. actor: a Slack user id, or the part of the bot that acted.

    line: the payment of the request that it is about; None where that has one only, or it is about all.
    """

    id: int
    at: datetime
    request_id: int | None
    line: int | None
    actor: str
    what: DomainEvent
    from_state: State | None
    to_state: State | None

    @property
    def action(self) -> str:
        """What it is called in the trail."""
        return self.what.action


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent. by: a Slack user id, or the operator. reason: why, as they said; may be empty."""

    at: datetime
    by: str
    reason: str


ENDLESS = 2**62
"""What is counted never comes to this, and the databases count on from it."""


_AT_ONCE = 10_000
"""More events than any transaction adds."""

_BEHIND = select(func.min(events.c.id)).where(events.c.id > chain.c.last_event).scalar_subquery()
END = select(chain, _BEHIND.label("behind"))
"""The end of the audit trail, as `end_in` reads it. behind: the first event after it, which none can be."""


def end_in(rows: MappingResult) -> RowMapping:
    """Read the one row of `END`. Raises LedgerContradicted for what no bot has written there."""
    with suppress(MultipleResultsFound, NoResultFound, TypeError, ValueError):
        row = rows.one()
        last, hashed = row["last_event"], row["last_hash"]
        if type(last) is int and 0 <= last < ENDLESS and isinstance(hashed, str):
            # One that is further away is in nobody's way, and is for the proof to name.
            if row["behind"] is not None and row["behind"] <= last + _AT_ONCE:
                raise LedgerContradicted(
                    f"its audit trail goes on behind event {last}, where it is said to end: somebody changed"
                    " it past the bot, and nothing can be added to it; run `python -m bot audit verify`"
                )
            return row
    raise LedgerContradicted(
        "the end of its audit trail is not one row that can be read; run `python -m bot audit verify`"
    )


def pause_of(row: RowMapping) -> Pause | None:
    """Read the row of `END`: None where sending is not paused."""
    if row["paused_by"] is None:
        return None
    return Pause(row["paused_at"], row["paused_by"], row["paused_reason"] or "")


class Kind(StrEnum):
    """What a delivery is: a card that follows the state, a reply under it, or a message to one person.

    INVITATION asks one approver who is not where the card stands. STEP ends the workflow step that asked.
    """

    CARD = "card"
    APPROVAL_CARD = "approval_card"
    THREAD_REPLY = "note"
    DIRECT = "direct"
    INVITATION = "invitation"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing Slack still has to be told.

    channel: where; a user id for a direct message or an invitation, `step:42` for a step's end.
    event_id: the event that a reply or direct message tells; None for what tells the state.
    revision: counts what a card has to show; the delivery is done when `revision` was shown.
    ts: Slack's id of the message, once it was posted.
    ambiguous: an earlier post may have arrived although its answer did not.
    lease_owner, lease_until: the instance that took it, and until when it has it.
    """

    id: int
    request_id: int
    kind: Kind
    channel: str
    event_id: int | None
    revision: int
    ts: str | None
    tries: int
    ambiguous: bool
    created_at: datetime
    lease_owner: str | None
    lease_until: datetime | None


def readable(rows: MappingResult, read: Callable[[RowMapping], Record]) -> list[Record]:
    """All rows but those that hold what the bot never wrote, such as an amount that is no number.

    One such row must not stop the work on all others. It is logged and left as it is.
    """
    return [one for one in _each(rows, read) if one is not None]


def all_readable(rows: MappingResult, read: Callable[[RowMapping], Record]) -> list[Record] | None:
    """The same; None where there is one that cannot be read."""
    found = _each(rows, read)
    readable = [one for one in found if one is not None]
    return readable if len(readable) == len(found) else None


def _each(rows: MappingResult, read: Callable[[RowMapping], Record]) -> list[Record | None]:
    found: list[Record | None] = []
    while True:
        try:
            # One by one: values are read as their row is fetched, and the next can be fetched all the same.
            if (row := rows.fetchone()) is None:
                return found
            found.append(read(row))
        except (ArithmeticError, TypeError, ValueError):
            found.append(None)
            log.exception(
                "a row of the ledger cannot be read, so it is left alone: somebody changed it past the bot;"
                " run `python -m bot audit verify`",
            )


def payment_of(row: RowMapping) -> Payment:
    """Read a row of `PAYMENTS`."""
    return payment_in(request_of(row, "of_"), row)


def payment_in(request: PaymentRequest, row: RowMapping) -> Payment:
    """Read a row of `payments` that belongs to this request."""
    ref = InvoiceRef(row["module"], row["number"])
    invoice = None
    if row["amount"] is not None:
        # One without a currency was written past the bot: that is for the proof to say, and a card is shown.
        described, currency = row["description"] or "", row["currency"] or ""
        invoice = Invoice(ref, described, row["amount"], currency, row["due_date"])
    plain = without_bytes({name: row[name] for name in _PLAIN})
    if type(plain["version"]) is not int or not 0 <= plain["version"] < ENDLESS:
        raise ValueError("a version is a whole number")
    return Payment(
        request=request,
        ref=ref,
        invoice=invoice,
        state=State(row["state"]),
        lease=Lease(row["lease_owner"], row["lease_until"]) if row["lease_until"] is not None else None,
        **plain,
    )


def batch_of(rows: MappingResult) -> Batch | None:
    """Read the rows of `PAYMENTS` of one request, in the order of its lines. Raises LedgerContradicted.

    Nothing is decided on a part of it, so every row must be there and be readable.
    """
    lines = readable(rows, payment_of)
    if not lines:
        return None
    request = lines[0].request
    if len(lines) != request.size:
        raise LedgerContradicted(
            f"request {request.number} has {len(lines)} payments that can be read, and it was made with"
            f" {request.size}. Run `python -m bot audit verify`"
        )
    return Batch(tuple(lines))


def request_of(row: RowMapping, prefix: str = "") -> PaymentRequest:
    """Read a row of `requests`. prefix: of its columns' names."""
    cards = Cards(
        *(row[prefix + name] for name in ("card_ts", "card_lost", "approval_channel", "approval_ts"))
    )
    plain = {name: row[prefix + column] for name, column in _PLAIN_OF_REQUEST.items()}
    return PaymentRequest(cards=cards, **without_bytes(plain))


def without_bytes(values: M) -> M:
    """The same values. Raises TypeError where there are some: SQLite lets them stand in place of a text."""
    if bytes in map(type, values.values()):
        raise TypeError("there are bytes in a column that holds texts")
    return values


_COMPOSED = ("request", "ref", "invoice", "state", "cards", "lease")
_PLAIN = tuple(name for name in Payment.__dataclass_fields__ if name not in _COMPOSED)
_PLAIN_OF_REQUEST = {
    name: requests.c[name].name for name in PaymentRequest.__dataclass_fields__ if name not in _COMPOSED
}
"""The columns of `requests` by what they are called in `PaymentRequest`."""


def event_of(row: RowMapping) -> Event:
    """Read a row of `events`."""
    return Event(
        id=row["id"],
        at=row["at"],
        request_id=row["request_id"],
        line=line_of(row["detail"]),
        actor=row["actor"],
        what=decode(row["action"], row["detail"]),
        from_state=_state(row["from_state"]),
        to_state=_state(row["to_state"]),
    )


def _state(value: str | None) -> State | None:
    return None if value is None else State(value)


def delivery_of(row: RowMapping) -> Delivery:
    """Read a row of `deliveries`."""
    fields = {name: row[name] for name in Delivery.__dataclass_fields__}
    return Delivery(**(fields | {"kind": Kind(row["kind"])}))


def snapshot(invoice: Invoice) -> dict[str, Any]:
    """The columns that hold an invoice as the API told it."""
    return {
        "amount": invoice.amount,
        "currency": invoice.currency,
        "description": invoice.description,
        "due_date": invoice.due,
    }
