"""Erases what is personal in what was over long ago, inside one transaction: in the events and in the rows.

No event and no row goes away, and every hash of the chain stays: invoices are held for ever, and whatever
decides whether money moves is proved as before. See `erased`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.erasure import ERASED, Numbered, addressed, is_erased, without_people
from bot.domain.events import Paused, Pruned, Resumed
from bot.domain.payment import FINAL, WITHDRAWN_WORDS
from bot.errors import LedgerContradicted
from bot.ledger import audit, proof
from bot.ledger.erased import left_of
from bot.ledger.rows import request_of
from bot.ledger.schema import PENDING, approvals, deliveries, events, notices, payments, requests
from bot.ledger.trail import Trail

REQUESTS_OF_ONE = 10
"""Requests of one transaction: nobody else adds to the trail meanwhile."""

_EVENTS_OF_ONE = 500
"""Events of no request that one event answers for."""

_IS_PRUNED = events.c.action == Pruned.action

_NAMES_SOMEBODY = and_(
    events.c.erased_by.is_(None),
    ~_IS_PRUNED,
    or_(events.c.actor != func.lower(events.c.actor), events.c.actor.contains(":")),
)
"""By its actor, as a database can tell it: an id of Slack's, or an operator. See `erasure.is_person`."""


@dataclass(frozen=True, slots=True)
class Meant:
    """What is erased: all that was over before a moment, and is among the first events up to a number.

    export: the SHA-256 of the file that holds these events. actor: who erases them.
    """

    before: datetime
    up_to: int
    export: str
    actor: str

    def due(self) -> Select[Any]:
        """The ids of requests with something to erase."""
        its = events.c.request_id == requests.c.id
        late = or_(events.c.at >= self.before, events.c.id > self.up_to)
        return select(requests.c.id).where(
            ~exists().where(
                payments.c.request_id == requests.c.id,
                payments.c.state.not_in([state.value for state in FINAL]),
            ),
            ~exists().where(deliveries.c.request_id == requests.c.id, PENDING),
            ~exists().where(its, late, ~_IS_PRUNED),
            exists().where(its, _NAMES_SOMEBODY),
        )

    def due_of_none(self) -> ColumnElement[bool]:
        """Events of no request with something to erase. A pause that is in force stays."""
        newer = events.alias()
        last = select(func.max(newer.c.id)).where(newer.c.action.in_((Paused.action, Resumed.action)))
        return and_(
            events.c.request_id.is_(None),
            _NAMES_SOMEBODY,
            events.c.at < self.before,
            events.c.id <= self.up_to,
            or_(events.c.action != Paused.action, events.c.id < last.scalar_subquery()),
        )

    def due_notices(self, column: Column[str]) -> ColumnElement[bool]:
        """What was told, or never was, to people that are named in that column."""
        names_somebody = or_(*(column.startswith(letter) for letter in "UWD"))
        return and_(names_somebody, notices.c.created_at < self.before)


_NAMING = (notices.c.place, notices.c.key)


async def anything(connection: AsyncConnection, before: datetime) -> bool:
    """Whether there is something to erase."""
    meant = Meant(before, 2**62, "", "")
    found = [
        meant.due(),
        select(events.c.id).where(meant.due_of_none()),
        *(select(notices.c.id).where(meant.due_notices(column)) for column in _NAMING),
    ]
    return any([(await connection.execute(one.limit(1))).first() is not None for one in found])


async def naming_somebody(connection: AsyncConnection, before: datetime) -> int:
    """How many requests that were made before then still say who asked."""
    asked = requests.c.created_at < before, ~requests.c.requester.startswith("erased-")
    found = await connection.execute(select(func.count()).select_from(requests).where(*asked))
    return int(found.scalar_one())


class Pruning:
    """What one transaction erases."""

    def __init__(self, connection: AsyncConnection, trail: Trail) -> None:
        self._connection = connection
        self._trail = trail

    async def requests(self, meant: Meant, *, after: int) -> list[int]:
        """Erase what is personal in the next requests; their ids.

        Raises LedgerContradicted where the trail says something else than the rows: nobody erases the proof.
        """
        await self._overwrite()
        await self._trail.write()
        due = meant.due().where(requests.c.id > after).order_by(requests.c.id).limit(REQUESTS_OF_ONE)
        lock = select(requests.c.id).where(requests.c.id.in_(due)).order_by(requests.c.id).with_for_update()
        locked = (await self._connection.execute(lock)).scalars().all()
        if not locked:
            return []
        # Whoever had the lock before may have changed what made it due.
        still = meant.due().where(requests.c.id.in_(locked)).order_by(requests.c.id)
        ids = list((await self._connection.execute(still)).scalars())
        if not ids:
            return await self.requests(meant, after=locked[-1])
        for request_id in ids:
            await self._prove(request_id)
            await self._request(request_id, meant)
            self._trail.forget(request_id)
            await self._prove(request_id)
        return ids

    async def _prove(self, request_id: int) -> None:
        its = select(requests).where(requests.c.id == request_id)
        request = request_of((await self._connection.execute(its)).mappings().one())
        told = await self._trail.told(request_id)
        if (flaw := await proof.disproof(self._connection, request, told)) is not None:
            raise LedgerContradicted(f"{flaw}. Run `python -m bot audit verify`")

    async def _overwrite(self) -> None:
        """SQLite leaves what it deletes in the file, unless it is told not to."""
        if self._connection.dialect.name == "sqlite":
            await self._connection.execute(text("PRAGMA secure_delete = ON"))

    async def _request(self, request_id: int, meant: Meant) -> None:
        of_it = audit.HASHED.where(events.c.request_id == request_id)
        trail = (await self._connection.execute(of_it)).all()
        people = Numbered()
        for row in trail:
            people.known(row[3])
            if row[10] is not None:
                people.known(row[7])
        where = select(deliveries.c.channel).where(deliveries.c.request_id == request_id)
        for channel in (await self._connection.execute(where)).scalars():
            people.known(channel)
        await self._events(trail, people, request_id, meant)
        await self._rows(request_id, people)

    async def _events(
        self, trail: Sequence[Sequence[Any]], people: Numbered, request_id: int | None, meant: Meant
    ) -> None:
        for row in trail:
            people(row[3])  # those who acted are met before those who are only named
        by = (await self._trail.hold_end()).event_id + 1
        left = []
        for row in trail:
            if row[10] is not None or row[4] == Pruned.action:
                continue
            actor, detail = people(row[3]), without_people(row[4], row[7], people)
            if (actor, detail) != (row[3], row[7]):
                left.append((*row[:3], actor, *row[4:7], detail, *row[8:10], by))
        if not left:
            return
        changes = [{"this": row[0], "who": row[3], "told": row[7], "by": row[10]} for row in left]
        await self._connection.execute(_ERASE, changes)
        hashed = left_of(left)
        what = Pruned(meant.before.date().isoformat(), meant.export, hashed.count, hashed.hash)
        await self._trail.append(what, request_id=request_id, actor=meant.actor)

    async def _rows(self, request_id: int, people: Numbered) -> None:
        """What belongs to a request, in the same words as its events."""
        run = self._connection.execute
        its = select(requests.c.requester, requests.c.channel).where(requests.c.id == request_id)
        requester, channel = (await run(its)).one()
        nobody = {"note": None, "response_url": None, "requester": people(requester)}
        if not is_erased(requester):
            # Where the first erasing left a direct message, the event that tells it is erased no more.
            nobody |= {"channel": addressed(channel, people)}
        await run(update(requests).where(requests.c.id == request_id).values(**nobody))
        stays = or_(payments.c.reason.is_(None), payments.c.reason.in_(WITHDRAWN_WORDS))
        reason = case((stays, payments.c.reason), else_=ERASED)
        # Whoever read a payment before reads it again.
        changed = update(payments).values(reason=reason, version=payments.c.version + 1)
        await run(changed.where(payments.c.request_id == request_id))
        given = select(approvals.c.id, approvals.c.approver).where(approvals.c.request_id == request_id)
        for one, approver in (await run(given.order_by(approvals.c.id))).all():
            values = {"approver": people(approver), "reason": None}
            await run(update(approvals).where(approvals.c.id == one).values(**values))
        told = select(deliveries.c.id, deliveries.c.slot, deliveries.c.channel)
        of_it = told.where(deliveries.c.request_id == request_id).order_by(deliveries.c.id)
        for one, slot, channel in (await run(of_it)).all():
            if (where := addressed(channel, people)) != channel:
                named = slot.endswith(f":{channel}")
                values = {"channel": where, "slot": slot.removesuffix(channel) + where if named else slot}
                await run(update(deliveries).where(deliveries.c.id == one).values(**values))

    async def of_no_request(self, meant: Meant, *, after: int) -> int | None:
        """Erase what is personal in the next events of no request: the last that was looked at, or None."""
        await self._overwrite()
        await self._trail.write()
        due = audit.HASHED.where(meant.due_of_none(), events.c.id > after).limit(_EVENTS_OF_ONE)
        trail = (await self._connection.execute(due)).all()
        if not trail:
            return None
        await self._events(trail, Numbered(), None, meant)
        return int(trail[-1][0])

    async def notices(self, meant: Meant) -> None:
        """To whom something was told that belongs to no request, or could not be told."""
        nobody = literal("erased-") + cast(notices.c.id, String)
        for column in _NAMING:
            due = meant.due_notices(column)
            await self._connection.execute(update(notices).where(due).values({column: nobody}))


_ERASE = (
    update(events)
    .where(events.c.id == bindparam("this"))
    .values(actor=bindparam("who"), detail=bindparam("told"), erased_by=bindparam("by"))
)
