"""What is told once and belongs to no request, inside one transaction: one row each, whoever adds it first.

A daily one is known by its day, by the calendar by which it is told, and a day never comes again: a clock
that is set back finds its row. An alert is known by what it is about, until it is over. Each is posted once
at most, but for one thing: a post that was begun and whose end nobody saw is looked for before it is made
again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Row, RowMapping, case, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ledger.rows import without_bytes
from bot.ledger.schema import FREE, UNTOLD, notices
from bot.ledger.trail import Trail

log = structlog.get_logger()

OPERATORS = "operators"
"""The place of what operators are told, in whichever channel that is by then."""


class Topic(StrEnum):
    """What a notice is about. The first two are told daily, the others are for operators.

    SETTLED and ACCEPTED say that UNKNOWN and REFUSED are over, as RESUMED does of PAUSED.
    """

    DIGEST = "digest"
    HEAD = "head"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    REFUSED = "login_refused"
    ACCEPTED = "login_accepted"
    AWAY = "ledger_away"
    NOT_TOLD = "not_told"
    PAUSED = "paused"
    RESUMED = "resumed"
    CONTRADICTED = "contradicted"


ALERTS = frozenset(Topic) - {Topic.DIGEST, Topic.HEAD}


@dataclass(frozen=True, slots=True)
class Notice:
    """One that was claimed.

    key: what tells it from others of its topic. place: a channel, a person, or `OPERATORS`. detail: what it
    is made of, by its topic. begun: its post may stand in Slack.
    """

    id: int
    topic: Topic
    key: str
    place: str
    detail: str
    tries: int
    begun: bool
    created_at: datetime
    lease_owner: str


def told_by(channel: str) -> ColumnElement[bool]:
    """Of a daily topic: what whoever tells it in this channel has to tell, there and to people.

    Another instance may name another channel, as while the settings are changed: that is for it to tell.
    """
    in_channels = or_(*(notices.c.place.startswith(first) for first in "CG"))
    return or_(notices.c.place == channel, not_(in_channels))


def due(now: datetime) -> ColumnElement[bool]:
    """What is to be told now. What was not tried yet waits for nothing, whatever clock wrote it down."""
    return or_(notices.c.due_at <= now, notices.c.tries == 0)


def _notice_of(row: RowMapping) -> Notice:
    fields = without_bytes({name: row[name] for name in Notice.__dataclass_fields__})
    return Notice(**(fields | {"topic": Topic(row["topic"])}))


class Notices:
    """The notices, inside one transaction."""

    def __init__(self, connection: AsyncConnection, now: datetime, trail: Trail) -> None:
        self._connection = connection
        self._now = now
        self._trail = trail

    async def begin_day(
        self, topic: Topic, day: date, places: Collection[str], detail: str = "", *, ended: str | None = None
    ) -> None:
        """A day's are to be told in these places; those that are there already stay as they are.

        What is left of other days is told no more. ended: why it is not told at all.
        """
        for place in sorted(places):
            await self._add(topic, day.isoformat(), place, detail, ended=ended)
        await self._connection.execute(
            update(notices)
            .where(notices.c.topic == topic.value, notices.c.key < day.isoformat(), notices.c.ended.is_(None))
            .values(ended="its day was over", **FREE)
        )

    async def alert(self, topic: Topic, key: object, detail: str = "") -> None:
        """Operators are to be told, unless they were of this very thing and it is not over.

        Takes the trail's end, as who adds an event before has it: so that no two wait for each other.
        """
        await self._trail.hold_end()
        await self._add(topic, str(key), OPERATORS, detail)

    async def _add(self, topic: Topic, key: str, place: str, detail: str, ended: str | None = None) -> None:
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        await self._connection.execute(
            dialect.insert(notices)
            .values(
                topic=topic.value,
                key=key,
                place=place,
                detail=detail,
                ended=ended,
                tries=0,
                begun=False,
                created_at=self._now,
                due_at=self._now,
            )
            .on_conflict_do_nothing()
        )

    async def last(self, topic: Topic) -> tuple[str, datetime | None] | None:
        """The detail of the newest about this, and when it was over; None where there is none.

        It stays the newest until the transaction ends, where everybody takes the lock `notices` first.
        """
        newest = select(notices.c.detail, notices.c.over_at).where(notices.c.topic == topic.value)
        found = await self._connection.execute(newest.order_by(notices.c.id.desc()).limit(1))
        row = found.one_or_none()
        return None if row is None else (row.detail, row.over_at)

    async def over(self, alert_id: int, then: Topic) -> None:
        """What an alert is about is over; who heard of it hears of that as well, by another of its detail.

        Takes the trail's end, as `alert` does.
        """
        await self._trail.hold_end()
        changed = (
            update(notices)
            .where(notices.c.id == alert_id, notices.c.over_at.is_(None))
            .values(over_at=self._now)
            .returning(notices.c.detail, notices.c.ts, notices.c.begun, notices.c.ended)
        )
        row: Row[Any] | None = (await self._connection.execute(changed)).one_or_none()
        if row is None:
            return
        if row.ts is not None or (row.begun and row.ended is None):
            await self.alert(then, alert_id, row.detail)
        elif row.ended is None:
            never = update(notices).where(notices.c.id == alert_id)
            await self._connection.execute(never.values(ended="it was over before it was told", **FREE))

    async def claim(
        self,
        topics: Collection[Topic],
        *,
        owner: str,
        lease: timedelta,
        day: date | None = None,
        channel: str | None = None,
    ) -> Notice | None:
        """Take the first of these that is due, and that nobody holds.

        day, channel: of a daily one; see `told_by`.
        """
        free = or_(notices.c.lease_until.is_(None), notices.c.lease_until <= self._now)
        of_them = notices.c.topic.in_([one.value for one in topics])
        first = (
            select(notices.c.id)
            .where(of_them, notices.c.ended.is_(None), due(self._now), free)
            .order_by(notices.c.due_at, notices.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if day is not None:
            first = first.where(notices.c.key == day.isoformat())
        if channel is not None:
            first = first.where(told_by(channel))
        found = (await self._connection.execute(first)).scalar_one_or_none()
        if found is None:
            return None
        taken = (
            update(notices)
            .where(notices.c.id == found)
            .values(lease_owner=owner, lease_until=self._now + lease, tries=notices.c.tries + 1)
            .returning(*(notices.c[name] for name in Notice.__dataclass_fields__))
        )
        rows = (await self._connection.execute(taken)).mappings()
        try:
            return _notice_of(rows.one())
        except (TypeError, ValueError):
            log.exception("a notice cannot be read: somebody changed it past the bot", notice=found)
        unreadable = update(notices).where(notices.c.id == found)
        await self._connection.execute(unreadable.values(ended="it cannot be read", **FREE))
        return await self.claim(topics, owner=owner, lease=lease, day=day, channel=channel)

    async def begin(self, notice: Notice, *, lease: timedelta) -> bool:
        """Its post is about to be made; False if another instance has it now, or it is not told any more."""
        return await self._set(notice, begun=True, lease_until=self._now + lease)

    async def retry_at(self, notice: Notice, *, due_at: datetime, begun: bool) -> None:
        """Not told; try again then. begun: whether its post may stand there all the same."""
        await self._set(notice, due_at=due_at, begun=begun, **FREE)

    async def end(self, notice: Notice, why: str, *, ts: str | None = None) -> None:
        """It is told, where ts is Slack's; or it is not told any more."""
        await self._set(notice, ended=why, ts=ts, **FREE)

    async def bring_forward(self, latest: datetime) -> None:
        """Let none of them wait longer than until then, nor any lease last longer.

        What waits for less waits on: a post that was begun may be under way yet. They are locked in one
        order, as two may do this at once.
        """
        late, long = notices.c.due_at > latest, notices.c.lease_until > latest
        waiting = select(notices.c.id).where(UNTOLD, or_(late, long)).order_by(notices.c.due_at, notices.c.id)
        if found := (await self._connection.execute(waiting.with_for_update())).scalars().all():
            forward = update(notices).where(notices.c.id.in_(found), UNTOLD)
            await self._connection.execute(
                forward.values(
                    due_at=case((late, latest), else_=notices.c.due_at),
                    lease_until=case((long, latest), else_=notices.c.lease_until),
                )
            )

    async def _set(self, notice: Notice, **values: Any) -> bool:
        changed = await self._connection.execute(
            update(notices)
            .where(
                notices.c.id == notice.id,
                notices.c.lease_owner == notice.lease_owner,
                notices.c.tries == notice.tries,
                notices.c.ended.is_(None),
            )
            .values(**values)
        )
        return bool(changed.rowcount)
