"""The ledger: the durable record. The ledger is the truth; Slack is its projection.

Reads are methods of `Ledger`; every write goes through `async with ledger.transaction() as transaction`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import CompoundSelect, Select, func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.clocks import BootClock, boottime
from bot.domain.batch import Batch
from bot.domain.events import Denied, NotTold
from bot.domain.payment import InvoiceRef, Payment, State
from bot.errors import CommitLost, LedgerUnavailable
from bot.ledger import audit, database, proof, version
from bot.ledger.outage import Outage
from bot.ledger.precedents import Precedents, has_listed, precedents
from bot.ledger.queues import UNFINISHED, WITH_WORK, Queue
from bot.ledger.rows import (
    END,
    Event,
    Pause,
    all_readable,
    batch_of,
    end_in,
    event_of,
    pause_of,
    payment_of,
    readable,
)
from bot.ledger.schema import (
    IS_DECISION,
    LIVE,
    PAYMENTS,
    PENDING,
    chain,
    events,
    payments,
    requests,
    with_payment,
)
from bot.ledger.transaction import Transaction

log = structlog.get_logger()

SET_BACK = 1.0
"""Seconds; less is what NTP does to a clock that is well."""

WRITERS = 4
"""Write transactions at once, of one process on PostgreSQL."""

_LOOKED_THROUGH = 200
"""Of somebody's requests and decisions, so many of the newest are looked through for what changed last."""

Clock = Callable[[], datetime]
"""Tells the time, aware and in UTC."""


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class Ledger:
    """An open ledger. Use `open_ledger`."""

    def __init__(
        self, engine: AsyncEngine, identity: str, clock: Clock, boot_clock: BootClock = boottime
    ) -> None:
        self._engine = engine
        self._reads = database.reading(engine)
        self._writes = database.writing(engine)
        # Every write waits for the end of the audit trail: more of them at once only wait in the database,
        # each with a connection that a read could have had.
        self._turn = asyncio.Semaphore(1 if engine.dialect.name == "sqlite" else WRITERS)
        self._watchers: dict[asyncio.Event, tuple[Queue, ...]] = {}
        self.identity = identity
        self._clock = clock
        self._ahead: timedelta | None = None
        self.boottime = boot_clock
        self._offset = float("-inf")
        self.outage = Outage(self.clock, boot_clock, engine)

    @property
    def shared(self) -> bool:
        """Whether other instances may work on the same ledger."""
        return self._engine.dialect.name != "sqlite"

    def clock(self) -> datetime:
        """The time by the ledger: on PostgreSQL the server's, so that all instances have the same."""
        return self._clock() + (self._ahead or timedelta(0))

    def _ahead_of_boottime(self) -> float:
        """Seconds; less than before where less time has passed by the ledger's clock than in truth."""
        return self.clock().timestamp() - self.boottime()

    async def now(self, connection: AsyncConnection) -> datetime:
        """The time, read anew from the server where that has the clock.

        The server read it at some moment between question and answer. Where what was known may still be
        true it is kept: an answer that comes late is no clock that was set. Raises LedgerUnfit where a later
        version of the bot has taken the ledger over meanwhile.
        """
        if not self.shared:
            return self.clock()
        asked = self.boottime()
        told = await version.fence(connection)
        if self._clock is utc_now:
            least = told - utc_now()
            most = least + timedelta(seconds=self.boottime() - asked)
            self._ahead = least if self._ahead is None else min(max(self._ahead, least), most)
        return self.clock()

    def watch(self, *queues: Queue) -> asyncio.Event:
        """An event that is set after every commit of this process that may leave work in one of the queues.

        queues: none means every commit. See also `wake_due`.
        """
        event = asyncio.Event()
        self._watchers[event] = queues
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        """Set that event no more."""
        del self._watchers[event]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One write transaction. Raises LedgerUnavailable: then nothing of it counts.

        Raises CommitLost where the connection was lost at the very commit, and it cannot be read again what
        became of it; what must not happen twice is guarded by the tables.
        """
        committing = False
        try:
            async with self._turn, self.outage.noted(), self._writes.begin() as connection:
                transaction = Transaction(connection, await self.now(connection))
                yield transaction
                await transaction.finish()
                committing = True
        except LedgerUnavailable as error:
            if not committing or not await self._committed(transaction.sealed_by, error):
                raise
        for event, queues in self._watchers.items():
            if not queues or any(queue.woken_by & transaction.changed_topics for queue in queues):
                event.set()

    async def _committed(self, seal: audit.Link | None, lost: LedgerUnavailable) -> bool:
        """Whether a transaction counts whose COMMIT got no answer, by its event. Raises CommitLost."""
        if seal is not None:
            with contextlib.suppress(LedgerUnavailable):
                async with self._turn, self.outage.noted(), self._writes.begin() as connection:
                    return await audit.holds(connection, seal)
        raise CommitLost(f"it is not known whether this counts: {lost}") from None

    async def wake_due(self) -> None:
        """Set the events of queues in which something is due: its time has come, or it is another instance's.

        One read for all of them, so that idling costs little. Where the ledger's clock was set back, all
        that waits is looked at now: its time would come late. Raises LedgerUnfit, as `now`.
        """
        if self.shared:
            async with database.honest_errors(), self._reads.connect() as connection:
                await self.now(connection)
        ahead = self._ahead_of_boottime()
        if ahead < self._offset - SET_BACK:
            log.warning("the ledger's clock was set back: what waits is looked at now")
            async with self.transaction() as transaction:
                await transaction.bring_forward()
        # Known only once that is done: where the ledger is away just then, it is done when it is back.
        self._offset = ahead
        found = {row["name"] for row in await self._due(WITH_WORK)}
        for event, queues in self._watchers.items():
            if any(queue.name in found for queue in queues):
                event.set()

    async def _all(self, statement: Select[Any] | CompoundSelect[Any], **given: Any) -> list[Any]:
        async with self.outage.noted(), self._reads.connect() as connection:
            return list((await connection.execute(statement, given)).mappings())

    async def _payments(self, statement: Select[Any]) -> list[Payment]:
        """Those that can be read."""
        async with self.outage.noted(), self._reads.connect() as connection:
            return readable((await connection.execute(statement)).mappings(), payment_of)

    async def _due(self, statement: Select[Any] | CompoundSelect[Any], **given: Any) -> list[Any]:
        return await self._all(statement, now=self.clock(), **given)

    async def payment(self, payment_id: int) -> Payment | None:
        """One payment."""
        found = await self._all(PAYMENTS.where(payments.c.id == payment_id))
        return payment_of(found[0]) if found else None

    async def of_request(self, request_id: int) -> Batch | None:
        """A request with its payments. Raises LedgerContradicted."""
        statement = PAYMENTS.where(requests.c.id == request_id).order_by(payments.c.line)
        async with self.outage.noted(), self._reads.connect() as connection:
            return batch_of((await connection.execute(statement)).mappings())

    async def _batches(self, which: Select[Any]) -> list[Batch]:
        """Requests with their payments, in the order in which their ids are selected; those that can be read.

        which: selects ids of requests.
        """
        lines = PAYMENTS.where(requests.c.id.in_(which)).order_by(requests.c.id, payments.c.line)
        by_request: dict[int, list[Payment]] = {}
        for payment in await self._payments(lines):
            by_request.setdefault(payment.request.id, []).append(payment)
        ids = [row["id"] for row in await self._all(which)]
        found = [by_request[one] for one in ids if one in by_request]
        return [Batch(tuple(one)) for one in found if len(one) == one[0].request.size]

    async def any_due(self, queue: Queue) -> bool:
        """Whether whoever claims from this queue would find work."""
        return bool(await self._due(queue.some, limit=1))

    async def due(self, queue: Queue, *, limit: int) -> list[Payment] | None:
        """What whoever claims from this queue would find; None where some of it cannot be read."""
        given = {"now": self.clock(), "limit": limit}
        async with database.honest_errors(), self._reads.connect() as connection:
            return all_readable((await connection.execute(queue.rows, given)).mappings(), payment_of)

    async def batch_of(self, payment: Payment) -> Batch | None:
        """The request of a payment that was read just now, so that it is read again only for the others."""
        return Batch((payment,)) if payment.request.size == 1 else await self.of_request(payment.request.id)

    async def latest(self, ref: InvoiceRef) -> Payment | None:
        """The newest payment request for an invoice, live or not."""
        found = await self._all(
            PAYMENTS.where(payments.c.module == ref.module, payments.c.number == ref.number)
            .order_by(payments.c.id.desc())
            .limit(1)
        )
        return payment_of(found[0]) if found else None

    async def live(self, module: str, numbers: Collection[int] | None = None) -> dict[int, Payment]:
        """The live and paid payments of a module, or of these invoices of it, by invoice number."""
        statement = PAYMENTS.where(payments.c.module == module, LIVE)
        if numbers is not None:
            statement = statement.where(payments.c.number.in_(numbers))
        return {payment.ref.number: payment for payment in await self._payments(statement)}

    async def recent(
        self, *, requester: str | None = None, states: Iterable[State] | None = None, limit: int | None = 10
    ) -> list[Batch]:
        """The newest requests, of one person or of everybody, with a payment in some states or in any.

        limit: None for all.
        """
        which = select(requests.c.id).order_by(requests.c.id.desc()).limit(limit)
        if requester is not None:
            which = which.where(requests.c.requester == requester)
        if states is not None:
            which = which.where(with_payment(payments.c.state.in_([state.value for state in states])))
        return await self._batches(which)

    async def pending(self) -> list[Batch]:
        """All that waits for approval, what expires first before the others."""
        waits = with_payment(payments.c.state == State.PENDING_APPROVAL.value)
        which = select(requests.c.id).where(waits).order_by(requests.c.expires_at, requests.c.id)
        return await self._batches(which)

    async def approved_by(self, person: str) -> frozenset[int]:
        """The requests that wait for approval and this person approved, as far as an event tells of it."""
        return frozenset(row["request_id"] for row in await self._all(proof.APPROVED_BY, approver=person))

    async def ids(self, state: State) -> list[int]:
        """The payments in a state."""
        found = select(payments.c.id).where(payments.c.state == state.value)
        return [row["id"] for row in await self._all(found)]

    async def concerning(self, user_id: str, states: Iterable[State], *, limit: int = 10) -> list[Batch]:
        """The requests with payments in some states that a person made or decided on; the latest first."""
        theirs = (
            select(requests.c.id)
            .where(requests.c.requester == user_id)
            .order_by(requests.c.id.desc())
            .limit(_LOOKED_THROUGH)
        )
        acted = (
            select(events.c.request_id.label("id"))
            .where(events.c.actor == user_id, IS_DECISION)
            .order_by(events.c.request_id.desc())
            .limit(_LOOKED_THROUGH)
        )
        newest = union(select(theirs.subquery().c.id), select(acted.subquery().c.id)).subquery()
        which = (
            select(requests.c.id)
            .join(payments)
            .where(
                requests.c.id.in_(select(newest.c.id)),
                payments.c.state.in_([state.value for state in states]),
            )
            .group_by(requests.c.id)
            .order_by(func.max(payments.c.updated_at).desc(), requests.c.id.desc())
            .limit(limit)
        )
        return await self._batches(which)

    async def paused(self) -> Pause | None:
        """Whether sending is paused, and by whom."""
        async with self.outage.noted(), self._reads.connect() as connection:
            return pause_of(end_in((await connection.execute(END)).mappings()))

    async def last_event(self) -> int:
        """The id of the latest event: while it stays, nothing that people are shown has changed."""
        return int((await self._all(select(chain.c.last_event)))[0]["last_event"])

    async def approvers(self, request_id: int) -> list[str]:
        """Who approved, in order, as far as an event tells of it."""
        return [row["approver"] for row in await self._all(proof.APPROVERS, request=request_id)]

    async def denier(self, request_id: int) -> str | None:
        """Who denied it; None where nobody did."""
        denied = events.c.request_id == request_id, events.c.action == Denied.action
        found = await self._all(select(events.c.actor).where(*denied))
        return found[0]["actor"] if found else None

    async def precedents(self, payment: Payment) -> Precedents:
        """What other requests for the invoice's number say against this payment."""
        async with self.outage.noted(), self._reads.connect() as connection:
            return await precedents(connection, payment)

    async def has_listed(self, module: str | None = None) -> bool:
        """Whether a list of unpaid invoices was ever seen to hold an invoice; that of one module, or any."""
        async with self.outage.noted(), self._reads.connect() as connection:
            return await has_listed(connection, module)

    async def event(self, event_id: int) -> Event:
        """One event."""
        return event_of((await self._all(select(events).where(events.c.id == event_id)))[0])

    async def history(self, request_id: int) -> list[Event]:
        """The events of one request, in order."""
        rows = await self._all(select(events).where(events.c.request_id == request_id).order_by(events.c.id))
        return [event_of(row) for row in rows]

    async def lines(self, request_id: int | None = None) -> AsyncIterator[str]:
        """The audit trail, or one request's part of it, in lines for people; not held in memory.

        Also of events that nobody can have written.
        """
        statement = audit.LINES
        if request_id is not None:
            statement = statement.where(events.c.request_id == request_id)
        async with self.snapshot() as connection:
            async for row in await connection.stream(statement):
                yield audit.line(row)

    async def undelivered(self) -> int:
        """How many deliveries are still to be made."""
        return int((await self._all(select(func.count().label("n")).where(PENDING)))[0]["n"])

    async def not_told(self) -> int:
        """How many deliveries were given up, although somebody should have been told."""
        # The actor leads the index; the announcer's own events are few.
        theirs = events.c.actor == "announcer", events.c.action == NotTold.action
        return int((await self._all(select(func.count().label("n")).where(*theirs)))[0]["n"])

    async def at_rest(self) -> bool:
        """Whether nothing is left to do but wait for people or for time."""
        return not await self._due(UNFINISHED)

    async def by_state(self) -> dict[State, int]:
        """How many payments are in each state that there is."""
        rows = await self._all(select(payments.c.state, func.count().label("n")).group_by(payments.c.state))
        return {State(row["state"]): row["n"] for row in rows if row["state"] in set(State)}

    async def instances(self) -> int:
        """How many running bots have this ledger open, this one included."""
        if not self.shared:
            return 1
        return max(1, len(await self._all(database.INSTANCES)))

    async def verify(self) -> proof.Verification:
        """Prove the whole ledger by its audit trail, as it is at one moment: others may go on writing."""
        async with self.snapshot() as connection:
            return await connection.run_sync(proof.verify)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """For what reads long: at one moment, and not cut off by what bounds a write transaction."""
        async with self.outage.noted(), database.snapshot(self._engine).connect() as connection:
            if self.shared:
                await connection.execute(database.PATIENT)
            yield connection
