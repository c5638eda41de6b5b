"""What concerns one person: what waits for approval, their own requests, recent outcomes. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.payment import FINAL, Payment, State
from bot.domain.policy import Refusal
from bot.errors import DirectoryError
from bot.ledger.store import Ledger
from bot.payments.approvals import ApprovalStatus, shown
from bot.payments.authority import Authority, Person

_MOST = 50
"""Payments that are looked at to find what waits for somebody."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment that waits for approval. mine: this person may decide it, and has not yet."""

    payment: Payment
    approvals: ApprovalStatus
    mine: bool


@dataclass(frozen=True, slots=True)
class Concerns:
    """All that concerns one person, the newest first."""

    waiting: tuple[Waiting, ...]
    requested: tuple[Payment, ...]
    outcomes: tuple[Payment, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Answers from the ledger, for people whom `Authority.may_see` lets see it."""

    ledger: Ledger
    authority: Authority

    async def of(self, person: Person, *, most: int) -> Concerns:
        """At most `most` of each kind; of what waits, only what this person may decide."""
        waiting = [one for one in await self.waiting(person) if one.mine]
        return Concerns(
            waiting=tuple(waiting[:most]),
            requested=tuple(await self.ledger.recent(requester=person.id, limit=most)),
            outcomes=tuple(await self.ledger.concerning(person.id, FINAL, limit=most)),
        )

    async def waiting(self, person: Person) -> list[Waiting]:
        """What waits for approval; what is this person's to decide comes first."""
        pending = await self.ledger.recent(states=[State.PENDING_APPROVAL], limit=_MOST)
        found = [await self._standing(person, one) for one in pending]
        return sorted(found, key=lambda one: not one.mine)

    async def _standing(self, person: Person, payment: Payment) -> Waiting:
        approvals = await shown(self.ledger, self.authority, payment)
        mine = person.id not in approvals.counted and await self._may_decide(person, payment)
        return Waiting(payment, approvals, mine)

    async def _may_decide(self, person: Person, payment: Payment) -> bool:
        try:
            rule = await self.authority.rule_of(payment)
            if isinstance(rule, Refusal):
                return False
            return await self.authority.may_approve(rule, person, payment.request.requester) is None
        except DirectoryError:
            # Not known is not his to decide; the card still takes the click, and asks again.
            return False
