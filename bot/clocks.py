"""Clocks that nobody sets: what must have lasted is measured by one that goes on while the machine sleeps.

A wall clock is set: by a person, by NTP, by a machine that is resumed, by a database that fails over to
another server. Whatever must have lasted before money moves is measured here as well, in the process that
decides on it. What this process has not seen itself has not lasted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

Key = TypeVar("Key")

BootClock = Callable[[], float]
"""Seconds since some moment, on a clock that is never set and counts a machine's sleep."""


def boottime() -> float:
    """That clock, where there is such a one; elsewhere one that is never set, but sleeps with the machine."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Ages(Generic[Key]):
    """How long ago this process saw each of some things begin."""

    def __init__(self, clock: BootClock) -> None:
        self.clock = clock
        self._begun: dict[Key, float] = {}

    def begin(self, key: Key, at: float) -> None:
        """It began then, whenever it began before. at: by the same clock."""
        self._begun[key] = at

    def of(self, key: Key) -> timedelta:
        """How long it has lasted; it begins now if it had not."""
        now = self.clock()
        return timedelta(seconds=now - self._begun.setdefault(key, now))

    def younger(self, key: Key, than: timedelta) -> bool:
        """Whether it was seen to begin, and less than that long ago."""
        return key in self._begun and self.of(key) < than

    def forget_older(self, than: timedelta) -> None:
        """Forget what has lasted that long."""
        self._begun = {key: begun for key, begun in self._begun.items() if self.younger(key, than)}
