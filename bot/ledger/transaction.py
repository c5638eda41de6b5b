"""What one transaction may write: requests, state moves, attempts, approvals, leases and the outbox.

A state move, its event and what must be announced are one transaction; `move` does all three. Nothing
here calls out of the process, and the only thing awaited inside a transaction is the transaction.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    delete,
    func,
    literal,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.events import Corrected, DomainEvent, KnownEvent
from bot.domain.payment import FINAL, InvoiceRef, Outcome, Payment, State, Verdict, move
from bot.errors import LedgerContradicted
from bot.ledger import audit, proof
from bot.ledger.digests import Digests
from bot.ledger.leases import Leases
from bot.ledger.outbox import Outbox
from bot.ledger.precedents import BESIDE, Precedents, has_listed, precedents
from bot.ledger.rows import Event, Kind, event_of, payment_in, payment_of, request_of
from bot.ledger.schema import FREE, LIVE, PAYMENTS, approvals, attempts, concerns, events, payments, requests

log = structlog.get_logger()

_LOCKS = {"request": 1, "limits": 2}


class Stale(Exception):
    """The payment moved on since it was read, or is not there any more. Read it again and decide anew."""


class Transaction(Leases):
    """One open write transaction. Made by `Ledger.transaction`; commits when its block ends well."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        super().__init__(connection, now)
        self._sqlite = connection.dialect.name == "sqlite"
        self.sealed_by: audit.Link | None = None
        """The last event that it added to the trail: where that stands, all of the transaction counts."""
        self.outbox = Outbox(connection, now, self.changed_topics)
        self.digests = Digests(connection, now)

    async def lock(self, name: str) -> None:
        """Take an advisory lock until the transaction ends. SQLite has one writer anyway."""
        if not self._sqlite:
            await self._connection.execute(
                text("SELECT pg_advisory_xact_lock(1886745961, :key)"), {"key": _LOCKS[name]}
            )

    async def insert(self, ref: InvoiceRef, **fields: Any) -> Payment | None:
        """Add a request of one payment; None if this command was taken already or the invoice has a live one.

        Raises LedgerContradicted where an earlier one holds the invoice by its events, but not by its row.
        """
        # A released payment of the invoice may be corrected to paid just now: one after the other.
        await self.lock("request")
        if await self.by_trigger(fields["trigger_id"]) is not None or await self.live(ref) is not None:
            return None
        if (held_by := await proof.holder(self._connection, ref)) is not None:
            raise LedgerContradicted(
                f"by the audit trail, request #{held_by} holds {ref}; its row says otherwise."
                " Run `python -m bot audit verify`"
            )
        request_id = await self._next_number()
        made = requests.insert().values(id=request_id, size=1, card_lost=False, created_at=self.now, **fields)
        request = (await self._connection.execute(made.returning(requests))).mappings().one()
        line = payments.insert().values(
            request_id=request_id,
            line=1,
            module=ref.module,
            number=ref.number,
            state=State.REQUESTED.value,
            version=1,
            tries=0,
            updated_at=self.now,
            due_at=self.now,
        )
        row = (await self._connection.execute(line.returning(payments))).mappings().one()
        self.changed_topics.add(State.REQUESTED)
        return payment_in(request_of(request), row)

    async def _next_number(self) -> int:
        """The number of the next request: none is left out, and none that the trail knows is given again."""
        latest = (select(func.max(ids)) for ids in (requests.c.id, events.c.request_id))
        found = (await self._connection.execute(union_all(*latest))).scalars()
        return max((number for number in found if number is not None), default=0) + 1

    async def by_trigger(self, trigger_id: str) -> Payment | None:
        """The payment that this command made."""
        return await self._one(requests.c.trigger_id == trigger_id)

    async def live(self, ref: InvoiceRef) -> Payment | None:
        """The payment that holds this invoice: under way, unknown, or paid."""
        return await self._one(payments.c.module == ref.module, payments.c.number == ref.number, LIVE)

    async def precedents(self, payment: Payment) -> Precedents:
        """What other requests for the invoice's number say against this payment."""
        return await precedents(self._connection, payment)

    async def has_listed(self, module: str | None = None) -> bool:
        """Whether a list of unpaid invoices was ever seen to hold an invoice; that of one module, or any."""
        return await has_listed(self._connection, module)

    async def disproved(self, payment: Payment) -> str | None:
        """What the audit trail says against the rows of a payment's request; None if it proves them."""
        return await proof.disproof(self._connection, payment.request)

    async def disproved_beside(self, payment: Payment) -> str | None:
        """What the audit trail says against other requests that bear on this payment; None if it proves them.

        Those are the ones with its number, and the ones that were asked for its invoice. Takes the end of the
        trail where there are any, so that none moves meanwhile: take other locks before.
        """
        found = await self._connection.execute(
            BESIDE,
            {"request": payment.request.id, "number": payment.ref.number, "invoice": str(payment.ref)},
        )
        ids = sorted(found.scalars())
        if not ids:
            return None
        await audit.hold_end(self._connection)
        rows = (await self._connection.execute(select(requests).where(requests.c.id.in_(ids)))).mappings()
        others = {row["id"]: row for row in rows}
        for other in ids:
            if other not in others:
                return f"#{other}: its row is missing"
            if (flaw := await proof.disproof(self._connection, request_of(others[other]))) is not None:
                return flaw
        return None

    async def payment(self, payment_id: int) -> Payment | None:
        """Read one payment and keep others from changing it until the transaction ends."""
        return await self._one(payments.c.id == payment_id)

    async def of_request(self, request_id: int) -> Payment | None:
        """The same of the payment of a request."""
        return await self._one(requests.c.id == request_id)

    async def again(self, payment: Payment) -> Payment:
        """The same of one that was read before: as it is now. Raises Stale.

        No payment is ever deleted, but a database server may fail over to one that has not all of them yet,
        and give the number to another.
        """
        current = await self.payment(payment.id)
        if current is None or current.request.mark != payment.request.mark:
            raise Stale(
                f"the ledger was set back: it knows of no {payment.number} for {payment.ref} any more"
            )
        return current

    async def _one(self, *where: ColumnElement[bool]) -> Payment | None:
        statement = PAYMENTS.where(*where).with_for_update()
        rows = (await self._connection.execute(statement)).mappings().all()
        if len(rows) > 1:
            raise LedgerContradicted(
                f"request #{rows[0]['request_id']} has {len(rows)} payments, and it was made with one."
                " Run `python -m bot audit verify`"
            )
        return payment_of(rows[0]) if rows else None

    async def requested_total(
        self,
        *,
        since: datetime,
        until: datetime,
        currency: str,
        except_id: int,
        rule: str,
        requester: str | None,
    ) -> Decimal:
        """What the live payments of a rule in that time add up to, of one person or of everybody."""
        statement = (
            select(payments.c.amount)
            .join(requests)
            .where(
                requests.c.created_at >= since,
                requests.c.created_at < until,
                payments.c.currency == currency,
                requests.c.id != except_id,
                requests.c.rule == rule,
                LIVE,
            )
        )
        if requester is not None:
            statement = statement.where(requests.c.requester == requester)
        amounts = (await self._connection.execute(statement)).scalars()
        return sum((amount for amount in amounts if amount is not None), Decimal(0))

    async def record(self, what: DomainEvent, *, actor: str, payment: Payment | None = None) -> int:
        """Add an event that moves no state; returns its id."""
        self.sealed_by = await audit.append(
            self._connection,
            at=self.now,
            request_id=payment.request.id if payment else None,
            actor=actor,
            what=what,
            line=_named(payment) if payment else None,
        )
        return self.sealed_by.event_id

    async def count_events(self, payment: Payment, what: type[KnownEvent]) -> int:
        """How often something happened to a payment."""
        statement = (
            select(func.count())
            .select_from(events)
            .where(
                events.c.request_id == payment.request.id,
                concerns(literal(payment.line)),
                events.c.action == what.action,
            )
        )
        return int((await self._connection.execute(statement)).scalar_one())

    async def answered_paid(self, payment_id: int) -> bool:
        """Whether the API itself said of a call for it that it is paid; be it late."""
        said = attempts.c.verdict == State.PAID.value
        statement = select(attempts.c.id).where(attempts.c.payment_id == payment_id, said).limit(1)
        return (await self._connection.execute(statement)).first() is not None

    async def last_move(self, payment: Payment) -> Event:
        """What brought a payment, which has moved, to its state. Raises LedgerContradicted: it never did."""
        statement = (
            select(events)
            .where(
                events.c.request_id == payment.request.id,
                concerns(literal(payment.line)),
                events.c.to_state == payment.state.value,
            )
            .order_by(events.c.id.desc())
            .limit(1)
        )
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        if row is None:
            raise LedgerContradicted(f"by the audit trail, payment {payment.number} never moved")
        return event_of(row)

    async def _require_proved(self, payment: Payment) -> None:
        """Raise LedgerContradicted for a state that was written past the bot: a move would make it ours."""
        if await proof.state_by_trail(self._connection, payment) == payment.state.value:
            return
        if payment != await self.payment(payment.id):
            raise Stale(f"{payment.number} moved on")
        raise LedgerContradicted(
            f"by the audit trail, payment {payment.number} is not in {payment.state}; its row says it is."
            " Run `python -m bot audit verify`"
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
        to = move(payment.state, to, correction=isinstance(what, Corrected))
        await self._require_proved(payment)
        lease = {} if to is State.SENDING else FREE
        moved = await self.change(payment, state=to.value, **(lease | changes))
        self.sealed_by = await audit.append(
            self._connection,
            at=self.now,
            request_id=payment.request.id,
            actor=actor,
            what=what,
            line=_named(payment),
            from_state=payment.state,
            to_state=to,
        )
        # Most calls are over in a moment: a card that says "sending" is worth posting only if not.
        moment = timedelta(seconds=1) if to is State.SENDING else timedelta(0)
        await self.outbox.refresh_cards(payment.request.id, after=moment)
        if announce is not None:
            await self.outbox.add(moved, announce, event_id=self.sealed_by.event_id)
        if moved.request.step_run is not None and to in FINAL:
            await self.outbox.add(moved, Kind.STEP, channel=f"step:{moved.request.id}")
        return moved

    async def announce_in_thread(self, payment: Payment, event_id: int) -> None:
        """Announce a recorded event by a reply in the thread; the cards show it too."""
        await self.outbox.refresh_cards(payment.request.id)
        await self.outbox.add(payment, Kind.THREAD_REPLY, event_id=event_id)

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
        if changed.state is not payment.state and changed.due_at <= self.now:
            self.changed_topics.add(changed.state)
        return changed

    async def change_request(self, payment: Payment, **changes: Any) -> Payment:
        """Change what people decide on, of a request that is locked; the payment, with it."""
        statement = update(requests).where(requests.c.id == payment.request.id).values(**changes)
        row = (await self._connection.execute(statement.returning(requests))).mappings().one()
        return replace(payment, request=request_of(row))

    async def add_approval(self, payment: Payment, approver: str) -> bool:
        """Count one person's approval; False if it was counted before."""
        dialect = sqlite if self._sqlite else postgresql
        statement = (
            dialect.insert(approvals)
            .values(request_id=payment.request.id, approver=approver, decision="approve", at=self.now)
            .on_conflict_do_nothing()
            .returning(approvals.c.id)
        )
        # Not by rowcount, which PostgreSQL's driver does not tell for an insert.
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def void_approvals(self, payment: Payment) -> None:
        """Those given so far do not count any more; the trail keeps them."""
        await self._connection.execute(delete(approvals).where(approvals.c.request_id == payment.request.id))

    async def approvers(self, request_id: int) -> list[str]:
        """Who approved so far, in order, as far as an event tells of it."""
        found = await self._connection.execute(proof.APPROVERS, {"request": request_id})
        return list(found.scalars())

    async def start_attempt(self, payment: Payment, instance: str) -> int:
        """Write down a wire call before it is made; returns the attempt's id."""
        statement = (
            attempts.insert()
            .values(payment_id=payment.id, instance=instance, started_at=self.now)
            .returning(attempts.c.id)
        )
        attempt_id: int = (await self._connection.execute(statement)).scalar_one()
        return attempt_id

    async def answered(self, attempt_id: int, verdict: Verdict) -> bool:
        """Whether it is written down already that this became of a wire call."""
        found = await self._connection.execute(
            select(attempts.c.verdict).where(attempts.c.id == attempt_id, attempts.c.finished_at.is_not(None))
        )
        return found.scalar_one_or_none() == verdict.value

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


def _named(payment: Payment) -> int | None:
    """How its events name it: not at all, where the request has no other."""
    return payment.line if payment.request.size > 1 else None
