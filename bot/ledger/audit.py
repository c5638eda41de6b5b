"""The audit trail: append-only events, each holding the SHA-256 of its content and of the one before.

Changing or removing any event breaks every hash after it; removing the last ones leaves the chain row
pointing at nothing. What is personal in an event may be erased later: see `erased`. What the chain cannot
show is somebody who rewrites all of it: keep the last hash, which `Ledger.verify` returns, outside the
database. That the other tables are what the events say is proved in `proof`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _json
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.events import Pruned
from bot.ledger.column_types import AsKept
from bot.ledger.erased import Erasures
from bot.ledger.schema import chain, events

GENESIS = "0" * 64

_EVENTS_IN_MEMORY = 5000
"""How many are read at once."""


def digest(content: Sequence[Any], previous: str) -> str:
    """Hash one event's content and the hash before it; hexadecimal. content: its columns up to `detail`.

    Raises TypeError, ValueError or AttributeError for what no event holds. What is hashed is a JSON array,
    put together by hand because millions of events are checked at once.
    """
    event_id, at, request_id, actor, action, from_state, to_state, detail = content
    array = (
        f'[{event_id}, "{at.replace(" ", "T", 1)}+00:00", {"null" if request_id is None else request_id}, '
        f"{_json(actor)}, {_json(action)}, {_json_or_null(from_state)}, {_json_or_null(to_state)}, "
        f"{_json(detail)}, {_json(previous)}]"
    )
    return sha256(array.encode()).hexdigest()


def _json_or_null(text: str | None) -> str:
    return "null" if text is None else _json(text)


@dataclass(frozen=True, slots=True)
class Link:
    """One event of the chain, told from any other of its number by its hash."""

    event_id: int
    hash: str


async def holds(connection: AsyncConnection, link: Link) -> bool:
    """Whether the chain has this event. Waits for whoever is about to add to it: it may be that very one."""
    await connection.execute(select(chain.c.last_event).with_for_update())
    found = await connection.execute(select(events.c.hash).where(events.c.id == link.event_id))
    return found.scalar_one_or_none() == link.hash


@dataclass(frozen=True, slots=True)
class Chain:
    """What a check of the whole chain found. broken_at: the first event that does not fit, or None."""

    events: int
    last_hash: str
    broken_at: int | None


EVENTS = select(
    events.c.id,
    AsKept(events.c.at),
    events.c.request_id,
    events.c.actor,
    events.c.action,
    events.c.from_state,
    events.c.to_state,
    events.c.detail,
    events.c.previous,
    events.c.hash,
    events.c.erased_by,
)
"""Events: the columns as they are hashed, the hash before, the event's own, and what erased it."""

HASHED = EVENTS.order_by(events.c.id)
"""All of them, in their order."""


def check_chain(connection: Connection, after: int = 0, up_to: int | None = None) -> Chain:
    """Recompute every hash from the first event on.

    after, up_to: only of a part of it, which begins with the hash that the event before it has. What answers
    for erased events may lie in another part: see `erasures_hold`.
    """
    ends = [
        tuple(end) for end in connection.execute(select(chain.c.id, chain.c.last_event, chain.c.last_hash))
    ]
    previous, count = GENESIS, after
    part = EVENTS.order_by(events.c.id).limit(_EVENTS_IN_MEMORY)
    if up_to is not None:
        part = part.where(events.c.id <= up_to)
    if after:
        before = connection.execute(select(events.c.hash).where(events.c.id == after))
        previous = str(before.scalar_one_or_none())
    erasures = Erasures() if not after and up_to is None else None
    rows = as_given(connection, part.where(events.c.id > after) if after else part)
    while rows:
        for row in rows:
            count += 1
            if not fits(row, previous) or row[0] != count:
                return Chain(count, previous, broken_at=row[0])
            if erasures is not None and (forged := erasures.add(row)) is not None:
                return Chain(count, previous, broken_at=forged)
            previous = row[9]
        rows = as_given(connection, part.where(events.c.id > count))
    if erasures is not None and erasures.unanswered is not None:
        return Chain(count, previous, broken_at=erasures.unanswered)
    whole = ends == [(1, count, previous)] if up_to is None else count == up_to
    return Chain(count, previous, broken_at=None if whole else count + 1)


def erasures_hold(connection: Connection) -> bool:
    """Whether an event answers for each that is erased: what `check_chain` of a part cannot tell."""
    erasures, last = Erasures(), None
    concerned = or_(events.c.erased_by.is_not(None), events.c.action == Pruned.action)
    part = EVENTS.where(concerned).order_by(events.c.id).limit(_EVENTS_IN_MEMORY)
    while rows := as_given(connection, part if last is None else part.where(events.c.id > last)):
        if any([erasures.add(row) is not None for row in rows]):
            return False
        last = rows[-1][0]
    return erasures.unanswered is None


def as_given(connection: Connection, statement: Executable) -> Sequence[Sequence[Any]]:
    """What the driver gives, without making rows of it first: that would take as long as the check."""
    with connection.execute(statement) as result:
        assert result.cursor is not None, "bug: it returns rows"
        given: Sequence[Sequence[Any]] = result.cursor.fetchall()
        return given


def fits(row: Sequence[Any], previous: str) -> bool:
    """Whether an event is what its hash says, and follows on the hash before it. row: as in `HASHED`.

    Of one that is erased only the latter: what its hash said is gone.
    """
    content, before, hashed, erased_by = row[:8], row[8], row[9], row[10]
    request_id = content[2]
    if before != previous or not (request_id is None or type(request_id) is int):
        return False
    if erased_by is not None:
        return True
    try:
        return bool(digest(content, previous) == hashed)
    except (TypeError, ValueError, AttributeError):
        return False  # a value of a kind that no event has


_before, _after = events.alias("before"), events.alias("after")
_END = select(func.max(chain.c.last_hash)).where(chain.c.last_event == events.c.id).scalar_subquery()

OF_ONE_REQUEST = (
    EVENTS.add_columns(_before.c.hash, func.coalesce(_after.c.previous, _END))
    .outerjoin(_before, _before.c.id == events.c.id - 1)
    .outerjoin(_after, _after.c.id == events.c.id + 1)
    .where(events.c.request_id == bindparam("request"))
    .order_by(events.c.id)
)
"""The events of one request, each with the hash before it and what follows it in the chain."""


def fitting(rows: Sequence[Sequence[Any]]) -> frozenset[int]:
    """The events of one request that fit between their neighbours, and are proved. rows: `OF_ONE_REQUEST`."""
    linked = [row for row in rows if _is_linked(row)]
    erasures = Erasures()
    for row in linked:
        erasures.add(row)

    def proved(row: Sequence[Any]) -> bool:
        by = row[0] if row[4] == Pruned.action else row[10]
        return by is None or by in erasures.answered

    return frozenset(row[0] for row in linked if proved(row))


def _is_linked(row: Sequence[Any]) -> bool:
    *event, before, following = row
    first = GENESIS if event[0] == 1 else before
    return first is not None and fits(event, first) and following == event[9]


LINES = select(*EVENTS.selected_columns[:8]).order_by(events.c.id)


def line(row: Sequence[Any]) -> str:
    """An event in a line, whatever stands in it; see `logs.printable`. row: as in `LINES`."""
    event_id, at, request_id, actor, action, from_state, to_state, detail = row
    moved = f"{from_state} -> {to_state}" if to_state else ""
    number = f"#{request_id}" if request_id else "-"
    return f"{event_id:>6} {str(at)[:19]} {number:>5} {actor} {action} {moved} {detail}"
