"""What people may ask: request, approve, deny, withdraw, resolve.

Each answers with what happened, as a value for the Slack layer to put into words. A refusal is an event
in the audit trail. Look-ups in Slack come before the transaction; a DirectoryError leaves nothing done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.domain import events
from bot.domain.batch import Batch, sums
from bot.domain.command import MAX_NOTE
from bot.domain.payment import (
    BY_ITS_REQUESTER,
    CANCELLABLE,
    WITHDRAWN,
    InvoiceRef,
    State,
)
from bot.domain.policy import Refusal, Rule
from bot.payments.answers import (
    AlreadyApproved,
    AlreadyDecided,
    Answer,
    Done,
    NotYours,
    Outdated,
)
from bot.payments.approvals import checked, expire, recounted
from bot.payments.authority import OTHER_RULE, Person
from bot.payments.cards import end_together
from bot.payments.desk_part import is_requester, shown_to
from bot.payments.pausing import Pausing
from bot.payments.requesting import Requesting
from bot.payments.resolving import Resolving

MAX_REASON = MAX_NOTE


@dataclass(frozen=True, slots=True)
class _Decidable:
    """A request that somebody may decide on, by the rule as it is now."""

    batch: Batch
    rule: Rule


@dataclass(frozen=True, slots=True)
class Desk(Requesting, Resolving, Pausing):
    """What people may do; each is one transaction.

    mark: of the request that they were shown, see `PaymentRequest.mark`; None where what they used does not
        tell.
    settling: how long after its answer was lost a call may still be carried out.
    """

    async def withdraw(self, person: Person, request_id: int, *, mark: str | None = None) -> Answer:
        """The requester takes a request back, as long as nothing was sent."""
        withdrawing = self._withdraw(person, request_id, mark)
        return await self._uncontradicted(person, "withdraw", withdrawing, about=request_id)

    async def _withdraw(self, person: Person, request_id: int, mark: str | None) -> Answer:
        async with self.ledger.transaction() as transaction:
            batch = shown_to(await transaction.of_request(request_id), request_id, mark)
            if not isinstance(batch, Batch):
                return batch
            if not is_requester(person, batch):
                refused = events.Refused("withdraw", "not_the_requester")
                await transaction.record(refused, actor=person.id, request=batch.request)
                return NotYours(batch)
            if not (left := batch.within(CANCELLABLE)):
                return AlreadyDecided(batch)
            withdrawn = await end_together(
                transaction,
                left,
                events.Cancelled(BY_ITS_REQUESTER),
                actor=person.id,
                reason=WITHDRAWN,
            )
            return Done(batch.with_payments(withdrawn))

    async def leave_out(
        self,
        person: Person,
        request_id: int,
        refs: Collection[InvoiceRef],
        reason: str,
        *,
        mark: str | None = None,
    ) -> Answer:
        """Take some of several invoices out before they are decided on: the requester may, and an approver.

        Of those that do not wait for approval nothing is done; the answer tells how each stands then.
        Raises DirectoryError, LedgerUnavailable: then nothing was done.
        """
        leaving_out = self._leave_out(person, request_id, mark, refs, reason)
        return await self._uncontradicted(person, "leave out of", leaving_out, about=request_id)

    async def _leave_out(
        self, person: Person, request_id: int, mark: str | None, refs: Collection[InvoiceRef], reason: str
    ) -> Answer:
        open_to = await self._may_leave_out(person, request_id, mark)
        if not isinstance(open_to, Batch):
            return open_to
        async with self.ledger.transaction() as transaction:
            batch = await transaction.whole(open_to.request)
            leaving = [one for one in batch.waiting if one.ref in refs]
            if not leaving or not batch.several:
                return AlreadyDecided(batch)
            said = reason.strip()[:MAX_REASON]
            now = batch
            for payment in leaving:
                left = Batch(tuple(one for one in now.payments if one.line != payment.line))
                out = await transaction.move(
                    payment,
                    State.CANCELLED,
                    events.LeftOut(said, left.price if left.waiting else None),
                    actor=person.id,
                    reason=f"left out: {said}",
                )
                now = now.with_payments([out])
            before, after = (sums(one.invoice for one in each.held) for each in (batch, now))
            if any(after[currency] > before[currency] for currency in after):
                # It was a credit, so the others cost more without it: nobody approved that.
                await transaction.void_approvals(batch.request)
                await transaction.record(events.AskedAgain(), actor="policy", request=batch.request)
            return Done(now)

    async def _may_leave_out(self, person: Person, request_id: int, mark: str | None) -> Answer | Batch:
        batch = shown_to(await self.ledger.of_request(request_id), request_id, mark)
        if not isinstance(batch, Batch):
            return batch
        if is_requester(person, batch):
            return batch if batch.waiting else AlreadyDecided(batch)
        open_to = await self._may_decide(person, request_id, mark, "leave out")
        return open_to.batch if isinstance(open_to, _Decidable) else open_to

    async def may_leave_out(
        self, person: Person, request_id: int, *, mark: str | None = None
    ) -> Answer | None:
        """Whether this person may take an invoice out now: None, or why not (which is recorded)."""
        asking = self._may_leave_out(person, request_id, mark)
        answer = await self._uncontradicted(person, "leave out of", asking, about=request_id)
        return None if isinstance(answer, Batch) else answer

    async def approve(
        self,
        person: Person,
        request_id: int,
        *,
        mark: str | None = None,
        seen: str | None = None,
        delivery: str | None = None,
    ) -> Answer:
        """Count one person's approval, and approve the payment when there are enough.

        seen: its price as it was shown to them; None where what they clicked does not tell.
        delivery: the trigger of the click; of one that was refused before nothing is counted, see `once`.
        Raises DirectoryError, LedgerUnavailable: then nothing was counted.
        """
        approving = self._approve(person, request_id, mark, seen, delivery)
        return await self._uncontradicted(person, "approve", approving, about=request_id)

    async def _approve(
        self, person: Person, request_id: int, mark: str | None, seen: str | None, delivery: str | None
    ) -> Answer:
        open_to = await self._may_decide(person, request_id, mark, "approve")
        if not isinstance(open_to, _Decidable):
            return open_to
        rule = open_to.rule
        before = await checked(self.ledger, self.authority, open_to.batch, rule)
        async with self.ledger.transaction() as transaction:
            batch = await transaction.whole(open_to.batch.request)
            if not batch.waiting:
                return AlreadyDecided(batch)
            if batch.request.expires_at <= transaction.now:
                return Done(await expire(transaction, batch))
            if seen != batch.price and (
                seen is not None
                or batch.several
                or await transaction.count_events(batch.first, events.AskedAgain)
            ):
                return Outdated(batch)
            given = await transaction.approvers(batch.request.id)
            by = None if person.id in given else delivery
            if by is not None and (why := await transaction.refused_triggers.why(by)) is not None:
                return await self._refuse_again(transaction, person, why, "approve", batch.request)
            fresh = await transaction.add_approval(batch.request, person.id)
            now = recounted(before, batch, rule, [*given, person.id] if fresh else given)
            if now.missing and not fresh:
                return AlreadyApproved(batch, now)
            if fresh:
                approved = events.Approved(len(now.counted), now.required, batch.price)
                event_id = await transaction.record(approved, actor=person.id, request=batch.request)
                await transaction.announce_in_thread(batch.request, event_id)
            if not now.missing:
                moved = await transaction.move_together(
                    batch.waiting,
                    State.APPROVED,
                    events.ApprovalComplete(rule.name, ", ".join(sorted(now.counted))),
                    actor="policy",
                    announce=None,
                    due_at=transaction.now,
                )
                batch = batch.with_payments(moved)
            return Done(batch)

    async def deny(self, person: Person, request_id: int, reason: str, *, mark: str | None = None) -> Answer:
        """One approver's no is final. Raises DirectoryError, LedgerUnavailable."""
        denying = self._deny(person, request_id, mark, reason)
        return await self._uncontradicted(person, "deny", denying, about=request_id)

    async def _deny(self, person: Person, request_id: int, mark: str | None, reason: str) -> Answer:
        open_to = await self._may_decide(person, request_id, mark, "deny")
        if not isinstance(open_to, _Decidable):
            return open_to
        async with self.ledger.transaction() as transaction:
            batch = await transaction.whole(open_to.batch.request)
            if not batch.waiting:
                return AlreadyDecided(batch)
            said = reason.strip()[:MAX_REASON]
            denied = await transaction.move_together(
                batch.waiting,
                State.DENIED,
                events.Denied(said),
                actor=person.id,
                reason=said,
            )
            return Done(batch.with_payments(denied))

    async def _may_decide(
        self, person: Person, request_id: int, mark: str | None, what: str
    ) -> Answer | _Decidable:
        """What this person may decide, or why not."""
        batch = shown_to(await self.ledger.of_request(request_id), request_id, mark)
        if not isinstance(batch, Batch):
            return batch
        if not batch.waiting:
            return AlreadyDecided(batch)
        ruling = await self.authority.rule_of(batch.waiting)
        if ruling.against:
            batch = await self._cancel_for(ruling.against, batch)
        if isinstance(ruling.rule, Refusal) or not batch.waiting:
            return AlreadyDecided(batch)
        refusal = await self.authority.may_approve(ruling.rule, person, batch.request.requester)
        if refusal is None:
            return _Decidable(batch, ruling.rule)
        async with self.ledger.transaction() as transaction:
            await self._refused(transaction, person, refusal, what, batch.request)
        return refusal

    async def _cancel_for(self, against: Mapping[int, Refusal], batch: Batch) -> Batch:
        """The requester may not ask for these any more, so there is nothing to decide about them."""
        async with self.ledger.transaction() as transaction:
            batch = await transaction.whole(batch.request)
            for payment in batch.waiting:
                if (refusal := against.get(payment.line)) is None:
                    continue
                reason, remedy = "the requester may not ask for this any more", None
                if refusal is OTHER_RULE:
                    reason, remedy = refusal.text, refusal.remedy
                cancelled = await transaction.move(
                    payment,
                    State.CANCELLED,
                    events.Cancelled(reason, refusal=refusal.reason.value, remedy=remedy),
                    actor="policy",
                    reason=reason,
                )
                batch = batch.with_payments([cancelled])
            return batch

    async def may_decide(self, person: Person, request_id: int, *, mark: str | None = None) -> Answer | None:
        """Whether this person may decide now: None, or why not (which is recorded)."""
        deciding = self._may_decide(person, request_id, mark, "deny")
        answer = await self._uncontradicted(person, "deny", deciding, about=request_id)
        return None if isinstance(answer, _Decidable) else answer
