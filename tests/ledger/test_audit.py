"""The audit trail: append-only, and any tampering past that is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.events import Held, Refused
from bot.domain.payment import State
from bot.ledger import database
from bot.ledger.audit import GENESIS, Link, holds
from bot.ledger.store import Ledger
from tests.fixture_types import Clock
from tests.ledger.making import happened, moved, request, request_in, stored, trail


@pytest.fixture
async def engine(ledger_url: str) -> AsyncIterator[AsyncEngine]:
    """A way to the tables past the ledger."""
    engine = database.engine_for(ledger_url)
    yield engine
    await engine.dispose()


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with database.writing(engine).begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def tamper(engine: AsyncEngine, *statements: str) -> None:
    """Do what somebody could who may drop triggers."""
    if engine.dialect.name == "sqlite":
        await execute(engine, "DROP TRIGGER events_no_update", "DROP TRIGGER events_no_delete")
    else:
        await execute(engine, "DROP TRIGGER events_append_only ON events")
        await execute(engine, "DROP TRIGGER events_no_update ON events")
    await execute(engine, *statements)


async def five_events(ledger: Ledger, clock: Clock) -> None:
    payment = await request(ledger, note="café ☕")
    for state in (State.APPROVED, State.SENDING, State.PAID):
        clock.advance(seconds=1.25)
        payment = await moved(ledger, payment, state)
    async with ledger.transaction() as transaction:
        await transaction.record(happened("refused", what=None, tries=3, known=True), actor="U2")


async def test_an_empty_trail_is_whole(ledger: Ledger) -> None:
    """Before the first event the chain ends where it begins."""
    found = await ledger.verify()
    assert (found.events, found.last_hash, found.broken_at) == (0, GENESIS, None)


async def test_an_untouched_trail_is_whole(ledger: Ledger, clock: Clock) -> None:
    """The hashes verify, and the last one can be kept outside."""
    await five_events(ledger, clock)
    found = await ledger.verify()
    assert (found.events, found.broken_at) == (5, None)
    assert len(found.last_hash) == 64
    assert found.last_hash != GENESIS


async def test_an_event_is_read_as_it_was_recorded(ledger: Ledger, clock: Clock) -> None:
    """Who, what, when and every kind of detail come back."""
    await five_events(ledger, clock)
    events = await trail(ledger)
    assert [event.id for event in events] == [1, 2, 3, 4, 5]
    assert (events[0].action, stored(events[0])["note"]) == ("requested", "café ☕")
    assert (events[1].from_state, events[1].to_state) == (State.REQUESTED, State.APPROVED)
    assert stored(events[4]) == {"what": None, "tries": 3, "known": True}
    assert (events[4].actor, events[4].action, events[4].request_id) == ("U2", "refused", None)
    assert events[4].at == clock.now
    assert await ledger.event(2) == events[1]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET actor = 'U9'", "DELETE FROM events", "DELETE FROM events WHERE id = 3"],
)
async def test_events_cannot_be_changed_or_removed(
    ledger: Ledger, clock: Clock, engine: AsyncEngine, statement: str
) -> None:
    """The database itself refuses, whoever asks."""
    await five_events(ledger, clock)
    with pytest.raises(Exception, match="the audit trail is append-only"):
        await execute(engine, statement)
    assert (await ledger.verify()).broken_at is None


async def test_events_cannot_be_emptied(ledger: Ledger, clock: Clock, engine: AsyncEngine) -> None:
    """TRUNCATE, which PostgreSQL has, is refused as well."""
    await five_events(ledger, clock)
    if engine.dialect.name == "postgresql":
        with pytest.raises(Exception, match="the audit trail is append-only"):
            await execute(engine, "TRUNCATE events")
    assert (await ledger.verify()).events == 5


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE events SET actor = 'U9' WHERE id = 2", 2),
        ("UPDATE events SET action = 'approved' WHERE id = 5", 5),
        ("UPDATE events SET detail = '{}' WHERE id = 1", 1),
        ("UPDATE events SET request_id = NULL WHERE id = 3", 3),
        ("UPDATE events SET to_state = 'DECLINED' WHERE id = 4", 4),
        ("UPDATE events SET from_state = NULL WHERE id = 2", 2),
        ("UPDATE events SET at = '2026-03-02 09:00:01' WHERE id = 5", 5),
        ("UPDATE events SET hash = previous WHERE id = 3", 3),
        ("DELETE FROM events WHERE id = 1", 2),
        ("DELETE FROM events WHERE id = 3", 4),
        ("DELETE FROM events WHERE id = 5", 5),
        ("DELETE FROM events WHERE id > 3", 4),
        ("DELETE FROM events", 1),
        ("UPDATE chain SET last_event = 4", 6),
        (f"UPDATE chain SET last_hash = '{GENESIS}'", 6),
    ],
)
async def test_tampering_is_found_where_it_happened(
    ledger: Ledger, clock: Clock, engine: AsyncEngine, statement: str, broken_at: int
) -> None:
    """An edit, a removal anywhere, or a cut at the end: the first event that does not fit is named."""
    await five_events(ledger, clock)
    await tamper(engine, statement)
    assert (await ledger.verify()).broken_at == broken_at


async def test_swapped_events_are_found(ledger: Ledger, clock: Clock, engine: AsyncEngine) -> None:
    """Two whole rows in each other's place do not fit."""
    await five_events(ledger, clock)
    await tamper(
        engine,
        "UPDATE events SET id = 99 WHERE id = 2",
        "UPDATE events SET id = 2 WHERE id = 3",
        "UPDATE events SET id = 3 WHERE id = 99",
    )
    assert (await ledger.verify()).broken_at == 2


async def test_an_event_put_in_at_the_end_is_found(ledger: Ledger, clock: Clock, engine: AsyncEngine) -> None:
    """A made-up event that repeats the last hash is not part of the chain."""
    await five_events(ledger, clock)
    await execute(
        engine,
        "INSERT INTO events (id, at, actor, action, detail, previous, hash) "
        "SELECT 6, at, 'U9', 'approved', '{}', hash, hash FROM events WHERE id = 5",
    )
    assert (await ledger.verify()).broken_at == 6


async def test_the_trail_can_be_verified_while_it_grows(ledger: Ledger) -> None:
    """A check beside a running bot sees one moment of the trail, and cries no wolf."""
    payment = await request_in(ledger, State.APPROVED)
    done = asyncio.Event()

    async def grow() -> None:
        while not done.is_set():
            async with ledger.transaction() as transaction:
                await transaction.record(Held("later"), actor="executor", payment=payment)

    growing = asyncio.create_task(grow())
    try:
        for _ in range(40):
            assert (await ledger.verify()).broken_at is None
    finally:
        done.set()
        await growing


async def test_events_written_at_once_form_one_chain(ledger: Ledger) -> None:
    """Transactions that end at the same time still get one number and one place each."""

    async def record(number: int) -> None:
        async with ledger.transaction() as transaction:
            await transaction.record(Refused("pay", "none"), actor=f"U{number}")

    await asyncio.gather(*(record(number) for number in range(20)))
    found = await ledger.verify()
    assert (found.events, found.broken_at) == (20, None)


async def test_an_event_is_told_by_its_hash_from_another_of_its_number(ledger: Ledger) -> None:
    """Whoever lost the answer to a commit asks for the very event, not for one in its place."""
    async with ledger.transaction() as transaction:
        await transaction.record(happened("ours"), actor="test")
        ours = transaction.sealed_by
    assert ours is not None
    async with ledger.transaction() as transaction:
        connection = transaction._connection
        assert await holds(connection, ours)
        assert not await holds(connection, Link(ours.event_id, GENESIS))
        assert not await holds(connection, Link(ours.event_id + 1, ours.hash))
