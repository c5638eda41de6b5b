"""The chores: what happens because time passed, and to the work of the dead."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.domain.payment import InvoiceRef, State
from bot.domain.policy import Tier
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR
from bot.ledger.rows import Kind
from bot.ledger.schema import deliveries
from bot.ledger.store import Ledger
from bot.payments.maintenance import Maintenance
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import claimed, request_in, stored
from tests.payments.conftest import BOB, CAROL, Office, policy

TWO = (Tier(None, 2),)


async def test_nobody_decided_in_time(office: Office, clock: Clock) -> None:
    """It expires when the rule says and not before; nothing was sent, and it can be asked for again."""
    office.rules(policy(tiers=TWO, expires_after=timedelta(hours=2)))
    payment = await office.looked_up()
    await office.desk.approve(BOB, payment.request.id)
    clock.advance(hours=2, seconds=-1)
    await office.maintenance.poll_once()
    assert (await office.now(payment)).state is State.PENDING_APPROVAL
    clock.advance(seconds=1)
    await office.maintenance.poll_once()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.EXPIRED, "not enough approvals in time")
    event = await office.last(payment)
    assert (event.actor, event.action) == ("timekeeper", "expired")
    await office.execute()
    assert office.billing.payments_received("vps", 10101) == 0
    await office.request()


async def test_people_are_reminded_until_it_expires(office: Office, clock: Clock) -> None:
    """As often as the rule says; each reminder is told once."""
    office.rules(policy(tiers=TWO, expires_after=timedelta(hours=5), remind_every=timedelta(hours=2)))
    payment = await office.looked_up()
    for _ in range(10):
        clock.advance(minutes=30)
        await office.maintenance.poll_once()
        await office.maintenance.poll_once()
    actions = (await office.actions(payment))[2:]
    assert actions == ["reminded", "reminded", "expired"]
    # Each has a reply of its own in the thread.
    told = await office.ledger._all(select(deliveries.c.event_id).where(deliveries.c.event_id.is_not(None)))
    events = [await office.ledger.event(one["event_id"]) for one in told]
    assert [one.action for one in events].count("reminded") == 2


async def test_where_the_rule_does_not_say_people_are_reminded_twice(office: Office, clock: Clock) -> None:
    """When half of the time is over, and an hour before the end: once each."""
    office.rules(policy(tiers=TWO, expires_after=timedelta(hours=10)))
    payment = await office.looked_up()
    told = []
    for _ in range(61):
        clock.advance(minutes=10)
        await office.maintenance.poll_once()
        await office.maintenance.poll_once()
        told += [(clock.now - payment.request.created_at, (await office.actions(payment))[-1])]
    assert {action for _, action in told} == {"looked_up", "reminded", "expired"}
    events = [
        event for event in await office.ledger.history(payment.request.id) if event.action == "reminded"
    ]
    assert [event.at - payment.request.created_at for event in events] == [
        timedelta(hours=5),
        timedelta(hours=9),
    ]


async def test_a_short_request_is_reminded_of_once(office: Office, clock: Clock) -> None:
    """Its last hour begins before half of its time is over."""
    office.rules(policy(tiers=TWO, expires_after=timedelta(minutes=90)))
    payment = await office.looked_up()
    for _ in range(10):
        clock.advance(minutes=10)
        await office.maintenance.poll_once()
    assert (await office.actions(payment))[2:] == ["reminded", "expired"]


@pytest.mark.parametrize("step", [-8, 3])
async def test_a_clock_that_is_set_brings_no_reminder_twice(office: Office, clock: Clock, step: int) -> None:
    """Back over the half of its time, or ahead over the last hour of it."""
    office.rules(policy(tiers=TWO, expires_after=timedelta(hours=10)))
    payment = await office.looked_up()
    clock.advance(hours=6)
    await office.maintenance.poll_once()
    clock.set(hours=step)
    for _ in range(40):
        await office.maintenance.poll_once()
        clock.advance(minutes=20)
    assert (await office.actions(payment)).count("reminded") == 2
    assert (await office.actions(payment))[-1] == "expired"


async def test_two_instances_remind_once(office: Office, ledger: Ledger, clock: Clock) -> None:
    """Both find it due at the same moment."""
    office.rules(policy(tiers=TWO, expires_after=timedelta(hours=10)))
    payment = await office.looked_up()
    other = Maintenance(ledger, office.authority.policy, office.timing, "two")
    clock.advance(hours=5)
    await asyncio.gather(office.maintenance.poll_once(), other.poll_once())
    assert (await office.actions(payment)).count("reminded") == 1


async def test_an_address_that_slack_takes_no_answer_at_any_more_is_forgotten(
    office: Office, clock: Clock
) -> None:
    """After half an hour; until then it may be the only way to tell somebody."""
    payment = await office.request(response_url="https://hooks.slack.com/commands/T1/1/live")
    clock.advance(minutes=29)
    await office.maintenance.forget()
    assert (await office.now(payment)).request.response_url is not None
    clock.advance(minutes=1)
    await office.maintenance.forget()
    assert (await office.now(payment)).request.response_url is None


async def test_an_approved_payment_is_reminded_of_no_more(office: Office, clock: Clock) -> None:
    """It is decided; time does not undo that."""
    office.rules(policy(tiers=TWO, remind_every=timedelta(hours=1)))
    payment = await office.looked_up()
    for person in (BOB, CAROL):
        await office.desk.approve(person, payment.request.id)
    clock.advance(days=4)
    await office.maintenance.poll_once()
    assert (await office.now(payment)).state is State.APPROVED


async def test_a_lease_that_ran_out_leaves_it_unknown(office: Office, clock: Clock) -> None:
    """Whoever was sending it died: nobody knows what became of the call, and it is not sent again."""
    payment = await request_in(
        office.ledger, State.SENDING, lease_owner="dead", lease_until=clock.now + timedelta(seconds=30)
    )
    await office.maintenance.poll_once()
    assert (await office.now(payment)).state is State.SENDING, "it may be alive"
    clock.advance(seconds=30)
    await office.maintenance.poll_once()
    payment = await office.now(payment)
    assert payment.state is State.UNKNOWN
    assert payment.reason == "the bot stopped while the call was under way"
    assert payment.lease is None
    event = await office.last(payment)
    assert (event.action, stored(event)) == ("lease_ran_out", {"instance": "dead"})
    await office.execute()
    assert office.billing.payments_received("vps", 10101) == 0


async def test_who_starts_alone_takes_over_at_once(office: Office, clock: Clock) -> None:
    """On SQLite there is no other instance, so what is being sent has nobody who waits for the answer."""
    until = clock.now + timedelta(seconds=30)
    sending = await request_in(office.ledger, State.SENDING, lease_owner="dead", lease_until=until)
    approved = await request_in(
        office.ledger,
        State.APPROVED,
        InvoiceRef("vps", 2),
        card_ts="1.1",
        lease_owner="dead",
        lease_until=until,
    )
    await office.maintenance.take_over()
    assert (await office.now(sending)).state is State.UNKNOWN
    assert (await office.now(approved)).state is State.APPROVED
    assert await office.ledger.any_due(EXECUTOR), "its lease is free"


async def test_who_shares_the_ledger_takes_nothing_over(
    office: Office, new_postgresql: NewDatabase, clock: Clock
) -> None:
    """On PostgreSQL another instance may be alive and waiting: its lease decides."""
    async with open_ledger(new_postgresql(migrated=True), clock=clock) as shared:
        office.ledger = shared
        office.rules(policy())
        until = clock.now + timedelta(seconds=30)
        sending = await request_in(shared, State.SENDING, lease_owner="alive", lease_until=until)
        await office.maintenance.take_over()
        assert (await office.now(sending)).state is State.SENDING
        clock.advance(seconds=30)
        await office.maintenance.poll_once()
        assert (await office.now(sending)).state is State.UNKNOWN


async def test_what_was_never_looked_up_in_time_is_told_where_its_card_stands(
    office: Office, clock: Clock
) -> None:
    """In the thread, and it does not say that there is no card."""
    payment = await request_in(office.ledger, State.REQUESTED, card_ts="1.1")
    clock.now = payment.request.expires_at
    await office.maintenance.poll_once()
    assert (await office.now(payment)).state is State.EXPIRED
    (told,) = await claimed(office.ledger)
    assert told.kind is Kind.THREAD_REPLY


@pytest.mark.parametrize(
    ("state", "to", "why"),
    [
        (State.REQUESTED, State.EXPIRED, "it could not be looked up in time"),
        (State.APPROVED, State.CANCELLED, "its card could not be posted in time"),
    ],
)
async def test_what_never_got_a_card_does_not_hold_its_invoice_for_ever(
    office: Office, clock: Clock, state: State, to: State, why: str
) -> None:
    """Nobody could decide or cancel it, so it ends when its time is up, and the requester is told."""
    payment = await request_in(office.ledger, state)
    before = await office.ledger.undelivered()
    clock.now = payment.request.expires_at - timedelta(seconds=1)
    await office.maintenance.poll_once()
    assert (await office.now(payment)).state is state
    clock.now = payment.request.expires_at
    await office.maintenance.poll_once()
    ended = await office.now(payment)
    assert (ended.state, ended.reason) == (to, why)
    assert (await office.last(payment)).action == "stranded"
    assert await office.ledger.undelivered() == before + 1


@pytest.mark.parametrize(
    "state", sorted(set(State) - {State.REQUESTED, State.PENDING_APPROVAL, State.NOT_SENT})
)
async def test_time_alone_moves_nothing_else(office: Office, clock: Clock, state: State) -> None:
    """Whatever state it is in: only what is listed above happens by itself."""
    payment = await request_in(office.ledger, state, card_ts="1.1")
    clock.advance(days=30)
    if state is not State.SENDING:
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is state
