"""Singleflight: who asks for what is being asked for already shares that call, its answer and its failure.

One for the event loop, and one for threads. An answer may be kept; a failure is told to those who waited
for it, and the next one who asks tries again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
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


class ThreadSingleflight(Generic[Value]):
    """For threads: one value, made by one of them at a time, and kept until it is too old or dropped.

    make: is given a deadline on the clock of `time.monotonic`, that of the thread which calls it.
    """

    def __init__(self, make: Callable[[float], Value]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[Value, float] | None = None
        self._flight: Future[Value] | None = None

    def get(self, deadline: float, *, max_age_s: float = float("inf")) -> Value:
        """The value, proven at most `max_age_s` seconds ago, or else the one being made, or made now.

        Raises what `make` raises, and TimeoutError where another thread is still at it at the deadline.
        """
        with self._lock:
            if self._kept is not None and boottime() - self._kept[1] <= max_age_s:
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
                self._kept = value, boottime()

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
                self._flight, self._kept = None, (value, boottime())
            flight.set_result(value)
