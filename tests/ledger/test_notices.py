"""Notices: who adds one first has added it, and nobody tells one that another has."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest

from bot.ledger.notices import Notice, Topic
from bot.ledger.store import Ledger
from bot.ledger.watching import any_due, to_tell
from tests.fixture_types import Clock
from tests.ledger.forging import forge, past_the_ledger

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


async def test_what_was_not_tried_yet_waits_for_no_clock(ledger: Ledger, clock: Clock) -> None:
    """A command on the machine may write it by a clock that is set right before a bot looks again."""
    await add(ledger)
    clock.advance(days=-5)
    assert await any_due(ledger, {Topic.DIGEST})
    assert await claim(ledger) is not None


async def test_what_one_has_no_other_takes(ledger: Ledger, clock: Clock) -> None:
    """Until its lease runs out; then who had it can say nothing of it any more."""
    await add(ledger)
    first = await claim(ledger)
    assert first is not None
    assert first.lease_owner == "one"
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
        await transaction.notices.retry_at(digest, due_at=due_at, begun=True)
    assert await claim(ledger) is None
    clock.advance(minutes=5)
    again = await claim(ledger)
    assert again is not None
    assert (again.begun, again.tries) == (True, 2)


async def forward(ledger: Ledger) -> None:
    async with ledger.transaction() as transaction:
        await transaction.bring_forward()


async def test_what_was_written_down_by_a_clock_ahead_waits_a_minute_at_most(
    ledger: Ledger, clock: Clock
) -> None:
    """Its time, and its lease's end, would come when that clock is there again: in a month."""
    clock.set(days=24)
    await alert(ledger)
    await alert(ledger, "43")
    held, tried = await claim_alert(ledger), await claim_alert(ledger)
    assert held is not None
    assert tried is not None
    async with ledger.transaction() as transaction:
        due_at = transaction.now + timedelta(minutes=5)
        await transaction.notices.retry_at(tried, due_at=due_at, begun=False)
    clock.set(days=-24)
    assert await claim_alert(ledger) is None
    await forward(ledger)
    clock.advance(minutes=1)
    found = [await claim_alert(ledger), await claim_alert(ledger)]
    assert {one.key for one in found if one is not None} == {"42", "43"}


async def test_what_is_put_off_for_less_than_a_minute_waits_as_it_did(ledger: Ledger, clock: Clock) -> None:
    """Its post may be under way yet: who looks too early does not find it, and posts again."""
    await alert(ledger)
    notice = await claim_alert(ledger)
    assert notice is not None
    async with ledger.transaction() as transaction:
        due_at = transaction.now + timedelta(seconds=2)
        await transaction.notices.retry_at(notice, due_at=due_at, begun=True)
    await forward(ledger)
    assert await claim_alert(ledger) is None
    clock.advance(seconds=2)
    assert await claim_alert(ledger) is not None


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("written", ["created_at = 'abc'", "due_at = ''", "over_at = x'ff'", "key = x'ff'"])
async def test_one_that_somebody_made_unreadable_keeps_nobody(
    ledger: Ledger, ledger_url: str, written: str
) -> None:
    """No payment waits for what operators are told, and no other of these for it."""
    await alert(ledger)
    await alert(ledger, "43")
    async with past_the_ledger(ledger_url) as engine:
        await forge(engine, f"UPDATE notices SET {written} WHERE id = 1")
    found = [one for one in [await claim_alert(ledger), await claim_alert(ledger)] if one is not None]
    assert "43" in {one.key for one in found}
    assert await claim_alert(ledger) is None


async def alert(ledger: Ledger, key: str = "42") -> None:
    async with ledger.transaction() as transaction:
        await transaction.notices.alert(Topic.UNKNOWN, key, "1,2")


async def claim_alert(ledger: Ledger) -> Notice | None:
    async with ledger.transaction() as transaction:
        return await transaction.notices.claim({Topic.UNKNOWN, Topic.SETTLED}, owner="one", lease=LEASE)


async def over(ledger: Ledger, notice: Notice) -> None:
    async with ledger.transaction() as transaction:
        await transaction.notices.over(notice.id, then=Topic.SETTLED)


async def test_an_alert_is_made_once_until_it_is_over(ledger: Ledger) -> None:
    """Also by several instances at the same moment; and who heard of it hears that it is over, once."""
    await asyncio.gather(*(alert(ledger) for _ in range(4)))
    notice = await claim_alert(ledger)
    assert notice is not None
    assert (notice.key, notice.detail) == ("42", "1,2")
    assert await claim_alert(ledger) is None
    async with ledger.transaction() as transaction:
        await transaction.notices.end(notice, "told", ts="1.1")
    await alert(ledger)
    assert await claim_alert(ledger) is None
    await asyncio.gather(*(over(ledger, notice) for _ in range(4)))
    settled = await claim_alert(ledger)
    assert settled is not None
    assert (settled.topic, settled.detail) == (Topic.SETTLED, "1,2")
    assert await claim_alert(ledger) is None
    await alert(ledger)
    again = await claim_alert(ledger)
    assert again is not None
    assert again.topic is Topic.UNKNOWN


@pytest.mark.parametrize("why", ["not_in_channel", None])
async def test_who_did_not_hear_of_it_does_not_hear_that_it_is_over(ledger: Ledger, why: str | None) -> None:
    """Where Slack refused it, or before anybody told it; where it may have been told, it is told."""
    await alert(ledger)
    notice = await claim_alert(ledger)
    assert notice is not None
    if why is not None:
        async with ledger.transaction() as transaction:
            assert await transaction.notices.begin(notice, lease=LEASE)
            await transaction.notices.end(notice, why)
    await over(ledger, notice)
    assert await claim_alert(ledger) is None


async def test_what_may_have_been_told_is_told_to_be_over(ledger: Ledger) -> None:
    """Its post was begun, and nobody knows what became of it."""
    await alert(ledger)
    notice = await claim_alert(ledger)
    assert notice is not None
    async with ledger.transaction() as transaction:
        assert await transaction.notices.begin(notice, lease=LEASE)
    await over(ledger, notice)
    settled = await claim_alert(ledger)
    assert settled is not None
    assert settled.topic is Topic.SETTLED
