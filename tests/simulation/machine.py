"""A machine with one process on it: what it knows of time, what it holds, and how it ends.

Whatever runs in the loop carries its machine in its context; what has none belongs to the world outside.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

CURRENT: ContextVar[Machine | None] = ContextVar("machine", default=None)
"""The machine that this code runs on."""


_GONE: list[Machine] = []
"""Held, because what is collected still runs: the `finally` of every coroutine."""


_TASKS = 100
"""How many tasks are remembered before those that are done are forgotten."""


class Machine:
    """One process on one machine.

    mark: its name, for the trace.
    ahead: seconds that its wall clock is before what is right. booted: when, by true time.
    fuse: how many turns it has left before it crashes, or only stops if `only_stops`; None for as many as it
    likes. Those of tasks that were
    there before the task of the number `burns_from` are not counted; with `burns_at` only those of tasks that
    wait in the bot at places of which it says so, see `waits_of`.
    at_crash: called when it is gone, as the kernel lets go of what a process had.
    """

    def __init__(
        self, name: str, seed: int, *, booted: float = 0.0, slept: float = 0.0, ahead: float = 0.0
    ) -> None:
        self.name = name
        self.mark = zlib.crc32(name.encode())
        self.random = random.Random(f"{name} {seed}")
        self.booted = booted
        self.ahead = ahead
        self.alive = True
        self.fuse: int | None = None
        self.burns_from = 0
        self.only_stops = False
        self.burns_at: Callable[[list[str]], bool] | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._remembers = _TASKS
        self.at_crash: dict[Callable[[], None], None] = {}
        self.slept = slept
        self._held: list[Any] | None = None

    # Clocks

    def awake(self, now: float) -> float:
        """CLOCK_MONOTONIC: stands still while the machine sleeps."""
        return now - self.booted - self.slept

    def since_boot(self, now: float) -> float:
        """CLOCK_BOOTTIME: goes on while the machine sleeps."""
        return now - self.booted

    def true_time(self, awake: float) -> float:
        """When that is, by true time, if it does not sleep before."""
        return awake + self.booted + self.slept

    # Life

    def has(self, task: asyncio.Task[Any]) -> None:
        """A task runs on it from now on."""
        self._tasks.append(task)
        if len(self._tasks) > self._remembers:
            self._tasks = [one for one in self._tasks if not one.done()]
            self._remembers = _TASKS + 2 * len(self._tasks)

    def takes(self, handle: Any, number: int) -> bool:
        """Whether it runs this now. A stopped one does so when it goes on, a dead one never.

        number: of the task that it is a turn of; 0 for none.
        """
        if not self.alive:
            return False
        if self._held is not None:
            self._held.append(handle)
            return False
        if self.fuse is not None and number >= self.burns_from and self._burns(handle):
            self.fuse -= 1
            if self.fuse <= 0:
                self._burnt(handle)
                return False
        return True

    def _burnt(self, handle: Any) -> None:
        self.fuse = None
        if self.only_stops:
            self._held = [handle]
        else:
            self.crash()

    def _burns(self, handle: Any) -> bool:
        if self.burns_at is None:
            return True
        task = getattr(handle._callback, "__self__", None)
        return isinstance(task, asyncio.Task) and self.burns_at(list(waits_of(task)))

    def stop(self) -> None:
        """Run nothing from now on."""
        if self._held is None:
            self._held = []

    def go_on(self) -> list[Any]:
        """Run again; what waited for that."""
        held, self._held = self._held or [], None
        return held

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        return self._held is not None

    def crash(self) -> None:
        """End at once. No line of its code runs any more, not even to tidy up."""
        if self.alive:
            self.alive = False
            _GONE.append(self)
            for let_go in list(self.at_crash):
                let_go()

    def ending(self) -> asyncio.Future[None]:
        """Done when it has ended, which it must not have yet."""
        ending = asyncio.get_running_loop().create_future()
        self.at_crash[lambda: ending.set_result(None)] = None
        return ending

    def waits_at(self) -> Iterator[str]:
        """Where in the bot's code its tasks wait now: the places at which it may crash."""
        for task in self._tasks:
            yield from waits_of(task)


def waits_of(task: asyncio.Task[Any]) -> Iterator[str]:
    """Where in the bot's code a task waits now, file and line, from the outermost await to the innermost."""
    work: Any = task.get_coro()
    while work is not None:
        frame = getattr(work, "cr_frame", None) or getattr(work, "ag_frame", None)
        if frame is not None and "/bot/" in frame.f_code.co_filename:
            yield f"{frame.f_code.co_filename.rpartition('/bot/')[2]}:{frame.f_lineno}"
        work = getattr(work, "cr_await", None) or getattr(work, "ag_await", None)


@contextmanager
def on(machine: Machine | None) -> Iterator[None]:
    """What is begun in this block runs on that machine."""
    token = CURRENT.set(machine)
    try:
        yield
    finally:
        CURRENT.reset(token)
