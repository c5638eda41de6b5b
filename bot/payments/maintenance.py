"""Maintenance: what happens because time passed. Each chore handles what it claims in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from bot.about import about_all
from bot.domain.events import Cancelled, LeaseRanOut, Reminded, Retry, Stranded
from bot.domain.payment import Payment, State
from bot.domain.policy import Policy
from bot.errors import LedgerContradicted
from bot.ledger.notices import Topic
from bot.ledger.queues import EXPIRE, REMIND, RESCUE, RETRY, STRANDED, Queue
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.approvals import TIMEKEEPER, expire, remind_at
from bot.payments.timing import RESPONSE_URL_LASTS, Timing

log = structlog.get_logger()

_BATCH = 50
"""Payments that one transaction handles."""

Chore = Callable[[Transaction, Payment], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Does the chores.

    instance: of this process. sending: the payments whose calls it has under way; they need no rescue.
    """

    ledger: Ledger
    policy: Policy
    timing: Timing
    instance: str
    sending: Callable[[], Collection[int]] = tuple

    @property
    def chores(self) -> Mapping[Queue, Chore]:
        """What is done with the payments of which queue."""
        return {
            RESCUE: self._rescue,
            STRANDED: _strand,
            RETRY: self._retry,
            EXPIRE: _expire,
            REMIND: self._remind,
        }

    async def take_over(self) -> None:
        """At start: look at all that waits; whatever is being sent on a ledger of our own needs rescue."""
        async with self.ledger.transaction() as transaction:
            await transaction.bring_forward()
            if not self.ledger.shared:
                await transaction.free_leases(
                    instead_of=self.instance, visible_within=self.timing.visible_within
                )
                while await self._do(transaction, RESCUE, self._rescue):
                    pass

    async def poll_once(self) -> None:
        """Do what is due. Raises LedgerUnavailable."""
        for queue, chore in self.chores.items():
            if await self.ledger.any_due(queue):
                async with self.ledger.transaction() as transaction:
                    await self._do(transaction, queue, chore)

    async def _do(self, transaction: Transaction, queue: Queue, chore: Chore) -> bool:
        """One whose row was written past the bot is left as it is; the others go on. Whether any was due."""
        due = await transaction.lock_due(queue, limit=_BATCH)
        for payment in due:
            with about_all(payment):
                try:
                    await chore(transaction, payment)
                except LedgerContradicted:
                    log.exception("left as it is: the audit trail says otherwise", payment=payment.number)
                    await transaction.postpone(payment, until=transaction.now + self.timing.hold)
                    await transaction.notices.alert(Topic.CONTRADICTED, payment.request.id)
        return bool(due)

    async def _rescue(self, transaction: Transaction, payment: Payment) -> None:
        """Whoever was sending it died, or lost the ledger: nobody knows what became of the call."""
        # A clock that jumped must not give up a call of our own.
        if payment.id in self.sending():
            return
        await transaction.move(
            payment,
            State.UNKNOWN,
            LeaseRanOut(payment.lease.owner if payment.lease else None),
            actor=TIMEKEEPER,
            reason="the bot stopped while the call was under way",
            due_at=transaction.now,
        )

    async def forget(self) -> None:
        """Forget what is of no use any more, and may be of use to others: see `forget_response_urls`."""
        async with self.ledger.transaction() as transaction:
            await transaction.refused_triggers.forget()
            await transaction.outbox.forget_response_urls(asked_before=transaction.now - RESPONSE_URL_LASTS)

    async def _retry(self, transaction: Transaction, payment: Payment) -> None:
        """Nothing was sent, so it may be sent; but not for ever."""
        if self.timing.next_try(payment.tries) is None:
            await transaction.move(
                payment,
                State.CANCELLED,
                Cancelled(f"nothing could be sent in {payment.tries} tries"),
                actor=TIMEKEEPER,
                reason=f"nothing could be sent in {payment.tries} tries; nothing was paid",
            )
            return
        await transaction.move(
            payment,
            State.APPROVED,
            Retry(),
            actor=TIMEKEEPER,
            announce=None,
            due_at=transaction.now,
        )

    async def _remind(self, transaction: Transaction, payment: Payment) -> None:
        batch = await transaction.whole(payment.request)
        due = remind_at(batch.request, self.policy.rule_named(batch.request.rule), transaction.now)
        # Whichever of them stands for all when others were left out.
        for one in batch.waiting:
            await transaction.change(one, due_at=due)
        event_id = await transaction.record(Reminded(), actor=TIMEKEEPER, request=batch.request)
        await transaction.announce_to_approvers(batch.request, event_id)


async def _expire(transaction: Transaction, payment: Payment) -> None:
    await expire(transaction, await transaction.whole(payment.request))


async def _strand(transaction: Transaction, payment: Payment) -> None:
    """Whoever asked is told directly where no card came to stand in Slack."""
    batch = await transaction.whole(payment.request)
    expired = payment.state is State.REQUESTED
    await transaction.move_together(
        batch.within((payment.state,)),
        State.EXPIRED if expired else State.CANCELLED,
        Stranded(),
        actor=TIMEKEEPER,
        announce=Kind.THREAD_REPLY if batch.request.cards.ts else Kind.DIRECT,
        reason=f"{'it could not be looked up' if expired else 'its card could not be posted'} in time",
    )
