"""Slack's rate limits, kept to before Slack has to say so: a bucket for each channel's posts, one for
updates. A channel that Slack has told to wait does so alone."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """Fills at `rate` tokens a second up to `burst`; starts full. Who comes too early books ahead."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.burst
        self.filled_at = time.monotonic()

    async def take(self) -> None:
        """Wait for a token, and take it."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate) - 1
        self.filled_at = now
        if self.tokens < 0:
            await asyncio.sleep(-self.tokens / self.rate)


class Pace:
    """How fast may be posted.

    posts: messages a second and channel, where Slack tolerates short bursts. updates: chat.update a
    second in all; Slack's tier 3 allows at least 50 a minute.
    """

    def __init__(self, *, posts: float = 1.0, updates: float = 50 / 60, burst: float = 5) -> None:
        self._posts, self._burst = posts, burst
        self._channels: dict[str, Bucket] = {}
        self._updates = Bucket(updates, 20)
        self._paused: dict[str, float] = {}

    async def post(self, channel: str) -> None:
        """Wait until this channel may have another message."""
        await self._channels.setdefault(channel, Bucket(self._posts, self._burst)).take()

    async def update(self) -> None:
        """Wait until another message may be changed."""
        await self._updates.take()

    def pause(self, channel: str, seconds: float) -> None:
        """Slack said to wait: nothing goes to this channel until then."""
        self._paused[channel] = time.monotonic() + seconds

    @property
    def paused(self) -> frozenset[str]:
        """The channels that have to wait now."""
        now = time.monotonic()
        self._paused = {channel: until for channel, until in self._paused.items() if until > now}
        return frozenset(self._paused)
