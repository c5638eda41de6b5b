"""The local Slack's time, and the message timestamps made from it."""

from __future__ import annotations

import time


class Clock:
    """Wall-clock time that tests can push forward, so that nobody waits for 30 minutes."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._last_microsecond = 0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once for everything that expires."""
        self._ahead += seconds

    def timestamp(self) -> str:
        """A `ts` such as "1700000000.000100", later than every one before it."""
        self._last_microsecond = max(self._last_microsecond + 1, int(self.now() * 1_000_000))
        seconds, fraction = divmod(self._last_microsecond, 1_000_000)
        return f"{seconds}.{fraction:06d}"
