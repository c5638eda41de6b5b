"""What people may ask: request, approve, deny, withdraw, resolve.

Each answers with what happened, as a value for the Slack layer to put into words. A refusal is an event
in the audit trail. Look-ups in Slack come before the transaction; a DirectoryError leaves nothing done.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog

from bot.domain import events
from bot.domain.command import MAX_NOTE
from bot.domain.payment import CANCELLABLE, CORRECTIONS, WITHDRAWN, InvoiceRef, Payment, State
from bot.domain.policy import Reason, Refusal, Rule
from bot.errors import LedgerContradicted, LedgerUnavailable
from bot.ledger.replay import asked
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.answers import (
    AlreadyApproved,
    AlreadyDecided,
    AlreadyRequested,
    Answer,
    Done,
    Forgotten,
    NotFound,
    NotYours,
    Outdated,
    Requested,
    TooEarly,
)
from bot.payments.approvals import checked, expire, recounted
from bot.payments.authority import Authority, Person
from bot.payments.settlement import settle_by_hand
from bot.payments.settling import Settling

log = structlog.get_logger()

MAX_REASON = MAX_NOTE
_TRIES = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _NewRequest:
    """A request by somebody who may ask."""

    person: Person
    channel: str
    ref: InvoiceRef
    trigger_id: str
    response_url: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class _Decidable:
    """A payment that somebody may decide on, by the rule as it is now."""

    payment: Payment
    rule: Rule


CONTRADICTED = Refusal(
    reason=Reason.CONTRADICTED,
    text="The ledger and its audit trail contradict each other about this invoice, so nothing was done.",
    remedy="Tell the people who run this bot: `python -m bot audit verify` shows where.",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """What people may do; each is one transaction.

    mark: of the request that they were shown, see `PaymentRequest.mark`; None where what they used does not
        tell.
    settling: how long after its answer was lost a call may still be carried out.
    """

    ledger: Ledger
    authority: Authority
    settling: Settling

    async def request(
        self,
        person: Person,
        channel: str,
        ref: InvoiceRef,
        *,
        trigger_id: str,
        typed_there: bool = False,
        response_url: str | None = None,
        note: str | None = None,
    ) -> Requested | AlreadyRequested | Refusal:
        """Ask for an invoice to be paid. Asking again with the same trigger_id is the same request.

        typed_there: Slack itself says that they acted in that channel; otherwise they must be in it.
        Raises DirectoryError, LedgerUnavailable: then nothing was requested.
        """
        rule = await self.authority.may_request(person, ref.module, channel, typed_there=typed_there)
        if isinstance(rule, Refusal):
            await self.record_refusal(person, rule, f"request {ref}")
            return rule
        new = _NewRequest(person, channel, ref, trigger_id, response_url, note)
        return await self._uncontradicted(person, f"request {ref}", self._request(new, rule))

    async def _request(self, new: _NewRequest, rule: Rule) -> Requested | AlreadyRequested:
        async with self.ledger.transaction() as transaction:
            # What holds the invoice may let go of it between the insert and the look at it.
            for _ in range(_TRIES):
                payment = await transaction.insert(
                    new.ref,
                    team=new.person.team,
                    channel=new.channel,
                    requester=new.person.id,
                    note=new.note,
                    trigger_id=new.trigger_id,
                    response_url=new.response_url,
                    rule=rule.name,
                    approvals_required=rule.most_approvals,
                    expires_at=transaction.now + rule.expires_after,
                )
                if payment is not None:
                    await transaction.record(asked(payment), actor=new.person.id, payment=payment)
                    return Requested(payment)
                if (same := await transaction.by_trigger(new.trigger_id)) is not None:
                    return Requested(same)
                if (live := await transaction.live(new.ref)) is not None:
                    refused = events.Refused(f"request {new.ref}", "already_requested")
                    await transaction.record(refused, actor=new.person.id, payment=live)
                    return AlreadyRequested(live)
        raise LedgerUnavailable(f"{new.ref} is being let go of just now")

    async def repair(self, request_id: int) -> None:
        """Somebody acted on a card that was out of date: show it again."""
        async with self.ledger.transaction() as transaction:
            await transaction.outbox.repair_cards(request_id)

    async def record_refusal(self, person: Person, refusal: Refusal, what: str) -> None:
        """Put a refusal into the audit trail that was not the policy's."""
        async with self.ledger.transaction() as transaction:
            await self._refused(transaction, person, refusal, what)

    async def withdraw(self, person: Person, request_id: int, *, mark: str | None = None) -> Answer:
        """The requester takes a request back, as long as nothing was sent."""
        withdrawing = self._withdraw(person, request_id, mark)
        return await self._uncontradicted(person, f"withdraw #{request_id}", withdrawing)

    async def _withdraw(self, person: Person, request_id: int, mark: str | None) -> Answer:
        async with self.ledger.transaction() as transaction:
            payment = _meant(await transaction.of_request(request_id), request_id, mark)
            if not isinstance(payment, Payment):
                return payment
            if person.id != payment.request.requester or person.team != payment.request.team:
                refused = events.Refused("withdraw", "not_the_requester")
                await transaction.record(refused, actor=person.id, payment=payment)
                return NotYours(payment)
            if payment.state not in CANCELLABLE:
                return AlreadyDecided(payment)
            withdrawn = await transaction.move(
                payment,
                State.CANCELLED,
                events.Cancelled("by its requester"),
                actor=person.id,
                reason=WITHDRAWN,
            )
            return Done(withdrawn)

    async def approve(
        self, person: Person, request_id: int, *, mark: str | None = None, seen: str | None = None
    ) -> Answer:
        """Count one person's approval, and approve the payment when there are enough.

        seen: its price as it was shown to them; None where what they clicked does not tell.
        Raises DirectoryError, LedgerUnavailable: then nothing was counted.
        """
        approving = self._approve(person, request_id, mark, seen)
        return await self._uncontradicted(person, f"approve #{request_id}", approving)

    async def _approve(self, person: Person, request_id: int, mark: str | None, seen: str | None) -> Answer:
        open_to = await self._may_decide(person, request_id, mark, "approve")
        if not isinstance(open_to, _Decidable):
            return open_to
        rule = open_to.rule
        before = await checked(self.ledger, self.authority, open_to.payment, rule)
        async with self.ledger.transaction() as transaction:
            payment = await transaction.again(open_to.payment)
            if payment.state is not State.PENDING_APPROVAL:
                return AlreadyDecided(payment)
            if payment.request.expires_at <= transaction.now:
                return Done(await expire(transaction, payment))
            if seen != payment.price and (
                seen is not None or await transaction.count_events(payment, events.AskedAgain)
            ):
                return Outdated(payment)
            fresh = await transaction.add_approval(payment, person.id)
            given = await transaction.approvers(payment.request.id)
            now = recounted(before, payment, rule, [*given, person.id] if fresh else given)
            if now.missing and not fresh:
                return AlreadyApproved(payment, now)
            if fresh:
                approved = events.Approved(len(now.counted), now.required, payment.price)
                event_id = await transaction.record(approved, actor=person.id, payment=payment)
                await transaction.announce_in_thread(payment, event_id)
            if not now.missing:
                payment = await transaction.move(
                    payment,
                    State.APPROVED,
                    events.ApprovalComplete(rule.name, ", ".join(sorted(now.counted))),
                    actor="policy",
                    announce=None,
                    due_at=transaction.now,
                )
            return Done(payment)

    async def deny(self, person: Person, request_id: int, reason: str, *, mark: str | None = None) -> Answer:
        """One approver's no is final. Raises DirectoryError, LedgerUnavailable."""
        denying = self._deny(person, request_id, mark, reason)
        return await self._uncontradicted(person, f"deny #{request_id}", denying)

    async def _deny(self, person: Person, request_id: int, mark: str | None, reason: str) -> Answer:
        open_to = await self._may_decide(person, request_id, mark, "deny")
        if not isinstance(open_to, _Decidable):
            return open_to
        async with self.ledger.transaction() as transaction:
            payment = await transaction.again(open_to.payment)
            if payment.state is not State.PENDING_APPROVAL:
                return AlreadyDecided(payment)
            said = reason.strip()[:MAX_REASON]
            denied = await transaction.move(
                payment,
                State.DENIED,
                events.Denied(said),
                actor=person.id,
                reason=said,
            )
            return Done(denied)

    async def _may_decide(
        self, person: Person, request_id: int, mark: str | None, what: str
    ) -> Answer | _Decidable:
        """What this person may decide, or why not."""
        payment = _meant(await self.ledger.of_request(request_id), request_id, mark)
        if not isinstance(payment, Payment):
            return payment
        if payment.state is not State.PENDING_APPROVAL:
            return AlreadyDecided(payment)
        rule = await self.authority.rule_of(payment)
        if isinstance(rule, Refusal):
            return await self._cancel_for(rule, payment)
        refusal = await self.authority.may_approve(rule, person, payment.request.requester)
        if refusal is None:
            return _Decidable(payment, rule)
        async with self.ledger.transaction() as transaction:
            await self._refused(transaction, person, refusal, what, payment)
        return refusal

    async def _cancel_for(self, refusal: Refusal, payment: Payment) -> Answer:
        """The requester may not ask for it any more, so there is nothing to decide."""
        async with self.ledger.transaction() as transaction:
            payment = await transaction.again(payment)
            if payment.state is not State.PENDING_APPROVAL:
                return AlreadyDecided(payment)
            reason = "the requester may not ask for this any more"
            cancelled = await transaction.move(
                payment,
                State.CANCELLED,
                events.Cancelled(reason, refusal=refusal.reason.value),
                actor="policy",
                reason=reason,
            )
            return AlreadyDecided(cancelled)

    async def may_decide(self, person: Person, request_id: int, *, mark: str | None = None) -> Answer | None:
        """Whether this person may decide now: None, or why not (which is recorded)."""
        deciding = self._may_decide(person, request_id, mark, "deny")
        answer = await self._uncontradicted(person, f"deny #{request_id}", deciding)
        return None if isinstance(answer, _Decidable) else answer

    async def resolve(
        self,
        person: Person,
        request_id: int,
        *,
        paid: bool,
        note: str,
        mark: str | None = None,
        correcting: bool = True,
    ) -> Answer:
        """A person settles a lost answer, or corrects what was settled on the weakest evidence.

        An approver does, or the requester where there are none. correcting: see `settle_by_hand`.
        Raises DirectoryError, LedgerUnavailable.
        """
        resolving = self._resolve(person, request_id, mark, paid=paid, note=note, correcting=correcting)
        return await self._uncontradicted(person, f"resolve #{request_id}", resolving)

    async def may_resolve(
        self, person: Person, request_id: int, *, paid: bool, mark: str | None = None
    ) -> Answer | None:
        """Whether this person may settle now what is unknown: None, or why not (which is recorded)."""
        payment = _meant(await self.ledger.of_request(request_id), request_id, mark)
        if not isinstance(payment, Payment):
            return payment
        if payment.state is not State.UNKNOWN:
            return AlreadyDecided(payment)
        if (refused := await self._refused_to_resolve(person, payment)) is not None:
            return refused
        now = self.ledger.clock()
        if not paid and (left := self.settling.left(payment, now)) > timedelta(0):
            return TooEarly(payment, now + left)
        return None

    async def _resolve(
        self, person: Person, request_id: int, mark: str | None, *, paid: bool, note: str, correcting: bool
    ) -> Answer:
        payment = _meant(await self.ledger.of_request(request_id), request_id, mark)
        if not isinstance(payment, Payment):
            return payment
        if payment.state is not State.UNKNOWN and payment.state not in CORRECTIONS:
            return AlreadyDecided(payment)
        if (refused := await self._refused_to_resolve(person, payment)) is not None:
            return refused
        return await settle_by_hand(
            self.ledger,
            person.id,
            request_id,
            paid=paid,
            note=note,
            settling=self.settling,
            correcting=correcting,
        )

    async def _refused_to_resolve(self, person: Person, payment: Payment) -> Answer | None:
        # The rule that it was asked under: whoever asked may have left since, and it must be settled still.
        rule = self.authority.policy.rule_named(payment.request.rule) or await self.authority.rule_of(payment)
        if isinstance(rule, Refusal):
            refusal: Refusal | None = rule
        elif rule.approvers:
            refusal = await self.authority.may_approve(rule, person, payment.request.requester)
        elif person.id != payment.request.requester or person.team != payment.request.team:
            return NotYours(payment)
        else:
            refusal = None
        if refusal is not None:
            async with self.ledger.transaction() as transaction:
                await self._refused(transaction, person, refusal, "resolve", payment)
        return refusal

    async def _uncontradicted(self, person: Person, what: str, doing: Awaitable[T]) -> T | Refusal:
        """The answer, or the refusal to follow on what was written past the bot."""
        try:
            return await doing
        except LedgerContradicted:
            log.exception("refused: the ledger contradicts its audit trail", what=what)
            await self.record_refusal(person, CONTRADICTED, what)
            return CONTRADICTED

    async def _refused(
        self,
        transaction: Transaction,
        person: Person,
        refusal: Refusal,
        what: str,
        payment: Payment | None = None,
    ) -> None:
        refused = events.Refused(what, refusal.reason.value, person.team)
        await transaction.record(refused, actor=person.id, payment=payment)


def _meant(payment: Payment | None, request_id: int, mark: str | None) -> Payment | NotFound | Forgotten:
    """The payment, if it is the one that people were shown. mark: see `Desk`."""
    if payment is None:
        return NotFound(request_id)
    return payment if mark in (None, payment.request.mark) else Forgotten(payment)
