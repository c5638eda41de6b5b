"""Whoever waits for work is told when time, or another instance, has brought some: by one read."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from bot.domain.payment import FINAL, State
from bot.ledger.opening import open_ledger
from bot.ledger.queues import (
    EXECUTOR,
    EXPIRE,
    LOOK_UP,
    OUTBOX,
    QUEUES,
    RECONCILER,
    REMIND,
    RESCUE,
    RETRY,
    STRANDED,
    Queue,
)
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import claimed, happened, request, request_in, with_card

Events = dict[Queue, asyncio.Event]


@pytest.fixture
def events(ledger: Ledger) -> Events:
    return {queue: ledger.watch(queue) for queue in QUEUES}


async def told(ledger: Ledger, events: Events) -> set[Queue]:
    """The queues in which something is due now."""
    for event in events.values():
        event.clear()
    await ledger.wake_due()
    return {queue for queue, event in events.items() if event.is_set()}


async def test_an_idle_ledger_wakes_nobody(ledger: Ledger, events: Events) -> None:
    """Neither an empty one, nor what is settled."""
    assert await told(ledger, events) == set()
    await request_in(ledger, State.DENIED)
    assert await told(ledger, events) == set()


async def test_what_is_due_wakes_those_who_do_it(ledger: Ledger, events: Events) -> None:
    """The look-up, the announcer, the executor once the card stands, and the reconciler."""
    payment = await request(ledger)
    assert await told(ledger, events) == {LOOK_UP}
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    assert await told(ledger, events) == {LOOK_UP, OUTBOX}
    (card,) = await claimed(ledger)
    assert await told(ledger, events) == {LOOK_UP}
    async with ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(card, ts="1700000000.000001")
        payment = await transaction.move(payment, State.APPROVED, happened("moved"), actor="test")
    assert await told(ledger, events) == {EXECUTOR, OUTBOX}  # and the card to be shown anew
    async with ledger.transaction() as transaction:
        for state in (State.SENDING, State.UNKNOWN):
            payment = await transaction.move(payment, state, happened("moved"), actor="test")
    assert await told(ledger, events) == {RECONCILER, OUTBOX}


@pytest.mark.parametrize(
    ("state", "queue"),
    [(State.SENDING, RESCUE), (State.NOT_SENT, RETRY), (State.APPROVED, STRANDED)],
)
async def test_what_is_overdue_wakes_who_looks_after_it(
    ledger: Ledger, clock: Clock, events: Events, state: State, queue: Queue
) -> None:
    """A call whose instance died, a retry whose time has come, and a payment that never got its card."""
    until = clock.now + timedelta(seconds=30)
    payment = await request_in(ledger, state, lease_owner="a", lease_until=until)
    assert queue not in await told(ledger, events)
    clock.advance(days=4)
    assert queue in await told(ledger, events)
    assert payment.request.expires_at < clock.now


async def test_a_card_that_waits_for_people_is_left_alone_until_its_time(
    ledger: Ledger, clock: Clock, events: Events
) -> None:
    """Nobody is woken for a payment that waits for approval; then it is time to remind, and to expire."""
    payment = await with_card(ledger, await request_in(ledger, State.PENDING_APPROVAL))
    (told_so,) = await claimed(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(told_so, ts="1700000000.000002")
        await transaction.change(payment, due_at=transaction.now + timedelta(hours=1))
    assert await told(ledger, events) == set()
    clock.advance(hours=1)
    assert await told(ledger, events) == {REMIND}
    clock.now = payment.request.expires_at
    assert await told(ledger, events) == {EXPIRE}


async def test_a_commit_wakes_those_for_whom_it_left_work(ledger: Ledger, events: Events) -> None:
    """At once; and nobody for what is not due yet, or waits for its card."""

    def woken() -> set[Queue]:
        queues = {queue for queue, event in events.items() if event.is_set()}
        for event in events.values():
            event.clear()
        return queues

    payment = await request(ledger)
    assert woken() == {LOOK_UP}
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
        payment = await transaction.move(
            payment, State.APPROVED, happened("moved"), actor="test", announce=None
        )
    assert woken() == {OUTBOX}
    assert not await ledger.any_due(EXECUTOR), "it is not paid before its card stands"
    (card,) = await claimed(ledger)
    assert woken() == set()
    async with ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(card, ts="1700000000.000001")
    assert woken() == {EXECUTOR}
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.INVITATION, channel="U2")
    assert woken() == {OUTBOX}
    async with ledger.transaction() as transaction:
        payment = await transaction.move(
            payment, State.SENDING, happened("moved"), actor="test", announce=None
        )
    assert woken() == set()  # the card says so only if it takes longer
    async with ledger.transaction() as transaction:
        due = transaction.now + timedelta(seconds=1)
        await transaction.move(
            payment, State.UNKNOWN, happened("moved"), actor="test", announce=None, due_at=due
        )
    assert woken() == {OUTBOX}


@pytest.mark.parametrize("card", [None, "1700000000.000001"])
@pytest.mark.parametrize("state", sorted(set(State) - FINAL))
async def test_nothing_is_ever_left_behind(
    ledger: Ledger, clock: Clock, events: Events, state: State, card: str | None
) -> None:
    """Whatever state it is in, and whether its card stands or not: in its time some queue holds it."""
    until = clock.now + timedelta(seconds=30)
    await request_in(ledger, state, card_ts=card, lease_owner="dead", lease_until=until)
    clock.advance(days=4)
    assert await told(ledger, events) - {OUTBOX}


class Late:
    """A connection whose answers come late."""

    def __init__(self, connection: AsyncConnection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    async def execute(self, statement: Any) -> Any:
        answer = await self._connection.execute(statement)
        await asyncio.sleep(self._seconds)
        return answer


@pytest.mark.parametrize("late", [(1.3,), (1.3, 0), (0, 1.3), (0, 1.3, 0)])
async def test_an_answer_that_comes_late_is_no_clock_that_was_set_back(
    new_postgresql: NewDatabase, late: tuple[float, ...]
) -> None:
    """The server's time is as old as its answer; the ledger's clock stays right all the same."""
    async with open_ledger(new_postgresql(migrated=True)) as ledger:
        with capture_logs() as logs:
            for seconds in late:
                async with ledger.transaction() as transaction:
                    late_one = cast(AsyncConnection, Late(transaction._connection, seconds))
                    await ledger.now(late_one)
                await ledger.wake_due()
        assert not [entry for entry in logs if "set back" in entry["event"]]


async def test_a_server_whose_clock_is_set_back_is_noticed(
    new_postgresql: NewDatabase,
) -> None:
    """It was a day ahead before, as far as this process knows."""
    async with open_ledger(new_postgresql(migrated=True)) as ledger:
        await ledger.wake_due()
        ledger._offset += timedelta(days=1).total_seconds()
        with capture_logs() as logs:
            await ledger.wake_due()
            await ledger.wake_due()
        assert len([entry for entry in logs if "set back" in entry["event"]]) == 1
        assert ledger._ahead is not None
        assert abs(ledger._ahead) < timedelta(seconds=1)
