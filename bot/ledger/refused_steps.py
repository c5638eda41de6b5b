"""Steps of workflows that were refused, inside one transaction: what was refused once is never a request.

Slack repeats a step's event until it is acknowledged. A workflow that was told of a failure must not lead to
a payment because what stood in its way is gone when the event comes again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.ledger.schema import refused_steps

KEPT_FOR = timedelta(days=90)
"""Far longer than Slack repeats anything: a machine that slept may read an event only when it wakes."""


class RefusedSteps:
    """They are asked for, and added, under the lock `request`: so no request is made of one meanwhile."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    async def why(self, run: str) -> str | None:
        """Why the step of this run was refused; None where it was not."""
        found = await self._connection.execute(select(refused_steps.c.why).where(refused_steps.c.run == run))
        why: str | None = found.scalar_one_or_none()
        return why

    async def add(self, run: str, why: str) -> None:
        """It was refused; who asks again hears the same."""
        await self._connection.execute(insert(refused_steps).values(run=run, why=why, at=self._now))

    async def forget(self) -> None:
        """Forget those of which Slack says nothing any more."""
        old = refused_steps.c.at < self._now - KEPT_FOR
        await self._connection.execute(delete(refused_steps).where(old))
