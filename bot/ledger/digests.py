"""The daily digests, inside one transaction: one row a day and place, and whoever adds it first has added it.

A day is that of the calendar by which the digest is told, and never comes again: a clock that is set back
finds its row. Each is posted once at most, but for one thing: a post that was begun and whose end nobody saw
is made again only where Slack shows that it is not there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ledger.schema import FREE, digests


@dataclass(frozen=True, slots=True)
class Digest:
    """One that was claimed. place: a channel, or a person. begun: its post may stand in Slack."""

    id: int
    day: date
    place: str
    tries: int
    begun: bool
    created_at: datetime
    lease_owner: str


def _digest_of(row: RowMapping) -> Digest:
    return Digest(**{name: row[name] for name in Digest.__dataclass_fields__})


class Digests:
    """Those of one ledger."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def add(self, day: date, places: Collection[str]) -> None:
        """A day's digests are to be told in these places; those that are there already stay as they are.

        What is left of other days is told no more.
        """
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        rows = [
            {
                "day": day,
                "place": place,
                "tries": 0,
                "begun": False,
                "created_at": self._now,
                "due_at": self._now,
            }
            for place in sorted(places)
        ]
        await self._connection.execute(dialect.insert(digests).on_conflict_do_nothing(), rows)
        await self._connection.execute(
            update(digests)
            .where(digests.c.day < day, digests.c.ended.is_(None))
            .values(ended="its day was over", **FREE)
        )

    async def claim(self, day: date, *, owner: str, lease: timedelta) -> Digest | None:
        """Take one of a day that is due, and that nobody holds."""
        free = or_(digests.c.lease_until.is_(None), digests.c.lease_until <= self._now)
        due = (
            select(digests.c.id)
            .where(digests.c.day == day, digests.c.ended.is_(None), digests.c.due_at <= self._now, free)
            .order_by(digests.c.due_at, digests.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        found = (await self._connection.execute(due)).scalar_one_or_none()
        if found is None:
            return None
        taken = (
            update(digests)
            .where(digests.c.id == found)
            .values(lease_owner=owner, lease_until=self._now + lease, tries=digests.c.tries + 1)
            .returning(digests)
        )
        return _digest_of((await self._connection.execute(taken)).mappings().one())

    async def begin(self, digest: Digest, *, lease: timedelta) -> bool:
        """Its post is about to be made; False if another instance has it now."""
        return await self._set(digest, begun=True, lease_until=self._now + lease)

    async def again(self, digest: Digest, *, due_at: datetime, begun: bool) -> None:
        """Not told; try again then. begun: whether its post may stand there all the same."""
        await self._set(digest, due_at=due_at, begun=begun, **FREE)

    async def end(self, digest: Digest, why: str, *, ts: str | None = None) -> None:
        """It is told, where ts is Slack's; or it is not told any more."""
        await self._set(digest, ended=why, ts=ts, **FREE)

    async def _set(self, digest: Digest, **values: Any) -> bool:
        changed = await self._connection.execute(
            update(digests)
            .where(
                digests.c.id == digest.id,
                digests.c.lease_owner == digest.lease_owner,
                digests.c.tries == digest.tries,
                digests.c.ended.is_(None),
            )
            .values(**values)
        )
        return bool(changed.rowcount)
