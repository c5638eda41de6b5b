"""When a payment is sent that is not sent at once: on the morning of a day.

The day is one of the calendar of the people who pay, so it begins where their time zone says. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

MORNING = time(8)
"""The time of the day at which what waits for it is sent."""

FARTHEST = timedelta(days=366)
"""A day that is farther away was mistyped, or is none that the billing API means."""

_LONG_OVER = date(1970, 1, 2)
"""The billing API may tell of any year; times do not go that far back everywhere."""

_ON_DUE_DATE = "due"


@dataclass(frozen=True, slots=True)
class PayOn:
    """What was asked for: to be paid on a day. day: None: each invoice on the day on which it is due."""

    day: date | None = None

    def __str__(self) -> str:
        """As it is stored: a day such as 2026-12-05, or `due`."""
        return _ON_DUE_DATE if self.day is None else self.day.isoformat()

    @classmethod
    def read(cls, stored: str) -> PayOn:
        """The same read. Raises ValueError."""
        if stored == _ON_DUE_DATE:
            return cls()
        read = cls(date.fromisoformat(stored))
        if str(read) != stored:
            raise ValueError("a day is written as 2026-12-05")
        return read


@dataclass(frozen=True, slots=True)
class Mornings:
    """The mornings of a time zone."""

    zone: tzinfo = UTC

    def today(self, now: datetime) -> date:
        """The day that it is there."""
        return now.astimezone(self.zone).date()

    def within_reach(self, day: date, now: datetime) -> bool:
        """Whether it is not farther away than anything is put off."""
        return day - self.today(now) <= FARTHEST

    def of(self, day: date) -> datetime:
        """The morning of a day within reach, in UTC; of one that is long over, some time that is so too."""
        return datetime.combine(max(day, _LONG_OVER), MORNING, self.zone).astimezone(UTC)


IN_UTC = Mornings()
"""Where nobody says which zone the people live in."""
