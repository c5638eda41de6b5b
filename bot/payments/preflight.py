"""The pre-flight: what is asked once more right before a payment is sent, and what speaks against sending it.

Nothing is sent on what was read once: who may, who approved, what the invoice says, what became of earlier
calls, and whether the ledger is what its trail says. What cannot be checked now is held, never waved through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from bot.clocks import Ages
from bot.domain.payment import PAUSED, Invoice, Payment
from bot.domain.policy import Refusal, Rule
from bot.domain.wording import money
from bot.errors import AnswerLost, DirectoryError, LedgerContradicted, NeverSent, NotOffered, Unreadable
from bot.ledger.precedents import Precedents
from bot.ledger.rows import Pause
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.approvals import checked, required_now
from bot.payments.authority import Authority
from bot.payments.billing_api import BillingApi
from bot.payments.limits import over_limit
from bot.payments.payable import Cancel, Listed, forbidden, not_listed, not_offered, read_listed
from bot.payments.timing import Timing

log = structlog.get_logger()

_TOO_OLD = Cancel("it was not sent before the request expired", "Ask again if it is still wanted.")
_TOO_LATE = Cancel("it could not be sent on its day, nor soon after it", "Ask again if it is still wanted.")
_UNREACHABLE = "the billing API cannot be reached, or refuses the login"
_UNCLEAR = "its amount cannot be read any more, so nobody knows whether it is what was approved"
_UNREAD = "the invoice cannot be read any more"
_MAY_BE_PAID = "an earlier call may have paid this invoice, and it cannot be read whether it did"


@dataclass(frozen=True, slots=True)
class Go:
    """Nothing speaks against sending it now.

    rule: the one that it was checked by. begun: when the check began, by the clock that counts sleep.
    unpaid: the invoice was read as unpaid by this check.
    """

    rule: Rule
    begun: float
    unpaid: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """It cannot be checked now; try again later."""

    reason: str


_TOO_EARLY = Hold("the day on which it is to be sent has not come")


def paused(pause: Pause) -> Hold:
    """Nothing is sent until somebody resumes it."""
    why = f": {pause.reason}" if pause.reason else ""
    return Hold(f"{PAUSED}{why}")


FORGOTTEN = Hold(
    "the ledger was set back and lacks a call for this invoice; whoever runs this bot has to look at MyAdmin"
)
DISPROVED = Hold("the ledger contradicts its own audit trail; whoever runs this bot has to look at it")


@dataclass(frozen=True, slots=True)
class Known:
    """What nobody knew when it was approved is known now, and is decided on anew.

    beside: what else the same list says, of which some may be the other payments of the request.
    """

    rule: Rule
    invoice: Invoice
    beside: Sequence[Invoice]


@dataclass(frozen=True, slots=True)
class Preflight:
    """Checks approved payments.

    read_at: when the look-up read a payment's invoice. call_timeout: of one reading, in seconds.
    """

    ledger: Ledger
    billing: BillingApi
    authority: Authority
    timing: Timing
    read_at: Ages[int]
    call_timeout: float

    def boottime(self) -> float:
        """Seconds by the clock that nobody sets and that counts sleep."""
        return self.read_at.clock()

    async def check(self, payment: Payment) -> Go | Hold | Cancel | Known:
        """Ask Slack who may, and the billing API what the invoice says now. Raises LedgerUnavailable."""
        begun = self.boottime()
        if (pause := await self.ledger.paused()) is not None:
            return paused(pause)
        rule = await self._allowed(payment)
        if not isinstance(rule, Rule):
            return rule
        precedents = await self.ledger.precedents(payment)
        fresh = self.read_at.younger(payment.id, self._serves)
        if payment.invoice is not None and not precedents.any and (fresh or self._lately_unpaid(payment)):
            return Go(rule, begun, unpaid=True)
        read = await self._read(payment)
        if isinstance(read, Hold | Cancel):
            return read
        listed = None if read is None else read.unpaid
        if (cancel := forbidden(payment.ref, precedents, listed)) is not None:
            return cancel
        if read is None:
            return Hold(_MAY_BE_PAID) if precedents.any else Go(rule, begun, unpaid=False)
        if read.unclear and payment.invoice is not None:
            return Hold(_UNCLEAR)
        return _compared(payment, read) or (
            Known(rule, read.invoice, read.beside)
            if payment.invoice is None and read.invoice is not None
            else Go(rule, begun, unpaid=True)
        )

    @property
    def _serves(self) -> timedelta:
        """How old a reading may be. A failover may have lost a call that came after one of before it."""
        return min(self.timing.fresh, self.ledger.outage.unbroken)

    def _lately_unpaid(self, payment: Payment) -> bool:
        """Whether somebody's reading that is still fresh has it unpaid, for what was approved.

        Only what speaks for it is taken from such a reading: whatever else it says or lacks is read anew.
        """
        lately = self.billing.lately_unpaid(payment.ref, self._serves)
        return lately is not None and _compared(payment, Listed(lately[0], empty=False)) is None

    async def _allowed(self, payment: Payment) -> Rule | Hold | Cancel:
        """The rule that lets it be sent, by who may ask and who approved now; or why not."""
        try:
            batch = await self.ledger.batch_of(payment)
            if batch is None:
                return DISPROVED
            rule = (await self.authority.rule_of([payment])).rule
            if isinstance(rule, Refusal):
                return Cancel(f"the requester may not ask for this any more: {rule.text}")
            if not required_now(batch, rule):
                return rule
            approvals = await checked(self.ledger, self.authority, batch, rule)
        except LedgerContradicted:
            log.exception("not sent: the ledger contradicts itself", payment=payment.number)
            return DISPROVED
        except DirectoryError:
            return Hold("Slack does not say who may approve this")
        if approvals.missing and batch.waiting:
            return Hold("its request waits for approval again")
        if approvals.missing:
            return Cancel(
                f"it has {len(approvals.counted)} of the approvals that the rules as they are now ask for,"
                f" and needs {approvals.required}"
            )
        return rule

    async def _read(self, payment: Payment) -> Listed | Hold | Cancel | None:
        """What the list of unpaid invoices says now; None where the account can never read it."""
        begun = self.boottime()
        # An account that was shown the invoices of one module may read those of all that there are lists of.
        evidence: str | None = None
        try:
            read = await read_listed(self.billing, payment.ref)
        except NotOffered:
            read, evidence = None, payment.ref.module
        except Unreadable:
            read = None
        except (NeverSent, AnswerLost) as error:
            log.info("invoice not readable", payment=payment.number, error=str(error))
            return Hold(_UNREACHABLE if isinstance(error, NeverSent) else "the billing API does not answer")
        if read is not None and read.invoice is not None:
            self.read_at.begin(payment.id, begun)
        if read is not None and not read.empty:
            return read
        # A fault or an empty list means that it cannot be read only where it never could.
        if payment.invoice is None and not await self.ledger.has_listed(evidence):
            return None
        if evidence is not None:
            return not_offered(payment.ref)
        return read or Hold(_UNREAD)

    async def recheck(self, transaction: Transaction, payment: Payment, check: Go) -> Cancel | Hold | None:
        """What came up since the check, asked in the transaction that writes the intent."""
        if (flaw := await transaction.disproved(payment)) is not None:
            log.error("not sent: the audit trail says otherwise", payment=payment.number, flaw=flaw)
            return DISPROVED
        if payment.too_early(transaction.now):
            return _TOO_EARLY
        if payment.too_late(transaction.now):
            return _TOO_OLD if payment.pay_day is None else _TOO_LATE
        # What came about since the check began, the machine's sleep included, was not checked.
        longest = self.timing.lease + timedelta(seconds=self.call_timeout)
        if timedelta(seconds=self.boottime() - check.begun) >= longest:
            return Hold("checking it took too long")
        precedents = await transaction.precedents(payment)
        if (cancel := forbidden(payment.ref, precedents, check.unpaid or None)) is not None:
            return cancel
        if not check.unpaid and (hold := await _unread(transaction, payment, precedents)) is not None:
            return hold
        if (cancel := await over_limit(transaction, payment, check.rule, self.authority.policy)) is not None:
            return cancel
        # What speaks for it is believed only where it is proved; last, because it takes the trail's end.
        if (flaw := await transaction.disproved_beside(payment)) is not None:
            log.error("not sent: the audit trail contradicts a precedent", payment=payment.number, flaw=flaw)
            return DISPROVED
        if (pause := await transaction.paused()) is not None:
            return paused(pause)
        return None


async def _unread(transaction: Transaction, payment: Payment, precedents: Precedents) -> Hold | None:
    """Why it is not paid without having been read."""
    if precedents.any:
        return Hold(_MAY_BE_PAID)
    return None if await transaction.seen(payment) is None else Hold(_UNREAD)


def _compared(payment: Payment, read: Listed) -> Cancel | None:
    """What was approved is what is executed: compare the invoice with its frozen snapshot."""
    frozen, now = payment.invoice, read.invoice
    if now is None:
        return not_listed(payment.ref) if frozen is None else Cancel("the invoice is not unpaid any more")
    if frozen is not None and (frozen.amount, frozen.currency) != (now.amount, now.currency):
        before, after = money(frozen.amount, frozen.currency), money(now.amount, now.currency)
        return Cancel(f"the amount changed from {before} to {after} since it was requested")
    return None
