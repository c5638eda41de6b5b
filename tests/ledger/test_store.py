"""Requests and moves: what is written together, what can never be there twice, what a lost race leaves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, text

from bot.domain.batch import Batch
from bot.domain.events import Denied
from bot.domain.payment import (
    MOVES,
    RELEASED,
    IllegalMove,
    Invoice,
    InvoiceRef,
    Outcome,
    Payment,
    State,
    Verdict,
)
from bot.errors import LedgerUnavailable
from bot.ledger import database
from bot.ledger.locked_reads import Stale
from bot.ledger.opening import open_ledger
from bot.ledger.rows import snapshot
from bot.ledger.schema import payments
from bot.ledger.store import Ledger
from tests.fixture_types import Clock
from tests.ledger.making import (
    REF,
    approved,
    attempts,
    claimed,
    happened,
    moved,
    request,
    request_in,
    way_to,
    with_card,
)


async def written(ledger: Ledger, payment: Payment) -> tuple[object, ...]:
    """Everything that a move writes."""
    history = await ledger.history(payment.request.id)
    return (await ledger.payment(payment.id), history, await ledger.undelivered(), await ledger.verify())


async def tell_one(ledger: Ledger) -> None:
    """Post the next reply."""
    (note,) = await claimed(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(note, ts="1700000000.000002")


async def test_a_payment_is_read_as_it_was_written(ledger: Ledger, clock: Clock) -> None:
    """Times, text and numbers come back exact on both databases."""
    payment = await request(
        ledger, note="café \N{PILE OF POO} & <b>", response_url="https://example.com/x", approvals_required=2
    )
    found = await ledger.payment(payment.id)
    assert found == payment
    assert (payment.ref, payment.state, payment.version, payment.tries) == (REF, State.REQUESTED, 1, 0)
    assert payment.request.created_at == payment.updated_at == payment.due_at == clock.now
    assert payment.request.expires_at.utcoffset() == timedelta(0)
    assert payment.number == f"#{payment.id}"


async def test_an_amount_keeps_every_digit(ledger: Ledger) -> None:
    """An amount is stored as its digits, never as a float."""
    payment = await request(ledger)
    for amount in ("0.00", "0.10", "49.99", "999999999999.99", "0.123456789"):
        async with ledger.transaction() as transaction:
            frozen = snapshot(Invoice(payment.ref, "VPS", Decimal(amount), "USD", date(2026, 3, 9)))
            payment = await transaction.change(payment, **frozen)
        found = await ledger.payment(payment.id)
        assert found is not None
        assert found.invoice == Invoice(REF, "VPS", Decimal(amount), "USD", date(2026, 3, 9))
        assert str(found.invoice.amount) == amount


async def test_a_time_without_a_zone_is_a_bug(ledger: Ledger) -> None:
    """It would mean another moment on another machine, so it is refused."""
    with pytest.raises(Exception, match="bug: a time without a zone"):
        await request(ledger, expires_at=datetime(2026, 3, 2, 12, 0))  # noqa: DTZ001
    elsewhere = datetime(2026, 3, 2, 12, 0, tzinfo=timezone(timedelta(hours=5)))
    payment = await request(ledger, expires_at=elsewhere)
    assert payment.request.expires_at == datetime(2026, 3, 2, 7, 0, tzinfo=UTC)


async def test_a_live_payment_holds_its_invoice(ledger: Ledger) -> None:
    """While one is under way, unknown or paid, the same invoice cannot be requested again."""
    for number, state in enumerate(sorted(set(State) - RELEASED), start=1):
        ref = InvoiceRef("vps", number)
        first = await request_in(ledger, state, ref)
        with pytest.raises(AssertionError, match="live payment"):
            await request(ledger, ref)
        async with ledger.transaction() as transaction:
            assert await transaction.live(ref) == first
        assert (await ledger.live("vps"))[number] == first
        await request(ledger, InvoiceRef("mail", number))


async def test_a_released_invoice_can_be_requested_again(ledger: Ledger) -> None:
    """What came to nothing does not stand in the way; the newest request is the one that counts."""
    for number, state in enumerate(sorted(RELEASED), start=1):
        ref = InvoiceRef("vps", number)
        first = await request_in(ledger, state, ref)
        assert number not in await ledger.live("vps")
        second = await request(ledger, ref)
        assert second.id > first.id
        assert await ledger.latest(ref) == second
        assert (await ledger.live("vps"))[number] == second


async def test_the_table_itself_refuses_a_second_live_payment(ledger: Ledger, ledger_url: str) -> None:
    """Not only the code: a row written past it is refused as well."""
    payment = await request_in(ledger, State.PAID)
    engine = database.engine_for(ledger_url)
    row = {column.name: getattr(payment, column.name, None) for column in payments.columns}
    row |= {"module": "vps", "number": REF.number, "state": "APPROVED"}
    row |= {"request_id": payment.request.id, "line": 2}
    del row["id"]
    with pytest.raises(Exception, match=r"(?i)unique|one_live_payment_per_invoice"):
        async with database.writing(engine).begin() as connection:
            await connection.execute(insert(payments).values(**row))
    await engine.dispose()


async def test_one_command_makes_one_payment(ledger: Ledger) -> None:
    """The same trigger_id never makes a second payment, not even for another invoice."""
    first = await request(ledger, trigger_id="123.456")
    with pytest.raises(AssertionError):
        await request(ledger, InvoiceRef("mail", 1), trigger_id="123.456")
    async with ledger.transaction() as transaction:
        assert await transaction.by_trigger("123.456") == Batch((first,))


async def test_of_many_requests_at_once_one_is_taken(ledger: Ledger) -> None:
    """Whoever is first gets the invoice; nobody gets an error."""

    async def ask(number: int) -> bool:
        try:
            await request(ledger, requester=f"U{number}")
        except AssertionError:
            return False
        return True

    assert sum(await asyncio.gather(*(ask(number) for number in range(8)))) == 1


async def test_a_number_is_never_given_again(ledger: Ledger) -> None:
    """A request that was rolled back leaves no number that another could be taken for."""
    first = await request(ledger)
    second = await request(ledger, InvoiceRef("mail", 1))
    assert second.id > first.id


async def test_a_listed_move_is_written_with_its_event(ledger: Ledger) -> None:
    """State, version and event change together, for every move of the table."""
    moves = [(current, to) for current in State for to in sorted(MOVES[current])]
    for number, (current, to) in enumerate(moves, start=1):
        before = await request_in(ledger, current, InvoiceRef("vps", number))
        after = await moved(ledger, before, to, reason="because")
        assert (after.state, after.version, after.reason) == (to, before.version + 1, "because")
        event = (await ledger.history(before.request.id))[-1]
        assert (event.from_state, event.to_state, event.request_id) == (current, to, before.request.id)
    assert (await ledger.verify()).broken_at is None


async def test_an_unlisted_move_raises_and_writes_nothing(ledger: Ledger) -> None:
    """It is a bug; neither the payment nor the trail nor the outbox shows a trace of it."""
    for number, current in enumerate(State, start=1):
        payment = await request_in(ledger, current, InvoiceRef("vps", number))
        before = await written(ledger, payment)
        for to in set(State) - MOVES[current]:
            with pytest.raises(IllegalMove, match="bug"):
                await moved(ledger, payment, to)
        assert await written(ledger, payment) == before


async def test_a_lost_race_is_stale_and_writes_nothing(ledger: Ledger) -> None:
    """Who decided on what was read before loses, whole transaction and all."""
    read = await request(ledger)
    await moved(ledger, read, State.APPROVED)
    before = await written(ledger, read)

    async def click() -> None:
        async with ledger.transaction() as transaction:
            await transaction.record(happened("clicked"), actor="U2", payment=read)
            await transaction.move(read, State.CANCELLED, happened("moved"), actor="U2")

    with pytest.raises(Stale, match=read.number):
        await click()
    assert await written(ledger, read) == before


async def test_a_change_without_a_move_makes_older_readings_stale(ledger: Ledger) -> None:
    """The version counts every change, not only those of the state."""
    read = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.change(read, reason="held")
    with pytest.raises(Stale):
        await moved(ledger, read, State.APPROVED)


async def test_of_two_who_move_at_once_one_is_stale(ledger: Ledger, ledger_url: str, clock: Clock) -> None:
    """Two instances that decide on the same payment at the same time: one decision stands."""
    payment = await request(ledger)
    async with open_ledger(ledger_url, clock=clock) as other:
        results = await asyncio.gather(
            moved(ledger, payment, State.APPROVED),
            moved(other, payment, State.CANCELLED),
            return_exceptions=True,
        )
    assert sum(isinstance(result, Stale) for result in results) == 1
    assert [event.action for event in await ledger.history(payment.request.id)] == ["requested", "moved"]


async def test_an_error_in_a_transaction_undoes_all_of_it(ledger: Ledger) -> None:
    """Request, event and delivery are there together or not at all."""

    async def fail() -> None:
        async with ledger.transaction() as transaction:
            await transaction.record(happened("started"), actor="test")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await fail()
    assert (await ledger.verify()).events == 0
    payment = await request(ledger)
    assert payment.version == 1


async def test_an_attempt_is_there_before_its_outcome(ledger: Ledger, clock: Clock) -> None:
    """A call under way has a row without a verdict; the row gets the whole outcome afterwards."""
    payment = await request_in(ledger, State.SENDING)
    async with ledger.transaction() as transaction:
        attempt_id = await transaction.start_attempt(payment, "host:1")
    (attempt,) = await attempts(ledger, payment.id)
    assert (attempt.id, attempt.instance, attempt.started_at) == (attempt_id, "host:1", clock.now)
    assert (attempt.finished_at, attempt.verdict) == (None, None)
    clock.advance(seconds=3)
    async with ledger.transaction() as transaction:
        await transaction.finish_attempt(attempt_id, Outcome(Verdict.PAID, "ok", "Paid.", "status ok"))
    (attempt,) = await attempts(ledger, payment.id)
    assert (attempt.verdict, attempt.status, attempt.status_text) == ("PAID", "ok", "Paid.")
    assert (attempt.finished_at, attempt.evidence) == (clock.now, "status ok")


async def test_an_approval_counts_once_a_person(ledger: Ledger) -> None:
    """A second click of the same person is no second approval."""
    payment = await request(ledger)
    assert await approved(ledger, payment, "U2")
    assert not await approved(ledger, payment, "U2")
    assert await approved(ledger, payment, "U3")
    async with ledger.transaction() as transaction:
        assert await transaction.approvers(payment.request.id) == ["U2", "U3"]
    assert await ledger.approvers(payment.request.id) == ["U2", "U3"]


async def test_what_was_spent_counts_only_what_may_be_paid(ledger: Ledger, clock: Clock) -> None:
    """Released requests, other currencies, rules and days are left out; so is the request itself."""

    async def priced(number: int, state: State, currency: str = "USD", **fields: Any) -> Payment:
        payment = await request_in(ledger, state, InvoiceRef("vps", number), **fields)
        async with ledger.transaction() as transaction:
            frozen = snapshot(Invoice(payment.ref, "", Decimal(number), currency, None))
            return await transaction.change(payment, **frozen)

    await priced(1, State.PAID)
    clock.advance(days=1)
    midnight = clock.now.replace(hour=0)
    for number, state in enumerate(sorted(State), start=10):
        await priced(number, state)
    await priced(100, State.PAID, "EUR")
    await priced(200, State.PAID, rule="other")
    await priced(300, State.PAID, requester="U2")
    this = await priced(400, State.PENDING_APPROVAL)
    expected = sum(number for number, state in enumerate(sorted(State), start=10) if state not in RELEASED)
    async with ledger.transaction() as transaction:
        by_all, by_one = await transaction.requested_totals(
            since=midnight,
            until=midnight + timedelta(days=1),
            currency="USD",
            except_payment=this.id,
            rule="default",
            rules=["default", "other"],
            requester="U1",
        )
    assert (by_all, by_one) == (Decimal(expected + 300), Decimal(expected))


async def test_counts_and_lists(ledger: Ledger) -> None:
    """The newest first, of one person or in some states; counted by state."""
    one = await request_in(ledger, State.PAID, InvoiceRef("vps", 1))
    two = await request_in(ledger, State.DENIED, InvoiceRef("vps", 2), requester="U2")
    three = await request(ledger, InvoiceRef("vps", 3))
    assert await ledger.recent() == [Batch((one,)) for one in (three, two, one)]
    assert await ledger.recent(limit=1) == [Batch((three,))]
    assert await ledger.recent(requester="U2") == [Batch((two,))]
    assert await ledger.recent(states=[State.PAID, State.DENIED]) == [Batch((two,)), Batch((one,))]
    counted = await ledger.by_state()
    assert counted == {State.PAID: 1, State.DENIED: 1, State.REQUESTED: 1}


async def test_all_that_waits_is_listed_and_what_expires_first_leads(ledger: Ledger, clock: Clock) -> None:
    """However much came later, and whatever was decided."""
    await request_in(ledger, State.DENIED, InvoiceRef("vps", 1))
    late = await request_in(ledger, State.PENDING_APPROVAL, InvoiceRef("vps", 2))
    soon = await request_in(
        ledger, State.PENDING_APPROVAL, InvoiceRef("vps", 3), expires_at=clock.now + timedelta(hours=1)
    )
    for number in range(4, 64):
        await request_in(ledger, State.PENDING_APPROVAL, InvoiceRef("vps", number))
    found = await ledger.pending()
    assert (found[:2], len(found)) == ([Batch((soon,)), Batch((late,))], 62)


async def test_what_somebody_approved_and_still_waits(ledger: Ledger) -> None:
    """By the events: a row that somebody wrote into the table hides nothing from anybody."""
    one, two, three = [
        await request_in(ledger, State.PENDING_APPROVAL, InvoiceRef("vps", number)) for number in (1, 2, 3)
    ]
    for payment in (one, two):
        await approved(ledger, payment, "U2")
    await approved(ledger, three, "U3")
    async with ledger.transaction() as transaction:
        await transaction.add_approval(three.request, "U2")  # without its event
    await moved(ledger, two, State.APPROVED)
    assert await ledger.approved_by("U2") == {one.request.id}


async def test_who_denied_it(ledger: Ledger) -> None:
    """Nobody, until somebody did."""
    payment = await request_in(ledger, State.PENDING_APPROVAL)
    assert await ledger.denier(payment.request.id) is None
    async with ledger.transaction() as transaction:
        await transaction.move(payment, State.DENIED, Denied("no"), actor="U2", reason="no")
    assert await ledger.denier(payment.request.id) == "U2"


@pytest.mark.parametrize(
    "state",
    [
        State.REQUESTED,
        State.PENDING_APPROVAL,
        State.APPROVED,
        State.SENDING,
        State.NOT_SENT,
        State.UNKNOWN,
        State.PAID,
    ],
)
async def test_at_rest_is_what_waits_for_people_or_for_time(
    ledger: Ledger, clock: Clock, state: State
) -> None:
    """A payment that the bot has still to move on, or to tell of, is not at rest."""
    until = clock.now + timedelta(seconds=30) if state is State.SENDING else None
    await with_card(ledger, await request_in(ledger, state, lease_until=until))
    assert await ledger.undelivered() == len(way_to(state))
    busy = state in (State.REQUESTED, State.APPROVED, State.SENDING)
    assert await ledger.at_rest() is False
    for _ in way_to(state):
        await tell_one(ledger)
    assert await ledger.undelivered() == 0
    assert await ledger.at_rest() is not busy


async def test_every_commit_wakes_who_watches(ledger: Ledger) -> None:
    """A watcher is woken by a commit and not by a roll-back; an unwatched event no more."""
    seen = ledger.watch()
    with pytest.raises(RuntimeError):
        async with ledger.transaction():
            raise RuntimeError
    assert not seen.is_set()
    await request(ledger)
    assert seen.is_set()
    seen.clear()
    ledger.unwatch(seen)
    await request(ledger, InvoiceRef("vps", 1))
    assert not seen.is_set()


async def test_a_bug_is_not_called_an_outage(ledger: Ledger) -> None:
    """What the database refuses because it is wrong is no LedgerUnavailable: trying again is no use."""
    payment = await request(ledger)
    with pytest.raises(Exception, match=r"(?i)foreign key|not.null") as caught:
        async with ledger.transaction() as transaction:
            await transaction.start_attempt(replace(payment, id=999), "host:1")
    assert not isinstance(caught.value, LedgerUnavailable)


async def test_a_number_that_was_given_again_is_another_payment(ledger: Ledger) -> None:
    """After a failover that lost commits: what a process remembers is about a payment that is not there."""
    payment = await request(ledger)
    made = payment.request.created_at - timedelta(microseconds=1)
    before = replace(payment, request=replace(payment.request, created_at=made))
    for forgotten in (before, replace(payment, id=payment.id + 1)):
        async with ledger.transaction() as transaction:
            with pytest.raises(Stale, match="set back"):
                await transaction.reread(forgotten)
            assert await transaction.reread(payment) == payment


async def test_what_reads_long_reads_all_at_one_moment(ledger: Ledger) -> None:
    """A figure and what it is made of must be of the same moment, whatever comes meanwhile."""
    count = text("SELECT count(*) FROM payments")
    await request(ledger)
    async with ledger.snapshot() as connection:
        assert await connection.scalar(count) == 1
        await request(ledger, InvoiceRef("vps", 2))
        assert await connection.scalar(count) == 1
    async with ledger.snapshot() as connection:
        assert await connection.scalar(count) == 2
