"""The proof of a ledger: what the rows say is what the events say, or it is told what was forged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.events import ApprovalComplete
from bot.domain.payment import MOVES, Invoice, InvoiceRef, Payment, State
from bot.ledger import audit, database, proof
from bot.ledger.notices import Topic
from bot.ledger.opening import open_ledger
from bot.ledger.replay import frozen
from bot.ledger.rows import Kind, snapshot
from bot.ledger.store import Ledger
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.forging import (
    OF_OTHERS,
    OF_PAYMENTS,
    all_of,
    disproved,
    forge,
    forge_in,
    in_state,
    past_the_ledger,
)
from tests.ledger.making import approved, happened, moved, request, request_in, stored, with_card
from tests.ledger.released import release


@pytest.fixture
async def migrated(new_database: NewDatabase, clock: Clock) -> AsyncIterator[Ledger]:
    """The same, by way of the migrations."""
    url = new_database(migrated=False)
    await release(url)
    async with open_ledger(url, clock=clock) as opened:
        yield opened


OF_CHAIN = "(id, ledger, last_event, last_hash)"


async def looked_up(ledger: Ledger, clock: Clock) -> Payment:
    """A new payment, looked up a while after it was asked for."""
    payment = await request(ledger, InvoiceRef("vps", 777), note="café ☕")
    clock.advance(seconds=1.25)
    async with ledger.transaction() as transaction:
        told = snapshot(Invoice(payment.ref, "VPS 'x'", Decimal("12.50"), "USD", None))
        payment = await transaction.change(payment, listed=True, **told)
        payment = replace(
            payment, request=await transaction.change_request(payment.request, approvals_required=1)
        )
        return await transaction.move(payment, State.PENDING_APPROVAL, frozen(payment), actor="look-up")


class TestWhatIsTrue:
    async def test_a_ledger_of_the_first_release_is_whole(self, migrated: Ledger) -> None:
        """Whatever became of its payments, although its events told less than they do now."""
        ledger = migrated
        found = await ledger.verify()
        assert (found.whole, found.broken_at, found.flaws) == (True, None, ())
        assert found.events == 170
        assert await ledger.by_state() == {
            State.APPROVED: 1,
            State.CANCELLED: 5,
            State.DECLINED: 5,
            State.DENIED: 1,
            State.EXPIRED: 4,
            State.NOT_SENT: 2,
            State.PAID: 10,
            State.PENDING_APPROVAL: 1,
            State.REQUESTED: 1,
            State.SENDING: 2,
            State.UNKNOWN: 1,
        }

    async def test_each_payment_of_the_first_release_is_proved_by_itself(self, released: Ledger) -> None:
        """So that what was approved before an upgrade is paid after it."""
        for payment in await all_of(released):
            assert await disproved(released, payment.request.id) is None

    async def test_what_is_written_now_is_proved_as_well(self, released: Ledger, clock: Clock) -> None:
        """With all that the events tell by now, on top of what was there."""
        payment = await looked_up(released, clock)
        assert await approved(released, payment, "U2")
        payment = await moved(released, payment, State.APPROVED)
        assert await disproved(released, payment.request.id) is None
        found = await released.verify()
        assert (found.whole, found.flaws) == (True, ())

    @pytest.mark.parametrize("to", sorted(MOVES[State.REQUESTED]))
    async def test_what_was_asked_for_before_an_upgrade_goes_on_after_it(
        self, migrated: Ledger, to: State
    ) -> None:
        """Its state had no name of its own then: the trail keeps the old one, and today's follows on it."""
        payment = await in_state(migrated, State.REQUESTED)
        (before,) = await migrated.history(payment.request.id)
        async with migrated.transaction() as transaction:
            await transaction.move(payment, to, frozen(payment), actor="look-up")
        assert await disproved(migrated, payment.request.id) is None
        assert (await migrated.verify()).flaws == ()
        first, moved = await migrated.history(payment.request.id)
        assert first == before
        assert "state" not in stored(first)
        assert (moved.from_state, moved.to_state) == (State.REQUESTED, to)

    async def test_what_was_looked_up_before_an_upgrade_is_decided_after_it(self, migrated: Ledger) -> None:
        """It did wait for approval, whatever else the old name stood for."""
        payment = await in_state(migrated, State.PENDING_APPROVAL)
        await moved(migrated, payment, State.APPROVED)
        assert (await migrated.verify()).flaws == ()

    async def test_the_old_name_is_taken_from_old_events_alone(self, released: Ledger) -> None:
        """Whatever is asked for now waits for approval only once it was looked up."""
        payment = await request(released, InvoiceRef("vps", 777))
        async with released.transaction() as transaction:
            await transaction.trail.append(
                ApprovalComplete("default", ""),
                request_id=payment.request.id,
                actor="policy",
                from_state=State.PENDING_APPROVAL,
                to_state=State.APPROVED,
            )
        (said, *_) = (await released.verify()).flaws
        assert "moves it from PENDING_APPROVAL to APPROVED, and it was REQUESTED" in said

    async def test_many_payments_are_proved_window_by_window(
        self, released: Ledger, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is wrong is found in whichever window it lies, and nothing is wrong at their borders."""
        monkeypatch.setattr(proof, "_WINDOW", 3)
        monkeypatch.setattr(audit, "_EVENTS_IN_MEMORY", 2)
        assert (await released.verify()).flaws == ()
        await forge(engine, "UPDATE payments SET tries = tries + 1")
        found = await released.verify()
        assert [flaw.split(":")[0] for flaw in found.flaws] == [
            f"#{each.id}" for each in await all_of(released)
        ]


class TestWhatWasForged:
    @pytest.mark.parametrize(("statement", "flaw"), OF_PAYMENTS + OF_OTHERS)
    async def test_a_forged_row_is_found_although_the_chain_is_whole(
        self, tables: AsyncConnection, statement: str, flaw: str
    ) -> None:
        """Whatever decides whether money moves, or shows what became of it, must be in an event."""
        await forge_in(tables, statement)
        found = await tables.run_sync(proof.verify)
        assert (found.whole, found.broken_at) == (False, None)
        assert [one for one in found.flaws if one.startswith(flaw)], found.flaws

    @pytest.mark.parametrize(
        ("state", "to"), [(State.UNKNOWN, State.APPROVED), (State.PAID, State.CANCELLED)]
    )
    async def test_a_move_that_is_in_no_table_is_found_although_chain_and_row_agree(
        self, ledger: Ledger, state: State, to: State
    ) -> None:
        """Somebody wrote the event as the bot would, hash and all: no bot makes such a move."""
        payment = await request_in(ledger, state)
        async with ledger.transaction() as transaction:
            await transaction.trail.append(
                happened("moved"),
                request_id=payment.request.id,
                actor="U9",
                from_state=state,
                to_state=to,
            )
            await transaction.change(payment, state=to.value)
        said = f"moves it from {state} to {to}, and it was {state}"
        assert said in str(await disproved(ledger, payment.request.id))
        found = await ledger.verify()
        assert found.broken_at is None
        assert said in str(found.flaws)

    @pytest.mark.parametrize(
        ("table", "change", "flaw"),
        [
            ("requests", "team = 'T9'", "#35: its team is T9, its events say T1"),
            ("requests", "expires_at = '2036-03-02'", "#35: its expires_at is"),
            ("requests", "rule = 'other'", "#35: its rule is other, its events say default"),
            ("payments", "description = 'Cheap'", "#35: its description is Cheap, its events say"),
            ("payments", "due_date = '2036-03-02'", "#35: its due_date is 2036-03-02, its events say None"),
        ],
    )
    async def test_what_events_tell_since_then_is_compared_as_well(
        self, released: Ledger, engine: AsyncEngine, clock: Clock, table: str, change: str, flaw: str
    ) -> None:
        """Somebody's team, how long an approval may wait, what was shown to those who approved."""
        payment = await looked_up(released, clock)
        await forge(engine, f"UPDATE {table} SET {change} WHERE id = {payment.id}")
        found = await released.verify()
        assert [one for one in found.flaws if one.startswith(flaw)], found.flaws
        assert str(await disproved(released, payment.request.id)).startswith(flaw)

    async def test_rows_without_a_payment_are_found(self, tables: AsyncConnection) -> None:
        """A payment that was removed leaves its events; one that was made up has none."""
        of_request = (
            "team, channel, requester, rule, approvals_required, invoices, card_lost, created_at, expires_at"
        )
        of_payment = "line, module, state, version, tries, updated_at, due_at"
        await forge_in(
            tables,
            "DELETE FROM payments WHERE id = 1",
            "DELETE FROM requests WHERE id = 2",
            f"INSERT INTO requests (id, trigger_id, {of_request}) SELECT -5, 'x', {of_request} FROM requests"
            " WHERE id = 3",
            f"INSERT INTO payments (id, request_id, number, {of_payment}) SELECT -5, -5, 4, {of_payment}"
            " FROM payments WHERE id = 3",
            f"INSERT INTO payments (id, request_id, number, {of_payment}) SELECT -6, -6, 5, {of_payment}"
            " FROM payments WHERE id = 3",
            "INSERT INTO approvals (id, request_id, approver, decision, at)"
            " SELECT -7, -7, approver, decision, at FROM approvals WHERE id = 1",
        )
        found = await tables.run_sync(proof.verify)
        flaws = {"#-5: no event asks for it", *(f"#{one}: its row is missing" for one in (1, 2, -6, -7))}
        assert {*flaws, "attempt 1 is of payment 1, whose row is missing"} <= set(found.flaws)

    @pytest.mark.parametrize(
        ("statement", "broken_at"),
        [
            (
                f"INSERT INTO chain {OF_CHAIN} SELECT 2, ledger, 170, last_hash FROM chain",
                171,
            ),
            ("DELETE FROM chain", 171),
            ("UPDATE events SET id = -3 WHERE id = 5", -3),
            ("UPDATE events SET detail = '[1' WHERE id = 2", 2),
            ("UPDATE events SET detail = '[]' WHERE id = 1", 1),
            ("UPDATE events SET detail = '' WHERE id = 6", 6),
            ("UPDATE events SET action = 'requested' WHERE id = 2", 2),
            ("UPDATE events SET from_state = 'NONE', to_state = 'SUCH' WHERE id = 3", 3),
            ("UPDATE events SET request_id = 999 WHERE id = 3", 3),
            ("UPDATE events SET request_id = -1 WHERE id = 3", 3),
            ("UPDATE events SET at = '9999-12-31 23:59:59' WHERE id = 3", 3),
        ],
    )
    async def test_forged_events_are_broken_and_no_traceback(
        self, tables: AsyncConnection, statement: str, broken_at: int
    ) -> None:
        """Whatever stands in them."""
        await forge_in(tables, statement)
        found = await tables.run_sync(proof.verify)
        assert (found.whole, found.broken_at) == (False, broken_at)

    @pytest.mark.parametrize("shared_url", ["sqlite"], indirect=True)
    @pytest.mark.parametrize(
        "change",
        [
            "actor = x'00ff'",
            "detail = 5",
            "at = 5",
            "at = 'yesterday'",
            "request_id = 'many'",
            "request_id = 1.5",
            "to_state = 5",
            "hash = x'00'",
            "previous = 5",
            "detail = cast(x'ff' AS TEXT)",
            "actor = cast(x'ff' AS TEXT)",
        ],
    )
    async def test_values_of_another_kind_are_broken_and_no_traceback(
        self, tables: AsyncConnection, change: str
    ) -> None:
        """SQLite keeps in a column whatever it is given."""
        await forge_in(tables, f"UPDATE events SET {change} WHERE id = 4")
        found = await tables.run_sync(proof.verify)
        assert not found.whole
        assert found.broken_at in (4, None)

    @pytest.mark.parametrize(
        "change",
        [
            "payments SET amount = x'00'",
            "requests SET created_at = 'yesterday'",
            "payments SET listed = 'x'",
            "payments SET due_date = 'never'",
            "payments SET number = 'many'",
            "requests SET approvals_required = 1.5",
            "requests SET channel = cast(x'ff' AS TEXT)",
            "payments SET state = cast(x'ff' AS TEXT)",
        ],
    )
    async def test_rows_of_another_kind_are_flaws_and_no_traceback(
        self, new_sqlite: NewDatabase, clock: Clock, change: str
    ) -> None:
        """The same for the payments themselves."""
        url = new_sqlite(migrated=False)
        await release(url)
        async with open_ledger(url, clock=clock) as ledger:
            payment = await looked_up(ledger, clock)
            engine = database.engine_for(url)
            await forge(engine, f"UPDATE {change} WHERE id = {payment.id}")
            await engine.dispose()
            assert not (await ledger.verify()).whole

    async def test_flaws_that_are_everywhere_do_not_fill_the_memory(
        self, tables: AsyncConnection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All are counted, the first ones are told."""
        monkeypatch.setattr(proof, "MOST_FLAWS", 5)
        await forge_in(tables, "UPDATE requests SET requester = 'U9'")
        found = await tables.run_sync(proof.verify)
        assert (len(found.flaws), found.flaw_count) == (5, 33)


TWO_MORE = (InvoiceRef("vps", 10102), InvoiceRef("mail", 10103))


@pytest.mark.parametrize(
    ("statement", "flaws"),
    [
        ("DELETE FROM payments WHERE line = 2", ["the row of payment 2 of it is missing"]),
        (
            "UPDATE payments SET line = 4 WHERE line = 2",
            ["the row of payment 2 of it is missing", "no event asks for payment 4 of it"],
        ),
        (
            "UPDATE payments SET number = 7 WHERE line = 3",
            ["payment 3: its invoice is mail 7, its events say mail 10103"],
        ),
    ],
)
async def test_a_request_of_several_is_proved_payment_by_payment(
    ledger: Ledger, ledger_url: str, statement: str, flaws: list[str]
) -> None:
    """None may be taken out of it, put into it or changed."""
    await request(ledger, also=TWO_MORE)
    assert (await ledger.verify()).whole
    async with past_the_ledger(ledger_url) as engine:
        await forge(engine, statement)
    assert list((await ledger.verify()).flaws) == [f"#1: {flaw}" for flaw in flaws]


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
async def test_a_line_that_is_no_number_is_told_as_well(ledger: Ledger, ledger_url: str) -> None:
    """SQLite keeps whatever somebody writes."""
    await request(ledger, also=TWO_MORE)
    async with past_the_ledger(ledger_url) as engine:
        await forge(engine, "UPDATE payments SET line = 'x' WHERE line = 2")
    assert list((await ledger.verify()).flaws) == [
        "#1: the row of payment 2 of it is missing",
        "#1: no event asks for payment x of it",
        "row 2 of payments holds what no bot wrote",
    ]


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "written",
    [
        "requests SET response_url = x'ff'",
        "requests SET card_lost = 'no'",
        "payments SET version = 'abc'",
        "payments SET lease_until = 'now'",
        "payments SET updated_at = 20260302",
        "payments SET due_at = '2026-01-32 00:00:00.000000'",
        "payments SET due_date = 'soon'",
        "deliveries SET revision = 9223372036854775807",
        "deliveries SET due_at = ''",
        "notices SET place = x'ff'",
    ],
)
async def test_what_no_bot_wrote_is_told_in_whatever_column(
    ledger: Ledger, ledger_url: str, written: str
) -> None:
    """Such a row is left alone by all who read it, and its time never comes."""
    payment = await with_card(ledger, await request_in(ledger, State.PAID))
    async with ledger.transaction() as transaction:
        await transaction.notices.alert(Topic.UNKNOWN, payment.id)
    assert (await ledger.verify()).whole
    async with past_the_ledger(ledger_url) as engine:
        await forge(engine, f"UPDATE {written} WHERE id = 1")
    table = written.split(maxsplit=1)[0]
    assert f"row 1 of {table} holds what no bot wrote" in (await ledger.verify()).flaws


async def test_a_kind_of_delivery_that_there_is_not_is_told_on_both_databases(
    ledger: Ledger, ledger_url: str
) -> None:
    """The bot leaves it alone, and its log says to run this."""
    payment = await with_card(ledger, await request_in(ledger, State.PAID))
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.DIRECT)
    async with past_the_ledger(ledger_url) as engine:
        await forge(engine, "UPDATE deliveries SET kind = 'letter' WHERE kind = 'direct'")
    assert (await ledger.verify()).flaws == ("row 5 of deliveries holds what no bot wrote",)
