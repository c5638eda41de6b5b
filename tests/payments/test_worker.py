"""Task pools: so many pieces of work at a time, each of them once; and who polls for it."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.payment import InvoiceRef, Payment
from bot.errors import LedgerUnavailable
from bot.ledger.queues import LOOK_UP, RECONCILER
from bot.ledger.store import Ledger
from bot.payments.worker import Poller, TaskPool, Worker
from tests.ledger.making import request


async def test_what_is_under_way_is_not_started_again() -> None:
    """A lease that ran out while the loop was busy hands a pool its own work: one of the two goes on."""
    going_on, begun = asyncio.Event(), []

    async def work(name: str) -> None:
        begun.append(name)
        await going_on.wait()

    pool: TaskPool[int] = TaskPool("test", 4, asyncio.Event())
    pool.start(1, work("first"))
    second = work("second")
    pool.start(1, second)
    assert inspect.getcoroutinestate(second) == inspect.CORO_CLOSED
    assert (pool.keys, pool.free) == (frozenset({1}), 3)
    going_on.set()
    await pool.drain(5)
    assert begun == ["first"]
    assert (pool.keys, pool.free) == (frozenset(), 4)


async def test_what_has_ended_may_be_started_again() -> None:
    """And the loop is woken when a full pool has room again, as more may wait."""
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)

    wake = asyncio.Event()
    pool: TaskPool[int] = TaskPool("test", 1, wake)
    for name in ("first", "second"):
        pool.start(1, work(name))
        await pool.drain(5)
        async with asyncio.timeout(5):
            await wake.wait()
        wake.clear()
    assert begun == ["first", "second"]


@pytest.mark.parametrize("queues", [False, True])
async def test_a_pool_with_room_left_wakes_only_for_what_queues(queues: bool) -> None:
    """It has taken all there was; only where work waits for a busy key is there a reason to look again."""
    wake = asyncio.Event()
    pool: TaskPool[int] = TaskPool("test", 2, wake, queues=queues)
    pool.start(1, asyncio.sleep(0))
    await pool.drain(5)
    await asyncio.sleep(0)
    assert wake.is_set() is queues


@dataclass
class Polling:
    """Counts how often it looked. away: how often the ledger is away first."""

    away: int = 0
    looks: int = 0
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def poll_once(self) -> None:
        self.looks += 1
        self.looked.set()
        if self.looks <= self.away:
            raise LedgerUnavailable("away")

    async def again(self) -> int:
        async with asyncio.timeout(5):
            await self.looked.wait()
        self.looked.clear()
        return self.looks


async def test_a_loop_looks_when_it_is_woken() -> None:
    """Not before, and again whenever it is woken anew; it ends when told to."""
    looking, wake = Polling(), asyncio.Event()
    poller = Poller("test", looking.poll_once, wake)
    running = asyncio.create_task(poller.run())
    await asyncio.sleep(0)
    assert looking.looks == 0
    for count in (1, 2):
        wake.set()
        assert await looking.again() == count
    poller.stop()
    await running
    assert looking.looks == 2


async def test_a_loop_with_an_interval_looks_at_once_and_goes_on() -> None:
    """Nobody need wake it."""
    looking = Polling()
    poller = Poller("test", looking.poll_once, asyncio.Event(), 0.01)
    running = asyncio.create_task(poller.run())
    assert [await looking.again() for _ in range(3)] == [1, 2, 3]
    poller.stop()
    await running


async def test_a_ledger_that_was_away_is_asked_again() -> None:
    """What a loop was woken for is not forgotten while the ledger is away."""
    looking, wake = Polling(away=2), asyncio.Event()
    poller = Poller("test", looking.poll_once, wake, retry=0.01)
    running = asyncio.create_task(poller.run())
    wake.set()
    assert [await looking.again() for _ in range(3)] == [1, 2, 3]
    poller.stop()
    await running


class Claims:
    """Counts the transactions of a ledger, and holds what its worker does."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.transactions = 0
        self.going_on = asyncio.Event()
        self.handled: list[int] = []
        original = ledger.transaction

        def counted() -> Any:
            self.transactions += 1
            return original()

        monkeypatch.setattr(ledger, "transaction", counted)

    async def handle(self, payment: Payment) -> None:
        self.handled.append(payment.id)
        await self.going_on.wait()


async def test_a_worker_claims_no_more_than_it_has_room_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others stay for whoever has room; once there is room again, it is woken."""
    ids = [(await request(ledger, InvoiceRef("vps", number))).id for number in (1, 2, 3)]
    claims = Claims(ledger, monkeypatch)
    worker = Worker(ledger, LOOK_UP, claims.handle, instance="a", lease=timedelta(seconds=30), size=2)
    await worker.poll_once()
    await worker.poll_once()
    await asyncio.sleep(0)
    assert (claims.handled, claims.transactions) == (ids[:2], 1)
    assert await ledger.any_due(LOOK_UP)
    claims.going_on.set()
    await worker.pool.drain(5)
    assert worker.pool.wake.is_set()
    await worker.poll_once()
    await worker.pool.drain(5)
    assert claims.handled == ids


async def test_a_worker_that_is_woken_for_nothing_keeps_nobody_from_writing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks before it begins a transaction."""
    await request(ledger)
    claims = Claims(ledger, monkeypatch)
    worker = Worker(ledger, RECONCILER, claims.handle, instance="a", lease=timedelta(seconds=30), size=2)
    await worker.poll_once()
    assert (claims.handled, claims.transactions) == ([], 0)
