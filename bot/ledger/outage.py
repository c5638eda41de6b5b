"""When the ledger was away, as this process saw it: while it is, nothing can be written down about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.clocks import BootClock
from bot.errors import LedgerUnavailable
from bot.ledger import database


@dataclass(slots=True)
class Outage:
    """The last one: from the first question that failed to the last. clock: the ledger's."""

    clock: Callable[[], datetime]
    boottime: BootClock
    engine: InitVar[AsyncEngine]
    began: datetime | None = field(default=None, init=False)
    _failed: datetime | None = field(default=None, init=False)
    _broke: float | None = field(default=None, init=False)

    def __post_init__(self, engine: AsyncEngine) -> None:
        event.listen(engine.sync_engine, "invalidate", self.broke)

    def broke(self, *_: object) -> None:
        """A connection to it broke, and another is made, perhaps without a question that failed."""
        self._broke = self.boottime()

    @property
    def unbroken(self) -> timedelta:
        """How long none broke. Behind one that did another server may stand, which lacks the last commits."""
        return timedelta.max if self._broke is None else timedelta(seconds=self.boottime() - self._broke)

    @asynccontextmanager
    async def noted(self) -> AsyncIterator[None]:
        """For all that is asked of the database: see `honest_errors`. Raises LedgerUnavailable."""
        try:
            async with database.honest_errors():
                yield
        except LedgerUnavailable:
            self.broke()
            self._failed = self.clock()
            self.began = self.began or self._failed
            raise

    def over(self, quiet: timedelta) -> tuple[datetime, datetime] | None:
        """From when to when it was away; None where it was not, or something failed this short a time ago."""
        if self.began is None or self._failed is None or self.clock() - self._failed < quiet:
            return None
        return self.began, self._failed

    def forget(self) -> None:
        """What was told need not be told again."""
        self.began = self._failed = None
