"""Crews: so many pieces of work at a time, each of them once."""

from __future__ import annotations

import asyncio
import inspect

from bot.payments.poller import Crew


async def test_what_is_under_way_is_not_started_again() -> None:
    """A lease that ran out while the loop was busy hands a crew its own work: one of the two goes on."""
    going_on, begun = asyncio.Event(), []

    async def work(name: str) -> None:
        begun.append(name)
        await going_on.wait()

    crew: Crew[int] = Crew("test", 4, asyncio.Event())
    crew.start(1, work("first"))
    second = work("second")
    crew.start(1, second)
    assert inspect.getcoroutinestate(second) == inspect.CORO_CLOSED
    assert (crew.keys, crew.free) == (frozenset({1}), 3)
    going_on.set()
    await crew.drain(5)
    assert begun == ["first"]
    assert (crew.keys, crew.free) == (frozenset(), 4)


async def test_what_has_ended_may_be_started_again() -> None:
    """And the loop is woken when something ends, as there is room for more."""
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)

    wake = asyncio.Event()
    crew: Crew[int] = Crew("test", 1, wake)
    for name in ("first", "second"):
        crew.start(1, work(name))
        await crew.drain(5)
        async with asyncio.timeout(5):
            await wake.wait()
        wake.clear()
    assert begun == ["first", "second"]
