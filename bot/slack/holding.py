"""Which deliveries this process may tell now: another may have them by now, or be telling them yet.

Leases end by the ledger's clock, which somebody may set. So what has to have lasted is measured here as well,
by the clock that nobody sets, and what this process has not seen itself has not lasted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from bot.clocks import Ages
from bot.ledger.rows import Delivery
from bot.ledger.store import Ledger
from bot.payments.timing import Timing

log = structlog.get_logger()

_REMEMBERED_S = 3600.0
"""Seconds for which it is known of a post that it has arrived by now, if it does."""


@dataclass(slots=True)
class Holding:
    """What this process holds of the outbox.

    What is claimed is known by its number and by the message that stands then: who has a card to change has
    it no more to post. A post that may be on its way has arrived when it could be seen, and its call is over,
    at the moment of `_arrived`, by the number of the delivery and of its try.
    """

    ledger: Ledger
    timing: Timing
    _claimed: Ages[tuple[int, str | None]] = field(init=False)
    _arrived: dict[tuple[int, int], float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._claimed = Ages(self.ledger.boottime)

    def begins(self, claimed: Sequence[Delivery], at: float, taken_over: Collection[int]) -> None:
        """These are ours since then. taken_over: those that somebody held who did not give them back."""
        self._claimed.forget_older(self.timing.lease)
        for one in claimed:
            self._claimed.begin(_key(one), at)
            if one.ambiguous:
                # Whoever held it may begin a call that long, unasked, and one takes half a lease.
                call = self._unasked + self.timing.lease / 2 if one.id in taken_over else timedelta(0)
                until = at + (call + self.timing.visible_within).total_seconds()
                self._arrived.setdefault((one.id, one.tries), until)

    def lost(self, told: Sequence[Delivery]) -> None:
        """Whether Slack took these is not known; at the next try they are looked for."""
        now = self.ledger.boottime()
        self._arrived = {key: at for key, at in self._arrived.items() if now - at < _REMEMBERED_S}
        until = now + self.timing.visible_within.total_seconds()
        for one in told:
            # Not every try is counted.
            self._arrived |= dict.fromkeys(((one.id, one.tries), (one.id, one.tries + 1)), until)

    def may_arrive_within(self, claimed: Sequence[Delivery]) -> timedelta:
        """How long it takes yet until each of these is seen that Slack has, or gets."""
        now = self.ledger.boottime()
        left = [self._arrived.get((one.id, one.tries), now) - now for one in claimed]
        return timedelta(seconds=max(0.0, *left))

    async def all_ours(self, deliveries: Sequence[Delivery]) -> bool:
        """Whether we may make a call for them, which takes up to half a lease: no other instance begins one.

        Asks the ledger only if time went by since they were claimed, by its clock or the one that nobody
        sets.
        """
        return all([await self._ours(one) for one in deliveries])

    @property
    def _unasked(self) -> timedelta:
        """So long a claim is as good as new. Where a clock was set, another may have it all the same."""
        return self.timing.lease / 10

    async def _ours(self, delivery: Delivery) -> bool:
        assert delivery.lease_until is not None, "bug: only what was claimed is delivered"
        left = delivery.lease_until - self.ledger.clock()
        if left > self.timing.lease - self._unasked and self._claimed.younger(_key(delivery), self._unasked):
            return True
        async with self.ledger.transaction() as transaction:
            ours = await transaction.outbox.renew(delivery, lease=self.timing.lease)
        if not ours:
            log.info("another instance tells it", kind=delivery.kind)
        return ours


def _key(claimed: Delivery) -> tuple[int, str | None]:
    return claimed.id, claimed.ts
