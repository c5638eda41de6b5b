"""The look-up: reads the invoice once, freezes what it says, and asks the rule what it takes.

Nothing is decided on an amount that was not told: it counts as above every threshold.
"""

from __future__ import annotations

import asyncio

import structlog

from bot.billing.client import BillingClient
from bot.domain.payment import Invoice, Payment, State
from bot.domain.rule import Refusal, Rule
from bot.errors import BillingError, DirectoryError
from bot.ledger.replay import frozen
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction, snapshot
from bot.payments.authority import Authority
from bot.payments.desk import required_now
from bot.payments.limits import over_limit
from bot.payments.poller import Crew
from bot.payments.timing import Timing

log = structlog.get_logger()

_IN_DOUBT = (
    "an earlier payment of this invoice may have been carried out late: it is not unpaid any more",
    "Look in MyAdmin before you pay it there.",
)


class LookUp:
    """Looks up new payment requests."""

    def __init__(
        self,
        ledger: Ledger,
        billing: BillingClient,
        authority: Authority,
        timing: Timing,
        *,
        instance: str,
        wake: asyncio.Event,
        size: int = 16,
    ) -> None:
        self._ledger = ledger
        self._billing = billing
        self._authority = authority
        self._timing = timing
        self._instance = instance
        self.crew: Crew[int] = Crew("look-up", size, wake)

    async def look(self) -> None:
        """Take what is new."""
        if self.crew.free <= 0:
            return
        async with self._ledger.transaction() as transaction:
            new = await transaction.claim(
                State.PENDING_APPROVAL,
                owner=self._instance,
                lease=self._timing.lease,
                limit=self.crew.free,
                looked_up=False,
            )
        for payment in new:
            self.crew.start(payment.id, self._one(payment))

    async def _one(self, payment: Payment) -> None:
        listed, invoice = await self._read(payment)
        try:
            rule = await self._authority.rule_of(payment)
        except DirectoryError:
            async with self._ledger.transaction() as transaction:
                due = transaction.now + self._timing.hold
                await transaction.release(payment, owner=self._instance, due_at=due)
            return
        async with self._ledger.transaction() as transaction:
            current = await transaction.payment(payment.id)
            if current is None or current.version != payment.version:
                return  # cancelled meanwhile, or taken up by another after our lease ran out
            frozen = (
                snapshot(invoice.amount, invoice.currency, invoice.description, invoice.due)
                if invoice
                else {}
            )
            current = await transaction.change(
                current,
                looked_up_at=transaction.now,
                listed=listed,
                lease_owner=None,
                lease_until=None,
                due_at=current.expires_at,
                **frozen,
            )
            await self._decide(transaction, current, rule)

    async def _read(self, payment: Payment) -> tuple[bool | None, Invoice | None]:
        """Whether the invoice is in the list of unpaid ones, and the invoice; None: could not be read."""
        try:
            unpaid = await self._billing.unpaid_invoices(payment.ref.module, timeout=self._timing.look_up)
        except BillingError as error:
            log.info("invoice not readable", payment=payment.id, error=str(error))
            return None, None
        invoice = next((one for one in unpaid if one.ref == payment.ref), None)
        return invoice is not None, invoice

    async def _decide(self, transaction: Transaction, payment: Payment, rule: Rule | Refusal) -> None:
        refusal = rule if isinstance(rule, Refusal) else await over_limit(transaction, payment, rule)
        if isinstance(rule, Refusal) or refusal is not None:
            assert refusal is not None
            await _cancel(transaction, payment, refusal.text, refusal.remedy)
            return
        if payment.listed is False and await transaction.in_doubt(payment.ref):
            await _cancel(transaction, payment, *_IN_DOUBT)
            return
        required = required_now(rule, payment)
        remind_at = transaction.now + rule.remind_every if rule.remind_every else payment.expires_at
        payment = await transaction.change(
            payment,
            rule=rule.name,
            approvals_required=required,
            approval_channel=rule.approval_channel if required else None,
            due_at=min(remind_at, payment.expires_at),
        )
        await transaction.record(
            "looked_up",
            actor="look-up",
            payment=payment,
            detail=frozen(payment),
        )
        await transaction.outbox.add(payment, Kind.CARD)
        if payment.approval_channel not in (None, payment.channel):
            await transaction.outbox.add(payment, Kind.APPROVAL_CARD, channel=payment.approval_channel)
        if required == 0:
            await transaction.move(
                payment,
                State.APPROVED,
                action="approval_complete",
                actor="policy",
                detail={"rule": rule.name, "approvers": ""},
                tell=None,
                due_at=transaction.now,
            )


async def _cancel(transaction: Transaction, payment: Payment, reason: str, remedy: str) -> None:
    await transaction.outbox.add(payment, Kind.CARD)
    await transaction.move(
        payment,
        State.CANCELLED,
        action="cancelled",
        actor="policy",
        detail={"reason": reason, "remedy": remedy},
        reason=reason,
    )
