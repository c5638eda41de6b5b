"""Slack's rate limits, kept to before Slack has to say so: a token bucket for each channel's posts, one for
updates. Nobody waits in here: the announcer asks what may go now, and takes up nothing else meanwhile.
A channel that Slack has told to wait does so alone."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

QUIET_S = 120.0
"""Seconds without a message after which Slack, which had said to wait, is trusted with a burst again."""


@dataclass(slots=True)
class Bucket:
    """A token bucket: fills at `rate` tokens a second up to `burst`; starts full."""

    rate: float
    burst: float
    tokens: float = field(init=False)
    filled_at: float = field(init=False)
    _careful: bool = field(init=False, default=False)
    _taken_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.tokens = self.burst
        self.filled_at = self._taken_at = time.monotonic()

    @property
    def ready(self) -> int:
        """How many tokens there are now."""
        self._fill()
        return max(int(self.tokens), 0)

    @property
    def forgettable(self) -> bool:
        """Whether it is as good as new."""
        self._fill()
        return not self._careful and self.tokens >= self.burst

    def take(self) -> None:
        """Take a token."""
        self.tokens -= 1
        self._taken_at = time.monotonic()

    def drain(self) -> None:
        """Who counts otherwise said to wait: one at a time from then on, until it was quiet for a while."""
        self._careful, self.tokens = True, 1.0
        self.filled_at = self._taken_at = time.monotonic()

    def _fill(self) -> None:
        now = time.monotonic()
        if self._careful and now - self._taken_at >= QUIET_S:
            self._careful = False
        most = 1.0 if self._careful else self.burst
        self.tokens = min(most, self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now


class Pace:
    """How fast may be posted.

    posts: messages a second and channel. burst: how many may go at once where it was quiet. Slack promises
    no more than one a second; people measured a bucket of about 25. updates: chat.update a second in all;
    Slack's tier 3 allows at least 50 a minute.
    """

    def __init__(self, *, posts: float = 1.0, updates: float = 50 / 60, burst: float = 23) -> None:
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
        self._channels = {one: kept for one, kept in self._channels.items() if not kept.forgettable}
        return self._channels.keys()

    def posted(self, channel: str) -> None:
        """A message goes to this channel."""
        self._of(channel).take()

    def updated(self) -> None:
        """A message is changed."""
        self._updates.take()

    def pause(self, channel: str, seconds: float) -> None:
        """Slack said to wait: nothing goes to this channel until then, and then no burst for a while."""
        self._paused[channel] = time.monotonic() + seconds
        self._of(channel).drain()

    def pause_updates(self, seconds: float) -> None:
        """Slack said to wait with changing messages, which it counts for all channels together."""
        self._no_update_before = time.monotonic() + seconds
        self._updates.drain()

    @property
    def paused(self) -> Collection[str]:
        """The channels that Slack told to wait, and that still have to."""
        now = time.monotonic()
        self._paused = {channel: until for channel, until in self._paused.items() if until > now}
        return self._paused.keys()

    def _of(self, channel: str) -> Bucket:
        return self._channels.setdefault(channel, Bucket(self._posts, self._burst))
