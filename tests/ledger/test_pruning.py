"""What is personal is erased from what was over long ago; the ledger proves and guards what it did before."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain import erasure
from bot.domain.erasure import ERASED, Numbered, is_person
from bot.domain.events import (
    ApprovalComplete,
    Cancelled,
    Corrected,
    Denied,
    Held,
    NoCard,
    NotTold,
    Paused,
    Pruned,
    Requested,
    Resumed,
    encode,
)
from bot.domain.payment import RELEASED, InvoiceRef, State
from bot.errors import LedgerContradicted
from bot.ledger import audit, database
from bot.ledger.audit import GENESIS, digest
from bot.ledger.erased import left_of
from bot.ledger.exported import Head, check, head, trail
from bot.ledger.notices import Topic
from bot.ledger.pruning import anything
from bot.ledger.rows import Kind
from bot.ledger.schema import events
from bot.ledger.store import Ledger
from bot.slack.text import link, place
from tests.fixture_types import Clock
from tests.ledger.forging import disproved, forge
from tests.ledger.making import request, request_in
from tests.ledger.pruned import EXPORT, all_text, busy_again, pruned, settle_deliveries


@pytest.fixture
async def later(ledger: Ledger, clock: Clock) -> datetime:
    """A busy ledger, and a moment long after what happened in it."""
    await busy_again(ledger, clock)
    clock.advance(days=60)
    return clock.now - timedelta(days=30)


@pytest.fixture
async def engine(ledger_url: str, ledger: Ledger) -> Any:
    """A way to the tables past the ledger."""
    engine = database.engine_for(ledger_url)
    yield engine
    await engine.dispose()


async def test_nobody_is_named_any_more_and_all_is_proved(
    ledger: Ledger, later: datetime, engine: AsyncEngine
) -> None:
    """No id, note or reason is left of what is over; the chain and every row prove themselves as before."""
    before = await ledger.verify()
    assert before.whole, before
    async with ledger.snapshot() as connection:
        assert await anything(connection, later)
    assert await pruned(ledger, later) == 1
    after = await ledger.verify()
    assert after.whole, after
    assert after.events == before.events + 2
    left = [line for line in (await all_text(engine)).splitlines() if '"open"' not in line]
    of_open = [line for line in left if "20000" in line or '"request_id": 2' in line or '"id": 2,' in line]
    said = "\n".join(line for line in left if line not in of_open)
    for personal in ("UBOB", "UCAROL", "UDAVE", "UERIN", "UMALLORY", "Zoë", "fie"):
        assert personal not in said
    assert "UALICE" not in "\n".join(line for line in left if '"request_id": 1' in line)
    batch = await ledger.of_request(1)
    assert batch is not None
    assert (batch.request.requester, batch.request.note) == ("erased-1", None)
    assert await ledger.approvers(1) == ["erased-2", "erased-3"]
    assert [one.state for one in batch.payments] == [State.PAID, State.CANCELLED, State.CANCELLED]
    assert await disproved(ledger, 1) is None
    assert await disproved(ledger, 2) is None
    assert (await ledger.paused()) is not None
    async with ledger.snapshot() as connection:
        assert not await anything(connection, later)
    assert await pruned(ledger, later) == 0
    assert (await ledger.verify()) == after


async def test_what_was_said_is_replaced_and_all_else_stays(ledger: Ledger, later: datetime) -> None:
    """People keep a number within their request, and the last event says what was done."""
    await pruned(ledger, later)
    history = await ledger.history(1)
    told = {event.action: event for event in history}
    assert told["denied"].what == Denied(ERASED)
    assert told["cancelled"].what == Cancelled("not wanted by erased-5", ask="erased-1, erased-5")
    assert told["approval_complete"].what == ApprovalComplete("default", "erased-2, erased-3")
    assert told["not_told"].what == NotTold("direct", "erased-1", "gone")
    assert not any(is_person(event.actor) for event in history[:-1])
    last = history[-1]
    assert last.actor == "operator:root"
    assert isinstance(last.what, Pruned)
    assert (last.what.before, last.what.export) == (later.date().isoformat(), EXPORT)
    of_open = (await ledger.history(2))[0]
    assert of_open.actor == "UALICE00"


async def test_a_paid_invoice_is_held_for_ever(ledger: Ledger, later: datetime) -> None:
    """By its row, and by its events where that is gone."""
    await pruned(ledger, later)
    async with ledger.transaction() as transaction:
        assert [one.request.id for one in await transaction.holding([InvoiceRef("vps", 10101)])] == [1]
    with pytest.raises(AssertionError, match="live payment"):
        await request(ledger)
    assert (await request(ledger, InvoiceRef("vps", 10102))).request.id == 3


async def test_what_the_trail_holds_is_held_without_its_row(
    ledger: Ledger, later: datetime, engine: AsyncEngine
) -> None:
    """A row that somebody changed lets go of no invoice, also when its events are erased."""
    await pruned(ledger, later)
    await forge(engine, "UPDATE payments SET state = 'DECLINED' WHERE id = 1")
    with pytest.raises(LedgerContradicted, match="request #1 holds vps 10101"):
        await request(ledger)
    assert await disproved(ledger, 1) == "#1: payment 1: its state is DECLINED, its events say PAID"


async def test_what_was_erased_can_be_corrected_and_erased_again(
    ledger: Ledger, later: datetime, clock: Clock
) -> None:
    """Somebody finds out a year later: that is told of them, until it is erased as well."""
    await pruned(ledger, later)
    payment = await ledger.payment(1)
    assert payment is not None
    async with ledger.transaction() as transaction:
        payment = await transaction.move(
            payment, State.DECLINED, Corrected(False, "no"), actor="UFRED000", reason="no"
        )
    await settle_deliveries(ledger)
    assert (await ledger.verify()).whole
    clock.advance(days=60)
    assert await pruned(ledger, clock.now - timedelta(days=30)) == 1
    assert (await ledger.verify()).whole
    corrected = next(one for one in await ledger.history(1) if one.action == "corrected")
    assert (corrected.actor, corrected.what) == ("erased-7", Corrected(False, ERASED))
    assert payment.state in RELEASED
    assert await disproved(ledger, 1) is None


async def test_what_changes_while_an_erasing_waits_for_it_is_not_erased(
    ledger: Ledger, later: datetime
) -> None:
    """Somebody corrects it at that very moment: Slack is told of that first, and who it was."""
    async with ledger.transaction() as transaction:
        payment = await transaction.payment(1)
        assert payment is not None
        erasing = asyncio.create_task(pruned(ledger, later))
        await asyncio.sleep(0.5)
        await transaction.move(payment, State.DECLINED, Corrected(False, "no"), actor="UFRED000", reason="no")
        await transaction.outbox.add(payment.request, Kind.DIRECT)
    assert await erasing == 0
    actors = [event.actor for event in await ledger.history(1)]
    assert (actors[0], actors[-1]) == ("UALICE00", "UFRED000")


async def test_a_direct_message_is_somebody(ledger: Ledger, engine: AsyncEngine, clock: Clock) -> None:
    """Where one was asked in, told in or named: its id leads whoever has the bot's token to a person."""
    payment = await request(ledger, channel="D0SECRET1")
    async with ledger.transaction() as transaction:
        for what in (
            NoCard("x", "channel_not_found", "D0SECRET1"),
            NotTold("card", "D0SECRET1", "gone"),
            Held("D0SECRET1 is away"),
        ):
            await transaction.record(what, actor="announcer", request=payment.request)
        await transaction.outbox.add(payment.request, Kind.CARD)
        await transaction.outbox.add(payment.request, Kind.INVITATION, channel="C0PUBLIC1")
        elsewhere = Cancelled("x", other="#7", other_channel="D0SECRET2", other_ts="1.1")
        await transaction.move(payment, State.CANCELLED, elsewhere, actor="policy", reason="x")
        await transaction.notices.alert(Topic.NOT_TOLD, "D0SECRET1 2026-03-02", "7")
        await transaction._connection.execute(text("UPDATE notices SET ended = 'told'"))
        await transaction._connection.execute(text("UPDATE requests SET card_ts = '1.0'"))
        await transaction._connection.execute(text("UPDATE deliveries SET ts = '1.0'"))
    await settle_deliveries(ledger)
    clock.advance(days=60)
    assert await pruned(ledger, clock.now - timedelta(days=30)) == 1
    left = await all_text(engine)
    assert "D0SECRET" not in left
    assert "C0PUBLIC1" in left
    assert (await ledger.verify()).whole
    erased = await ledger.payment(1)
    assert erased is not None
    assert place(erased.request.channel) == "a direct message"
    assert link("https://acme.slack.com/", erased.request.channel, "1.0") == "https://acme.slack.com"


async def test_what_an_earlier_version_erased_stays_proved(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left direct messages in events that cannot be erased again; so they stay in the rows too."""

    def people_alone(told: str, people: Numbered) -> str:
        return people(told) if told.startswith("U") else told

    paid = await request_in(ledger, State.PAID, requester="UALICE00", channel="D0SECRET1")
    await settle_deliveries(ledger)
    clock.advance(days=60)
    with monkeypatch.context() as patch:
        patch.setitem(erasure._PERSONAL, Requested.action, {})
        patch.setattr("bot.ledger.pruning.addressed", people_alone)
        assert await pruned(ledger, clock.now - timedelta(days=30)) == 1
    async with ledger.transaction() as transaction:
        changed = await transaction.payment(paid.id)
        assert changed is not None
        await transaction.move(
            changed, State.DECLINED, Corrected(False, "no"), actor="operator:root", reason="no"
        )
    await settle_deliveries(ledger)
    clock.advance(days=60)
    assert await pruned(ledger, clock.now - timedelta(days=30)) == 1
    assert (await ledger.verify()).whole


async def test_who_is_only_named_keeps_their_number(ledger: Ledger, later: datetime, clock: Clock) -> None:
    """In an event, or by where something was told: nobody who acts later gets the number of another."""
    payment = await ledger.payment(1)
    assert payment is not None
    async with ledger.transaction() as transaction:
        for person in ("UGRETA00", "UHELGA00"):
            await transaction.outbox.add(payment.request, Kind.INVITATION, channel=person)
    await settle_deliveries(ledger)
    await pruned(ledger, later)
    async with ledger.transaction() as transaction:
        changed = await transaction.payment(1)
        assert changed is not None
        await transaction.move(changed, State.DECLINED, Corrected(False, "no"), actor="UFRED000", reason="no")
        await transaction.outbox.add(payment.request, Kind.INVITATION, channel="UFRED000")
    await settle_deliveries(ledger)
    clock.advance(days=60)
    assert await pruned(ledger, clock.now - timedelta(days=30)) == 1
    assert (await ledger.verify()).whole
    corrected = next(one for one in await ledger.history(1) if one.action == "corrected")
    assert corrected.actor == "erased-9"


async def test_what_is_open_young_or_untold_stays(ledger: Ledger, clock: Clock) -> None:
    """However old it is; and what happened since then keeps all of its request."""
    for number, state in enumerate(State):
        await request_in(ledger, state, InvoiceRef("vps", 30_000 + number), note="stays")
    await settle_deliveries(ledger)
    final = {State.PAID, State.DECLINED, State.DENIED, State.CANCELLED, State.EXPIRED}
    assert await pruned(ledger, clock.now) == 0
    clock.advance(days=60)
    told = await ledger.latest(InvoiceRef("vps", 30_000 + list(State).index(State.PAID)))
    assert told is not None
    async with ledger.transaction() as transaction:
        transaction.outbox.refresh_cards(told.request.id)
        await transaction.outbox.add(told.request, Kind.DIRECT)
    assert await pruned(ledger, clock.now) == len(final) - 1
    notes = {one.first.state: one.request.note for one in await ledger.recent(limit=None)}
    assert {state for state, note in notes.items() if note is None} == final - {State.PAID}


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE payments SET status_text = 'paid, honestly' WHERE id = 1",),
        # Both tell the same, and of both nothing would be left.
        (
            "UPDATE requests SET note = 'for Mallory' WHERE id = 1",
            "UPDATE events SET detail = replace(detail, 'for Zoë', 'for Mallory') WHERE request_id = 1",
        ),
    ],
)
async def test_a_request_that_is_forged_is_not_erased(
    ledger: Ledger, later: datetime, engine: AsyncEngine, statements: tuple[str, ...]
) -> None:
    """The proof of a forgery is not taken away by who keeps the house clean."""
    await forge(engine, *statements)
    with pytest.raises(LedgerContradicted, match="#1"):
        await pruned(ledger, later)
    batch = await ledger.of_request(1)
    assert batch is not None
    assert batch.request.requester == "UALICE00"


FORGERIES = [
    ("UPDATE events SET to_state = 'DECLINED' WHERE to_state = 'PAID'", 1),
    ("UPDATE events SET detail = replace(detail, 'vps 10101', 'vps 7') WHERE id = 1", 1),
    ("UPDATE events SET actor = 'erased-9' WHERE actor = 'erased-2'", 1),
    ("UPDATE events SET at = '2026-03-02 09:00:07' WHERE id = 1", 1),
    ("UPDATE events SET erased_by = NULL WHERE id = 1", 1),
    ("UPDATE events SET erased_by = erased_by + 1 WHERE id = 1", 1),
    ("UPDATE events SET erased_by = 2 WHERE id = 1", 1),
    ("UPDATE events SET request_id = 2 WHERE id = 1", 1),
    (
        "UPDATE events SET actor = 'erased-1', erased_by = 999 WHERE action = 'requested' AND request_id = 2",
        2,
    ),
]
"""What somebody writes past the bot, and the request whose proof it takes away."""


@pytest.mark.parametrize(("statement", "request_id"), FORGERIES)
async def test_what_is_forged_in_what_is_left_is_found(
    ledger: Ledger, later: datetime, engine: AsyncEngine, statement: str, request_id: int
) -> None:
    """An event is believed to be erased only where a later event of the chain answers for what is left."""
    await pruned(ledger, later)
    await forge(engine, statement)
    found = await ledger.verify()
    assert found.broken_at is not None
    assert await disproved(ledger, request_id) is not None


async def test_an_event_that_says_so_of_itself_is_forged(
    ledger: Ledger, later: datetime, engine: AsyncEngine
) -> None:
    """Nobody erases an event by a mark alone, nor the event that answers for others."""
    async with ledger.snapshot() as connection:
        rows = (await connection.execute(audit.HASHED)).all()
    await forge(engine, f"UPDATE events SET actor = 'erased-1', erased_by = {len(rows)} WHERE id = 1")
    assert (await ledger.verify()).broken_at == 1
    assert await disproved(ledger, 1) is not None


async def test_an_erased_event_cannot_be_taken_away(
    ledger: Ledger, later: datetime, engine: AsyncEngine
) -> None:
    """Nor the one that answers for it, though its own hash is right."""
    await pruned(ledger, later)
    await forge(engine, "DELETE FROM events WHERE action = 'denied'")
    assert not (await ledger.verify()).whole
    assert await disproved(ledger, 1) is not None


async def test_a_made_up_answer_for_nothing_is_found(ledger: Ledger, later: datetime) -> None:
    """An event that says that others were erased, where none is, breaks the chain although it fits."""
    async with ledger.transaction() as transaction:
        payment = await transaction.payment(1)
        assert payment is not None
        await transaction.record(Pruned("2026-01-01", EXPORT, 1, EXPORT), actor="UMALLORY", payment=payment)
    found = await ledger.verify()
    assert found.broken_at == found.events
    assert await disproved(ledger, 1) is not None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'erased-1' WHERE id = 1",
        "UPDATE events SET erased_by = NULL WHERE id = 1",
        "UPDATE events SET erased_by = 99, to_state = 'PAID' WHERE id = 2",
        "UPDATE events SET erased_by = 99, hash = previous WHERE id = 2",
        "UPDATE events SET erased_by = 99, at = '2026-01-01' WHERE id = 2",
        "UPDATE events SET erased_by = 1 WHERE id = 2",
        "DELETE FROM events WHERE id = 1",
    ],
)
async def test_the_trail_is_append_only_but_for_that(
    ledger: Ledger, later: datetime, engine: AsyncEngine, statement: str
) -> None:
    """The database itself lets nothing else be changed, and nothing twice."""
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.writing(engine).begin() as connection:
            await connection.execute(text(statement))
    await pruned(ledger, later)
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.writing(engine).begin() as connection:
            await connection.execute(text("UPDATE events SET actor = 'x', erased_by = 999 WHERE id = 1"))


async def test_a_trail_in_a_file_proves_itself_before_and_after(
    ledger: Ledger, later: datetime, tmp_path: Path
) -> None:
    """The export of before holds what was erased; one of later proves what is left, and shows a forgery."""
    before = [line async for line in trail(ledger)]
    last = (await ledger.verify()).last_hash
    await pruned(ledger, later)
    after = [line async for line in trail(ledger)]
    assert check(before).broken_at is None
    assert "Zoë" in "\n".join(before)
    assert "Zoë" not in "\n".join(line for line in after if '"open"' not in line)
    found = check(after, last)
    ends = (await ledger.verify()).last_hash
    assert (found.broken_at, found.head, found.last_hash) == (None, Head.ERASED, ends)
    assert (await head(ledger, last), check(before, last).head) == (Head.ERASED, Head.THERE)
    assert (await head(ledger, ends), check(after, ends).head) == (Head.THERE, Head.THERE)
    first_left = next(json.loads(line)[9] for line in after if len(json.loads(line)) == 10)
    assert (await head(ledger, first_left), check(after, first_left).head) == (Head.ERASED, Head.ERASED)
    assert (await head(ledger, "7" * 64), check(after, "7" * 64).head) == (Head.MISSING, Head.MISSING)
    assert check([after[0].replace("vps 10101", "vps 7"), *after[1:]]).broken_at == 1
    assert check([*after[:-3]]).broken_at is not None
    without = [json.dumps([*json.loads(line)[:10], None]) for line in after]
    assert check(without).broken_at == 1
    whole = [json.loads(line) for line in before]
    assert digest(whole[0][:8], GENESIS) == whole[0][9]
    for depth in range(10, 1200):
        deep = json.dumps(whole[0][:7])[:-1] + f', {"[" * depth}{"]" * depth}, "{GENESIS}", "a", 2]'
        assert check([deep]).broken_at == 1
    wild = [json.dumps([*row[:10], "7"]) for row in whole]
    assert check(wild).broken_at == 1


async def test_a_rewritten_trail_keeps_no_hash_by_an_event_said_to_be_erased(
    ledger: Ledger, later: datetime
) -> None:
    """An erased event is not proved by its hash: whoever rewrites all before it could keep the hash so."""
    rows = [json.loads(line) async for line in trail(ledger)]
    kept = rows[-1][9]
    rows[0][7] = rows[0][7].replace("vps 10101", "vps 7")
    previous = GENESIS
    for row in rows:
        row[8], row[9] = previous, digest(row[:8], previous)
        previous = row[9]
    erased = [*rows[-1][:9], kept, len(rows) + 1]
    left = left_of([erased])
    told = encode(Pruned("2026-01-01", EXPORT, left.count, left.hash))
    answer = [len(rows) + 1, rows[-1][1], erased[2], "operator:root", "pruned", None, None, told]
    forged = [*rows[:-1], erased, [*answer, kept, digest(answer, kept)]]
    found = check(map(json.dumps, forged), kept)
    assert (found.broken_at, found.head) == (None, Head.ERASED)


async def test_to_whom_something_was_told_is_erased_though_nothing_else_is(
    ledger: Ledger, clock: Clock, engine: AsyncEngine
) -> None:
    """Each approver hears of what waits, day by day; and what nobody tells any more names people as well."""
    async with ledger.transaction() as transaction:
        await transaction.notices.begin_day(Topic.DIGEST, clock.now.date(), ["UBOB0000", "C1"])
        await transaction.notices.alert(Topic.NOT_TOLD, "UERIN000 2026-03-02", "7")
    clock.advance(days=60)
    async with ledger.transaction() as transaction:
        await transaction.notices.begin_day(Topic.DIGEST, clock.now.date(), ["UCAROL00"])
    before = clock.now - timedelta(days=30)
    async with ledger.snapshot() as connection:
        assert await anything(connection, before)
    assert await pruned(ledger, before) == 0
    said = await all_text(engine)
    assert ("UBOB" in said, "UERIN" in said, "UCAROL00" in said, "C1" in said) == (False, False, True, True)
    async with ledger.snapshot() as connection:
        assert not await anything(connection, before)


async def test_who_ended_the_last_pause_is_erased(ledger: Ledger, later: datetime, clock: Clock) -> None:
    """Only a pause that is in force needs its event."""
    async with ledger.transaction() as transaction:
        await transaction.resume(actor="UBOB0000")
    clock.advance(days=60)
    await pruned(ledger, clock.now - timedelta(days=30))
    async with ledger.snapshot() as connection:
        found = await connection.execute(events.select().where(events.c.action.in_(["paused", "resumed"])))
        assert not any(is_person(row["actor"]) for row in found.mappings())
    assert (await ledger.verify()).whole
    assert await ledger.paused() is None


async def test_a_pause_is_known_for_what_it_is(ledger: Ledger, later: datetime, clock: Clock) -> None:
    """The last word on whether sending is paused stays; those before it name nobody."""
    await pruned(ledger, later)
    async with ledger.snapshot() as connection:
        found = await connection.execute(
            events.select().where(events.c.action.in_(["paused", "resumed"])).order_by(events.c.id)
        )
        said = [(row["actor"], row["detail"]) for row in found.mappings()]
    assert said == [
        ("erased-2", '{"reason": "(erased)"}'),
        ("erased-2", "{}"),
        ("operator:root", '{"reason": "again"}'),
    ]
    async with ledger.transaction() as transaction:
        await transaction.resume(actor="UBOB0000")
    assert (await ledger.verify()).whole
    assert Paused.action != Resumed.action
