"""What PostgreSQL lets one transaction hold while it waits for another: always in one order, so that no two
wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from bot.billing.client import BillingClient
from bot.domain.batch import Batch
from bot.domain.events import Retry
from bot.domain.payment import PAUSED, InvoiceRef, State
from bot.ledger.notices import Topic
from bot.ledger.opening import open_ledger
from bot.ledger.rows import Kind
from bot.ledger.schema import deliveries
from bot.ledger.store import Ledger
from bot.ledger.watching import going_on
from bot.sandbox.local_billing import LocalBilling
from tests.fixture_types import Clock, NewDatabase
from tests.payments.conftest import ALICE, Office, Register, policy
from tests.payments.test_batches import TENS, ask, now, states

LEASE = timedelta(seconds=30)
LIMITED = policy(limit_per_person_per_day=Decimal(1000))


@pytest.fixture
async def office(
    new_postgresql: NewDatabase, clock: Clock, billing: LocalBilling, client: BillingClient
) -> AsyncIterator[Office]:
    """On a ledger that other instances share."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url, clock=clock, boot_clock=clock.boottime) as ledger:
        yield Office(ledger, clock, billing, client, Register())


@pytest.fixture
async def other(office: Office) -> AsyncIterator[Ledger]:
    """The same ledger as another instance has it open."""
    url = office.ledger._engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    async with open_ledger(url, clock=office.clock) as ledger:
        yield ledger


async def waits(ledger: Ledger) -> None:
    """Until a transaction waits for what another one holds."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(10), ledger._reads.connect() as connection:
        while not (await connection.execute(waiting)).scalar_one():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_who_looks_several_up_takes_the_limits_before_the_trail(office: Office, other: Ledger) -> None:
    """The first line is cancelled, which is an event, and of the second the limits are asked."""
    office.rules(LIMITED)
    batch = await ask(office, InvoiceRef("vps", 999), *TENS)
    async with other.transaction() as paying:
        await paying.lock("limits")
        looking = asyncio.create_task(office.look())
        await waits(other)
        await paying.record(Retry(), actor="another")
    await looking
    assert states(await now(office, batch)) == [State.CANCELLED, *[State.APPROVED] * 3]


async def test_who_decides_anew_takes_the_limits_before_the_trail(office: Office, other: Ledger) -> None:
    """An amount becomes known, which is an event, and the limits are asked about it."""
    office.billing.fail("unreadable")
    payment = await office.looked_up()
    office.billing.heal()
    assert (payment.state, payment.invoice) == (State.APPROVED, None)
    office.rules(LIMITED)
    async with other.transaction() as paying:
        await paying.lock("limits")
        executing = asyncio.create_task(office.execute())
        await waits(other)
        await paying.record(Retry(), actor="another")
    await executing
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_what_waits_is_brought_forward_while_somebody_has_a_line_and_goes_for_the_rest(
    office: Office, other: Ledger
) -> None:
    """Whoever has a request's row has all of its lines to themselves."""
    batch = await ask(office)
    for payment in (batch.payments[0], batch.payments[1]):
        async with office.ledger.transaction() as transaction:
            # Written last, so that a statement about all of them comes to it last.
            await transaction.change(payment, due_at=office.clock.now + timedelta(days=1))

    async def bring_forward() -> None:
        async with other.transaction() as transaction:
            await transaction.bring_forward()

    async with office.ledger.transaction() as transaction:
        await transaction.reread((await now(office, batch)).payments[1])
        forward = asyncio.create_task(bring_forward())
        await waits(other)
        await transaction.whole(batch.request)
    await forward
    assert {one.due_at for one in (await now(office, batch)).payments} == {office.clock.now}


async def test_two_who_ask_for_what_others_hold_wait_in_one_order(office: Office, other: Ledger) -> None:
    """And who looks at all that waits comes between them."""
    for ref in (TENS[2], TENS[0]):
        await office.request(ref)

    async with other.transaction() as transaction:
        await transaction.of_request(1)
        asking = asyncio.create_task(
            office.desk.request(ALICE, "C1", [TENS[0], TENS[2]], typed_there=True, trigger_id="x")
        )
        await waits(other)
        await transaction.of_request(2)
    await asking


async def test_who_resumes_takes_what_was_held_before_the_trail(office: Office, other: Ledger) -> None:
    """Somebody has a payment that was held, and goes for the trail's end."""
    payment = await office.looked_up()
    await office.desk.pause(ALICE, "", trigger_id="pause.19")
    await office.execute()
    async with office.ledger.transaction() as transaction:
        held = await transaction.reread(payment)
        assert held.reason == PAUSED

        async def resume() -> None:
            async with other.transaction() as transaction:
                await transaction.resume(actor=ALICE.id)

        resuming = asyncio.create_task(resume())
        await waits(other)
        await transaction.record(Retry(), actor="another")
    await resuming
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def replied(office: Office, *, times: int) -> Batch:
    """Several whose card has something new to show, and in whose thread so many replies are to be told."""
    batch = await ask(office)
    async with office.ledger.transaction() as transaction:
        await transaction.outbox.add(batch.request, Kind.CARD)
        (card,) = await transaction.outbox.claim(owner="one", lease=LEASE, busy=(), limit=1, updates=0)
        await transaction.outbox.mark_delivered(card, ts="1.0")
    async with office.ledger.transaction() as transaction:
        for number in range(times):
            event_id = await transaction.record(Retry(), actor="test", payment=batch.first)
            await transaction.outbox.add(
                batch.request, Kind.THREAD_REPLY, event_id=event_id, gather=number > 0
            )
        transaction.outbox.refresh_cards(batch.request.id)
    return batch


async def test_who_takes_replies_to_tell_waits_for_nobody(office: Office, other: Ledger) -> None:
    """Somebody hastens a reply, and goes for the card, which is taken with the reply before that one."""
    batch = await replied(office, times=2)
    async with office.ledger.transaction() as transaction, asyncio.TaskGroup() as tasks:
        whole = await transaction.whole(batch.request)
        event_id = await transaction.record(Retry(), actor="test", request=whole.request)
        await transaction.announce_in_thread(whole.request, event_id)
        async with other.transaction() as telling:
            first, card = await telling.outbox.claim(owner="two", lease=LEASE, busy=(), limit=9, updates=9)
            with_it = tasks.create_task(telling.outbox.claim_with(first, owner="two", lease=LEASE, limit=9))
            await asyncio.wait([with_it], timeout=0.5)
            finishing = tasks.create_task(transaction.outbox.finish())
            assert await with_it == ()
        await finishing
    assert (first.kind, card.kind) == (Kind.THREAD_REPLY, Kind.CARD)


async def test_who_takes_replies_to_tell_passes_over_none(office: Office, other: Ledger) -> None:
    """They are told in the order in which it happened, also where somebody has one between them."""
    await replied(office, times=4)
    async with other.transaction() as telling, office.ledger.transaction() as transaction:
        (first,) = await telling.outbox.claim(owner="two", lease=LEASE, busy=(), limit=9, updates=0)
        third = select(deliveries.c.id).where(deliveries.c.id == first.id + 2).with_for_update()
        await transaction._connection.execute(third)
        with_it = await telling.outbox.claim_with(first, owner="two", lease=LEASE, limit=9)
    assert [one.id for one in with_it] == [first.id + 1]


async def test_who_waited_for_the_trails_end_finds_what_it_says(office: Office, other: Ledger) -> None:
    """What it adds next is proved by that."""
    payment = await office.looked_up()

    async def fits() -> bool:
        async with other.transaction() as transaction:
            return (await transaction.trail.hold_end()).fits

    async with office.ledger.transaction() as transaction:
        await transaction.record(Retry(), actor="another", payment=payment)
        waiting = asyncio.create_task(fits())
        await waits(other)
    assert await waiting


async def test_who_ends_an_alert_takes_the_trails_end_before_it(office: Office, other: Ledger) -> None:
    """Somebody has the end, and would tell of the very thing that is over just now."""
    async with office.ledger.transaction() as transaction:
        await transaction.notices.alert(Topic.REFUSED, "login")
        notice = await transaction.notices.claim([Topic.REFUSED], owner="one", lease=LEASE)
        assert notice is not None
        await transaction.notices.end(notice, "told", ts="1.0")
    (told,) = await going_on(other, Topic.REFUSED)

    async def over() -> None:
        async with other.transaction() as transaction:
            await transaction.notices.over(told.id, then=Topic.ACCEPTED)

    async with office.ledger.transaction() as transaction:
        await transaction.trail.hold_end()
        ending = asyncio.create_task(over())
        await asyncio.wait([ending], timeout=0.5)
        await transaction.notices.alert(Topic.REFUSED, "login")
    await ending
    assert await going_on(other, Topic.REFUSED) == []
