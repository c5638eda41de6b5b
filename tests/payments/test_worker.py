"""Task pools: so many pieces of work at a time, each of them once; and who polls for it."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field

import pytest

from bot.errors import LedgerUnavailable
from bot.payments.worker import Poller, TaskPool


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


async def test_a_ledger_that_was_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loop was woken for is not forgotten while the ledger is away."""
    monkeypatch.setattr("bot.payments.worker._AWAY", 0.01)
    looking, wake = Polling(away=2), asyncio.Event()
    poller = Poller("test", looking.poll_once, wake)
    running = asyncio.create_task(poller.run())
    wake.set()
    assert [await looking.again() for _ in range(3)] == [1, 2, 3]
    poller.stop()
    await running
