"""PAY_DIGEST: what it says, and what is wrong with it in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from bot.domain.digest_plan import DigestPlan
from tests.config.making import loaded, problems


def plan(line: str) -> DigestPlan:
    digest = loaded(PAY_DIGEST=line).pay_digest
    assert digest is not None
    return digest


def test_a_line_says_where_and_when() -> None:
    """With a week ahead, and nothing for approvers, where it says no more."""
    digest = plan("C0123ABCD mon-fri 08:30 Europe/Berlin")
    assert (digest.channel, digest.weekdays, digest.at) == ("C0123ABCD", frozenset(range(5)), time(8, 30))
    assert (str(digest.zone), digest.within, digest.approvers) == ("Europe/Berlin", timedelta(days=7), False)


@pytest.mark.parametrize(
    ("days", "weekdays"),
    [
        ("daily", range(7)),
        ("mon,WED,fri", (0, 2, 4)),
        ("sat-mon", (5, 6, 0)),
        ("tue", (1,)),
        ("mon-sun", range(7)),
    ],
)
def test_weekdays_are_written_as_people_do(days: str, weekdays: Iterable[int]) -> None:
    """Ranges, also over the weekend, and lists."""
    assert plan(f"C1 {days} 8:30 UTC").weekdays == frozenset(weekdays)


@pytest.mark.parametrize(
    ("rest", "days", "approvers"), [("14d", 14, False), ("approvers", 7, True), ("3d approvers", 3, True)]
)
def test_what_may_follow(rest: str, days: int, approvers: bool) -> None:
    """How far ahead, and that approvers are told."""
    digest = plan(f"C1 daily 08:30 UTC {rest}")
    assert (digest.within.days, digest.approvers) == (days, approvers)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("C1 mon-fri 08:30", "needs a channel, weekdays, a time and a time zone"),
        ("#payments mon-fri 08:30 UTC", "must begin with a channel's id"),
        ("C1 workdays 08:30 UTC", "has no weekdays in its second place"),
        ("C1 mon- 08:30 UTC", "has no weekdays"),
        ("C1 mon-fri 24:00 UTC", "has no time of day in its third place"),
        ("C1 mon-fri half-past UTC", "has no time of day"),
        ("C1 mon-fri 08:30 Europe/Atlantis", "names a time zone that is not known here"),
        ("C1 mon-fri 08:30 ../../etc/passwd", "names a time zone that is not known here"),
        ("C1 mon-fri 08:30 UTC everybody", "has more in it than is understood"),
        ("C1 mon-fri 08:30 UTC 0d", "has more in it than is understood"),
    ],
)
def test_what_is_wrong_is_said(line: str, what: str) -> None:
    """In one sentence that names the variable, before anything starts."""
    assert problems({"PAY_DIGEST": line})["PAY_DIGEST"].startswith(what)


def test_the_day_is_that_of_the_zone() -> None:
    """Late in the evening of Sunday in UTC it is Monday in Auckland."""
    digest = plan("C1 mon-fri 08:30 Pacific/Auckland")
    assert digest.due(datetime(2026, 3, 1, 19, 29, tzinfo=UTC)) is None
    assert digest.due(datetime(2026, 3, 1, 19, 30, tzinfo=UTC)) == date(2026, 3, 2)
    assert digest.due(datetime(2026, 3, 2, 11, 30, tzinfo=UTC)) is None, "Tuesday's time has not come"
    assert digest.day(datetime(2026, 3, 2, 11, 30, tzinfo=UTC)) == date(2026, 3, 3)


def test_a_time_that_a_summer_skips_comes_after_it() -> None:
    """At two in the night of 29 March, Berlin's clocks show three."""
    digest = plan("C1 daily 02:30 Europe/Berlin")
    assert digest.due(datetime(2026, 3, 29, 0, 59, tzinfo=UTC)) is None
    assert digest.due(datetime(2026, 3, 29, 1, 0, tzinfo=UTC)) == date(2026, 3, 29)
