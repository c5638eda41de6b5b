"""The proof of a ledger: what the rows say is what the events say, or it is told what was forged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.events import ApprovalComplete, Sending
from bot.domain.payment import MOVES, Invoice, InvoiceRef, Payment, State
from bot.errors import LedgerContradicted
from bot.ledger import audit, database, precedents, proof
from bot.ledger.opening import open_ledger
from bot.ledger.replay import frozen
from bot.ledger.rows import snapshot
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import approved, happened, moved, request, request_in, stored
from tests.ledger.released import fill, release


@pytest.fixture
def ledger_url(new_database: NewDatabase) -> str:
    return new_database(migrated=True)


@pytest.fixture
async def ledger(ledger_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """A ledger of the first release, brought to this version."""
    await fill(ledger_url)
    clock.advance(days=60)
    async with open_ledger(ledger_url, clock=clock) as opened:
        yield opened


@pytest.fixture
async def engine(ledger_url: str, ledger: Ledger) -> AsyncIterator[AsyncEngine]:
    """A way to the tables past the ledger, on which what hangs together may be torn apart."""
    engine = database.engine_for(ledger_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    yield engine
    await engine.dispose()


def _without_foreign_keys(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


async def forge(engine: AsyncEngine, *statements: str) -> None:
    """Write past the ledger, as somebody could who may do everything with the tables."""
    async with database.writing(engine).begin() as connection:
        if engine.dialect.name == "sqlite":
            await connection.execute(text("DROP TRIGGER IF EXISTS events_no_update"))
            await connection.execute(text("DROP TRIGGER IF EXISTS events_no_delete"))
        else:
            await connection.execute(text("SET session_replication_role = replica"))
        for statement in statements:
            await connection.execute(text(statement))


async def all_of(ledger: Ledger) -> list[Payment]:
    return sorted(await ledger.recent(limit=1000), key=lambda payment: payment.id)


async def in_state(ledger: Ledger, state: State) -> Payment:
    """The first payment in this state."""
    return next(payment for payment in await all_of(ledger) if payment.state is state)


async def disproved(ledger: Ledger, payment_id: int) -> str | None:
    async with ledger.transaction() as transaction:
        payment = await transaction.payment(payment_id)
        assert payment is not None
        return await transaction.disproved(payment)


# -- what is true -----------------------------------------------------------------------------------


@pytest.fixture
async def migrated(new_database: NewDatabase, clock: Clock) -> AsyncIterator[Ledger]:
    """The same, by way of the migrations."""
    url = new_database(migrated=False)
    await release(url)
    async with open_ledger(url, clock=clock) as opened:
        yield opened


async def test_a_ledger_of_the_first_release_is_whole(migrated: Ledger) -> None:
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


async def test_each_payment_of_the_first_release_is_proved_by_itself(ledger: Ledger) -> None:
    """So that what was approved before an upgrade is paid after it."""
    for payment in await all_of(ledger):
        assert await disproved(ledger, payment.id) is None


async def test_what_is_written_now_is_proved_as_well(ledger: Ledger, clock: Clock) -> None:
    """With all that the events tell by now, on top of what was there."""
    payment = await looked_up(ledger, clock)
    assert await approved(ledger, payment, "U2")
    payment = await moved(ledger, payment, State.APPROVED)
    assert await disproved(ledger, payment.id) is None
    found = await ledger.verify()
    assert (found.whole, found.flaws) == (True, ())


@pytest.mark.parametrize("to", sorted(MOVES[State.REQUESTED]))
async def test_what_was_asked_for_before_an_upgrade_goes_on_after_it(migrated: Ledger, to: State) -> None:
    """Its state had no name of its own then: the trail keeps the old one, and today's follows on it."""
    payment = await in_state(migrated, State.REQUESTED)
    (before,) = await migrated.history(payment.id)
    async with migrated.transaction() as transaction:
        await transaction.move(payment, to, frozen(payment), actor="look-up")
    assert await disproved(migrated, payment.id) is None
    assert (await migrated.verify()).flaws == ()
    first, moved = await migrated.history(payment.id)
    assert first == before
    assert "state" not in stored(first)
    assert (moved.from_state, moved.to_state) == (State.REQUESTED, to)


async def test_what_was_looked_up_before_an_upgrade_is_decided_after_it(migrated: Ledger) -> None:
    """It did wait for approval, whatever else the old name stood for."""
    payment = await in_state(migrated, State.PENDING_APPROVAL)
    await moved(migrated, payment, State.APPROVED)
    assert (await migrated.verify()).flaws == ()


async def test_the_old_name_is_taken_from_old_events_alone(ledger: Ledger) -> None:
    """Whatever is asked for now waits for approval only once it was looked up."""
    payment = await request(ledger, InvoiceRef("vps", 777))
    async with ledger.transaction() as transaction:
        await audit.append(
            transaction._connection,
            at=transaction.now,
            payment_id=payment.id,
            actor="policy",
            what=ApprovalComplete("default", ""),
            from_state=State.PENDING_APPROVAL,
            to_state=State.APPROVED,
        )
    (said, *_) = (await ledger.verify()).flaws
    assert "moves it from PENDING_APPROVAL to APPROVED, and it was REQUESTED" in said


async def looked_up(ledger: Ledger, clock: Clock) -> Payment:
    """A new payment, looked up a while after it was asked for."""
    payment = await request(ledger, InvoiceRef("vps", 777), note="café ☕")
    clock.advance(seconds=1.25)
    async with ledger.transaction() as transaction:
        told = snapshot(Invoice(payment.ref, "VPS 'x'", Decimal("12.50"), "USD", None))
        payment = await transaction.change(payment, listed=True, approvals_required=1, **told)
        return await transaction.move(payment, State.PENDING_APPROVAL, frozen(payment), actor="look-up")


async def test_many_payments_are_proved_window_by_window(
    ledger: Ledger, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong is found in whichever window it lies, and nothing is wrong at their borders."""
    monkeypatch.setattr(proof, "_WINDOW", 3)
    monkeypatch.setattr(audit, "_EVENTS_IN_MEMORY", 2)
    assert (await ledger.verify()).flaws == ()
    await forge(engine, "UPDATE payments SET tries = tries + 1")
    found = await ledger.verify()
    assert [flaw.split(":")[0] for flaw in found.flaws] == [f"#{each.id}" for each in await all_of(ledger)]


# -- what was forged --------------------------------------------------------------------------------

OF_PAYMENTS = [
    (
        "UPDATE payments SET state = 'CANCELLED' WHERE id = 1",
        "#1: its state is CANCELLED, its events say PAID",
    ),
    ("UPDATE payments SET state = 'PAID' WHERE id = 3", "#3: its state is PAID, its events say DENIED"),
    (
        "UPDATE payments SET state = 'PENDING_APPROVAL' WHERE id = 34",
        "#34: its state is PENDING_APPROVAL, its events say REQUESTED",
    ),
    ("UPDATE payments SET state = 'BLAH' WHERE id = 3", "#3: its state is BLAH, its events say DENIED"),
    ("UPDATE payments SET number = 7 WHERE id = 1", "#1: its invoice is vps 7, its events say vps 10101"),
    ("UPDATE payments SET module = 'mail' WHERE id = 1", "#1: its invoice is mail 10101, its events"),
    ("UPDATE payments SET amount = '49.98' WHERE id = 2", "#2: its amount is 49.98, its events say 49.99"),
    ("UPDATE payments SET amount = NULL WHERE id = 2", "#2: its amount is None, its events say 49.99"),
    ("UPDATE payments SET amount = 'much' WHERE id = 2", "#2: its amount is much, its events say 49.99"),
    ("UPDATE payments SET amount = '1' WHERE id = 34", "#34: its amount is 1, and no event tells it"),
    ("UPDATE payments SET currency = 'EUR' WHERE id = 2", "#2: its currency is EUR, its events say USD"),
    ("UPDATE payments SET listed = NULL WHERE id = 2", "#2: its listed is None, its events say True"),
    (
        "UPDATE payments SET approvals_required = 0 WHERE id = 2",
        "#2: its approvals_required is 0, its events",
    ),
    ("UPDATE payments SET requester = 'U9' WHERE id = 2", "#2: its requester is U9, its events say U1"),
    ("UPDATE payments SET channel = 'C9' WHERE id = 2", "#2: its channel is C9, its events say C1"),
    ("UPDATE payments SET rule = 'other' WHERE id = 34", "#34: its rule is other, its events say default"),
    ("UPDATE payments SET note = 'hello' WHERE id = 3", "#3: its note is hello, its events say None"),
    ("UPDATE payments SET tries = 0 WHERE id = 1", "#1: its tries is 0, its events say 1"),
    ("UPDATE payments SET status_text = 'x' WHERE id = 1", "#1: its status_text is x, its events say"),
    ("UPDATE payments SET created_at = '2026-01-01' WHERE id = 1", "#1: its created_at is"),
    ("UPDATE payments SET card_ts = '1.1' WHERE id = 1", "#1: its card was never posted"),
    ("UPDATE payments SET card_ts = '1.1' WHERE id = 33", "#33: its card was never posted"),
    ("UPDATE payments SET approval_ts = '1.1' WHERE id = 33", "#33: its approval card was never posted"),
]
OF_OTHERS = [
    (
        "INSERT INTO approvals (payment_id, approver, decision, at) "
        "VALUES (6, 'U3', 'approve', '2026-03-02')",
        "#6: an approval by U3 is in no event",
    ),
    ("DELETE FROM approvals WHERE payment_id = 2 AND approver = 'U2'", "#2: the approval by U2 is missing"),
    ("UPDATE approvals SET approver = 'U0' WHERE id = 1", "#2: an approval by U0 is in no event"),
    ("UPDATE approvals SET payment_id = 1 WHERE id = 1", "#1: an approval by U2 is in no event"),
    ("UPDATE approvals SET decision = 'deny' WHERE id = 1", "#2: an approval is no approval"),
    ("UPDATE approvals SET at = '2026-03-02' WHERE id = 1", "#2: the approval by U2 has another time"),
    ("DELETE FROM attempts WHERE payment_id = 1", "#1: it has 0 attempts, its events tell of 1"),
    (
        "INSERT INTO attempts (payment_id, instance, started_at) VALUES (3, 'one', '2026-03-02')",
        "#3: it has 1 attempts, its events tell of 0",
    ),
    ("UPDATE attempts SET verdict = 'NOT_SENT' WHERE payment_id = 1", "#1: attempt 1 is"),
    ("UPDATE attempts SET verdict = NULL, finished_at = NULL WHERE payment_id = 1", "#1: attempt 1 is"),
    ("UPDATE attempts SET instance = 'two' WHERE payment_id = 1", "#1: attempt 1 is"),
    ("UPDATE deliveries SET event_id = 1 WHERE event_id = 9 OR event_id = 8", "#2: delivery"),
]


@pytest.mark.parametrize(("statement", "flaw"), OF_PAYMENTS + OF_OTHERS)
async def test_a_forged_row_is_found_although_the_chain_is_whole(
    ledger: Ledger, engine: AsyncEngine, statement: str, flaw: str
) -> None:
    """Whatever decides whether money moves, or shows what became of it, must be in an event."""
    await forge(engine, statement)
    found = await ledger.verify()
    assert (found.whole, found.broken_at) == (False, None)
    assert [one for one in found.flaws if one.startswith(flaw)], found.flaws


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ("team = 'T9'", "#35: its team is T9, its events say T1"),
        ("expires_at = '2036-03-02'", "#35: its expires_at is"),
        ("rule = 'other'", "#35: its rule is other, its events say default"),
        ("description = 'Cheap'", "#35: its description is Cheap, its events say"),
        ("due_date = '2036-03-02'", "#35: its due_date is 2036-03-02, its events say None"),
    ],
)
async def test_what_events_tell_since_then_is_compared_as_well(
    ledger: Ledger, engine: AsyncEngine, clock: Clock, change: str, flaw: str
) -> None:
    """Somebody's team, how long an approval may wait, what was shown to those who approved."""
    payment = await looked_up(ledger, clock)
    await forge(engine, f"UPDATE payments SET {change} WHERE id = {payment.id}")
    found = await ledger.verify()
    assert [one for one in found.flaws if one.startswith(flaw)], found.flaws
    assert str(await disproved(ledger, payment.id)).startswith(flaw)


async def test_rows_without_a_payment_are_found(ledger: Ledger, engine: AsyncEngine) -> None:
    """A payment that was removed leaves its events; one that was made up has none."""
    columns = "team, channel, requester, module, state, version, rule, approvals_required, tries, "
    columns += "card_lost, created_at, updated_at, expires_at, due_at"
    copied = f"INSERT INTO payments (id, trigger_id, number, {columns}) SELECT -5, 'x', 4, {columns} "
    await forge(engine, "DELETE FROM payments WHERE id = 1", f"{copied} FROM payments WHERE id = 3")
    found = await ledger.verify()
    assert {"#-5: no event asks for it", "#1: its row is missing"} <= set(found.flaws)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("INSERT INTO chain SELECT 2, ledger, 170, last_hash FROM chain", 171),
        ("DELETE FROM chain", 171),
        ("UPDATE events SET id = -3 WHERE id = 5", -3),
        ("UPDATE events SET detail = '[1' WHERE id = 2", 2),
        ("UPDATE events SET detail = '[]' WHERE id = 1", 1),
        ("UPDATE events SET detail = '' WHERE id = 6", 6),
        ("UPDATE events SET action = 'requested' WHERE id = 2", 2),
        ("UPDATE events SET from_state = 'NONE', to_state = 'SUCH' WHERE id = 3", 3),
        ("UPDATE events SET payment_id = 999 WHERE id = 3", 3),
        ("UPDATE events SET payment_id = -1 WHERE id = 3", 3),
        ("UPDATE events SET at = '9999-12-31 23:59:59' WHERE id = 3", 3),
    ],
)
async def test_forged_events_are_broken_and_no_traceback(
    ledger: Ledger, engine: AsyncEngine, statement: str, broken_at: int
) -> None:
    """Whatever stands in them."""
    await forge(engine, statement)
    found = await ledger.verify()
    assert (found.whole, found.broken_at) == (False, broken_at)


@pytest.mark.parametrize(
    "change",
    [
        "actor = x'00ff'",
        "detail = 5",
        "at = 5",
        "at = 'yesterday'",
        "payment_id = 'many'",
        "payment_id = 1.5",
        "to_state = 5",
        "hash = x'00'",
        "previous = 5",
        "detail = cast(x'ff' AS TEXT)",
        "actor = cast(x'ff' AS TEXT)",
    ],
)
async def test_values_of_another_kind_are_broken_and_no_traceback(
    new_sqlite: NewDatabase, clock: Clock, change: str
) -> None:
    """SQLite keeps in a column whatever it is given."""
    url = new_sqlite(migrated=False)
    await release(url)
    async with open_ledger(url, clock=clock) as ledger:
        engine = database.engine_for(url)
        await forge(engine, f"UPDATE events SET {change} WHERE id = 4")
        await engine.dispose()
        found = await ledger.verify()
        assert not found.whole
        assert found.broken_at in (4, None)


@pytest.mark.parametrize(
    "change",
    [
        "amount = x'00'",
        "created_at = 'yesterday'",
        "listed = 'x'",
        "due_date = 'never'",
        "number = 'many'",
        "approvals_required = 1.5",
        "channel = cast(x'ff' AS TEXT)",
        "state = cast(x'ff' AS TEXT)",
    ],
)
async def test_rows_of_another_kind_are_flaws_and_no_traceback(
    new_sqlite: NewDatabase, clock: Clock, change: str
) -> None:
    """The same for the payments themselves."""
    url = new_sqlite(migrated=False)
    await release(url)
    async with open_ledger(url, clock=clock) as ledger:
        payment = await looked_up(ledger, clock)
        engine = database.engine_for(url)
        await forge(engine, f"UPDATE payments SET {change} WHERE id = {payment.id}")
        await engine.dispose()
        assert not (await ledger.verify()).whole


async def test_flaws_that_are_everywhere_do_not_fill_the_memory(
    ledger: Ledger, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are counted, the first ones are told."""
    monkeypatch.setattr(proof, "MOST_FLAWS", 5)
    await forge(engine, "UPDATE payments SET requester = 'U9'")
    found = await ledger.verify()
    assert (len(found.flaws), found.flaw_count) == (5, 33)


# -- before money moves -----------------------------------------------------------------------------


@pytest.mark.parametrize(("statement", "flaw"), OF_PAYMENTS[:-3] + OF_OTHERS[:-1])
async def test_one_payment_is_disproved_by_itself(
    ledger: Ledger, engine: AsyncEngine, statement: str, flaw: str
) -> None:
    """What the whole check finds of its rows, the check before it is sent finds as well."""
    if "BLAH" in statement or "much" in statement:
        pytest.skip("the row cannot even be read")
    await forge(engine, statement)
    number = int(flaw[1:].split(":", maxsplit=1)[0])
    assert str(await disproved(ledger, number)).startswith(flaw)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET detail = '{}' WHERE id = 1",
        "UPDATE events SET to_state = 'CANCELLED' WHERE id = 5",
        "UPDATE events SET hash = previous WHERE id = 5",
        "UPDATE events SET previous = hash WHERE id = 5",
        "UPDATE events SET previous = hash WHERE id = 6",
        "DELETE FROM events WHERE id = 6",
        "DELETE FROM events WHERE id = 4",
    ],
)
async def test_an_event_that_does_not_fit_between_its_neighbours_proves_nothing(
    ledger: Ledger, engine: AsyncEngine, statement: str
) -> None:
    """Payment 1 has the events 1 to 5: each is hashed again, and compared with those beside it."""
    await forge(engine, statement)
    assert "#1" in str(await disproved(ledger, 1))


async def test_an_event_put_in_at_the_end_approves_nothing(ledger: Ledger, engine: AsyncEngine) -> None:
    """Its own hash may be right: the end of the chain does not know it."""
    async with ledger.transaction() as transaction:
        payment = await transaction.payment(34)
        assert payment is not None
        await moved_in(transaction, payment)
    await forge(
        engine, "UPDATE chain SET last_event = 170, last_hash = (SELECT previous FROM events WHERE id = 171)"
    )
    assert await disproved(ledger, 34) == "#34: event 171 does not fit into the audit trail"


async def moved_in(transaction: Transaction, payment: Payment) -> None:
    await transaction.move(payment, State.APPROVED, ApprovalComplete("default", ""), actor="policy")


async def test_an_approval_without_its_event_is_nobodys_word(ledger: Ledger, engine: AsyncEngine) -> None:
    """A row written by hand is read by nobody: not by who counts, nor by who shows."""
    payment = await in_state(ledger, State.PENDING_APPROVAL)
    before = await ledger.approvers(payment.id)
    await forge(
        engine,
        "INSERT INTO approvals (payment_id, approver, decision, at) "
        f"VALUES ({payment.id}, 'U7', 'approve', '2026-03-02')",
    )
    assert await ledger.approvers(payment.id) == before
    async with ledger.transaction() as transaction:
        assert await transaction.approvers(payment.id) == before
    assert await approved(ledger, payment, "U8")
    assert await ledger.approvers(payment.id) == [*before, "U8"]


@pytest.mark.parametrize(
    "change", ["state = 'CANCELLED'", "state = 'DECLINED'", "number = 4711", "module = 'mail'"]
)
@pytest.mark.parametrize("state", [State.PAID, State.UNKNOWN, State.SENDING, State.PENDING_APPROVAL])
async def test_an_invoice_that_is_held_by_the_trail_cannot_be_asked_for_again(
    ledger: Ledger, engine: AsyncEngine, change: str, state: State
) -> None:
    """Whatever was done to the row that held it: nothing is written, and it is said which payment it is."""
    held = await in_state(ledger, state)
    await forge(engine, f"UPDATE payments SET {change} WHERE id = {held.id}")
    with pytest.raises(LedgerContradicted, match=rf"payment #{held.id} holds {held.ref}; its row says"):
        await request(ledger, held.ref)
    assert len(await all_of(ledger)) == 33
    async with ledger.transaction() as transaction:
        assert await transaction.held_by_trail(held.ref) == held.id


@pytest.mark.parametrize("number", [0, 2, -1, "1", None])
async def test_an_answer_to_a_call_that_was_not_made_is_a_flaw(ledger: Ledger, number: Any) -> None:
    """An answer is booked on the call that it names, and on no other."""
    payment = await request_in(ledger, State.APPROVED, InvoiceRef("vps", 777))
    async with ledger.transaction() as transaction:
        sending = await transaction.move(
            payment,
            State.SENDING,
            Sending("one", 1),
            actor="executor",
            tries=1,
        )
        await transaction.start_attempt(sending, "one")
        late = happened("answered_late", **{"try": number})
        event_id = await transaction.record(late, actor="executor", payment=sending)
    assert f"event {event_id} is the answer to no call" in str(await disproved(ledger, payment.id))


async def test_an_invoice_that_was_let_go_can_be_asked_for_again(ledger: Ledger) -> None:
    """Also one whose number begins like that of a paid one."""
    for state in (State.DECLINED, State.DENIED, State.CANCELLED, State.EXPIRED):
        payment = await in_state(ledger, state)
        async with ledger.transaction() as transaction:
            held = await transaction.held_by_trail(payment.ref)
        assert (held is None) or await ledger.live("vps", [payment.ref.number])
    await request(ledger, InvoiceRef("vps", 1010))
    await request(ledger, InvoiceRef("vps", 1))


async def test_the_checks_before_money_moves_read_by_an_index(ledger: Ledger, engine: AsyncEngine) -> None:
    """They cost the same in a ledger of millions of events."""
    if engine.dialect.name != "sqlite":
        pytest.skip("how PostgreSQL reads depends on how much there is")
    asked: list[tuple[str, Any]] = []

    def listen(*told: Any) -> None:
        asked.append((told[2], told[3]))

    async with engine.connect() as connection:
        event.listen(engine.sync_engine, "before_cursor_execute", listen)
        for statement in (
            *(proof.HELD, audit.OF_PAYMENT, audit.LAST_MOVE, precedents.BESIDE),
            *(proof.BELONGING_TO_ONE, proof.APPROVERS),
        ):
            await connection.execute(statement, {"invoice": "vps 1", "payment": 1, "number": 1})
        event.remove(engine.sync_engine, "before_cursor_execute", listen)
        for sql, values in asked:
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)).all()
            steps = [str(step) for *_, step in plan]
            scans = [step for step in steps if step.startswith("SCAN ") and step != "SCAN chain"]
            assert not scans, steps
