"""What a write transaction reads: rows that nobody else changes until it ends, and what proves them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    ColumnElement,
    and_,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.batch import Batch
from bot.domain.events import Corrected, KnownEvent, Resolved
from bot.domain.payment import (
    InvoiceRef,
    Payment,
    PaymentRequest,
    State,
)
from bot.domain.policy import Rule
from bot.errors import LedgerContradicted
from bot.ledger import asked, proof
from bot.ledger.leases import Leases
from bot.ledger.precedents import BESIDE, Precedents, has_listed, precedents
from bot.ledger.rows import Event, Pause, batch_of, event_of, payment_of, request_of
from bot.ledger.schema import LIVE, PAYMENTS, attempts, concerns, events, payments, requests

_LOCKS = {"request": 1, "limits": 2, "notices": 3}


class Stale(Exception):
    """The payment moved on since it was read, or is not there any more. Read it again and decide anew."""


class LockedReads(Leases):
    """The part of a transaction that reads."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        super().__init__(connection, now)
        self._sqlite = connection.dialect.name == "sqlite"

    async def lock(self, name: str) -> None:
        """Take an advisory lock until the transaction ends. SQLite has one writer anyway."""
        if not self._sqlite:
            await self._connection.execute(
                text("SELECT pg_advisory_xact_lock(1886745961, :key)"), {"key": _LOCKS[name]}
            )

    async def paused(self) -> Pause | None:
        """Whether sending is paused. Takes the trail's end, so that it stays so: take other locks before."""
        return (await self.trail.hold_end()).pause

    async def count_sending(self) -> int:
        """How many calls are under way, as far as it is known: each counts until what became of it is."""
        statement = select(func.count()).where(payments.c.state == State.SENDING.value)
        return int((await self._connection.execute(statement)).scalar_one())

    async def by_trigger(self, trigger_id: str) -> Batch | None:
        """The request that this command made."""
        return await self._whole(requests.c.trigger_id == trigger_id)

    async def taken(self, triggers: Collection[str]) -> set[str]:
        """Those of these triggers that made a request already, or were refused."""
        return await asked.taken(self._connection, triggers)

    async def live(self, ref: InvoiceRef) -> Payment | None:
        """The payment that holds this invoice: under way, unknown, or paid."""
        return await self._one(payments.c.module == ref.module, payments.c.number == ref.number, LIVE)

    async def holding(self, refs: Collection[InvoiceRef], *, wait: bool = True) -> list[Payment]:
        """The same of several invoices, in their order.

        They are locked in the order of their requests, so that no two wait for each other. wait: otherwise
        those that somebody else has locked are left out.
        """
        numbers: dict[str, list[int]] = {}
        for ref in refs:
            numbers.setdefault(ref.module, []).append(ref.number)
        # A module at a time: of pairs, SQLite looks through all that a module has.
        invoices = (
            and_(payments.c.module == module, payments.c.number.in_(some)) for module, some in numbers.items()
        )
        statement = PAYMENTS.where(or_(*invoices), LIVE)
        locked = statement.order_by(requests.c.id, payments.c.line).with_for_update(skip_locked=not wait)
        found = {
            (one := payment_of(row)).ref: one for row in (await self._connection.execute(locked)).mappings()
        }
        return [found[ref] for ref in refs if ref in found]

    async def precedents(self, payment: Payment) -> Precedents:
        """What other requests for the invoice's number say against this payment."""
        await self.trail.write()
        return await precedents(self._connection, payment)

    async def has_listed(self, module: str | None = None) -> bool:
        """Whether a list of unpaid invoices was ever seen to hold an invoice; that of one module, or any."""
        return await has_listed(self._connection, module)

    async def disproved(self, payment: Payment) -> str | None:
        """What the audit trail says against the rows of a payment's request; None if it proves them."""
        return await self._disproof(payment.request)

    async def _disproof(self, request: PaymentRequest) -> str | None:
        return await proof.disproof(self._connection, request, await self.trail.told(request.id))

    async def disproved_beside(self, payment: Payment) -> str | None:
        """What the audit trail says against other requests that bear on this payment; None if it proves them.

        Those are the ones with its number, and the ones that were asked for its invoice. Takes the end of the
        trail where there are any, so that none moves meanwhile: take other locks before.
        """
        await self.trail.write()
        found = await self._connection.execute(
            BESIDE,
            {"request": payment.request.id, "number": payment.ref.number, "invoice": str(payment.ref)},
        )
        ids = sorted(found.scalars())
        if not ids:
            return None
        await self.trail.hold_end()
        rows = (await self._connection.execute(select(requests).where(requests.c.id.in_(ids)))).mappings()
        others = {row["id"]: row for row in rows}
        for other in ids:
            if other not in others:
                return f"#{other}: its row is missing"
            if (flaw := await self._disproof(request_of(others[other]))) is not None:
                return flaw
        return None

    async def payment(self, payment_id: int) -> Payment | None:
        """Read one payment and keep others from changing it until the transaction ends."""
        return await self._one(payments.c.id == payment_id)

    async def of_request(self, request_id: int) -> Batch | None:
        """The same of a request with all of its payments."""
        return await self._whole(requests.c.id == request_id)

    async def reread(self, payment: Payment) -> Payment:
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

    async def whole(self, request: PaymentRequest) -> Batch:
        """The same of a request that was read before. Raises Stale."""
        current = await self.of_request(request.id)
        if current is None or current.request.mark != request.mark:
            raise Stale(f"the ledger was set back: it knows of no {request.number} any more")
        return current

    async def _one(self, *where: ColumnElement[bool]) -> Payment | None:
        statement = PAYMENTS.where(*where).with_for_update()
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        return payment_of(row) if row is not None else None

    async def _whole(self, condition: ColumnElement[bool]) -> Batch | None:
        statement = PAYMENTS.where(condition).order_by(payments.c.line).with_for_update()
        return batch_of((await self._connection.execute(statement)).mappings())

    async def requested_totals(
        self,
        *,
        since: datetime,
        until: datetime,
        currency: str,
        except_payment: int,
        rule: str,
        rules: Collection[str],
        requester: str,
        moved: tuple[str, Rule] | None = None,
    ) -> tuple[Decimal, Decimal]:
        """What the live payments of a rule in that time add up to: of everybody, and of one person.

        rules: all that there are. What was asked for under one that is gone counts: it may have been renamed.
        moved: the one under which the payment was asked for, and the one under which it falls by now: what
            of the first that takes as well counts with it.
        Whose they are is not asked of the database: it would look through all that the person ever asked for.
        """
        theirs = [requests.c.rule == rule, requests.c.rule.not_in(rules)]
        if moved is not None:
            theirs.append(and_(requests.c.rule == moved[0], *_taken_by(moved[1])))
        statement = (
            select(payments.c.amount, requests.c.requester)
            .join(requests)
            .where(
                requests.c.created_at >= since,
                requests.c.created_at < until,
                payments.c.currency == currency,
                payments.c.id != except_payment,
                or_(*theirs),
                LIVE,
            )
        )
        known = [row for row in await self._connection.execute(statement) if row.amount is not None]
        by_all = sum((row.amount for row in known), Decimal(0))
        return by_all, sum((row.amount for row in known if row.requester == requester), Decimal(0))

    async def approvers(self, request_id: int) -> list[str]:
        """Who approved so far, in order, as far as an event tells of it."""
        await self.trail.write()
        found = await self._connection.execute(proof.APPROVERS, {"request": request_id})
        return list(found.scalars())

    async def count_events(self, payment: Payment, what: type[KnownEvent]) -> int:
        """How often something happened to a payment."""
        await self.trail.write()
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

    async def has_attempt(self, attempt_id: int, started_at: datetime) -> bool:
        """Whether this wire call is written down: a ledger that was set back gives numbers again."""
        this = attempts.c.id == attempt_id, attempts.c.started_at == started_at
        return (await self._connection.execute(select(attempts.c.id).where(*this))).first() is not None

    async def answered(self, payment: Payment) -> bool:
        """Whether the trail tells what became of its latest call, which was made when it was read."""
        return (await self.trail.told(payment.request.id)).answered(payment.line, payment.tries)

    async def settled_by(self, request_id: int, trigger: str) -> bool:
        """Whether this command of a person settled some of the request, or corrected it."""
        await self.trail.write()
        statement = select(events).where(
            events.c.request_id == request_id, events.c.action.in_((Resolved.action, Corrected.action))
        )
        settled = [event_of(row).what for row in (await self._connection.execute(statement)).mappings()]
        return any(isinstance(what, Resolved) and what.trigger == trigger for what in settled)

    async def seen(self, payment: Payment) -> str | None:
        """What its requester was shown that it costs, as `Invoice.price`; None where that was nothing."""
        line = (await self.trail.told(payment.request.id)).replay.lines.get(payment.line)
        return line.seen if line is not None and isinstance(line.seen, str) else None

    async def last_move(self, payment: Payment, to: State | None = None) -> Event:
        """What brought a payment, which has moved, to its state. Raises LedgerContradicted: it never did.

        to: the same of a state that it had before.
        """
        await self.trail.write()
        statement = (
            select(events)
            .where(
                events.c.request_id == payment.request.id,
                concerns(literal(payment.line)),
                events.c.to_state == (to or payment.state).value,
            )
            .order_by(events.c.id.desc())
            .limit(1)
        )
        row = (await self._connection.execute(statement)).mappings().one_or_none()
        if row is None:
            raise LedgerContradicted(f"by the audit trail, payment {payment.number} never moved")
        return event_of(row)


def _taken_by(rule: Rule) -> Iterator[ColumnElement[bool]]:
    """What it takes of modules and channels."""
    if rule.modules is not None:
        yield payments.c.module.in_(rule.modules)
    if rule.channels is not None:
        yield requests.c.channel.in_(rule.channels)
