"""Slack's rate limits are kept to before Slack has to say so."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.slack import pace as pace_of_slack
from bot.slack.pace import Bucket, Pace


async def taken(pace: Pace, channel: str, count: int) -> float:
    """Seconds until so many messages were posted, each as soon as it may be."""
    began = time.monotonic()
    while count:
        if channel in pace.full:
            await asyncio.sleep(0.001)
        else:
            pace.posted(channel)
            count -= 1
    return time.monotonic() - began


async def test_a_burst_goes_at_once() -> None:
    """Ten requests, card and reply, do not wait for each other."""
    assert await taken(Pace(), "C1", 20) < 0.5


async def test_beyond_the_burst_posts_wait_their_turn() -> None:
    """No faster than Slack takes them."""
    seconds = await taken(Pace(posts=20, burst=2), "C1", 6)
    assert 0.19 <= seconds < 1


async def test_channels_do_not_wait_for_each_other() -> None:
    """Slack counts each channel for itself."""
    pace = Pace(posts=0.01, burst=1)
    pace.posted("C1")
    assert set(pace.full) == {"C1"}
    pace.posted("C2")
    assert set(pace.full) == {"C1", "C2"}


async def test_only_so_many_messages_are_changed_at_once() -> None:
    """In all channels together; posts do not count."""
    pace = Pace(updates=0.01)
    assert pace.updates == 20
    for _ in range(20):
        pace.updated()
    pace.posted("C1")
    assert pace.updates == 0


async def test_a_channel_that_has_to_wait_does_so_alone() -> None:
    """And only for as long as Slack said."""
    pace = Pace()
    pace.pause("C1", 0.05)
    pace.pause("C2", 60)
    assert set(pace.paused) == {"C1", "C2"}
    assert pace.updates > 0
    await asyncio.sleep(0.06)
    assert set(pace.paused) == {"C2"}


async def test_updates_that_have_to_wait_stop_no_post() -> None:
    """Slack counts them for the whole workspace, and apart from posts."""
    pace = Pace()
    pace.pause_updates(0.05)
    assert pace.updates == 0
    assert not pace.paused
    await asyncio.sleep(0.06)
    assert pace.updates > 0


async def test_a_bucket_fills_again() -> None:
    """What was saved up is never more than the burst."""
    bucket = Bucket(rate=1000, burst=2)
    bucket.take()
    bucket.take()
    assert bucket.ready == 0
    await asyncio.sleep(0.01)
    assert bucket.ready == 2


async def test_a_channel_that_was_quiet_for_long_is_not_remembered() -> None:
    """There are as many channels as people."""
    pace = Pace(posts=1000, burst=1)
    for number in range(100):
        pace.posted(f"U{number}")
    await asyncio.sleep(0.01)
    assert not pace.full
    assert not pace._channels


class TestAfterSlackSaidToWait:
    async def test_no_burst_goes_to_that_channel(self) -> None:
        """One after the other from then on; the others know nothing of it."""
        pace = Pace(posts=20, burst=10)
        pace.pause("C1", 0.0)
        assert await taken(pace, "C1", 5) >= 0.19
        assert await taken(pace, "C2", 10) < 0.1

    async def test_a_burst_goes_again_when_it_was_quiet_for_a_while(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is posted meanwhile puts that off."""
        monkeypatch.setattr(pace_of_slack, "QUIET_S", 0.15)
        pace = Pace(posts=1000, burst=10)
        pace.pause("C1", 0.0)
        for _ in range(3):
            await asyncio.sleep(0.1)
            pace.posted("C1")
        assert "C1" in pace.lately
        await asyncio.sleep(0.2)
        assert "C1" not in pace.lately
        assert await taken(pace, "C1", 10) < 0.1

    async def test_messages_are_changed_one_after_the_other_as_well(self) -> None:
        """In all channels together."""
        pace = Pace(updates=20)
        pace.pause_updates(0.0)
        assert pace.updates == 1
        pace.updated()
        assert pace.updates == 0
        await asyncio.sleep(0.2)
        assert pace.updates == 1
