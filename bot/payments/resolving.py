"""Settling: people say what became of a payment whose answer was lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bot.domain.batch import Batch
from bot.domain.erasure import is_erased
from bot.domain.payment import (
    CORRECTIONS,
    InvoiceRef,
    State,
)
from bot.domain.policy import Refusal, Rule
from bot.payments.answers import (
    AlreadyDecided,
    Answer,
    NotYours,
    TooEarly,
    WhichInvoice,
)
from bot.payments.authority import Person
from bot.payments.desk_part import DeskPart, is_requester, shown_to
from bot.payments.settlement import meant, settle_by_hand


@dataclass(frozen=True, slots=True)
class Resolving(DeskPart):
    """The part of the desk where people settle."""

    async def resolve(
        self,
        person: Person,
        request_id: int,
        *,
        paid: bool,
        note: str,
        ref: InvoiceRef | None = None,
        mark: str | None = None,
        correcting: bool = True,
        trigger_id: str | None = None,
    ) -> Answer:
        """A person settles a lost answer, or corrects what was settled on the weakest evidence.

        An approver does, or the requester where there are none; only an operator corrects where it is erased
        who asked. ref, correcting, trigger_id: see `settle_by_hand`.
        Raises DirectoryError, LedgerUnavailable.
        """

        async def resolving() -> Answer:
            batch = shown_to(await self.ledger.of_request(request_id), request_id, mark)
            if not isinstance(batch, Batch):
                return batch
            if (refusal := await self._refused_to_know(person, batch)) is not None:
                return refusal
            payment = meant(batch, ref)
            if payment is None and len(batch.within((State.UNKNOWN,))) > 1:
                return WhichInvoice(batch)
            # Whether it is their own is not known any more of a request whose people are erased.
            correctable = (
                payment is not None
                and payment.state in CORRECTIONS
                and not is_erased(batch.request.requester)
            )
            if payment is None or (payment.state is not State.UNKNOWN and not correctable):
                return AlreadyDecided(batch)
            if (refused := await self._refused_to_resolve(person, batch)) is not None:
                return refused
            settled = await settle_by_hand(
                self.ledger,
                person.id,
                request_id,
                paid=paid,
                note=note,
                settling=self.settling,
                ref=ref,
                correcting=correcting,
                trigger=trigger_id,
            )
            if isinstance(settled, Refusal):
                await self.record_refusal(person, settled, f"resolve #{request_id}")
            return settled

        return await self._uncontradicted(person, "resolve", resolving(), about=request_id)

    async def may_resolve(
        self, person: Person, request_id: int, *, paid: bool, mark: str | None = None
    ) -> Answer | None:
        """Whether this person may settle now what is unknown: None, or why not (which is recorded)."""

        async def asking() -> Answer | None:
            batch = shown_to(await self.ledger.of_request(request_id), request_id, mark)
            if not isinstance(batch, Batch):
                return batch
            if not (unknown := batch.within((State.UNKNOWN,))):
                return AlreadyDecided(batch)
            if (refused := await self._refused_to_resolve(person, batch)) is not None:
                return refused
            now = self.ledger.clock()
            first = min(unknown, key=lambda one: self.settling.left(one, now))
            if not paid and (left := self.settling.left(first, now)) > timedelta(0):
                return TooEarly(first, now + left)
            return None

        return await self._uncontradicted(person, "resolve", asking(), about=request_id)

    async def _refused_to_know(self, person: Person, batch: Batch) -> Refusal | None:
        """Why not even how it stands is theirs to know. Who asked may know it, whatever the rules are now.

        Raises DirectoryError, LedgerUnavailable.
        """
        if is_requester(person, batch) or (refusal := await self.authority.may_see(person)) is None:
            return None
        async with self.ledger.transaction() as transaction:
            await self._refused(transaction, person, refusal, "resolve", batch.request)
        return refusal

    async def _refused_to_resolve(self, person: Person, batch: Batch) -> Answer | None:
        # The rule that it was asked under: whoever asked may have left since, and it must be settled still.
        request = batch.request
        rule: Rule | Refusal | None = self.authority.policy.rule_named(request.rule)
        if rule is None:
            rule = (await self.authority.rule_of(batch.payments)).rule
        if isinstance(rule, Refusal):
            refusal: Refusal | None = rule
        elif rule.approvers:
            refusal = await self.authority.may_approve(rule, person, request.requester)
        elif not is_requester(person, batch):
            return NotYours(batch)
        else:
            refusal = None
        if refusal is not None:
            async with self.ledger.transaction() as transaction:
                await self._refused(transaction, person, refusal, "resolve", request)
        return refusal
