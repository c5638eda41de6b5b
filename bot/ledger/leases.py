"""Leases: who works on which payment, claimed, renewed, released, or taken over from a dead instance."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, Table, and_, case, or_, select, union, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import FINAL, Lease, Payment, State
from bot.ledger.notices import Notices, Topic
from bot.ledger.queues import Queue
from bot.ledger.rows import payment_of, readable
from bot.ledger.schema import FREE, MAY_HAVE_ARRIVED, PAYMENTS, PENDING, deliveries, payments, requests
from bot.ledger.trail import Trail

log = structlog.get_logger()

_WAITING = tuple(state for state in State if state not in FINAL | {State.PENDING_APPROVAL, State.SENDING})
"""States in which a payment waits for the bot to look at it again: not for people, nor for a call's end."""

LONGEST_LEASE = timedelta(minutes=1)
"""Longer than a lease that is kept by a heartbeat ever lasts."""

LONGEST_RETRY = timedelta(minutes=15)
"""What was provably not sent never waits longer for its retry. Its retries are few, so none is brought
forward that may be waiting by today's clock: a bot that is started again and again would use them all up."""


class Leases:
    """The part of a transaction that is about leases.

    changed_topics: the states that payments came to and are due in, and what else may leave work.
    """

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self.now = now
        self.changed_topics: set[str] = set()
        self.trail = Trail(connection, now)
        self.notices = Notices(connection, now, self.trail)

    async def claim(
        self, queue: Queue, *, owner: str, lease: timedelta, limit: int, seen: Collection[Payment] = ()
    ) -> list[Payment]:
        """Take up to `limit` payments that are due, so that no other instance works on them.

        seen: as they were read a moment ago; what nobody changed since then is not read again.
        """
        due = queue.some.with_for_update(skip_locked=True, of=payments).cte("due")
        until = self.now + lease
        taking = (
            update(payments)
            .where(payments.c.id.in_(select(due.c.id)))
            .values(lease_owner=owner, lease_until=until)
            .returning(payments.c.id, payments.c.version)
        )
        rows = (await self._connection.execute(taking, {"now": self.now, "limit": limit})).all()
        versions = {row.id: row.version for row in rows}
        known = [
            replace(one, lease=Lease(owner, until)) for one in seen if versions.get(one.id) == one.version
        ]
        unknown = versions.keys() - {one.id for one in known}
        return sorted([*known, *await self._read(unknown)], key=lambda payment: payment.id)

    async def lock_due(self, queue: Queue, *, limit: int) -> list[Payment]:
        """Take them for who is done with them when the transaction ends.

        Their requests are locked before them, as by everybody: a delivery that is added locks its request.
        """
        found = queue.some.with_for_update(skip_locked=True, of=(requests, payments))
        ids = (await self._connection.execute(found, {"now": self.now, "limit": limit})).scalars()
        return sorted(await self._read(set(ids)), key=lambda payment: payment.id)

    async def _read(self, ids: AbstractSet[int]) -> list[Payment]:
        if not ids:
            return []
        rows = await self._connection.execute(PAYMENTS.where(payments.c.id.in_(ids)))
        taken = readable(rows.mappings(), payment_of)
        if unread := ids - {payment.id for payment in taken}:
            await self._put_aside(unread)
        return taken

    async def _put_aside(self, unread: Collection[int]) -> None:
        """What cannot be read takes nobody's place for a while."""
        log.error("payments that cannot be read are put aside for a minute", payments=sorted(unread))
        await self._connection.execute(
            update(payments).where(payments.c.id.in_(unread)).values(lease_until=self.now + LONGEST_LEASE)
        )
        await self.notices.alert(Topic.CONTRADICTED, f"row {min(unread)} of payments")

    async def renew(self, payment_id: int, *, owner: str, lease: timedelta) -> bool:
        """Prolong a lease; False if it is not this owner's any more."""
        statement = (
            update(payments)
            .where(payments.c.id == payment_id, payments.c.lease_owner == owner)
            .values(lease_until=self.now + lease)
        )
        return bool((await self._connection.execute(statement)).rowcount)

    async def release(self, payment: Payment, *, owner: str, due_at: datetime) -> None:
        """Give a lease back and say when the payment is due again."""
        await self._connection.execute(
            update(payments)
            .where(payments.c.id == payment.id, payments.c.lease_owner == owner)
            .values(due_at=due_at, **FREE)
        )

    async def postpone(self, payment: Payment, *, until: datetime) -> None:
        """Keep a payment out of every queue until then."""
        await self._connection.execute(
            update(payments).where(payments.c.id == payment.id).values(due_at=until, lease_until=until)
        )

    async def free_leases(self, *, instead_of: str, visible_within: timedelta) -> None:
        """Let every lease but this owner's run out now: the others are known to be dead.

        Whose they were stays written: a delivery that somebody held when they died may have arrived.
        visible_within: how long it may be under way yet.
        """
        seen = self.now + visible_within
        for table, until, condition in (
            (payments, self.now, _held_by_another(payments, instead_of)),
            (deliveries, seen, _held_by_another(deliveries, instead_of)),
            (deliveries, seen, MAY_HAVE_ARRIVED),
        ):
            await self._connection.execute(update(table).where(condition).values(lease_until=until))

    async def bring_forward(self) -> None:
        """Let everything that waits for its time be looked at now, and no lease last beyond the longest.

        What waits, waits by the clock that wrote it down; that may have been another one than today's.
        A lease is not ended: who is alive prolongs it in time, and one of the dead runs out soon.
        The requests are locked first, in the order of their numbers: who has one of them goes for all of
        its payments, and changing a row again would lock its request.
        """
        stays = and_(payments.c.state == State.NOT_SENT.value, payments.c.due_at <= self.now + LONGEST_RETRY)
        waits = and_(payments.c.state.in_([state.value for state in _WAITING]), ~stays)
        brought = []
        for table, condition in ((payments, waits), (deliveries, PENDING)):
            late = and_(condition, table.c.due_at > self.now)
            long = table.c.lease_until > self.now + LONGEST_LEASE
            changes = {
                "due_at": case((late, self.now), else_=table.c.due_at),
                "lease_until": case((long, self.now + LONGEST_LEASE), else_=table.c.lease_until),
            }
            brought.append((table, or_(late, long), changes))
        # Of all requests few are in it, so what waits leads to them.
        theirs = union(*(select(table.c.request_id).where(condition) for table, condition, _ in brought))
        await self._connection.execute(
            select(requests.c.id).where(requests.c.id.in_(theirs)).order_by(requests.c.id).with_for_update()
        )
        for table, condition, changes in brought:
            await self._connection.execute(update(table).where(condition).values(changes))
        await self.notices.bring_forward(self.now + LONGEST_LEASE)


def _held_by_another(table: Table, owner: str) -> ColumnElement[bool]:
    """Whoever holds a row holds it until some time, and few rows have one: there is an index of those."""
    return and_(table.c.lease_until.is_not(None), table.c.lease_owner != owner)
