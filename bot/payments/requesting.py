"""Asking: a request for one invoice or several enters the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from bot.domain import events
from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, Payment
from bot.domain.policy import Reason, Refusal, Rule
from bot.domain.schedule import IN_UTC, Mornings, PayOn
from bot.errors import LedgerUnavailable
from bot.ledger.replay import asked
from bot.ledger.transaction import Transaction
from bot.payments.answers import (
    AlreadyRequested,
    Requested,
)
from bot.payments.authority import OTHER_RULE, Person
from bot.payments.crowd import Crowd, Group
from bot.payments.desk_part import DeskPart

_TRIES = 3

Seen = Mapping[InvoiceRef, str]
"""What invoices cost, as `Invoice.price`, as it was shown to who asks for them."""

ANOTHER = "unknown"
"""What it was shown at, of an invoice that costs something else by now: it is paid at no price."""

_TOGETHER = 200
"""Requests of one transaction, so that nobody else waits long for its end."""


@dataclass(frozen=True, slots=True)
class _NewRequest:
    """A request by somebody who may ask, under this rule."""

    person: Person
    channel: str
    refs: tuple[InvoiceRef, ...]
    trigger_id: str
    delivery: str
    response_url: str | None
    note: str | None
    pay_on: PayOn | None
    rule: Rule
    seen: Seen = field(compare=False)

    def row(self, now: datetime) -> dict[str, Any]:
        """What the request's row says of it."""
        return {
            "team": self.person.team,
            "channel": self.channel,
            "requester": self.person.id,
            "note": self.note,
            "trigger_id": self.trigger_id,
            "response_url": self.response_url,
            "rule": self.rule.name,
            "approvals_required": self.rule.most_approvals,
            "expires_at": now + self.rule.expires_after,
            "pay_on": self.pay_on,
        }


_Answer = Requested | AlreadyRequested | Refusal


@dataclass(frozen=True, slots=True)
class Requesting(DeskPart):
    """The part of the desk where people ask. mornings: of the days on which they may ask to be paid."""

    mornings: Mornings = IN_UTC
    crowd: Crowd[_NewRequest, _Answer] = field(default_factory=lambda: Crowd(_TOGETHER), compare=False)

    async def request(
        self,
        person: Person,
        channel: str,
        refs: Sequence[InvoiceRef],
        *,
        trigger_id: str,
        delivery: str | None = None,
        typed_there: bool = False,
        response_url: str | None = None,
        note: str | None = None,
        pay_on: PayOn | None = None,
        seen: Seen = MappingProxyType({}),
    ) -> Requested | AlreadyRequested | Refusal:
        """Ask for invoices to be paid by one request. Asking again with the same trigger_id is the same one.

        refs: one or more that stand under one rule, each once. Those that another request holds are left out.
        delivery: the trigger of what Slack delivered, None where that is the trigger_id; of what was refused
            before nothing is requested, see `once`.
        typed_there: Slack itself says that they acted in that channel; otherwise they must be in it.
        pay_on: the day, which must be today or within a year; None: at once.
        seen: of those whose price they were shown; what costs something else when it is read is cancelled.
        Raises DirectoryError, LedgerUnavailable: then nothing was requested.
        """
        what = _request_of(refs)
        if pay_on is not None and (refusal := self.refused_day(pay_on)) is not None:
            await self.record_refusal(person, refusal, what)
            return refusal
        rules: list[Rule] = []
        for module in dict.fromkeys(ref.module for ref in refs):
            rule = await self.authority.may_request(person, module, channel, typed_there=typed_there)
            if not isinstance(rule, Refusal) and rules and rule != rules[0]:
                rule = OTHER_RULE
            if isinstance(rule, Refusal):
                await self.record_refusal(person, rule, what)
                return rule
            rules.append(rule)
        by = trigger_id if delivery is None else delivery
        new = _NewRequest(
            person, channel, tuple(refs), trigger_id, by, response_url, note, pay_on, rules[0], seen
        )
        if len(refs) > 1:
            return await self._uncontradicted(person, what, self._request(new))
        asking = self.crowd.serve(new, self._request, self._request_together)
        return await self._uncontradicted(person, what, asking)

    @property
    def today(self) -> date:
        """The day that it is for the people who pay."""
        return self.mornings.today(self.ledger.clock())

    def to_come(self, pay_on: PayOn | None) -> PayOn | None:
        """What was asked for, as it is asked for again: at once, where its day is over."""
        return None if pay_on is None or self._is_over(pay_on) else pay_on

    def _is_over(self, pay_on: PayOn) -> bool:
        return pay_on.day is not None and pay_on.day < self.today

    def refused_day(self, pay_on: PayOn) -> Refusal | None:
        """Why nobody can ask to be paid on that day."""
        now = self.ledger.clock()
        if pay_on.day is None:
            return None
        if self._is_over(pay_on):
            return Refusal(Reason.DAY, "That day is over.", "Name a later one, or none to pay at once.")
        if not self.mornings.within_reach(pay_on.day, now):
            return Refusal(Reason.DAY, "That day is more than a year away.", "Name an earlier one.")
        return None

    async def _request_together(self, group: Group[_NewRequest]) -> list[_Answer | None]:
        """Take down what is asked for at once; who asks for what is held is told so; the rest is left."""
        async with self.ledger.transaction() as transaction:
            await transaction.lock("request")  # which may take a while, so whoever comes until then is of it
            asking = group.close()
            rows = [(new.refs[0], new.delivery, new.row(transaction.now)) for new in asking]
            added = await transaction.insert_fresh(rows)
            left = [new for new, batch in zip(asking, added, strict=True) if batch is None]
            held = await self._held(transaction, left) if left else {}
            await self._record_asked(transaction, zip(asking, added, strict=True))
            answers: list[_Answer | None] = []
            for new, batch in zip(asking, added, strict=True):
                if batch is not None:
                    answers.append(Requested(batch))
                elif (holder := held.get(new)) is not None:
                    await self._record_held(transaction, new, [holder])
                    answers.append(AlreadyRequested(holder))
                else:
                    answers.append(None)
            return answers

    async def _held(
        self, transaction: Transaction, left: Sequence[_NewRequest]
    ) -> dict[_NewRequest, Payment]:
        """Who holds what these ask for: not where it is a repetition, nor where somebody has it locked.

        They are locked before the trail's end, as everybody does, and nobody is waited for.
        """
        holding = await transaction.holding([new.refs[0] for new in left], wait=False)
        of_ref = {one.ref: one for one in holding}
        taken = await transaction.taken({one for new in left for one in (new.trigger_id, new.delivery)})
        return {
            new: of_ref[new.refs[0]]
            for new in left
            if new.refs[0] in of_ref and taken.isdisjoint((new.trigger_id, new.delivery))
        }

    async def _request(self, new: _NewRequest) -> _Answer:
        async with self.ledger.transaction() as transaction:
            await transaction.lock("request")
            if (why := await transaction.refused_triggers.why(new.delivery)) is not None:
                return await self._as_before(transaction, new, why)
            # What holds an invoice may let go of it between the insert and the look at it.
            free, held = new.refs, list[Payment]()
            for _ in range(_TRIES):
                batch = await transaction.insert(free, **new.row(transaction.now))
                if batch is not None:
                    await self._record_asked(transaction, [(new, batch)])
                    await self._record_held(transaction, new, held)
                    return Requested(batch, tuple(held))
                if (same := await transaction.by_trigger(new.trigger_id)) is not None:
                    return Requested(same)
                held = await transaction.holding(new.refs)
                free = tuple(ref for ref in new.refs if ref not in {one.ref for one in held})
                if not free:
                    await self._record_held(transaction, new, held)
                    return AlreadyRequested(held[0])
        raise LedgerUnavailable(f"{new.refs[0]} is being let go of just now")

    async def _as_before(self, transaction: Transaction, new: _NewRequest, why: str) -> _Answer:
        """What is said of what was refused before, whatever stands in its way by now."""
        if (same := await transaction.by_trigger(new.trigger_id)) is not None:
            return Requested(same)  # of several requests of one click, only the others were refused
        held = await transaction.holding(new.refs)
        if len(held) == len(new.refs):
            await self._record_held(transaction, new, held)
            return AlreadyRequested(held[0])
        return await self._refuse_again(transaction, new.person, why, _request_of(new.refs))

    async def _record_asked(
        self, transaction: Transaction, added: Iterable[tuple[_NewRequest, Batch | None]]
    ) -> None:
        made = [(new, batch) for new, batch in added if batch is not None]
        for new, batch in made:
            for payment in batch.payments:
                what = asked(payment, new.seen.get(payment.ref))
                await transaction.record(what, actor=batch.request.requester, payment=payment)
        # Where nobody is to be asked, whatever it costs, the card need not wait for that.
        undecided = [batch.request for _, batch in made if not batch.request.approvals_required]
        await transaction.outbox.add_cards(undecided)

    async def _record_held(self, transaction: Transaction, new: _NewRequest, held: Sequence[Payment]) -> None:
        for live in held:
            refused = events.Refused(f"request {live.ref}", "already_requested")
            await transaction.record(refused, actor=new.person.id, payment=live)


def _request_of(refs: Sequence[InvoiceRef]) -> str:
    """How the trail names what is asked for."""
    return f"request {', '.join(map(str, refs))}"
