"""An event loop whose time is virtual and whose order is drawn: the same seed runs the same way again.

When nothing is ready, its clock jumps to the next timer. What is ready runs in an order drawn from the seed,
as if the operating system had woken it so; nothing that is ready waits for long.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import random
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

from tests.simulation.machine import CURRENT, Machine

T = TypeVar("T")

SPREAD = 6.0
"""How many turns what is ready may be overtaken by what became ready later."""

TURN_S = 100e-6
"""Seconds that a turn may take, at most."""


_TURN = struct.Struct("<dqq")
_NOTED = 4096
"""Notes after which they are hashed: all at once costs less."""


class Stuck(AssertionError):
    """Nothing is ready, and no timer is set: it would wait for ever."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """now: seconds since the beginning. turns: how many callbacks have run."""

    _ready: deque[Any]
    _stopping: bool

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = random.Random(f"loop {seed}")
        self.now = 0.0
        self.turns = 0
        self._hash = hashlib.blake2b(digest_size=12)
        self._noted: list[bytes] = []
        self._order = itertools.count()
        self._made = itertools.count(1)
        self._queue: list[tuple[float, int, Any]] = []
        self._timers: list[tuple[float, int, Any, Machine | None]] = []
        self.set_task_factory(self._new_task)

    @property
    def trace(self) -> str:
        """A hash of everything that happened so far, and when."""
        self._hash_notes()
        return self._hash.hexdigest()

    def next_number(self) -> int:
        """Tasks that are made from now on have greater numbers."""
        return next(self._made)

    def note(self, what: str | bytes) -> None:
        """Something that has happened belongs to the trace."""
        self._noted.append(what.encode() if isinstance(what, str) else what)

    def _hash_notes(self) -> None:
        self._hash.update(b"".join(self._noted))
        self._noted.clear()

    # What asyncio asks of a loop

    def time(self) -> float:
        """What a timer is set by: a machine's own clock, which stands still while it sleeps."""
        machine = CURRENT.get()
        return self.now if machine is None else machine.awake(self.now)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer, by `time`."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        machine = _machine_of(handle)
        at = when if machine is None else machine.true_time(when)
        heapq.heappush(self._timers, (at, next(self._order), handle, machine))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer."""
        machine = CURRENT.get()
        now = self.now if machine is None else machine.awake(self.now)
        return self.call_at(now + delay, callback, *args, context=context)

    def at(self, moment: float, callback: Callable[..., object], *args: Any, context: Context) -> None:
        """Something that happens outside of every machine, by true time, to the program of that context."""
        handle = asyncio.Handle(callback, args, self, context)
        heapq.heappush(self._timers, (moment, next(self._order), handle, None))

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Have it run among what is ready."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """There is one thread only."""
        return self.call_soon(callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """A future that has the same place in a set whenever it is run."""
        return _Future(next(self._made), self)

    def _new_task(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, T] | Generator[Any, None, T],
        **given: Any,
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = _Task(next(self._made), work, loop=loop, **given)
        context = given.get("context")
        machine = CURRENT.get() if context is None else context.get(CURRENT)
        if machine is not None:
            machine.has(task)
        return task

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is left out when its time comes."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is nobody to wake."""

    # Turns

    def _run_once(self) -> None:
        """Turns, until the loop is told to stop. One place, as it is what a history does most."""
        ready, queue, timers, chance, order = (
            self._ready,
            self._queue,
            self._timers,
            self.random.random,
            self._order,
        )
        while not self._stopping:
            while ready:
                place = self.turns + chance() * SPREAD
                heapq.heappush(queue, (place, next(order), ready.popleft()))
            while timers and timers[0][0] <= self.now:
                place = self.turns + chance() * SPREAD
                heapq.heappush(queue, (place, next(order), heapq.heappop(timers)[2]))
            if not queue:
                self._let_time_pass()
                continue
            handle = heapq.heappop(queue)[2]
            if handle._cancelled:
                continue
            machine = handle._context.get(CURRENT)
            task = getattr(handle._callback, "__self__", None)
            number = task.number if task.__class__ is _Task else 0
            if machine is not None and not machine.takes(handle, number):
                continue
            self.now += chance() * TURN_S
            self.turns += 1
            self._noted.append(_TURN.pack(self.now, number, 0 if machine is None else machine.mark))
            if len(self._noted) >= _NOTED:
                self._hash_notes()
            handle._run()

    def _let_time_pass(self) -> None:
        """Jump to the next timer that anybody still waits for. Raises Stuck."""
        while self._timers:
            at, _, handle, _ = self._timers[0]
            machine = _machine_of(handle)
            if not handle.cancelled() and (machine is None or machine.alive):
                self.now = max(self.now, at)
                return
            heapq.heappop(self._timers)
        raise Stuck("nothing is ready, and no timer is set")

    def resume(self, machine: Machine, *, slept: float = 0.0) -> None:
        """Let a machine that was stopped go on. slept: for so long; its timers come so much later."""
        machine.slept += slept
        # It stays the same list: the loop is in the middle of going through it.
        self._timers[:] = [
            (at + slept if whose is machine else at, order, handle, whose)
            for at, order, handle, whose in self._timers
        ]
        for handle in machine.go_on():
            if slept and isinstance(handle, asyncio.TimerHandle):
                at = machine.true_time(handle.when())
                self._timers.append((at, next(self._order), handle, machine))
            else:
                self._ready.append(handle)
        heapq.heapify(self._timers)


def _machine_of(handle: Any) -> Machine | None:
    machine: Machine | None = handle._context.get(CURRENT)
    return machine


class _Task(asyncio.Task[T]):
    """Sets are walked through by hash: by the order in which they were made, and not by an address."""

    number: int

    def __new__(cls, number: int, *_: Any, **__: Any) -> _Task[T]:
        task = super().__new__(cls)
        task.number = number
        return task

    def __init__(self, _number: int, work: Any, **given: Any) -> None:
        super().__init__(work, **given)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class _Future(asyncio.Future[Any]):
    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._number = number

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other
