"""The figures, a module each: what it measures, under which conditions, and what we want of it.

Each has `LINES`, its numbers by name, and `measure(side)`, which returns them. `ROUNDS` says how often each
side is measured, in turn; the median counts. One whose sides must be measured at the same time has
`measure_both(payments)` instead, which returns the numbers by side.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One number. about: what it is. goal: what ours should not exceed, or None.

    times: what ours should not exceed as a multiple of the other side's, or None. at_least: what ours should
    reach as such a multiple, or None.
    """

    about: str
    unit: str = ""
    goal: float | None = None
    times: float | None = None
    at_least: float | None = None
