"""Loops that find work in the ledger and do it, several pieces at a time.

A loop wakes at once when this process commits something, and soon when time or another instance brought
work: see `Ledger.stir`. A ledger that is away stops nothing for good: the loop tries again until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Generic, TypeVar

import structlog

from bot.errors import LedgerUnavailable

log = structlog.get_logger()

Key = TypeVar("Key", bound=Hashable)

_AWAY = 1.0
"""Seconds, at the most, until a ledger that is away is asked again."""


class Crew(Generic[Key]):
    """A bounded number of tasks, each known by a key. Holds strong references; logs what goes wrong.

    wake: set when there is room for work that had none. queues: whether work may also wait for a key that
    is busy; otherwise only a full crew leaves any.
    """

    def __init__(self, name: str, size: int, wake: asyncio.Event, *, queues: bool = False) -> None:
        self._name = name
        self._size = size
        self.wake = wake
        self._queues = queues
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    @property
    def free(self) -> int:
        """How many more may start."""
        return self._size - len(self._tasks)

    @property
    def keys(self) -> frozenset[Key]:
        """What is being worked on."""
        return frozenset(self._tasks)

    def start(self, key: Key, work: Coroutine[object, object, None]) -> None:
        """Start one piece of work; one that is under way already is not started again."""
        if key in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=f"{self._name}:{key}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        if self._queues or self.free <= 0:
            self.wake.set()
        del self._tasks[key]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, LedgerUnavailable):
            log.warning("ledger unavailable", work=self._name, key=key, error=str(error))
        elif error is not None:
            # Its lease runs out, and it is taken up again or, where it was sent, becomes unknown.
            log.error("work failed", work=self._name, key=key, exc_info=error)

    async def drain(self, grace: float) -> None:
        """Wait for what is under way, at most `grace` seconds; what is left is cancelled."""
        tasks = set(self._tasks.values())
        if not tasks:
            return
        log.info("waiting for work under way", work=self._name, keys=list(self._tasks), at_most=grace)
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


class Poller:
    """Calls `look` whenever woken, until stopped; with an interval also at once, and that often (seconds)."""

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[None]],
        wake: asyncio.Event,
        interval: float | None = None,
    ) -> None:
        self._name = name
        self._look = look
        self._wake = wake
        self._interval = interval
        self._stopping = False
        if interval is not None:
            wake.set()

    async def run(self) -> None:
        """Look for work until `stop`."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            if self._stopping:
                return
            self._wake.clear()
            try:
                await self._look()
            except LedgerUnavailable as error:
                log.warning("ledger unavailable", work=self._name, error=str(error))
                await asyncio.sleep(min(self._interval or _AWAY, _AWAY))
                self._wake.set()

    def stop(self) -> None:
        """Look no more after this round."""
        self._stopping = True
        self._wake.set()
