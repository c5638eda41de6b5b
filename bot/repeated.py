"""Trouble that goes on is logged at once, and then once a minute: how long it has lasted, and how often."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

EVERY = 60.0
"""Seconds between its lines."""

QUIET = 2 * EVERY
"""Seconds without it after which it is another trouble."""


@dataclass(slots=True)
class Repeated:
    """One kind of trouble."""

    _began: float = field(default=0.0, init=False)
    _seen: float = field(default=float("-inf"), init=False)
    _told: float = field(default=float("-inf"), init=False)
    _times: int = field(default=0, init=False)

    def seen(self) -> str | None:
        """How long and how often by now, to be logged behind what it is; None: not yet again."""
        now = time.monotonic()
        if now - self._seen > QUIET:
            self._began, self._told, self._times = now, float("-inf"), 0
        self._seen = now
        self._times += 1
        if now - self._told < EVERY:
            return None
        self._told = now
        if self._times == 1:
            return ""
        return f" for {int((now - self._began) // 60)} min, tried {self._times} times"
