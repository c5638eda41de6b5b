"""The audit trail: append-only events, each holding the SHA-256 of its content and of the one before.

Changing or removing any event breaks every hash after it; removing the last ones leaves the chain row
pointing at nothing. What the chain cannot show is somebody who rewrites all of it: keep the last hash,
which `verify` returns, outside the database.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import State
from bot.ledger.rows import Detail
from bot.ledger.schema import chain, events

GENESIS = "0" * 64


def digest(
    *,
    event_id: int,
    at: datetime,
    payment_id: int | None,
    actor: str,
    action: str,
    from_state: str | None,
    to_state: str | None,
    detail: str,
    previous: str,
) -> str:
    """Hash one event's content and the hash before it; hexadecimal."""
    content = [
        event_id,
        at.astimezone(UTC).isoformat(timespec="microseconds"),
        payment_id,
        actor,
        action,
        from_state,
        to_state,
        detail,
        previous,
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Link:
    """One event of the chain, told from any other of its number by its hash."""

    event_id: int
    hash: str


async def append(
    connection: AsyncConnection,
    *,
    at: datetime,
    payment_id: int | None,
    actor: str,
    action: str,
    from_state: State | None,
    to_state: State | None,
    detail: Detail,
) -> Link:
    """Add one event to the trail, in the caller's transaction.

    Locks the end of the chain until that transaction ends, so take other locks before.
    """
    end = (await connection.execute(select(chain).with_for_update())).mappings().one()
    text = json.dumps(dict(detail), ensure_ascii=False, sort_keys=True)
    event_id: int = end["last_event"] + 1
    hashed = digest(
        event_id=event_id,
        at=at,
        payment_id=payment_id,
        actor=actor,
        action=action,
        from_state=from_state,
        to_state=to_state,
        detail=text,
        previous=end["last_hash"],
    )
    await connection.execute(
        events.insert().values(
            id=event_id,
            at=at,
            payment_id=payment_id,
            actor=actor,
            action=action,
            from_state=from_state,
            to_state=to_state,
            detail=text,
            previous=end["last_hash"],
            hash=hashed,
        )
    )
    await connection.execute(chain.update().values(last_event=event_id, last_hash=hashed))
    return Link(event_id, hashed)


async def holds(connection: AsyncConnection, link: Link) -> bool:
    """Whether the chain has this event. Waits for whoever is about to add to it: it may be that very one."""
    await connection.execute(select(chain.c.last_event).with_for_update())
    found = await connection.execute(select(events.c.hash).where(events.c.id == link.event_id))
    return found.scalar_one_or_none() == link.hash


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole trail found. broken_at: the first event that does not fit, or None."""

    events: int
    last_hash: str
    broken_at: int | None


async def verify(connection: AsyncConnection) -> Verification:
    """Recompute every hash from the first event on."""
    end = (await connection.execute(select(chain))).mappings().one()
    previous, count = GENESIS, 0
    async with connection.stream(select(events).order_by(events.c.id)) as rows:
        async for row in rows.mappings():
            count += 1
            expected = digest(
                event_id=row["id"],
                at=row["at"],
                payment_id=row["payment_id"],
                actor=row["actor"],
                action=row["action"],
                from_state=row["from_state"],
                to_state=row["to_state"],
                detail=row["detail"],
                previous=previous,
            )
            if row["id"] != count or row["previous"] != previous or row["hash"] != expected:
                return Verification(count, previous, broken_at=row["id"])
            previous = row["hash"]
    if (end["last_event"], end["last_hash"]) != (count, previous):
        return Verification(count, previous, broken_at=count + 1)
    return Verification(count, previous, broken_at=None)
