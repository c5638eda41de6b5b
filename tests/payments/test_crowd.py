"""Who is served alone, who together, and what one of them means for the others."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import LedgerUnavailable
from bot.payments.crowd import Crowd, Group


class Counter:
    """Serves numbers, when it is let. groups: those served together."""

    def __init__(self, most: int = 100) -> None:
        self.crowd: Crowd[int, str] = Crowd(most)
        self.go, self.closed, self.rest = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.rest.set()
        self.groups: list[list[int]] = []
        self.broken: Exception | None = None

    async def _alone(self, item: int) -> str:
        await self.go.wait()
        await self.rest.wait()
        return f"{item} alone"

    async def _together(self, group: Group[int]) -> list[str | None]:
        await self.go.wait()
        items = list(group.close())
        self.groups.append(items)
        self.closed.set()
        await self.rest.wait()
        if self.broken:
            raise self.broken
        return [None if item < 0 else f"{item} of {len(items)}" for item in items]

    def come(self, item: int) -> asyncio.Task[str]:
        return asyncio.create_task(self.crowd.serve(item, self._alone, self._together))


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_comes_alone_is_served_alone() -> None:
    """Also after others were."""
    counter = Counter()
    counter.go.set()
    assert [await counter.come(each) for each in (1, 2)] == ["1 alone", "2 alone"]
    assert counter.groups == []


async def test_who_comes_meanwhile_is_served_together_in_order() -> None:
    """As many as come until the group is closed."""
    counter = Counter()
    first = counter.come(1)
    await turns()
    others = [counter.come(each) for each in (2, 3)]
    await turns()
    others.append(counter.come(4))
    await turns()
    counter.go.set()
    assert await first == "1 alone"
    assert await asyncio.gather(*others) == ["2 of 3", "3 of 3", "4 of 3"]
    assert counter.groups == [[2, 3, 4]]


async def test_no_group_is_larger_than_it_may_be() -> None:
    """Whoever has no place in it is of the next one."""
    counter = Counter(most=2)
    coming = [counter.come(each) for each in range(6)]
    await turns()
    counter.go.set()
    await asyncio.gather(*coming)
    assert counter.groups == [[1, 2], [3, 4], [5]]


async def test_who_comes_when_a_group_is_closed_waits_for_the_next() -> None:
    """Nobody is added to what is being written already."""
    counter = Counter()
    coming = [counter.come(1), counter.come(2)]
    await turns()
    counter.rest.clear()
    counter.go.set()
    await counter.closed.wait()
    late = counter.come(3)
    counter.rest.set()
    assert await asyncio.gather(*coming, late) == ["1 alone", "2 of 1", "3 of 1"]
    assert counter.groups == [[2], [3]]


async def test_who_has_to_be_served_alone_is() -> None:
    """And keeps nobody else."""
    counter = Counter()
    coming = [counter.come(each) for each in (1, -2, 3)]
    await turns()
    counter.go.set()
    assert await asyncio.gather(*coming) == ["1 alone", "-2 alone", "3 of 2"]


async def test_what_one_does_to_a_group_is_done_to_no_other() -> None:
    """A row that the database does not take, say: each is served alone, and told what is wrong with it."""
    counter = Counter()
    counter.broken = ValueError("a row that the database does not take")
    coming = [counter.come(each) for each in (1, 2, 3)]
    await turns()
    counter.go.set()
    assert await asyncio.gather(*coming) == ["1 alone", "2 alone", "3 alone"]


async def test_a_ledger_that_is_away_is_away_for_a_whole_group_and_not_for_the_next() -> None:
    """Each hears of it, none waits for ever."""
    counter = Counter()
    counter.broken = LedgerUnavailable("away")
    coming = [counter.come(each) for each in (1, 2, 3)]
    await turns()
    counter.go.set()
    first, *others = await asyncio.gather(*coming, return_exceptions=True)
    assert first == "1 alone"
    assert all(isinstance(one, LedgerUnavailable) for one in others)
    counter.broken = None
    counter.go.clear()
    coming = [counter.come(4), counter.come(5)]
    await turns()
    counter.go.set()
    assert await coming[1] == "5 of 1"


async def test_who_leaves_a_group_leaves_the_others_theirs() -> None:
    """Its own is done all the same: somebody may have begun it."""
    counter = Counter()
    coming = [counter.come(each) for each in (1, 2, 3)]
    await turns()
    coming[1].cancel()
    counter.go.set()
    assert await coming[2] == "3 of 2"
    with pytest.raises(asyncio.CancelledError):
        await coming[1]
