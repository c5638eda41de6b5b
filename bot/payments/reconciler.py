"""The reconciler: settles lost answers by reading the invoice again. Settled, not guessed.

Evidence that it was paid counts at once. That it is still unpaid counts only after a settling time that
covers a slow server. Where the list of all invoices cannot be read, which would show more, the list of unpaid
ones is believed a settling time later. What cannot be read stays unknown, and a person is asked to settle it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bot.domain.events import Reconciled, Sending, Unsettled
from bot.domain.payment import InvoiceEvidence, Payment, Proof, State
from bot.errors import BillingError, NotOffered
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.billing_api import BillingApi
from bot.payments.settling import Settling
from bot.payments.timing import Timing

log = structlog.get_logger()

_OF_ANOTHER_ACCOUNT = "the invoice is in no list of this billing account, but it was sent from another one"


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reads again what became of payments in UNKNOWN. account: the mark of the one that reads."""

    ledger: Ledger
    billing: BillingApi
    timing: Timing
    settling: Settling
    instance: str
    account: str | None = None

    @property
    def lease(self) -> timedelta:
        """How long one reading may take."""
        return max(self.timing.lease, self.settling.lasts)

    async def observe(self) -> None:
        """Note which answers are lost, also those that other instances look after."""
        self.settling.observe(await self.ledger.ids(State.UNKNOWN))

    async def handle(self, payment: Payment) -> None:
        """Read again what became of one that was claimed. Raises LedgerUnavailable."""
        # Counted from when the answer was known to be lost, which is never before the call began.
        lost_at = payment.updated_at
        read_at = self.ledger.clock()
        age = self.settling.lasted(payment, read_at)
        decisive = age >= self.settling.lasts
        try:
            found: InvoiceEvidence | None = await self.billing.evidence_of(payment.ref, decisive=decisive)
            why = ""
        except BillingError as error:
            found, why = None, str(error)
            # Waiting does not help then: people are asked at once.
            decisive = decisive or isinstance(error, NotOffered)
        async with self.ledger.transaction() as transaction:
            current = await transaction.reread(payment)
            if current.version != payment.version:
                return  # a late answer or a person was faster
            state, evidence = self._judge(payment, found, age)
            if (
                state is not None
                and found is not None
                and found.proof is Proof.ABSENCE
                and not await self._sent_by_the_same(transaction, current)
            ):
                state, evidence = None, _OF_ANOTHER_ACCOUNT
            if state is None:
                due = transaction.now + self._wait(self.settling.lasted(payment, transaction.now))
                await transaction.release(current, owner=self.instance, due_at=due)
                await self._ask(transaction, current, evidence, since=lost_at, overdue=decisive)
                log.info("still unknown", payment=payment.number, reading=evidence, error=why)
                return
            await transaction.move(
                current,
                state,
                Reconciled(
                    evidence,
                    read_at.isoformat(timespec="seconds"),
                    rests_on=found.proof if found is not None else None,
                ),
                actor="reconciler",
                reason=evidence,
            )

    async def _sent_by_the_same(self, transaction: Transaction, payment: Payment) -> bool:
        """Whether the account that reads is the one that paid, or that is not known."""
        sent = (await transaction.last_move(payment, State.SENDING)).what
        return not isinstance(sent, Sending) or sent.account in (None, self.account)

    async def _ask(
        self, transaction: Transaction, payment: Payment, evidence: str, *, since: datetime, overdue: bool
    ) -> None:
        """Ask people, not too often and not for ever, to settle what cannot be read.

        overdue: an answer was to be expected by now, as they were told.
        """
        told = await transaction.count_events(payment, Unsettled)
        due = overdue if told == 0 else transaction.now - since >= self.timing.remind_unknown * told
        if due and told < self.timing.reminders_unknown:
            event_id = await transaction.record(Unsettled(evidence), actor="reconciler", payment=payment)
            await transaction.announce_in_thread(payment, event_id)

    def _judge(
        self, payment: Payment, found: InvoiceEvidence | None, age: timedelta
    ) -> tuple[State | None, str]:
        """What the reading proves, if anything, and in which words."""
        if found is None:
            return None, "the invoice cannot be read"
        waited = age if found.history else age - self.settling.lasts
        match found.proof:
            case Proof.PAYMENT_ROW:
                return State.PAID, f"the billing API lists payment {found.payment} for this invoice"
            case Proof.PAID_FLAG:
                return State.PAID, "the billing API says that this invoice is paid"
            # It proves something only of an invoice that was in the list before it was sent.
            case Proof.ABSENCE if payment.listed and waited >= timedelta(0):
                return State.PAID, "the invoice is gone from the list of unpaid ones"
            case Proof.STILL_UNPAID if waited >= self.settling.lasts:
                minutes = int(age.total_seconds() // 60)
                return (
                    State.DECLINED,
                    f"the invoice is still unpaid {minutes} minutes after the call",
                )
        return None, _why_not(found, listed=bool(payment.listed), settled=age >= self.settling.lasts)

    def _wait(self, age: timedelta) -> timedelta:
        """Back off with age, from seconds to hours; look once right when the settling time is over."""
        wait = min(max(self.timing.reconcile_first, age / 2), self.timing.reconcile_most)
        to_settled = self.settling.lasts - age
        return min(wait, to_settled) if to_settled > timedelta(0) else wait


def _why_not(found: InvoiceEvidence, *, listed: bool, settled: bool) -> str:
    """Why a reading proves nothing. listed: it was in the list of unpaid ones before it was sent."""
    if found.unclear:
        return "the billing API's rows about this invoice contradict each other, or do not say enough"
    if found.unpaid:
        if found.payment is not None or found.paid_flag:
            return "the invoice is in the list of unpaid ones, and also shown as paid"
        if settled:
            return "the invoice is still unpaid, but the list of all invoices cannot be read"
        return "the invoice is still unpaid, but the call may yet be carried out"
    if found.paid_flag is False:
        return "the invoice is neither unpaid nor paid; it may have been deleted"
    if not listed:
        return "the invoice is in no list, and was not before"
    if found.gone:
        return "the invoice is gone from the list of unpaid ones, and the list of all cannot be read"
    return "the invoice is not unpaid any more, but nothing shows that it was paid"
