"""Slack's rate limits are kept to before Slack has to say so."""

from __future__ import annotations

import asyncio
import time

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
    """A card and its replies do not wait for each other."""
    assert await taken(Pace(), "C1", 5) < 0.5


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
