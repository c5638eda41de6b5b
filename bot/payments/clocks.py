"""What must have lasted, by a clock that nobody sets and that goes on while the machine sleeps.

A wall clock is set: by a person, by NTP, by a machine that is resumed, by a database that fails over to
another server. Whatever must have lasted before money moves is measured here as well, in the process that
decides on it. What this process has not seen itself has not lasted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bot.domain.payment import Payment

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


class Settling:
    """How long a call whose answer was lost may still be carried out.

    It is over when it is over by the ledger's clock and by this process's own, which begins when this
    process first sees that the answer was lost.
    """

    def __init__(self, lasts: timedelta, clock: BootClock = boottime) -> None:
        self.lasts = lasts
        self._lost: Ages[int] = Ages(clock)

    def see(self, lost: Iterable[int]) -> None:
        """The answers of these payments are lost. Whoever sees them early can judge them early."""
        for payment_id in lost:
            self._lost.of(payment_id)

    def lasted(self, payment: Payment, now: datetime) -> timedelta:
        """How long its answer has been known to be lost, by the clock that says less.

        now: by the ledger's clock.
        """
        return min(now - payment.updated_at, self._lost.of(payment.id))

    def left(self, payment: Payment, now: datetime) -> timedelta:
        """How much longer its call may still be carried out; zero or less when it may not."""
        return self.lasts - self.lasted(payment, now)

    def only_here(self, payment: Payment, now: datetime) -> bool:
        """Whether it is over by the ledger's clock, and only this process has not seen it for so long."""
        return now - payment.updated_at >= self.lasts > self._lost.of(payment.id)
