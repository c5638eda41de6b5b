"""Spans of time as people write them in settings: `30s`, `90m`, `24h`, `3d`."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=365)
"""Nothing in this bot waits longer; a longer span is a slip."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Read a whole number and its unit: s, m, h or d. Anything else raises ValueError with the remedy."""
    found = re.fullmatch(r"([0-9]{1,8})([smhd])", text.strip(), re.ASCII)
    if found is None:
        raise ValueError("Write a whole number and a unit, such as 90m, 24h or 3d.")
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta(0) < duration <= LONGEST:
        raise ValueError(f"Write a span between 1s and {LONGEST.days}d.")
    return duration


def duration_in_words(duration: timedelta) -> str:
    """Say it in the largest unit that holds it without a rest: `3 days`, `90 minutes`."""
    seconds = int(duration.total_seconds())
    sizes = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
    unit = next(unit for unit, size in sizes.items() if seconds % size == 0)
    count = seconds // sizes[unit]
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
