"""The morning of a day, by the calendar of those who pay."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.schedule import FARTHEST, IN_UTC, MORNING, Mornings, PayOn

ZONES = st.sampled_from(
    [UTC, *map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Pacific/Auckland", "Pacific/Apia"))]
)
MOMENTS = st.integers(1_600_000_000, 3_800_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


@given(st.none() | st.dates())
def test_what_was_asked_for_is_stored_in_ten_characters_and_read_back(day: date | None) -> None:
    """A day, or the due date of each."""
    stored = str(PayOn(day))
    assert len(stored) <= 10
    assert PayOn.read(stored) == PayOn(day)


@pytest.mark.parametrize("stored", ["", "Due", "20261205", "2026-W49-6", "2026-12-05T08:00", "5.12.2026"])
def test_nothing_else_is_read(stored: str) -> None:
    """Python reads more ways to write a day than the bot writes; what it did not write was forged."""
    with pytest.raises(ValueError, match=r"."):
        PayOn.read(stored)


@given(ZONES, MOMENTS, st.integers(-3, 366))
def test_a_morning_is_in_the_day(zone: ZoneInfo, now: datetime, days: int) -> None:
    """At eight by the people's clocks, or later where they are set just then."""
    mornings = Mornings(zone)
    day = mornings.today(now) + timedelta(days=days)
    morning = mornings.of(day)
    assert morning.tzinfo is UTC
    assert morning.astimezone(zone).date() == day
    assert morning.astimezone(zone).time() >= MORNING


@given(ZONES, MOMENTS, st.dates())
@example(UTC, datetime(2026, 1, 1, tzinfo=UTC), date.max)
@example(ZoneInfo("Pacific/Auckland"), datetime(2026, 1, 1, tzinfo=UTC), date.min)
def test_any_day_at_all_is_within_reach_or_not(zone: ZoneInfo, now: datetime, day: date) -> None:
    """The billing API may tell the year 1 or 9999; what is over stays over."""
    mornings = Mornings(zone)
    if mornings.within_reach(day, now):
        assert mornings.of(day) - now <= FARTHEST + timedelta(days=1)
        assert (mornings.of(day) < now) >= (day < mornings.today(now))


def test_the_day_begins_where_the_people_are() -> None:
    """In Auckland it is the sixth when it is the fifth in London."""
    now = datetime(2026, 12, 5, 12, 0, tzinfo=UTC)
    there = Mornings(ZoneInfo("Pacific/Auckland"))
    assert (there.today(now), IN_UTC.today(now)) == (date(2026, 12, 6), date(2026, 12, 5))
    assert there.of(date(2026, 12, 6)) == datetime(2026, 12, 5, 19, 0, tzinfo=UTC)
    assert IN_UTC.of(date(2026, 12, 5)) == datetime(2026, 12, 5, 8, 0, tzinfo=UTC)
