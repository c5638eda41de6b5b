"""The look-up: reads the invoice once, freezes what it says, and asks the rule what it takes.

An unknown amount counts as above every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.clocks import Ages
from bot.domain.events import ApprovalComplete
from bot.domain.payment import Payment, State
from bot.domain.policy import Refusal, Rule
from bot.errors import BillingError, DirectoryError, NotOffered
from bot.ledger.replay import frozen
from bot.ledger.rows import Kind, snapshot
from bot.ledger.schema import FREE
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.approvals import frozen_by, remind_at
from bot.payments.authority import Authority
from bot.payments.billing_api import BillingApi
from bot.payments.limits import over_limit
from bot.payments.payable import Cancel, Listed, cancel, forbidden, not_listed, not_offered, read_listed
from bot.payments.timing import Timing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LookUp:
    """Looks up new payment requests.

    read_at: where it is noted when a payment's invoice was read, for who checks it before sending.
    """

    ledger: Ledger
    billing: BillingApi
    authority: Authority
    timing: Timing
    read_at: Ages[int]
    instance: str

    async def handle(self, payment: Payment) -> None:
        """Look one up that was claimed. Raises LedgerUnavailable."""
        self.read_at.forget_older(self.timing.fresh)
        begun = self.read_at.clock()
        found = await self._read(payment)
        read = found if isinstance(found, Listed) else None
        if read is not None and read.invoice is not None:
            self.read_at.begin(payment.id, begun)
        try:
            rule = await self.authority.rule_of(payment)
        except DirectoryError:
            async with self.ledger.transaction() as transaction:
                due = transaction.now + self.timing.hold
                await transaction.release(payment, owner=self.instance, due_at=due)
            return
        async with self.ledger.transaction() as transaction:
            current = await transaction.again(payment)
            if current.version != payment.version:
                return  # cancelled meanwhile, or taken up by another after our lease ran out
            invoice = read.invoice if read else None
            current = await transaction.change(
                current,
                looked_up_at=transaction.now,
                listed=None if read is None else invoice is not None,
                due_at=current.request.expires_at,
                **FREE,
                **(snapshot(invoice) if invoice else {}),
            )
            against = await self._against(transaction, current, rule, found)
            if against is not None:
                await transaction.outbox.add(current, Kind.CARD)
                await cancel(transaction, current, against, actor="policy")
            else:
                assert isinstance(rule, Rule), "bug: a refusal speaks against it"
                await self._accept(transaction, current, rule)

    async def _read(self, payment: Payment) -> Listed | NotOffered | None:
        """What the list of unpaid invoices says; None: it could not be read."""
        try:
            return await read_listed(self.billing, payment.ref, timeout=self.timing.look_up)
        except NotOffered as error:
            return error
        except BillingError as error:
            log.info("invoice not readable", payment=payment.number, error=str(error))
            return None

    async def _against(
        self,
        transaction: Transaction,
        payment: Payment,
        rule: Rule | Refusal,
        found: Listed | NotOffered | None,
    ) -> Cancel | None:
        """What forbids it."""
        if isinstance(rule, Refusal):
            return Cancel(rule.text, rule.remedy)
        precedents = await transaction.precedents(payment)
        if (against := forbidden(payment.ref, precedents, payment.listed)) is not None:
            return against
        # An empty list may be all that this account ever gets to see.
        if (
            isinstance(found, Listed)
            and found.invoice is None
            and (not found.empty or await transaction.has_listed())
        ):
            return not_listed(payment.ref)
        if isinstance(found, NotOffered) and await transaction.has_listed(payment.ref.module):
            return not_offered(payment.ref)
        return await over_limit(transaction, payment, rule, self.authority.policy)

    async def _accept(self, transaction: Transaction, payment: Payment, rule: Rule) -> None:
        """Freeze what the rule asks for, show the card, and go on at once where nobody has to approve."""
        required = frozen_by(payment, rule)
        payment = await transaction.change_request(
            payment,
            rule=rule.name,
            approvals_required=required,
            approval_channel=rule.approval_channel if required else None,
        )
        payment = await transaction.move(
            payment,
            State.PENDING_APPROVAL if required else State.APPROVED,
            frozen(payment),
            actor="look-up",
            announce=None,
            due_at=remind_at(payment, rule, transaction.now) if required else transaction.now,
        )
        if not required:
            complete = ApprovalComplete(rule.name, approvers="")
            await transaction.record(complete, actor="policy", payment=payment)
        await transaction.outbox.add(payment, Kind.CARD)
        if payment.request.approved_elsewhere:
            await transaction.outbox.add(
                payment, Kind.APPROVAL_CARD, channel=payment.request.cards.approval_channel
            )
