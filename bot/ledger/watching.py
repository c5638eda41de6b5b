"""What is read to know what people have to be told who run the bot, and what they were told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, select

from bot.domain.payment import State
from bot.ledger.notices import Topic, due, told_by
from bot.ledger.schema import GOING_ON, UNTOLD, chain, notices, payments
from bot.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that is not over, whether or not it is told yet."""

    id: int
    detail: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """A payment, in what its row says at the least. since: when it came to stand so."""

    id: int
    request_id: int
    module: str
    number: int
    state: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the audit trail: how many events it has, and the hash of the last one."""

    events: int
    hash: str


_LINE = select(
    payments.c.id,
    payments.c.request_id,
    payments.c.module,
    payments.c.number,
    payments.c.state,
    payments.c.updated_at.label("since"),
).order_by(payments.c.id)


async def unknown(ledger: Ledger) -> list[Line]:
    """The payments of which it is not known whether they were made. Raises LedgerUnavailable."""
    return await _lines(ledger, payments.c.state == State.UNKNOWN.value)


async def lines(ledger: Ledger, ids: Collection[int]) -> list[Line]:
    """These payments. Raises LedgerUnavailable."""
    return await _lines(ledger, payments.c.id.in_(ids))


async def _lines(ledger: Ledger, which: ColumnElement[bool]) -> list[Line]:
    async with ledger.snapshot() as connection:
        rows = (await connection.execute(_LINE.where(which))).mappings()
        return [Line(**row) for row in rows]


async def going_on(ledger: Ledger, topic: Topic) -> list[Told]:
    """The alerts about this that are not over. Raises LedgerUnavailable."""
    statement = select(notices.c.id, notices.c.detail, notices.c.created_at)
    async with ledger.snapshot() as connection:
        rows = (
            await connection.execute(statement.where(GOING_ON, notices.c.topic == topic.value))
        ).mappings()
        return [Told(**row) for row in rows]


async def any_due(ledger: Ledger, topics: Collection[Topic]) -> bool:
    """Whether any notice of these is to be told now. Raises LedgerUnavailable."""
    of_them = notices.c.topic.in_([one.value for one in topics])
    statement = select(notices.c.id).where(UNTOLD, of_them, due(ledger.clock())).limit(1)
    async with ledger.snapshot() as connection:
        return (await connection.execute(statement)).first() is not None


async def to_tell(ledger: Ledger, topic: Topic, day: date, channel: str) -> bool | None:
    """Whether any of a day's is still to be told by who tells this channel; None where that is not begun.

    Raises LedgerUnavailable.
    """
    of_day = notices.c.topic == topic.value, notices.c.key == day.isoformat(), told_by(channel)
    async with ledger.snapshot() as connection:
        rows = (await connection.execute(select(notices.c.place, notices.c.ended).where(*of_day))).all()
    if channel not in {row.place for row in rows}:
        return None
    return any(row.ended is None for row in rows)


async def head(ledger: Ledger) -> Head:
    """Where the audit trail ends now. Raises LedgerUnavailable."""
    async with ledger.snapshot() as connection:
        row = (await connection.execute(select(chain.c.last_event, chain.c.last_hash))).one()
    return Head(row.last_event, row.last_hash)


async def last_told(ledger: Ledger, topic: Topic) -> str | None:
    """What the newest of these that stands in Slack is made of. Raises LedgerUnavailable."""
    told = notices.c.topic == topic.value, notices.c.ts.is_not(None)
    statement = select(notices.c.detail).where(*told).order_by(notices.c.id.desc()).limit(1)
    async with ledger.snapshot() as connection:
        return (await connection.execute(statement)).scalar_one_or_none()
