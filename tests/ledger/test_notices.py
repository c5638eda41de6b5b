"""Notices: who adds one first has added it, and nobody tells one that another has."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from bot.ledger.notices import Notice, Topic
from bot.ledger.store import Ledger
from bot.ledger.watching import to_tell
from tests.fixture_types import Clock

MONDAY = date(2026, 3, 2)
LEASE = timedelta(seconds=30)


async def add(ledger: Ledger, day: date = MONDAY, *places: str) -> None:
    async with ledger.transaction() as transaction:
        await transaction.notices.begin_day(Topic.DIGEST, day, places or ["C1"])


async def claim(ledger: Ledger, owner: str = "one", day: date = MONDAY) -> Notice | None:
    async with ledger.transaction() as transaction:
        return await transaction.notices.claim({Topic.DIGEST}, owner=owner, lease=LEASE, day=day)


async def test_a_day_is_begun_once(ledger: Ledger) -> None:
    """Also by several instances at the same moment; whoever comes later finds who was named first."""
    assert await to_tell(ledger, Topic.DIGEST, MONDAY, "C1") is None
    await asyncio.gather(*(add(ledger, MONDAY, "C1", "U2") for _ in range(4)))
    assert await to_tell(ledger, Topic.DIGEST, MONDAY, "C1") is True
    taken = [one for one in [await claim(ledger) for _ in range(4)] if one is not None]
    assert sorted(one.place for one in taken) == ["C1", "U2"]


async def test_what_one_has_no_other_takes(ledger: Ledger, clock: Clock) -> None:
    """Until its lease runs out; then who had it can say nothing of it any more."""
    await add(ledger)
    first = await claim(ledger)
    assert first is not None
    assert await claim(ledger, "two") is None
    clock.advance(seconds=30)
    second = await claim(ledger, "two")
    assert second is not None
    async with ledger.transaction() as transaction:
        assert not await transaction.notices.begin(first, lease=LEASE)
        await transaction.notices.end(first, "told", ts="1.1")
    assert await to_tell(ledger, Topic.DIGEST, MONDAY, "C1") is True
    async with ledger.transaction() as transaction:
        assert await transaction.notices.begin(second, lease=LEASE)
    clock.advance(seconds=30)
    third = await claim(ledger)
    assert third is not None
    assert third.begun, "its post may stand there"


async def test_what_was_told_is_told_for_ever(ledger: Ledger, clock: Clock) -> None:
    """A clock that is set back finds the day's row; another day is another digest."""
    await add(ledger)
    digest = await claim(ledger)
    assert digest is not None
    async with ledger.transaction() as transaction:
        await transaction.notices.end(digest, "told", ts="1.1")
    clock.set(days=-3)
    await add(ledger)
    assert await claim(ledger) is None
    assert await to_tell(ledger, Topic.DIGEST, MONDAY, "C1") is False
    await add(ledger, MONDAY + timedelta(days=1))
    assert await claim(ledger, day=MONDAY + timedelta(days=1)) is not None


async def test_a_new_day_ends_what_is_left_of_the_last(ledger: Ledger) -> None:
    """Nobody wants yesterday's news today."""
    await add(ledger)
    await add(ledger, MONDAY + timedelta(days=1))
    assert await to_tell(ledger, Topic.DIGEST, MONDAY, "C1") is False
    assert await claim(ledger) is None


async def test_what_is_put_off_waits_for_its_time(ledger: Ledger, clock: Clock) -> None:
    """And it is remembered whether it may stand there."""
    await add(ledger)
    digest = await claim(ledger)
    assert digest is not None
    async with ledger.transaction() as transaction:
        due_at = transaction.now + timedelta(minutes=5)
        await transaction.notices.again(digest, due_at=due_at, begun=True)
    assert await claim(ledger) is None
    clock.advance(minutes=5)
    again = await claim(ledger)
    assert again is not None
    assert (again.begun, again.tries) == (True, 2)
