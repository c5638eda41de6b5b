"""The executor: pays what is approved, at most once.

The order is the guarantee. Everything is checked again; the move to SENDING and the attempt's row are
committed; one call is made; what became of it is committed. A process that dies in between leaves
SENDING with a lease that runs out, which becomes UNKNOWN and is never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

import structlog

from bot.domain.events import Answered, AnsweredLate, AskedAgain, Held, Sending
from bot.domain.payment import PAUSED, Invoice, Outcome, Payment, State, Verdict
from bot.domain.policy import Rule
from bot.errors import BillingError, CannotPay, LedgerContradicted, LedgerUnavailable
from bot.ledger.locked_reads import Stale
from bot.ledger.notices import Topic
from bot.ledger.replay import frozen
from bot.ledger.rows import Kind, snapshot
from bot.ledger.schema import FREE
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.approvals import frozen_by, remind_at
from bot.payments.billing_api import BillingApi
from bot.payments.limits import lock_limits, over_limit
from bot.payments.own_calls import OwnCalls
from bot.payments.payable import Cancel, cancel, changed_since_seen
from bot.payments.preflight import DISPROVED, FORGOTTEN, Go, Hold, Known, Preflight
from bot.payments.timing import Timing

log = structlog.get_logger()


_KNOWN_TOO_LATE = Cancel(
    "nobody knew its amount when it was approved, and there is no time left to decide on it again",
    "Ask again if it is still wanted.",
)


class Checkpoint(Protocol):
    """Told of each point of a payment's way at which a test may stop the world."""

    async def __call__(self, point: str, payment: int, /) -> None:
        """The payment has come to this point: "checked", "intended", "answered" or "posting …"."""


async def no_checkpoint(point: str, payment: int) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Executor:
    """Sends approved payments. account: the mark of the one that pays."""

    ledger: Ledger
    billing: BillingApi
    preflight: Preflight
    timing: Timing
    instance: str
    checkpoint: Checkpoint = no_checkpoint
    account: str | None = None
    _own: OwnCalls = field(default_factory=OwnCalls, init=False)
    _stopping: bool = field(default=False, init=False)

    def stop(self) -> None:
        """Begin no call any more; those under way go on."""
        self._stopping = True

    async def handle(self, payment: Payment) -> None:
        """Pay one that was claimed. Raises LedgerUnavailable."""
        async with self._heartbeat(payment):
            check = await self._ready() or await self.preflight.check(payment)
            await self.checkpoint("checked", payment.id)
            if not isinstance(check, Go):
                await self._do_not_send(payment, check)
                return
            if self._stopping:
                async with self.ledger.transaction() as transaction:
                    await transaction.release(payment, owner=self.instance, due_at=transaction.now)
                return
            begun = self.preflight.boottime()
            try:
                intent = await self._intend(payment, check)
            except Stale:
                log.info("not sent: it moved on", payment=payment.number)
                return
            if isinstance(intent, Cancel | Hold):
                await self._do_not_send(payment, intent)
                return
            sending, attempt = intent
            await self.checkpoint("intended", payment.id)
            self._own.begin(sending.ref, attempt, sending.updated_at)
            outcome = await self.billing.make_payment(
                sending.ref, may_begin=self._lease_still_ours(sending, begun)
            )
            if outcome.verdict is Verdict.NOT_SENT:
                self._own.forget(sending.ref)
            await self.checkpoint("answered", payment.id)
            await self._store(sending, attempt, outcome)

    async def _ready(self) -> Cancel | None:
        """Make ready what can be; why it can never be, where that is known."""
        try:
            await self.billing.prepare()
        except CannotPay as error:
            log.warning("the billing API cannot be paid through", error=str(error))
            return Cancel(
                f"the billing API offers no way to pay: {error}",
                "Tell the people who run this bot to check BILLING_WSDL_URL; ask again when that is mended.",
            )
        except BillingError:
            pass  # whatever is wrong, the call itself will say
        return None

    async def _do_not_send(self, payment: Payment, check: Hold | Cancel | Known) -> None:
        try:
            await self._hold_or_cancel(payment, check)
        except LedgerContradicted:
            log.exception("left as it is: the audit trail says otherwise", payment=payment.number)
            async with self.ledger.transaction() as transaction:
                current = await transaction.reread(payment)
                if current.version == payment.version:
                    await self._hold(transaction, current, DISPROVED)

    async def _hold_or_cancel(self, payment: Payment, check: Hold | Cancel | Known) -> None:
        async with self.ledger.transaction() as transaction:
            current = await transaction.reread(payment)
            if current.version != payment.version:
                return
            if isinstance(check, Known):
                if (flaw := await transaction.disproved(current)) is not None:
                    raise LedgerContradicted(flaw)
                await self._decide_anew(transaction, current, check)
            elif isinstance(check, Cancel):
                await cancel(transaction, current, check, actor="executor")
            elif current.too_late(transaction.now):
                await cancel(transaction, current, Cancel(check.reason), actor="executor")
            elif check.reason.startswith(PAUSED) and await transaction.paused() is None:
                # It was resumed since: whoever did was told that what is approved is paid now.
                await transaction.release(current, owner=self.instance, due_at=transaction.now)
            else:
                await self._hold(transaction, current, check)

    async def _hold(self, transaction: Transaction, payment: Payment, hold: Hold) -> None:
        now, due = transaction.now, transaction.now + self.timing.hold
        if hold.reason.startswith(PAUSED):
            # Not one try after another for days; but when it expires it is told so.
            due = max(due, min(now + self.timing.paused, payment.request.expires_at))
        await transaction.release(payment, owner=self.instance, due_at=due)
        if payment.reason != hold.reason:
            held = await transaction.change(payment, reason=hold.reason)
            event_id = await transaction.record(Held(hold.reason), actor="executor", payment=held)
            await transaction.announce_in_thread(held, event_id)
            if hold is DISPROVED:
                await transaction.notices.alert(Topic.CONTRADICTED, payment.request.id)

    async def _decide_anew(self, transaction: Transaction, payment: Payment, known: Known) -> None:
        """Freeze what the invoice says, and ask the rule what that takes.

        An approval of an amount that nobody knew was a blank cheque: who gave it is asked again.
        """
        rule, found = known.rule, {one.ref: one for one in (known.invoice, *known.beside)}
        batch = await transaction.whole(payment.request)
        approved = batch.within((State.APPROVED,))
        # All that the same list tells: who approves is asked once more, and not once for each of them.
        told = {one.id for one in approved if one.invoice is None and one.ref in found} - {payment.id}
        unseen = [one for one in approved if one.id in told | {payment.id}]
        seen = batch.with_payments(replace(one, invoice=found[one.ref]) for one in unseen)
        required = frozen_by((one.invoice for one in seen.held), rule)
        request = await transaction.change_request(batch.request, approvals_required=required)
        batch = batch.with_request(request)
        await lock_limits(transaction, rule)
        kept, gone = [], set[int]()
        for one in unseen:
            current = await self._seen(transaction, replace(one, request=request), found[one.ref], rule)
            if current is None:
                gone.add(one.line)
            else:
                kept.append(current)
        if not kept:
            return
        if not required:
            if await transaction.approvers(request.id):
                # By other rules, of another instance or from tomorrow on, they would be of this amount.
                await transaction.void_approvals(request)
                await transaction.record(AskedAgain(), actor="executor", request=request)
            return
        if transaction.now >= request.expires_at:
            for one in kept:
                await cancel(transaction, one, _KNOWN_TOO_LATE, actor="executor")
            return
        approved = batch.with_payments(kept).within((State.APPROVED,))
        asked = [one for one in approved if one.line not in gone]
        await transaction.void_approvals(request)
        # With all that was approved with it and is not under way: who gave that saw another total.
        await transaction.move_together(
            asked,
            State.PENDING_APPROVAL,
            AskedAgain(),
            actor="executor",
            due_at=remind_at(request, rule, transaction.now),
            **FREE,
        )

    async def _seen(
        self, transaction: Transaction, payment: Payment, invoice: Invoice, rule: Rule
    ) -> Payment | None:
        """Freeze what one invoice says; None where a limit forbids it, and it is cancelled."""
        seen = await transaction.change(
            payment,
            looked_up_at=transaction.now,
            listed=True,
            due_at=transaction.now,
            **FREE,
            **snapshot(invoice),
        )
        against = await changed_since_seen(transaction, seen) or await over_limit(
            transaction, seen, rule, self.preflight.authority.policy
        )
        await transaction.record(frozen(seen), actor="executor", payment=seen)
        if against is not None:
            await cancel(transaction, seen, against, actor="executor")
            return None
        return seen

    async def _intend(self, payment: Payment, check: Go) -> tuple[Payment, int] | Cancel | Hold:
        """Commit that a call will be made, before any byte of it goes out. Raises Stale."""
        async with self.ledger.transaction() as transaction:
            current = await transaction.reread(payment)
            if current.lease is None or current.lease.owner != self.instance:
                raise Stale(f"{payment.number} is not ours any more")
            if current.version != payment.version:
                raise Stale(f"{payment.number} moved on")
            if (made := self._own.of(current.ref)) is not None and not await transaction.has_attempt(*made):
                log.error("not sent: the ledger was set back and lacks a call", payment=payment.number)
                return FORGOTTEN
            if (flaw := await self.preflight.recheck(transaction, current, check)) is not None:
                return flaw
            alone = current.request.size == 1
            sending = await transaction.move(
                current,
                State.SENDING,
                Sending(self.instance, current.tries + 1, self.account),
                actor="executor",
                # Where nobody was waited for, the outcome follows the request at once; of several the card
                # tells how far they are.
                announce=Kind.THREAD_REPLY if alone and current.request.approvals_required else None,
                tries=current.tries + 1,
                reason=None,
                lease_until=transaction.now + self.timing.lease,
            )
            return sending, await transaction.start_attempt(sending, self.instance)

    def _lease_still_ours(self, sending: Payment, begun: float) -> Callable[[], bool]:
        """Whether our intent is younger than a lease; an older one may have been taken over by others.

        By two clocks: the ledger's, by which its day must have come as well, and the one that goes on while
        the machine sleeps. begun: what that one showed before the intent was committed.
        """
        lease = self.timing.lease

        def still_ours() -> bool:
            slept, now = timedelta(seconds=self.preflight.boottime() - begun), self.ledger.clock()
            return slept < lease and now - sending.updated_at < lease and not sending.too_early(now)

        return still_ours

    async def _store(self, sending: Payment, attempt: int, outcome: Outcome) -> None:
        """Commit what became of the call, however long the ledger takes to come back."""
        while True:
            try:
                async with self.ledger.transaction() as transaction:
                    await self._commit(transaction, sending, attempt, outcome)
                return
            except LedgerUnavailable as error:
                log.warning("outcome not stored yet", payment=sending.number, error=str(error))
                await asyncio.sleep(self.timing.poll)
            except (Stale, LedgerContradicted):
                invoice, outcome_of_it = str(sending.ref), outcome.verdict.value
                log.exception(
                    "what became of a call can only be logged", invoice=invoice, outcome=outcome_of_it
                )
                return

    async def _commit(
        self, transaction: Transaction, sending: Payment, attempt: int, outcome: Outcome
    ) -> None:
        current = await transaction.reread(sending)
        if await transaction.answered(sending):
            return  # an earlier commit counted, and its own answer was lost
        await transaction.finish_attempt(attempt, outcome)
        answer = (
            outcome.verdict.value,
            outcome.status,
            outcome.status_text,
            outcome.evidence,
            sending.tries,
            outcome.answered and outcome.verdict is Verdict.UNKNOWN,
        )
        ours = current.state is State.SENDING and current.version == sending.version
        # Our lease may have run out while the ledger was away; an answer still settles what is unknown.
        late = current.state is State.UNKNOWN and outcome.verdict in (Verdict.PAID, Verdict.DECLINED)
        if ours or late:
            try:
                await transaction.move(
                    current,
                    outcome.verdict.state,
                    Answered(*answer),
                    actor="billing",
                    status=outcome.status,
                    status_text=outcome.status_text,
                    reason=outcome.evidence,
                    due_at=transaction.now + self._next_look(outcome.verdict, current.tries),
                )
                return
            except LedgerContradicted:
                # The answer is written down all the same; it is what the call was made for.
                log.exception("not settled: the audit trail says otherwise", payment=current.number)
                await transaction.notices.alert(Topic.CONTRADICTED, current.request.id)
        event_id = await transaction.record(AnsweredLate(*answer), actor="executor", payment=current)
        if outcome.verdict is Verdict.PAID and current.state is not State.PAID:
            log.error("it was paid after all", payment=current.number, state=current.state)
        if outcome.verdict in (Verdict.PAID, Verdict.DECLINED):
            await transaction.announce_in_thread(current, event_id)

    def _next_look(self, verdict: Verdict, tries: int) -> timedelta:
        if verdict is Verdict.NOT_SENT:
            return self.timing.next_try(tries) or timedelta(0)
        return self.timing.reconcile_first

    @contextlib.asynccontextmanager
    async def _heartbeat(self, payment: Payment) -> AsyncIterator[None]:
        """Renew the lease while we work; without it another instance would call the answer lost."""

        async def beat() -> None:
            while True:
                await asyncio.sleep(self.timing.lease.total_seconds() / 3)
                with contextlib.suppress(LedgerUnavailable):
                    async with self.ledger.transaction() as transaction:
                        await transaction.renew(payment.id, owner=self.instance, lease=self.timing.lease)

        beating = asyncio.create_task(beat(), name=f"heartbeat:{payment.id}")
        try:
            yield
        finally:
            beating.cancel()
            await asyncio.wait([beating])
