"""Workers that claim work from a queue of the ledger and do it, several pieces at a time.

They wake at once when this process commits something for them, and soon when time or another instance brought
work: see `Ledger.wake_due`. A ledger that is away stops nothing for good: it is asked until it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from bot.about import About, about_payment
from bot.domain.payment import Payment
from bot.errors import LedgerUnavailable
from bot.ledger.queues import Queue
from bot.ledger.store import Ledger
from bot.repeated import Repeated

log = structlog.get_logger()

Key = TypeVar("Key", bound=Hashable)

Handle = Callable[[Payment], Coroutine[object, object, None]]
"""Does the work on a payment that was claimed. May raise LedgerUnavailable."""


@dataclass(slots=True)
class TaskPool(Generic[Key]):
    """A bounded number of tasks, each known by a key. Holds strong references; logs what goes wrong.

    wake: set when there is room for work that had none. queues: whether work may also wait for a key that
    is busy; otherwise only a full pool leaves any.
    """

    name: str
    size: int
    wake: asyncio.Event
    _: KW_ONLY
    queues: bool = False
    _tasks: dict[Key, asyncio.Task[None]] = field(default_factory=dict, init=False)

    @property
    def free(self) -> int:
        """How many more may start."""
        return self.size - len(self._tasks)

    @property
    def keys(self) -> frozenset[Key]:
        """What is being worked on."""
        return frozenset(self._tasks)

    def start(self, key: Key, work: Coroutine[object, object, None]) -> None:
        """Start one piece of work; one that is under way already is not started again."""
        if key in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=f"{self.name}:{key}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        if self.queues or self.free <= 0:
            self.wake.set()
        del self._tasks[key]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, LedgerUnavailable):
            log.warning("ledger unavailable", work=self.name, key=key, error=str(error))
        elif error is not None:
            # Its lease runs out, and it is taken up again or, where it was sent, becomes unknown.
            log.error("work failed", work=self.name, key=key, exc_info=error)

    async def drain(self, grace: float) -> None:
        """Wait for what is under way, at most `grace` seconds; what is left is cancelled."""
        tasks = set(self._tasks.values())
        if not tasks:
            return
        log.info("waiting for work under way", work=self.name, keys=list(self._tasks), at_most=grace)
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)


@dataclass(slots=True)
class Poller:
    """Calls `poll_once` whenever woken, until stopped.

    interval: in seconds; with one it is called at once, too, and that often. retry: seconds, at the most,
    until a ledger that is away is asked again.
    """

    name: str
    poll_once: Callable[[], Awaitable[None]]
    wake: asyncio.Event
    interval: float | None = None
    retry: float = 1.0
    _failures: Repeated = field(default_factory=Repeated, init=False)
    _stopping: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.interval is not None:
            self.retry = min(self.interval, self.retry)
            self.wake.set()

    async def run(self) -> None:
        """Poll until `stop`."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.interval):
                    await self.wake.wait()
            if self._stopping:
                return
            self.wake.clear()
            try:
                await self.poll_once()
            except LedgerUnavailable as error:
                if (lasting := self._failures.seen()) is not None:
                    log.warning(f"ledger unavailable{lasting}", work=self.name, error=str(error))
                await asyncio.sleep(self.retry)
                self.wake.set()

    def stop(self) -> None:
        """Poll no more after this round."""
        self._stopping = True
        self.wake.set()


@dataclass(slots=True)
class Worker:
    """Claims payments of a queue under a lease and handles each in a task of its own, `size` at once.

    about: what the log's lines of that are about.
    """

    ledger: Ledger
    queue: Queue
    handle: Handle
    instance: str
    lease: timedelta
    size: InitVar[int]
    about: About = about_payment
    pool: TaskPool[int] = field(init=False)
    poller: Poller = field(init=False)

    def __post_init__(self, size: int) -> None:
        self.pool = TaskPool(self.queue.name, size, self.ledger.watch(self.queue))
        self.poller = Poller(self.queue.name, self.poll_once, self.pool.wake)

    async def poll_once(self) -> None:
        """Take up what is due, as far as there is room for it. Raises LedgerUnavailable."""
        # Asked first, so that whoever wakes us for nothing keeps nobody from writing.
        if (limit := self.pool.free) <= 0:
            return
        due = await self.ledger.due(self.queue, limit=limit)
        if due is not None and not due:
            return
        async with self.ledger.transaction() as transaction:
            claimed = await transaction.claim(
                self.queue, owner=self.instance, lease=self.lease, limit=limit, seen=due or ()
            )
        for payment in claimed:
            with self.about(payment):
                self.pool.start(payment.id, self.handle(payment))
