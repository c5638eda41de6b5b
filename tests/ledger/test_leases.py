"""Leases: who works on a payment, and what happens to it when they die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.domain.events import Retry
from bot.domain.payment import InvoiceRef, Payment, State
from bot.errors import LedgerUnavailable
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR, LOOK_UP, RECONCILER, REMIND, RESCUE, RETRY, STRANDED, Queue
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import claimed, request, request_in, with_card

LEASE = timedelta(seconds=30)


@pytest.fixture
async def other(ledger_url: str, ledger: Ledger, clock: Clock) -> AsyncIterator[Ledger]:
    """The same ledger, opened by another instance."""
    async with open_ledger(ledger_url, clock=clock, boot_clock=clock.boottime) as opened:
        yield opened


async def claim(ledger: Ledger, owner: str, queue: Queue = LOOK_UP, limit: int = 10) -> list[Payment]:
    async with ledger.transaction() as transaction:
        return await transaction.claim(queue, owner=owner, lease=LEASE, limit=limit)


async def several(ledger: Ledger, count: int) -> list[Payment]:
    return [await request(ledger, InvoiceRef("vps", number)) for number in range(1, count + 1)]


async def test_what_one_holds_no_other_gets(ledger: Ledger, other: Ledger) -> None:
    """A claimed payment is not claimed again while its lease lasts."""
    payments = await several(ledger, 3)
    mine = await claim(ledger, "a", limit=2)
    assert [each.id for each in mine] == [each.id for each in payments[:2]]
    assert {each.lease and each.lease.owner for each in mine} == {"a"}
    assert [each.id for each in await claim(other, "b")] == [payments[2].id]
    assert await claim(ledger, "a") == await claim(other, "b") == []
    assert not await ledger.any_due(LOOK_UP)


async def test_what_changed_since_it_was_seen_is_taken_as_it_is_now(ledger: Ledger) -> None:
    """Whoever works on it must not go by what was read before that."""
    before = await several(ledger, 2)
    async with ledger.transaction() as transaction:
        changed = await transaction.change(before[0], listed=True)
    async with ledger.transaction() as transaction:
        taken = await transaction.claim(LOOK_UP, owner="a", lease=LEASE, limit=10, seen=before)
    assert [(one.version, one.listed) for one in taken] == [
        (changed.version, True),
        (before[1].version, None),
    ]


async def test_two_who_claim_at_once_share_the_work(ledger: Ledger, other: Ledger) -> None:
    """Nothing is taken twice and nothing is left, however the two interleave."""
    payments = await several(ledger, 12)
    taken = await asyncio.gather(
        *(claim(each, owner, limit=3) for _ in range(4) for each, owner in ((ledger, "a"), (other, "b")))
    )
    ids = [payment.id for part in taken for payment in part]
    assert sorted(ids) == [payment.id for payment in payments]


async def test_a_claim_waits_for_nobody(ledger: Ledger, other: Ledger) -> None:
    """What another transaction has locked is skipped, where several may write at once."""
    first, second = await several(ledger, 2)
    if not ledger.shared:
        return  # one writer at a time; there is nothing to skip
    async with ledger.transaction() as transaction:
        await transaction.payment(first.id)
        async with asyncio.timeout(2):
            assert [each.id for each in await claim(other, "b")] == [second.id]


async def test_a_lease_that_ran_out_is_anybodys(ledger: Ledger, clock: Clock) -> None:
    """The work of an instance that died is taken over when its lease ends, not before."""
    (payment,) = await several(ledger, 1)
    await claim(ledger, "a")
    clock.advance(seconds=29)
    assert await claim(ledger, "b") == []
    clock.advance(seconds=1)
    assert [each.id for each in await claim(ledger, "b")] == [payment.id]


async def test_a_lease_is_renewed_by_its_owner_only(ledger: Ledger, clock: Clock) -> None:
    """A heartbeat keeps the work; somebody else's does nothing and says so."""
    (payment,) = await several(ledger, 1)
    await claim(ledger, "a")
    clock.advance(seconds=20)
    async with ledger.transaction() as transaction:
        assert await transaction.renew(payment.id, owner="a", lease=LEASE)
        assert not await transaction.renew(payment.id, owner="b", lease=LEASE)
        assert not await transaction.renew(999, owner="a", lease=LEASE)
    clock.advance(seconds=20)
    assert await claim(ledger, "b") == []


async def test_a_lease_is_given_back_by_its_owner_only(ledger: Ledger, clock: Clock) -> None:
    """Work that is given back says when it is due again."""
    await several(ledger, 1)
    (payment,) = await claim(ledger, "a")
    due_at = clock.now + timedelta(seconds=10)
    async with ledger.transaction() as transaction:
        await transaction.release(payment, owner="b", due_at=clock.now)
    assert await claim(ledger, "b") == []
    async with ledger.transaction() as transaction:
        await transaction.release(payment, owner="a", due_at=due_at)
    assert await claim(ledger, "b") == []
    clock.advance(seconds=10)
    assert [each.id for each in await claim(ledger, "b")] == [payment.id]


async def test_what_is_due_longest_comes_first(ledger: Ledger, clock: Clock) -> None:
    """Nothing waits behind what came later."""
    payments = await several(ledger, 3)
    for payment, seconds in zip(payments, (3, 1, 2), strict=True):
        async with ledger.transaction() as transaction:
            await transaction.change(payment, due_at=clock.now + timedelta(seconds=seconds))
    clock.advance(seconds=3)
    order = [(await claim(ledger, "a", limit=1))[0].id for _ in range(3)]
    assert order == [payments[1].id, payments[2].id, payments[0].id]


async def test_only_the_asked_for_is_claimed(ledger: Ledger, clock: Clock) -> None:
    """By state, and by whether its card stands in Slack."""
    new = await request(ledger, InvoiceRef("vps", 1))
    looked_up = await request_in(ledger, State.PENDING_APPROVAL, InvoiceRef("vps", 2))
    with_it = await request_in(ledger, State.APPROVED, InvoiceRef("vps", 3))
    without = await request_in(ledger, State.APPROVED, InvoiceRef("vps", 4))
    await with_card(ledger, with_it)
    assert await ledger.any_due(EXECUTOR)
    assert [each.id for each in await claim(ledger, "a")] == [new.id]
    assert [each.id for each in await claim(ledger, "a", REMIND)] == [looked_up.id]
    assert [each.id for each in await claim(ledger, "a", EXECUTOR)] == [with_it.id]
    assert await claim(ledger, "a", RECONCILER) == []
    assert not await ledger.any_due(STRANDED)
    clock.now = without.request.expires_at
    assert [each.id for each in await claim(ledger, "a", STRANDED)] == [new.id, without.id]


async def orphans(ledger: Ledger) -> list[int]:
    async with ledger.transaction() as transaction:
        return [payment.id for payment in await transaction.lock_due(RESCUE, limit=10)]


async def test_an_orphan_is_in_sending_without_a_lease(ledger: Ledger, clock: Clock) -> None:
    """Only what was being sent when its instance died is an orphan."""
    until = clock.now + LEASE
    sending = await request_in(ledger, State.SENDING, InvoiceRef("vps", 1))
    await request_in(ledger, State.APPROVED, InvoiceRef("vps", 2), lease_owner="a", lease_until=until)
    async with ledger.transaction() as transaction:
        await transaction.change(sending, lease_owner="a", lease_until=until)
    assert await orphans(ledger) == []
    assert not await ledger.any_due(RESCUE)
    clock.advance(seconds=30)
    assert await ledger.any_due(RESCUE)
    assert await orphans(ledger) == [sending.id]


async def test_who_is_alone_may_take_over_at_once(ledger: Ledger, clock: Clock) -> None:
    """At the start of the only instance, whatever another one was sending is orphaned."""
    sending = await request_in(ledger, State.SENDING)
    async with ledger.transaction() as transaction:
        await transaction.change(sending, lease_owner="a", lease_until=clock.now + LEASE)
    for instance, found in (("a", []), ("b", [sending.id])):
        async with ledger.transaction() as transaction:
            await transaction.free_leases(instead_of=instance, visible_within=timedelta(0))
        assert await orphans(ledger) == found


async def test_the_leases_of_the_dead_run_out_at_once(ledger: Ledger, clock: Clock) -> None:
    """Their payments and deliveries are free; the living keep theirs."""
    one, two = await several(ledger, 2)
    await claim(ledger, "dead", limit=1)
    await claim(ledger, "alive", limit=1)
    async with ledger.transaction() as transaction:
        await transaction.free_leases(instead_of="alive", visible_within=timedelta(0))
    assert [each.id for each in await claim(ledger, "c")] == [one.id]
    clock.advance(seconds=31)
    assert {each.id for each in await claim(ledger, "d")} == {one.id, two.id}


async def test_a_delivery_of_the_dead_may_have_arrived(ledger: Ledger, clock: Clock) -> None:
    """Who takes it over looks in Slack before posting it again."""
    payment = await request_in(ledger, State.PAID)
    card = await with_card(ledger, payment)
    assert card.request.cards.ts is not None
    (note,) = await claimed(ledger, "dead")
    assert not note.ambiguous
    clock.advance(seconds=30)
    (again,) = await claimed(ledger, "alive")
    assert (again.id, again.ambiguous, again.tries) == (note.id, True, 2)


async def _unavailable(_: Transaction) -> None:
    raise LedgerUnavailable("it is away")


async def test_a_clock_that_is_set_back_while_the_ledger_is_away_is_noticed_when_it_is_back(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits would wait for as long as the clock was wrong."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        payment = await transaction.change(payment, due_at=clock.now + timedelta(hours=1))
    await ledger.wake_due()
    clock.set(days=-1)
    with monkeypatch.context() as away:
        away.setattr(Transaction, "bring_forward", _unavailable)
        with pytest.raises(LedgerUnavailable):
            await ledger.wake_due()
    await ledger.wake_due()
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.due_at == clock.now


async def test_a_clock_that_is_set_back_leaves_the_living_a_minute(ledger: Ledger, clock: Clock) -> None:
    """What somebody is telling just now nobody else tells; what the dead held is free soon."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    (held,) = await claimed(ledger, "one")
    await ledger.wake_due()
    clock.set(days=-1)
    await ledger.wake_due()
    clock.advance(seconds=59)
    assert await claimed(ledger, "two") == []
    clock.advance(seconds=1)
    assert [one.id for one in await claimed(ledger, "two")] == [held.id]


async def test_a_chore_and_a_person_at_the_same_payment_come_one_after_the_other(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """Both take what they lock in the same order, so none of them waits for the other for ever."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url, clock=clock) as one, open_ledger(url, clock=clock) as two:
        payment = await request_in(one, State.NOT_SENT)
        locked, go = asyncio.Event(), asyncio.Event()

        async def retry() -> Payment:
            async with one.transaction() as transaction:
                (due,) = await transaction.lock_due(RETRY, limit=1)
                locked.set()
                await go.wait()
                return await transaction.move(due, State.APPROVED, Retry(), actor="timekeeper")

        async def look() -> Payment:
            async with two.transaction() as transaction:
                return await transaction.reread(payment)

        retrying = asyncio.create_task(retry())
        await locked.wait()
        looking = asyncio.create_task(look())
        await _waits(one)
        go.set()
        assert await retrying == await looking


async def test_a_card_that_is_shown_again_and_a_person_at_its_request_come_one_after_the_other(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """Whoever changes the deliveries of a request twice has locked the request before."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url, clock=clock) as one, open_ledger(url, clock=clock) as two:
        payment = await with_card(one, await request(one))

        async def show_again() -> None:
            async with two.transaction() as transaction:
                await transaction.outbox.repair_cards(payment.request.id)

        async with one.transaction() as transaction:
            await transaction.reread(payment)
            showing = asyncio.create_task(show_again())
            await _waits(one)
            transaction.outbox.refresh_cards(payment.request.id)
        await showing


async def test_who_looks_at_all_that_waits_and_a_person_come_one_after_the_other(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """Also where a payment waits for its time and for the end of a lease, both by a clock set back since."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url, clock=clock) as one, open_ledger(url, clock=clock) as two:
        far = clock.now + timedelta(days=1)
        payment = await request(one, due_at=far, lease_owner="one", lease_until=far)

        async def bring_forward() -> None:
            async with two.transaction() as transaction:
                await transaction.bring_forward()

        async with one.transaction() as transaction:
            await transaction._connection.execute(
                text(f"SELECT 1 FROM requests WHERE id = {payment.request.id} FOR UPDATE")
            )
            forward = asyncio.create_task(bring_forward())
            await _waits(one)
            await transaction.reread(payment)
        await forward
        found = await one.payment(payment.id)
        assert found is not None
        assert found.lease is not None
        assert (found.due_at, found.lease.until) == (clock.now, clock.now + timedelta(minutes=1))


async def _waits(ledger: Ledger) -> None:
    """Until a transaction waits for what another one holds."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10), ledger._reads.connect() as connection:
        while not (await connection.execute(waiting)).scalar_one():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
