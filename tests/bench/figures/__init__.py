"""The figures, a module each: what it measures, under which conditions, and what we want of it.

Each has `LINES`, its numbers by name, and `measure(side)`, which returns them. `ROUNDS` says how often each
side is measured, in turn; the median counts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One number. about: what it is. goal: what ours should not exceed, or None."""

    about: str
    unit: str = ""
    goal: float | None = None
