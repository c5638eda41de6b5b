"""Whether the process stood still: it was frozen, or its machine slept.

Slack told whoever typed or clicked meanwhile that it failed, and repeats an event: nothing is to be paid long
after that. A timestamp keeps little of it out, as clocks may be minutes apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from bot.clocks import boottime

log = structlog.get_logger()

STOOD_STILL = 30.0
"""Seconds after which what had come meanwhile is left."""

BEAT = 10.0
"""Seconds between two looks."""

JUST_NOW = 3.0
"""Seconds within which all is read that waited for the process, and after which Slack waits for nothing."""


def _nothing() -> None:
    """What follows where nobody has to do anything."""


@dataclass(slots=True)
class Stillness:
    """Looks every few seconds, and when it is asked. ended: is called when the process goes on again."""

    ended: Callable[[], None] = _nothing
    _alive: float = field(default_factory=boottime, init=False)
    _went_on: float = field(default=float("-inf"), init=False)
    _beating: asyncio.TimerHandle | None = field(default=None, init=False)

    def begin(self) -> None:
        """Look from now on."""
        self.look()
        self._beating = asyncio.get_running_loop().call_later(BEAT, self.begin)

    def stop(self) -> None:
        """Look no more."""
        if self._beating is not None:
            self._beating.cancel()

    def look(self) -> bool:
        """Whether it stood still until just now."""
        now = boottime()
        if now - self._alive > STOOD_STILL:
            log.warning("the bot stood still; what came meanwhile is left", seconds=int(now - self._alive))
            self._went_on = now
            self.ended()
        self._alive = now
        return now - self._went_on < JUST_NOW
