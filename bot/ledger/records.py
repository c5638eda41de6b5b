"""What became of every payment, in rows for auditors: read at one moment, and never all of it in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import Payment, State
from bot.ledger.proof import TOLD_OF
from bot.ledger.rows import payment_of, readable, without_bytes
from bot.ledger.schema import PAYMENTS, approvals, payments, requests
from bot.ledger.store import Ledger

_WINDOW = 500
"""Payments that are held in memory."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which payments are meant; None: any. since, until: when they were asked for, the end left out."""

    since: datetime | None = None
    until: datetime | None = None
    person: str | None = None
    module: str | None = None
    invoice: int | None = None
    request: int | None = None
    outcome: State | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for the database."""
        asked = {
            requests.c.requester: self.person,
            payments.c.module: self.module,
            payments.c.number: self.invoice,
            requests.c.id: self.request,
            payments.c.state: None if self.outcome is None else self.outcome.value,
        }
        found = [column == value for column, value in asked.items() if value is not None]
        if self.since is not None:
            found.append(requests.c.created_at >= self.since)
        if self.until is not None:
            found.append(requests.c.created_at < self.until)
        return found


@dataclass(frozen=True, slots=True)
class Record:
    """A payment, and who approved its request, in that order, as far as an event tells of it."""

    payment: Payment
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unread:
    """So many payments are meant whose rows cannot be read: somebody changed them past the bot."""

    count: int


async def records(ledger: Ledger, wanted: Wanted) -> AsyncGenerator[Record | Unread, None]:
    """The payments that are meant, the oldest first. Raises LedgerUnavailable."""
    meant = wanted.conditions()
    numbers = select(payments.c.id).select_from(requests.join(payments)).where(*meant).order_by(payments.c.id)
    async with ledger.snapshot() as connection:
        last: int | None = None
        while True:
            window = numbers if last is None else numbers.where(payments.c.id > last)
            ids = (await connection.execute(window.limit(_WINDOW))).scalars().all()
            if not ids:
                return
            last = ids[-1]
            these = PAYMENTS.where(payments.c.id.between(ids[0], last), *meant).order_by(payments.c.id)
            found = readable((await connection.execute(these)).mappings(), _in_texts)
            approvers = await _approvers(connection, [one.request.id for one in found])
            told = [one for one in found if all(type(who) is str for who in approvers[one.request.id])]
            for payment in told:
                yield Record(payment, tuple(approvers[payment.request.id]))
            if len(told) < len(ids):
                yield Unread(len(ids) - len(told))


def _in_texts(row: RowMapping) -> Payment:
    """Read a payment whose texts are texts: SQLite lets bytes stand in their place, which nobody prints."""
    return payment_of(without_bytes(row))


async def _approvers(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    statement = (
        select(approvals.c.request_id, approvals.c.approver, TOLD_OF)
        .where(approvals.c.request_id.in_(ids))
        .order_by(approvals.c.id)
    )
    for request_id, approver, told_of in await connection.execute(statement):
        if told_of or type(approver) is not str:
            found[request_id].append(approver)
    return found
