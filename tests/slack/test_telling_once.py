"""Who tells what is told once, as far as the settings ask for it."""

from __future__ import annotations

from datetime import UTC, time, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast

from bot.domain.digest_plan import DigestPlan
from bot.domain.schedule import IN_UTC, MORNING, Mornings
from bot.payments.timing import Timing
from bot.slack.alerts import AlertTeller
from bot.slack.audit_head import HeadTeller
from bot.slack.once import Once
from bot.slack.pace import Pace
from bot.slack.telling_once import EVERY_DAY, Teller, tellers

NOTHING = cast(Any, None)
PLAN = DigestPlan("C1", frozenset({0}), time(8, 30), UTC, timedelta(days=7), approvers=True)


def told_by(mornings: Mornings = IN_UTC, **settings: Any) -> list[Teller]:
    names = ("pay_digest", "pay_audit_channel", "pay_operators_channel")
    asked = SimpleNamespace(**(dict.fromkeys(names) | settings))
    services = SimpleNamespace(directory=None, overview=None, unpaid=None, catalogue=None)
    alarms = SimpleNamespace(timing=Timing())

    def once(variable: str) -> Once:
        return Once(variable, NOTHING, NOTHING, NOTHING, Timing(), Pace(), "one")

    return tellers(cast(Any, asked), NOTHING, cast(Any, services), cast(Any, alarms), mornings, once)


def polled(teller: Teller) -> Any:
    """Whose work the poller does."""
    return cast(Any, teller.poller.poll_once).__self__


def test_nothing_is_told_that_no_setting_asks_for() -> None:
    """And each by itself."""
    assert told_by() == []
    found = told_by(pay_digest=PLAN, pay_audit_channel="C2", pay_operators_channel="C3")
    assert [(one.poller.name, one.poller.interval) for one in found] == [
        ("digest", 20.0),
        ("audit head", 20.0),
        ("alerts", 10.0),
    ]
    assert [polled(one).once.variable for one in found] == [
        "PAY_DIGEST",
        "PAY_AUDIT_CHANNEL",
        "PAY_OPERATORS_CHANNEL",
    ]
    for one in found:
        assert polled(one).pool in one.pools
    alone = [told_by(pay_digest=PLAN), told_by(pay_audit_channel="C2"), told_by(pay_operators_channel="C3")]
    assert [[one.poller.name for one in each] for each in alone] == [["digest"], ["audit head"], ["alerts"]]


def test_the_head_of_the_trail_is_told_every_day_at_the_time_of_the_digest() -> None:
    """Or in the morning, by the same calendar."""
    zone = timezone(timedelta(hours=2))
    for plan, at in ((PLAN, PLAN.at), (None, MORNING)):
        *_, teller = told_by(Mornings(zone), pay_digest=plan, pay_audit_channel="C2")
        head = polled(teller)
        assert isinstance(head, HeadTeller)
        assert head.plan == DigestPlan("C2", EVERY_DAY, at, zone, timedelta(0), approvers=False)


def test_an_alarm_is_rather_told_twice_than_never() -> None:
    """Where nobody may look whether it arrived; a digest and a head are not."""
    found = told_by(pay_digest=PLAN, pay_audit_channel="C2", pay_operators_channel="C3")
    assert [polled(one).once.rather_twice for one in found] == [False, False, True]
    alerts = polled(found[-1])
    assert isinstance(alerts, AlertTeller)
    assert alerts.channel == "C3"
    assert alerts.looking in found[-1].pools
