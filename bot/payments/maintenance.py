"""The timekeeper: what happens because time passed. Expiry, reminders, retries, leases that ran out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import timedelta

import structlog

from bot.domain.payment import Payment, State
from bot.domain.policy import Policy
from bot.errors import LedgerContradicted
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.approvals import expire
from bot.payments.timing import RESPONSE_URL_LASTS, Timing

log = structlog.get_logger()

_AT_ONCE = 50

_Handle = Callable[[Transaction, Payment], Awaitable[None]]


class Timekeeper:
    """Moves what is overdue."""

    def __init__(
        self,
        ledger: Ledger,
        policy: Policy,
        timing: Timing,
        *,
        instance: str,
        sending: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """sending: the payments whose calls this very process has under way; they are no orphans."""
        self._sending = sending
        self._ledger = ledger
        self._policy = policy
        self._timing = timing
        self._instance = instance

    async def take_over(self) -> None:
        """At start: look at all that waits; whatever is being sent on a ledger of our own is orphaned."""
        async with self._ledger.transaction() as transaction:
            await transaction.bring_forward()
            if not self._ledger.shared:
                orphans = await transaction.orphans(instead_of=self._instance)
                await self._each(transaction, orphans, _lose)
                await transaction.free_leases(instead_of=self._instance)

    async def look(self) -> None:
        """Do everything that is overdue."""
        if await self._ledger.any_orphans():
            async with self._ledger.transaction() as transaction:
                # A clock that jumped must not make an orphan of a call that is our own.
                orphans = [one for one in await transaction.orphans() if one.id not in self._sending()]
                await self._each(transaction, orphans, _lose)
        if await self._ledger.any_stranded():
            async with self._ledger.transaction() as transaction:
                await self._each(transaction, await transaction.stranded(), _strand)
        for state, handle in (
            (State.NOT_SENT, self._retry),
            (State.PENDING_APPROVAL, self._remind_or_expire),
        ):
            if not await self._ledger.any_due(state):
                continue
            async with self._ledger.transaction() as transaction:
                due = await transaction.claim(state, owner=self._instance, lease=timedelta(0), limit=_AT_ONCE)
                await self._each(transaction, due, handle)

    async def _each(self, transaction: Transaction, found: Iterable[Payment], handle: _Handle) -> None:
        """One whose row was written past the bot is left as it is; the others go on."""
        for payment in found:
            try:
                await handle(transaction, payment)
            except LedgerContradicted:
                log.exception("left as it is: the audit trail says otherwise", payment=payment.id)
                await transaction.shelve(payment, until=transaction.now + self._timing.hold)

    async def forget(self) -> None:
        """Forget what is of no use any more, and would be of use to others: see `forget_response_urls`."""
        async with self._ledger.transaction() as transaction:
            await transaction.outbox.forget_response_urls(asked_before=transaction.now - RESPONSE_URL_LASTS)

    async def _retry(self, transaction: Transaction, payment: Payment) -> None:
        """Nothing was sent, so it may be sent; but not for ever."""
        if payment.tries > len(self._timing.not_sent):
            await transaction.move(
                payment,
                State.CANCELLED,
                action="cancelled",
                actor="timekeeper",
                detail={"reason": f"nothing could be sent in {payment.tries} tries"},
                reason=f"nothing could be sent in {payment.tries} tries; nothing was paid",
            )
            return
        await transaction.move(
            payment,
            State.APPROVED,
            action="retry",
            actor="timekeeper",
            tell=None,
            due_at=transaction.now,
        )

    async def _remind_or_expire(self, transaction: Transaction, payment: Payment) -> None:
        if payment.expires_at <= transaction.now:
            await expire(transaction, payment)
            return
        rule = self._policy.rule_named(payment.rule)
        every = rule.remind_every if rule else None
        due = transaction.now + every if every else payment.expires_at
        reminded = await transaction.change(payment, due_at=min(due, payment.expires_at))
        event_id = await transaction.record("reminded", actor="timekeeper", payment=reminded)
        await transaction.tell_thread(reminded, event_id)


async def _strand(transaction: Transaction, payment: Payment) -> None:
    """Its card never came to stand in Slack, so whoever asked is told directly."""
    expired = payment.state is State.REQUESTED
    await transaction.move(
        payment,
        State.EXPIRED if expired else State.CANCELLED,
        action="stranded",
        actor="timekeeper",
        tell=Kind.DIRECT,
        reason="its card could not be posted in time",
        lease_owner=None,
        lease_until=None,
    )


async def _lose(transaction: Transaction, payment: Payment) -> None:
    """The process that was sending it died, or lost the ledger: nobody knows what became of the call."""
    await transaction.move(
        payment,
        State.UNKNOWN,
        action="lease_ran_out",
        actor="timekeeper",
        detail={"instance": payment.lease_owner},
        reason="the bot stopped while the call was under way",
        due_at=transaction.now,
        lease_owner=None,
        lease_until=None,
    )
