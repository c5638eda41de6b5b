"""Slack's rate limits: about one message a second per channel, and a tier for every method."""

from __future__ import annotations

import math

from bot.sandbox.local_slack.clock import Clock

MESSAGES_PER_SECOND = 1.0
MESSAGE_BURST = 5
"""How many messages at once a channel tolerates. Slack promises no number."""


class Bucket:
    """Holds up to `burst` tokens and gains `rate` a second."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._counted_at = clock.now()

    def take(self) -> int:
        """Take one token: 0 if there was one, else the seconds after which to come back."""
        now = self._clock.now()
        gained = (now - self._counted_at) * self._rate
        self._tokens, self._counted_at = min(self._burst, self._tokens + gained), now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return math.ceil((1 - self._tokens) / self._rate)


class RateLimits:
    """The buckets of one app in one workspace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def take(self, method: str, channel: str, tier: int) -> int:
        """Count a call: 0 if it may pass, else Retry-After in seconds."""
        if method == "chat.postMessage":
            return self._bucket(f"{method} {channel}", MESSAGES_PER_SECOND, MESSAGE_BURST).take()
        return self._bucket(method, tier / 60, tier).take()

    def _bucket(self, name: str, rate: float, burst: float) -> Bucket:
        if name not in self._buckets:
            self._buckets[name] = Bucket(self._clock, rate, burst)
        return self._buckets[name]
