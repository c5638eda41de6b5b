"""How long a call whose answer was lost may still be carried out: until then nobody says that it was not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bot.clocks import Ages, BootClock, boottime
from bot.domain.payment import Payment


class Settling:
    """How long a call whose answer was lost may still be carried out.

    It is over when it is over by the ledger's clock and by this process's own, which begins when this
    process first sees that the answer was lost.
    """

    def __init__(self, lasts: timedelta, clock: BootClock = boottime) -> None:
        self.lasts = lasts
        self._lost: Ages[int] = Ages(clock)

    def observe(self, lost: Iterable[int]) -> None:
        """The answers of these payments are lost; from now on this process measures for how long."""
        for payment_id in lost:
            self._lost.of(payment_id)

    def lasted(self, payment: Payment, now: datetime) -> timedelta:
        """How long its answer has been known to be lost, by the clock that says less.

        now: by the ledger's clock. Where that shows a time before it was lost, it was set back since, and
        says nothing.
        """
        own, by_ledger = self._lost.of(payment.id), now - payment.updated_at
        return own if by_ledger < timedelta(0) else min(own, by_ledger)

    def left(self, payment: Payment, now: datetime) -> timedelta:
        """How much longer its call may still be carried out; zero or less when it may not."""
        return self.lasts - self.lasted(payment, now)

    def only_here(self, payment: Payment, now: datetime) -> bool:
        """Whether it is over by the ledger's clock, and only this process has not seen it for so long."""
        return now - payment.updated_at >= self.lasts > self._lost.of(payment.id)
