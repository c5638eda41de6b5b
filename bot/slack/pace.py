"""Slack's rate limits, kept to before Slack has to say so: a token bucket for each channel's posts, one for
updates. Nobody waits in here: the announcer asks what may go now, and takes up nothing else meanwhile.
A channel that Slack has told to wait does so alone."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """A token bucket: fills at `rate` tokens a second up to `burst`; starts full."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.burst
        self.filled_at = time.monotonic()

    @property
    def ready(self) -> int:
        """How many tokens there are now."""
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        return max(int(self.tokens), 0)

    def take(self) -> None:
        """Take a token."""
        self.tokens -= 1


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
        self._no_update_before = 0.0

    @property
    def updates(self) -> int:
        """How many messages may be changed now, in all channels together."""
        return self._updates.ready if self._no_update_before <= time.monotonic() else 0

    @property
    def full(self) -> Collection[str]:
        """The channels that may have no other message now."""
        return {channel for channel in self.lately if self._channels[channel].ready < 1}

    @property
    def lately(self) -> Collection[str]:
        """The channels that had a message lately; any other has waited for longer."""
        # A bucket that is full again need not be remembered.
        self._channels = {one: kept for one, kept in self._channels.items() if kept.ready < self._burst}
        return self._channels.keys()

    def posted(self, channel: str) -> None:
        """A message goes to this channel."""
        self._channels.setdefault(channel, Bucket(self._posts, self._burst)).take()

    def updated(self) -> None:
        """A message is changed."""
        self._updates.take()

    def pause(self, channel: str, seconds: float) -> None:
        """Slack said to wait: nothing goes to this channel until then."""
        self._paused[channel] = time.monotonic() + seconds

    def pause_updates(self, seconds: float) -> None:
        """Slack said to wait with changing messages, which it counts for all channels together."""
        self._no_update_before = time.monotonic() + seconds

    @property
    def paused(self) -> Collection[str]:
        """The channels that Slack told to wait, and that still have to."""
        now = time.monotonic()
        self._paused = {channel: until for channel, until in self._paused.items() if until > now}
        return self._paused.keys()
