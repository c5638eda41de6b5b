"""Everything that happens in the local Slack, as a stream, and the time it happens at.

Tests wait on it without polling, the browser page refetches on it, and a transcript prints it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

Result = TypeVar("Result")


class ChangeKind(StrEnum):
    """What happened."""

    MESSAGE_POSTED = "message posted"
    MESSAGE_UPDATED = "message updated"
    MESSAGE_DELETED = "message deleted"
    EPHEMERAL_POSTED = "ephemeral message posted"
    COMMAND_TYPED = "command typed"
    COMMAND_ANSWERED = "command acknowledged"
    COMMAND_FAILED = "command failed"
    ACTION_TAKEN = "action taken"
    VIEW_OPENED = "view opened"
    VIEW_UPDATED = "view updated"
    VIEW_SUBMITTED = "view submitted"
    VIEW_CLOSED = "view closed"
    HOME_PUBLISHED = "Home tab published"
    HOME_OPENED = "Home tab opened"
    STEP_STARTED = "workflow step started"
    STEP_ENDED = "workflow step ended"
    WORLD_CHANGED = "people, groups or channels changed"
    CONNECTIONS_CHANGED = "socket connections changed"
    DELIVERY_ENDED = "delivery acknowledged or given up"
    API_CALLED = "Web API called"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened.

    at: seconds since the epoch. channel, person: ids, where one is concerned.
    subject: the ts of the message, the id of the view or execution, the kind of delivery, or the
    method called. text: the message's text, the command as typed, the action id, or the error.
    """

    kind: ChangeKind
    at: float
    channel: str | None = None
    person: str | None = None
    subject: str | None = None
    text: str = ""


class Changes:
    """Hands every change to callbacks, iterators and waiters, in order."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Change], None]] = []
        self._waiting: set[asyncio.Event] = set()

    def announce(self, change: Change) -> None:
        """Tell everybody. Called after the change is visible."""
        for callback in tuple(self._callbacks):
            callback(change)
        for event in self._waiting:
            event.set()

    def on_change(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Call `callback` on every change from now on. Returns what stops it."""
        self._callbacks.append(callback)

        def stop() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return stop

    async def stream(self) -> AsyncIterator[Change]:
        """Every change from the first iteration on, without end."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        stop = self.on_change(queue.put_nowait)
        try:
            while True:
                yield await queue.get()
        finally:
            stop()

    async def wait_for(self, condition: Callable[[], Result], timeout: float) -> Result:
        """Return what `condition` returns as soon as that is true; raise TimeoutError otherwise."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout):
                while not (result := condition()):
                    await event.wait()
                    event.clear()
                return result
        finally:
            self._waiting.discard(event)


class Clock:
    """Wall-clock time that tests can push forward, so that nobody waits for 30 minutes."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._last_microsecond = 0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once for everything that expires."""
        self._ahead += seconds

    def timestamp(self) -> str:
        """A `ts` such as "1700000000.000100", later than every one before it."""
        self._last_microsecond = max(self._last_microsecond + 1, int(self.now() * 1_000_000))
        seconds, fraction = divmod(self._last_microsecond, 1_000_000)
        return f"{seconds}.{fraction:06d}"
