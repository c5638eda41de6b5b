"""Since when what people or operators should look at has been so, and what only waits for its day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select

from bot.domain.payment import State
from bot.ledger.schema import PENDING, deliveries, payments, requests
from bot.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Ages:
    """Since when the oldest payment is unknown, request waits, and message is not told; None: there is none.

    delivery: of what is not posted yet; of a card that is to be changed, when that is tried next.
    """

    unknown: datetime | None
    pending: datetime | None
    delivery: datetime | None


_WAITING = select(payments.c.request_id).where(payments.c.state == State.PENDING_APPROVAL.value)
_TO_BE_TOLD = case((deliveries.c.ts.is_(None), deliveries.c.created_at), else_=deliveries.c.due_at)
"""Not by when it is tried next: while Slack is away, that is always soon."""
_OLDEST = select(
    select(func.min(payments.c.updated_at))
    .where(payments.c.state == State.UNKNOWN.value)
    .scalar_subquery()
    .label("unknown"),
    select(func.min(requests.c.created_at))
    .where(requests.c.id.in_(_WAITING))
    .scalar_subquery()
    .label("pending"),
    select(func.min(_TO_BE_TOLD)).where(PENDING).scalar_subquery().label("delivery"),
)


async def scheduled(ledger: Ledger) -> int:
    """How many approved payments wait for the morning of their day. Raises LedgerUnavailable."""
    waiting = payments.c.state == State.APPROVED.value, payments.c.not_before > ledger.clock()
    async with ledger.snapshot() as connection:
        found = await connection.execute(select(func.count()).select_from(payments).where(*waiting))
        return int(found.scalar_one())


async def ages(ledger: Ledger) -> Ages:
    """Those of a ledger. Raises LedgerUnavailable."""
    async with ledger.snapshot() as connection:
        return Ages(**(await connection.execute(_OLDEST)).mappings().one())
