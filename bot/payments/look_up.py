"""The look-up: reads each invoice of a request, freezes what it says, and asks the rule what they take.

An unknown amount counts as above every threshold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from bot.clocks import Ages
from bot.domain.batch import SHOWN_LINES, Batch
from bot.domain.events import ApprovalComplete, Reminded
from bot.domain.payment import Payment, State
from bot.domain.policy import Refusal, Rule
from bot.domain.schedule import IN_UTC, Mornings
from bot.domain.unpaid_list import UnpaidList
from bot.errors import BillingError, DirectoryError, NotOffered
from bot.ledger.replay import frozen
from bot.ledger.rows import Kind, snapshot
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.approvals import frozen_by, remind_at
from bot.payments.authority import Authority, Ruling
from bot.payments.billing_api import BillingApi
from bot.payments.limits import lock_limits, over_limit
from bot.payments.payable import (
    Cancel,
    Listed,
    cancel,
    changed_since_seen,
    forbidden,
    found_in,
    no_such_day,
    not_listed,
    not_offered,
)
from bot.payments.timing import Timing

log = structlog.get_logger()


_Read = Listed | NotOffered | None
"""What the list of its module says of an invoice; or that there is no such list, or it cannot be read."""


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
    mornings: Mornings = IN_UTC

    async def handle(self, payment: Payment) -> None:
        """Look up the request of one that was claimed. Raises LedgerUnavailable, LedgerContradicted."""
        self.read_at.forget_older(self.timing.fresh)
        batch = await self.ledger.batch_of(payment)
        new = batch.within((State.REQUESTED,)) if batch is not None else ()
        if not new:
            return  # cancelled meanwhile
        begun = self.read_at.clock()
        found = await self._read(new)
        for one in new:
            read = found[one.line]
            if isinstance(read, Listed) and read.invoice is not None:
                self.read_at.begin(one.id, begun)
        try:
            ruling = await self.authority.rule_of(new)
        except DirectoryError:
            async with self.ledger.transaction() as transaction:
                due = transaction.now + self.timing.hold
                await transaction.release(payment, owner=self.instance, due_at=due)
            return
        async with self.ledger.transaction() as transaction:
            current = await transaction.whole(payment.request)
            if not current.within((State.REQUESTED,)):
                return  # cancelled meanwhile, or decided by another after our lease ran out
            await self._decide(transaction, current, ruling, found)

    async def _decide(
        self, transaction: Transaction, batch: Batch, ruling: Ruling, found: Mapping[int, _Read]
    ) -> None:
        """Freeze what was read of each, cancel what must not be paid, and ask the rule about the rest."""
        accepted: list[Payment] = []
        if isinstance(ruling.rule, Rule):
            await lock_limits(transaction, ruling.rule)
        if batch.request.cards.ts is None:
            # Where there is nothing else to show, the card shows why not.
            await transaction.outbox.add(batch.request, Kind.CARD)
        listing = any(isinstance(read, Listed) and read.invoice is not None for read in found.values())
        for payment in batch.within((State.REQUESTED,)):
            read = found[payment.line]
            seen = _seen(payment, read, transaction.now)
            rule = ruling.against.get(payment.line, ruling.rule)
            against = await self._against(transaction, seen, rule, read, listing=listing, beside=accepted)
            if against is not None:
                due_at = batch.request.expires_at
                await cancel(transaction, seen, against, actor="policy", due_at=due_at, **_written(seen))
            else:
                accepted.append(seen)
        if accepted:
            assert isinstance(ruling.rule, Rule), "bug: a refusal speaks against all of them"
            await self._accept(transaction, accepted, ruling.rule)

    async def _read(self, new: Sequence[Payment]) -> dict[int, _Read]:
        """What the lists of unpaid invoices say of each, by line; None: the list could not be read."""
        modules = list(dict.fromkeys(one.ref.module for one in new))
        pay_on = new[0].request.pay_on
        # The day cannot do without its due date; a card may do without the amount.
        needed = pay_on is not None and pay_on.day is None
        patience = self.timing.lease.total_seconds() / 2 if needed else self.timing.look_up
        reading = (self._list(module, patience) for module in modules)
        lists = dict(zip(modules, await asyncio.gather(*reading), strict=True))
        found: dict[int, _Read] = {}
        for one in new:
            unpaid = lists[one.ref.module]
            found[one.line] = found_in(unpaid, one.ref) if isinstance(unpaid, UnpaidList) else unpaid
        return found

    async def _list(self, module: str, timeout: float) -> UnpaidList | NotOffered | None:
        try:
            return await self.billing.unpaid_invoices(module, timeout=timeout)
        except NotOffered as error:
            return error
        except BillingError as error:
            log.info("invoices not readable", module=module, error=str(error))
            return None

    async def _against(
        self,
        transaction: Transaction,
        payment: Payment,
        rule: Rule | Refusal,
        found: _Read,
        *,
        listing: bool,
        beside: Sequence[Payment],
    ) -> Cancel | None:
        """What forbids it. listing: a list held one of its request. beside: those accepted so far."""
        if isinstance(rule, Refusal):
            return Cancel(rule.text, rule.remedy)
        precedents = await transaction.precedents(payment)
        if (against := forbidden(payment.ref, precedents, payment.listed)) is not None:
            return against
        # An empty list may be all that this account ever gets to see.
        if (
            isinstance(found, Listed)
            and found.invoice is None
            and (not found.empty or listing or await transaction.has_listed())
        ):
            return not_listed(payment.ref)
        if isinstance(found, NotOffered) and await transaction.has_listed(payment.ref.module):
            return not_offered(payment.ref)
        if payment.request.pay_on is not None:
            day = payment.day_meant
            if day is None or not self.mornings.within_reach(day, transaction.now):
                return no_such_day(payment.ref, day)
        if (changed := await changed_since_seen(transaction, payment)) is not None:
            return changed
        return await over_limit(transaction, payment, rule, self.authority.policy, beside)

    async def _accept(self, transaction: Transaction, accepted: Sequence[Payment], rule: Rule) -> None:
        """Freeze what the rule asks for, and go on at once where nobody has to approve."""
        required = frozen_by((one.invoice for one in accepted), rule)
        request, channel = accepted[0].request, rule.approval_channel if required else None
        frozen_so_far = request.rule, request.approvals_required, request.cards.approval_channel
        if frozen_so_far != (rule.name, required, channel):
            request = await transaction.change_request(
                request, rule=rule.name, approvals_required=required, approval_channel=channel
            )
        due_at = remind_at(request, rule, transaction.now) if required else transaction.now
        for one in accepted:
            day = one.day_meant
            # Also where it is over: by a clock that was ahead it may not be.
            not_before = self.mornings.of(day) if day else None
            payment = replace(one, request=request, not_before=not_before)
            await transaction.move(
                payment,
                State.PENDING_APPROVAL if required else State.APPROVED,
                frozen(payment),
                actor="look-up",
                announce=None,
                due_at=due_at,
                not_before=not_before,
                **_written(one),
            )
        if len(accepted) > SHOWN_LINES and transaction.sealed_by is not None:
            await transaction.announce_in_thread(request, transaction.sealed_by.event_id)
        if not required:
            complete = ApprovalComplete(rule.name, approvers="")
            await transaction.record(complete, actor="policy", request=request)
        elif request.approved_elsewhere:
            await transaction.outbox.add(request, Kind.APPROVAL_CARD, channel=request.cards.approval_channel)
        elif not frozen_so_far[1]:
            # Its card may stand already, and Slack notifies nobody of what is written into one later.
            reminded = await transaction.record(Reminded(), actor="look-up", request=request)
            await transaction.announce_in_thread(request, reminded)


def _seen(payment: Payment, read: _Read, now: datetime) -> Payment:
    """The payment with what was read of it, which is written with its move."""
    invoice = read.invoice if isinstance(read, Listed) else None
    listed = read.unpaid if isinstance(read, Listed) else None
    return replace(payment, looked_up_at=now, listed=listed, invoice=invoice or payment.invoice)


def _written(seen: Payment) -> dict[str, Any]:
    told = snapshot(seen.invoice) if seen.invoice else {}
    return {"looked_up_at": seen.looked_up_at, "listed": seen.listed, **told}
