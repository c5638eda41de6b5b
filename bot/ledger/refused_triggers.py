"""What was refused, by Slack's trigger of it, inside one transaction: of that nothing comes any more.

Slack may deliver a command, a click or a form once more, and repeats the event of a workflow's step until it
is acknowledged. Who was told that nothing was done, or a workflow that was told of a failure, must not see a
payment because what stood in its way is gone when the same is delivered again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ledger.schema import refused_triggers

KEPT_FOR = timedelta(days=90)
"""Far longer than Slack repeats anything: a machine that slept may read an event only when it wakes."""


class RefusedTriggers:
    """They are asked for, and added, under the lock `request`: so no request is made of one meanwhile."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def why(self, trigger: str) -> str | None:
        """Why it was refused; None where it was not."""
        found = await self._connection.execute(
            select(refused_triggers.c.why).where(refused_triggers.c.trigger_id == trigger)
        )
        why: str | None = found.scalar_one_or_none()
        return why

    async def add(self, trigger: str, why: str) -> None:
        """It was refused; who asks again hears the same."""
        added = {"trigger_id": trigger, "why": why, "at": self._now}
        await self._connection.execute(insert(refused_triggers).values(added))

    async def forget(self) -> None:
        """Forget those of which Slack says nothing any more."""
        old = refused_triggers.c.at < self._now - KEPT_FOR
        await self._connection.execute(delete(refused_triggers).where(old))
