"""What one transaction may write: requests, state moves, attempts, approvals, leases and the outbox.

A state move, its event and what must be announced are one transaction; `move` does all three. Nothing
here calls out of the process, and the only thing awaited inside a transaction is the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.batch import AT_REST, SENT, Batch
from bot.domain.events import ABSENT, Completed, Corrected, DomainEvent, Paused, Resumed, encode
from bot.domain.payment import (
    FINAL,
    PAUSED,
    InvoiceRef,
    Outcome,
    Payment,
    PaymentRequest,
    State,
    move,
)
from bot.errors import LedgerContradicted
from bot.ledger import asked, holders
from bot.ledger.audit import Link
from bot.ledger.locked_reads import LockedReads, Stale
from bot.ledger.notices import Topic
from bot.ledger.outbox import Outbox
from bot.ledger.pruning import Meant, Pruning
from bot.ledger.refused_triggers import RefusedTriggers
from bot.ledger.rows import Kind, Pause, payment_in, request_of
from bot.ledger.schema import FREE, approvals, attempts, events, payments, requests

log = structlog.get_logger()

_PAYMENTS_A_STATEMENT = 1000
"""So many are named: databases bound how many."""

_EVENTS_OF_A_WHILE = 10_000
"""Slack repeats no command that came before so many others."""


class Transaction(LockedReads):
    """One open write transaction. Made by `Ledger.transaction`; commits when its block ends well."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        super().__init__(connection, now)
        self.outbox = Outbox(connection, now, self.changed_topics)
        self.refused_triggers = RefusedTriggers(connection, now)
        self._pruning = Pruning(connection, self.trail)

    @property
    def sealed_by(self) -> Link | None:
        """The last event that it added to the trail: where that stands, all of the transaction counts."""
        return self.trail.sealed_by

    async def finish(self) -> None:
        """Write what is written once, whatever else happened: right before the commit."""
        await self.outbox.finish()
        await self.trail.write()

    async def insert(self, refs: Collection[InvoiceRef], **fields: Any) -> Batch | None:
        """Add a request for these invoices; None if this command was taken already, or a live one holds any.

        Raises LedgerContradicted where an earlier one holds an invoice by its events, but not by its row.
        """
        # A released payment of the invoice may be corrected to paid just now: one after the other.
        await self.lock("request")
        await self.trail.write()
        if await holders.asked_for(self._connection, refs):
            if await self.by_trigger(fields["trigger_id"]) is not None:
                return None
            if await self.holding(refs):
                return None
            for ref in refs:
                if (held_by := await holders.holder(self._connection, ref)) is not None:
                    raise LedgerContradicted(
                        f"by the audit trail, request #{held_by} holds {ref}; its row says otherwise."
                        " Run `python -m bot audit verify`"
                    )
        dialect = sqlite if self._sqlite else postgresql
        made = (
            dialect.insert(requests)
            .values(asked.of_request(self.now, len(refs), id=asked.NEXT_NUMBER, **fields))
            .on_conflict_do_nothing(index_elements=[requests.c.trigger_id])
            .returning(requests)
        )
        if (row := (await self._connection.execute(made)).mappings().one_or_none()) is None:
            return None
        request = request_of(row)
        lines = [asked.of_payment(self.now, request.id, line, ref) for line, ref in enumerate(refs, start=1)]
        rows = await self._connection.execute(asked.ADD_PAYMENTS, lines)
        found = [payment_in(request, each) for each in rows.mappings()]
        self.changed_topics.add(State.REQUESTED)
        return Batch(tuple(sorted(found, key=lambda one: one.line)))

    async def insert_fresh(self, these: Sequence[asked.Asked]) -> list[Batch | None]:
        """Add a request for each of these; None for each that `insert` has to look at."""
        await self.lock("request")
        await self.trail.write()
        self.changed_topics.add(State.REQUESTED)
        return await asked.insert_fresh(self._connection, these, self.now)

    async def pause(self, reason: str, *, actor: str, trigger: str | None = None) -> bool:
        """Let nothing be sent from now on, on any instance; False where that is so already.

        trigger: of the command; one that paused lately does not do so again, whoever ended that.
        """
        paused = Paused(reason, ABSENT if trigger is None else trigger)
        if await self.paused() is not None or await self._repeats(paused):
            return False
        event_id = await self.record(paused, actor=actor)
        await self.trail.set_pause(Pause(self.now, actor, reason))
        await self.notices.alert(Topic.PAUSED, event_id)
        return True

    async def resume(self, *, actor: str, trigger: str | None = None) -> Pause | None:
        """Let what is approved be sent again, at once; what was ended by it, or None where there was none.

        trigger: of the command; one that ended a pause lately ends none that came after it.
        """
        held = payments.c.state == State.APPROVED.value, payments.c.reason.startswith(PAUSED)
        # Before the trail's end, and in the order of their requests, as everybody takes them.
        which = select(payments.c.id).select_from(requests.join(payments)).where(*held)
        locked = which.order_by(requests.c.id, payments.c.line).with_for_update()
        ids = (await self._connection.execute(locked)).scalars().all()
        if (pause := await self.paused()) is None:
            return None
        resumed = Resumed(ABSENT if trigger is None else trigger)
        if await self._repeats(resumed):
            return None
        event_id = await self.record(resumed, actor=actor)
        await self.trail.set_pause(None)
        await self.notices.alert(Topic.RESUMED, event_id)
        for begin in range(0, len(ids), _PAYMENTS_A_STATEMENT):
            these = payments.c.id.in_(ids[begin : begin + _PAYMENTS_A_STATEMENT])
            await self._connection.execute(update(payments).where(these).values(due_at=self.now))
        self.changed_topics.add(State.APPROVED)
        return pause

    async def _repeats(self, what: Paused | Resumed) -> bool:
        """Whether Slack delivers this command once more, as it may do minutes later."""
        if what.trigger is ABSENT:
            return False
        lately = select(func.max(events.c.id) - _EVENTS_OF_A_WHILE).scalar_subquery()
        before = select(events.c.id).where(
            events.c.action == what.action, events.c.detail == encode(what), events.c.id > lately
        )
        return (await self._connection.execute(before)).first() is not None

    async def prune_requests(self, meant: Meant, *, after: int) -> list[int]:
        """Erase what is personal in the next few requests; their ids. Raises LedgerContradicted."""
        return await self._pruning.requests(meant, after=after)

    async def prune_others(self, meant: Meant, *, after: int) -> int | None:
        """The same in the next events of no request: the last that was looked at; None where none is left."""
        last = await self._pruning.of_no_request(meant, after=after)
        if last is None:
            await self._pruning.notices(meant)
        return last

    async def record(
        self,
        what: DomainEvent,
        *,
        actor: str,
        payment: Payment | None = None,
        request: PaymentRequest | None = None,
    ) -> int:
        """Add an event that moves no state; returns its id. It is about one payment, or about a request."""
        about = payment.request if payment else request
        added = await self.trail.append(
            what,
            request_id=about.id if about else None,
            actor=actor,
            line=_named(payment) if payment else None,
        )
        return added.event_id

    async def _require_proved(self, moving: Sequence[Payment], *, alone: bool) -> None:
        """Raise LedgerContradicted for a state that was written past the bot: a move would make it ours.

        alone: one payment of its request; otherwise these must be all that are in their state.
        """
        request, state = moving[0].request, moving[0].state
        told = await self.trail.told(request.id)
        lines = {one.line for one in moving}
        for payment in moving:
            if told.state_of(payment.line) == state.value:
                continue
            if not _same(payment, await self.payment(payment.id)):
                raise Stale(f"{payment.number} moved on")
            raise LedgerContradicted(
                f"by the audit trail, payment {payment.number} is not in {state}; its row says it is."
                " Run `python -m bot audit verify`"
            )
        if not alone and (others := told.lines_in(state.value) - lines):
            raise LedgerContradicted(
                f"by the audit trail, payment {min(others)} of {request.number} is in {state} as well; its"
                " row says it is not. Run `python -m bot audit verify`"
            )

    async def move(
        self,
        payment: Payment,
        to: State,
        what: DomainEvent,
        *,
        actor: str,
        announce: Kind | None = Kind.THREAD_REPLY,
        **changes: Any,
    ) -> Payment:
        """Move a payment by the table, with its event; the cards follow, and the thread is told.

        It ends the lease; SENDING keeps it for the call. announce: whether this step is worth a reply in the
        thread, or a word to the requester alone.
        Raises IllegalMove, Stale; LedgerContradicted where the trail says that it is in another state, before
        anything is written.
        """
        moved = await self._move([payment], to, what, actor, announce, _named(payment), changes)
        return moved[0]

    async def move_together(
        self,
        moving: Sequence[Payment],
        to: State,
        what: DomainEvent,
        *,
        actor: str,
        announce: Kind | None = Kind.THREAD_REPLY,
        **changes: Any,
    ) -> Sequence[Payment]:
        """Move all payments of a request that are in one state, by one event; otherwise as `move`."""
        return await self._move(moving, to, what, actor, announce, None, changes)

    async def _move(
        self,
        moving: Sequence[Payment],
        to: State,
        what: DomainEvent,
        actor: str,
        announce: Kind | None,
        line: int | None,
        changes: dict[str, Any],
    ) -> Sequence[Payment]:
        request, state = moving[0].request, moving[0].state
        to = move(state, to, correction=isinstance(what, Corrected))
        await self._require_proved(moving, alone=line is not None)
        lease = {} if to is State.SENDING else FREE
        moved = [await self.change(one, state=to.value, **(lease | changes)) for one in moving]
        added = await self.trail.append(
            what,
            request_id=request.id,
            actor=actor,
            line=line,
            from_state=state,
            to_state=to,
        )
        # Most calls are over in a moment: what a card says on the way is worth showing only if not.
        on_the_way = to is State.SENDING or (state, to) == (State.REQUESTED, State.APPROVED)
        moment = timedelta(seconds=1) if on_the_way else timedelta(0)
        self.outbox.refresh_cards(request.id, after=moment)
        if announce is not None:
            # What becomes of several, one after the other, is told together.
            await self.outbox.add(request, announce, event_id=added.event_id, gather=line is not None)
        if request.step_run is not None and to in FINAL:
            await self.outbox.add(request, Kind.STEP, channel=f"step:{request.id}")
        if request.size > 1 and to in AT_REST and not isinstance(what, Corrected):
            await self._sum_up(request, state, actor)
        return moved

    async def _sum_up(self, request: PaymentRequest, left: State, actor: str) -> None:
        """Say that none of several is under way any more, if that is so now. left: the state just left.

        Once when all have come to rest, and once more when the last of those is settled that were unknown.
        """
        found = await self._connection.execute(
            select(payments.c.state).where(payments.c.request_id == request.id).distinct()
        )
        states = {State(one) for one in found.scalars()}
        settled_last = left is not State.UNKNOWN or State.UNKNOWN not in states
        if states <= AT_REST and states & SENT and settled_last:
            event_id = await self.record(Completed(), actor=actor, request=request)
            await self.outbox.add(request, Kind.THREAD_REPLY, event_id=event_id)

    async def announce_to_approvers(self, request: PaymentRequest, event_id: int) -> None:
        """The same under the card where approvals are given: whoever gives them may not see the other one."""
        self.outbox.refresh_cards(request.id)
        where = request.decided_on
        channel = None if where is None else where[0]
        await self.outbox.add(request, Kind.THREAD_REPLY, event_id=event_id, channel=channel)

    async def announce_in_thread(self, about: Payment | PaymentRequest, event_id: int) -> None:
        """Announce a recorded event by a reply in the thread; the cards show it too."""
        of_several = isinstance(about, Payment) and about.request.size > 1
        request = about.request if isinstance(about, Payment) else about
        self.outbox.refresh_cards(request.id)
        await self.outbox.add(request, Kind.THREAD_REPLY, event_id=event_id, gather=of_several)

    async def change(self, payment: Payment, **changes: Any) -> Payment:
        """Change a payment that nobody else changed since it was read. Raises Stale."""
        statement = (
            update(payments)
            .where(
                payments.c.id == payment.id,
                payments.c.state == payment.state.value,
                payments.c.version == payment.version,
            )
            .values(version=payment.version + 1, updated_at=self.now, **changes)
            .returning(payments)
        )
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        if row is None:
            raise Stale(f"{payment.number} moved on")
        changed = payment_in(payment.request, row)
        # What is approved before its card stands is taken up when that does.
        waits = changed.state is State.APPROVED and changed.request.cards.ts is None
        if changed.state is not payment.state and changed.due_at <= self.now and not waits:
            self.changed_topics.add(changed.state)
        return changed

    async def change_request(self, request: PaymentRequest, **changes: Any) -> PaymentRequest:
        """Change what people decide on, of a request that is locked."""
        statement = update(requests).where(requests.c.id == request.id).values(**changes)
        return request_of((await self._connection.execute(statement.returning(requests))).mappings().one())

    async def add_approval(self, request: PaymentRequest, approver: str) -> bool:
        """Count one person's approval; False if it was counted before."""
        dialect = sqlite if self._sqlite else postgresql
        statement = (
            dialect.insert(approvals)
            .values(request_id=request.id, approver=approver, decision="approve", at=self.now)
            .on_conflict_do_nothing()
            .returning(approvals.c.id)
        )
        # Not by rowcount, which PostgreSQL's driver does not tell for an insert.
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def void_approvals(self, request: PaymentRequest) -> None:
        """Those given so far do not count any more; the trail keeps them."""
        await self._connection.execute(delete(approvals).where(approvals.c.request_id == request.id))

    async def start_attempt(self, payment: Payment, instance: str) -> int:
        """Write down a wire call before it is made; returns the attempt's id."""
        statement = (
            attempts.insert()
            .values(payment_id=payment.id, instance=instance, started_at=self.now)
            .returning(attempts.c.id)
        )
        attempt_id: int = (await self._connection.execute(statement)).scalar_one()
        return attempt_id

    async def finish_attempt(self, attempt_id: int, outcome: Outcome) -> None:
        """Write down what became of a wire call."""
        await self._connection.execute(
            update(attempts)
            .where(attempts.c.id == attempt_id)
            .values(
                finished_at=self.now,
                verdict=outcome.verdict.value,
                status=outcome.status,
                status_text=outcome.status_text,
                evidence=outcome.evidence,
            )
        )


def _same(payment: Payment, current: Payment | None) -> bool:
    """Whether nobody changed it since it was read."""
    if current is None or current.request.mark != payment.request.mark:
        return False
    return (current.state, current.version) == (payment.state, payment.version)


def _named(payment: Payment) -> int | None:
    """How its events name it: not at all, where the request has no other."""
    return payment.line if payment.request.size > 1 else None
