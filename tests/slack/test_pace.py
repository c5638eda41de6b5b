"""Slack's rate limits are kept to before Slack has to say so."""

from __future__ import annotations

import asyncio
import time

from bot.slack.pace import Bucket, Pace


async def taken(pace: Pace, channel: str, count: int) -> float:
    """Seconds until so many messages may be posted."""
    began = time.monotonic()
    await asyncio.gather(*(pace.post(channel) for _ in range(count)))
    return time.monotonic() - began


async def test_a_burst_goes_at_once() -> None:
    """A card and its replies do not wait for each other."""
    assert await taken(Pace(), "C1", 5) < 0.5


async def test_beyond_the_burst_posts_wait_their_turn() -> None:
    """Each gets a place of its own: nobody overtakes, and nobody goes at the same moment."""
    seconds = await taken(Pace(posts=20, burst=2), "C1", 6)
    assert 0.19 <= seconds < 1


async def test_channels_do_not_wait_for_each_other() -> None:
    """Slack counts each channel for itself."""
    pace = Pace(posts=0.01, burst=1)
    await pace.post("C1")
    assert await taken(pace, "C2", 1) < 0.5


async def test_a_channel_that_has_to_wait_does_so_alone() -> None:
    """And only for as long as Slack said."""
    pace = Pace()
    pace.pause("C1", 0.05)
    pace.pause("C2", 60)
    assert pace.paused == {"C1", "C2"}
    await asyncio.sleep(0.06)
    assert pace.paused == {"C2"}


async def test_a_bucket_fills_again() -> None:
    """What was saved up is never more than the burst."""
    bucket = Bucket(rate=100, burst=2)
    for _ in range(2):
        await bucket.take()
    await asyncio.sleep(0.1)
    began = time.monotonic()
    for _ in range(3):
        await bucket.take()
    assert time.monotonic() - began >= 0.009
