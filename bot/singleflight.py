"""Singleflight: who asks for what is being asked for already shares that call, its answer and its failure.

One for the event loop, one whose answers are never older than their questions, and one for threads. An answer
may be kept; a failure is told to those who waited for it, and the next one who asks tries again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bot.clocks import BootClock, boottime

Key = TypeVar("Key")
Value = TypeVar("Value")

MAX_KEPT = 10_000
"""Answers that are kept at most; with one more, all are forgotten."""


class Singleflight(Generic[Key, Value]):
    """For the tasks of one event loop: one call at a time for each key.

    keep_s: seconds that an answer serves.
    """

    def __init__(self, *, keep_s: float, clock: BootClock = boottime) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._kept: dict[Key, tuple[Value, float]] = {}
        self._flights: dict[Key, asyncio.Task[Value]] = {}

    async def get(self, key: Key, call: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """The answer that is kept, or else that of the call under way, or of `call`. Raises what it raises.

        Who is cancelled, or has waited long enough, leaves the call to the others.
        """
        if (kept := self._kept.get(key)) is not None and self._clock() - kept[1] < self._keep_s:
            return kept[0]
        flight = self._flights.get(key)
        if flight is None or flight.done():
            flight = self._flights[key] = asyncio.create_task(call())
            flight.add_done_callback(lambda done: self._landed(key, done))
        await asyncio.wait([flight])
        return flight.result()

    async def close(self) -> None:
        """Cancel the calls under way, and whoever waits for them."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _landed(self, key: Key, flight: asyncio.Task[Value]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        # To ask for the exception tells asyncio that somebody knows of it.
        if flight.cancelled() or flight.exception() is not None:
            return
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = flight.result(), self._clock()


@dataclass(slots=True, eq=False)
class _Flight(Generic[Value]):
    """deadline: of the most patient of those who wait. begun: nobody can join it any more."""

    deadline: float
    begun: bool = False
    task: asyncio.Task[Value] | None = None


class FreshSingleflight(Generic[Key, Value]):
    """For the tasks of one event loop: a call that many share, and that began after each of them had asked.

    Who asks while one is under way waits for its end, and shares the next one with all who ask meanwhile.

    patience_s: seconds for which one that is under way is waited for; after that, the next begins beside it.
    """

    def __init__(self, *, patience_s: float) -> None:
        self._patience_s = patience_s
        self._next: dict[Key, _Flight[Value]] = {}
        self._last: dict[Key, asyncio.Task[Value]] = {}
        self._tasks: set[asyncio.Task[Value]] = set()

    async def get(
        self,
        key: Key,
        call: Callable[[float], Coroutine[Any, Any, Value]],
        deadline: float,
        *,
        grace_s: float,
    ) -> Value:
        """The answer of a call that begins now or later. Raises what the call raises, and `TooLong`.

        call: is given the deadline of the most patient, on the clock of `time.monotonic`, like `deadline`.
        grace_s: seconds after the deadline in which the call may still end in its own words.
        """
        flight = self._next.get(key)
        if flight is None:
            flight = self._next[key] = _Flight(deadline)
            flight.task = asyncio.create_task(self._fly(key, flight, call))
            self._tasks.add(flight.task)
            flight.task.add_done_callback(lambda done: self._landed(key, done))
        flight.deadline = max(flight.deadline, deadline)
        assert flight.task is not None, "bug: it was made above"
        await asyncio.wait([flight.task], timeout=max(0.0, deadline - time.monotonic()) + grace_s)
        if not flight.task.done():
            raise TooLong(begun=flight.begun)
        return flight.task.result()

    async def close(self) -> None:
        """Cancel the calls under way, and whoever waits for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _fly(
        self, key: Key, flight: _Flight[Value], call: Callable[[float], Coroutine[Any, Any, Value]]
    ) -> Value:
        if (last := self._last.get(key)) is not None:
            await asyncio.wait([last], timeout=self._patience_s)
        else:
            await asyncio.sleep(0)  # so that all who ask in this turn of the loop share it
        flight.begun = True
        del self._next[key]
        assert flight.task is not None, "bug: it runs in it"
        self._last[key] = flight.task
        return await call(flight.deadline)

    def _landed(self, key: Key, task: asyncio.Task[Value]) -> None:
        self._tasks.discard(task)
        if self._last.get(key) is task:
            del self._last[key]
        flight = self._next.get(key)
        if flight is not None and flight.task is task:
            del self._next[key]  # it was cancelled before it began
        if not task.cancelled():
            task.exception()  # asyncio is told that somebody knows of it


class TooLong(Exception):
    """A call took longer than somebody could wait. begun: it was under way."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class ThreadSingleflight(Generic[Value]):
    """For threads: one value, made by one of them at a time, and kept until it is too old or dropped.

    make: is given a deadline on the clock of `time.monotonic`, that of the thread which calls it.
    clock: what the value's age is measured by.
    """

    def __init__(self, make: Callable[[float], Value], *, clock: BootClock = boottime) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[Value, float] | None = None
        self._flight: Future[Value] | None = None

    def get(self, deadline: float, *, max_age_s: float = float("inf")) -> Value:
        """The value, proven at most `max_age_s` seconds ago, or else the one being made, or made now.

        Raises what `make` raises, and TimeoutError where another thread is still at it at the deadline.
        """
        with self._lock:
            if self._kept is not None and self._clock() - self._kept[1] <= max_age_s:
                return self._kept[0]
            flight, mine = self._flight, self._flight is None
            if flight is None:
                flight = self._flight = Future()
        if mine:
            self._fly(flight, deadline)
        return flight.result(max(0.0, deadline - time.monotonic()))

    def proved(self, value: Value) -> None:
        """`value` has just been seen to work: its age starts anew."""
        with self._lock:
            if self._kept is not None and self._kept[0] is value:
                self._kept = value, self._clock()

    def drop(self, value: Value) -> None:
        """`value` may not work any more. One that has replaced it meanwhile stays."""
        with self._lock:
            if self._kept is not None and self._kept[0] is value:
                self._kept = None

    def _fly(self, flight: Future[Value], deadline: float) -> None:
        try:
            value = self._make(deadline)
        except BaseException as error:  # noqa: BLE001 -- told to all who wait, this thread among them
            with self._lock:
                self._flight = None
            flight.set_exception(error)
        else:
            with self._lock:
                self._flight, self._kept = None, (value, self._clock())
            flight.set_result(value)
