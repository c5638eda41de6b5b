"""A policy in words: complete enough to answer for, short enough to be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given

from bot.config.policy_file import load
from bot.domain.policy import Policy, Rule, Tier
from bot.domain.policy.words import describe
from tests.domain.policy.policies import policies, simple


def test_thresholds_limits_and_ways_are_told_in_words() -> None:
    """Who asks, who approves what, the limits, and where a request waits."""
    policy = load(
        """
        [[rule]]
        name = "servers"
        modules = ["servers", "quickservers"]
        channels = ["C1", "C2"]
        requesters = ["U1", "U2", "S1"]
        approvers = ["U3", "S2"]
        approvals = [
            { up_to = 50, required = 0 }, { up_to = 500, required = 1 }, { required = 2 },
        ]
        limit_per_payment = 1000
        limit_per_person_per_day = 2000
        limit_per_rule_per_day = 5000.50
        approval_channel = "C3"
        expires_after = "24h"
        remind_every = "90m"

        [[rule]]
        name = "rest"
        requesters = ["S1"]
        """,
        "policy.toml",
    )
    assert describe(policy) == [
        'Rule "servers"',
        "  U1, U2 and the group S1 may request payments for quickservers and servers in channel C1 or C2.",
        "  A payment needs no approval up to 50.00 USD, 1 approval up to 500.00 USD, "
        "and approvals by 2 people above that or where the amount is not known.",
        "  U3 or the group S2 may approve, but nobody their own request.",
        "  One payment is at most 1,000.00 USD.",
        "  One person may request at most 2,000.00 USD a day.",
        "  All together may request at most 5,000.50 USD a day.",
        "  An invoice whose amount is not known is refused.",
        "  An invoice in another currency than USD is refused.",
        "  A request waits for approval in channel C3, for 1 day, with a reminder every 90 minutes.",
        'Rule "rest"',
        "  The group S1 may request payments for any module in any channel.",
        "  Nobody has to approve: payments are made at once.",
        "The first rule that fits a request decides, from the top.",
        "Whatever fits no rule is refused.",
    ]


def test_a_requester_who_could_never_get_the_approvals_is_named() -> None:
    """The only approver may ask, but nobody is left to approve: that is told before it happens."""
    policy = simple(requesters=["U1", "U2"], approvers=["U2"], approvals=1)
    assert describe(policy) == [
        'Rule "default"',
        "  U1 and U2 may request payments for any module in any channel.",
        "  Every payment needs 1 approval.",
        "  U2 may approve, but nobody their own request.",
        "  Requests by U2 could not get 1 approval: too few others approve.",
        "  A request waits for approval in the channel where it was asked for, for 3 days, "
        "with reminders after half of that time and an hour before its end.",
        "Whatever fits no rule is refused.",
    ]


@pytest.mark.parametrize(
    ("hours", "reminded"),
    [
        (1, "with a reminder after half of that time."),
        (2, "with a reminder after half of that time."),
        (3, "with reminders after half of that time and an hour before its end."),
    ],
)
def test_no_reminder_is_promised_that_does_not_come(hours: int, reminded: str) -> None:
    """What expires within two hours has its last hour before half of its time is over."""
    rule = Rule("short", frozenset({"U1"}), frozenset({"U2"}), (Tier(None, 1),))
    *_, waits, _ = describe(Policy((replace(rule, expires_after=timedelta(hours=hours)),)))
    assert waits.endswith(reminded)


def test_every_requester_who_is_stuck_is_named_and_no_group_is_counted_out() -> None:
    """Two of three approvers may ask, and nobody knows how many people a group is."""
    two = describe(simple(requesters=["U1", "U2", "U9"], approvers=["U1", "U2"], approvals=2))
    assert "  Requests by U1 or U2 could not get approvals by 2 people: too few others approve." in two
    group = "\n".join(describe(simple(requesters=["U1"], approvers=["S1"], approvals=2)))
    assert "could not get" not in group


def test_nobody_and_several_currencies_are_told() -> None:
    """A rule that names no requester, and one that names two currencies."""
    nobody = Rule("nobody", frozenset())
    some = Rule("some", frozenset({"U1"}), currencies=frozenset({"USD", "EUR"}))
    told = describe(Policy((nobody, some)))
    assert "  Nobody may request payments for any module in any channel." in told
    assert "  An invoice in another currency than EUR or USD is refused." in told


def test_amounts_of_several_currencies_are_told_to_count_apart() -> None:
    """A limit of 500 is 500 of each; where there is no amount, nothing is said of that."""
    apart = "  Nothing is converted: EUR and USD count apart."
    rule = Rule("both", frozenset({"U1"}), currencies=frozenset({"USD", "EUR"}))
    assert apart not in describe(Policy((rule,)))
    assert apart in describe(Policy((replace(rule, limit_per_person_per_day=Decimal(500)),)))
    tiers = (Tier(Decimal(100), 0), Tier(None, 1))
    assert apart in describe(Policy((replace(rule, tiers=tiers, approvers=frozenset({"U2"})),)))


def test_an_empty_allowlist_is_told_as_such() -> None:
    """Nobody is nobody."""
    nobody = ["Nobody may request payments: the list of allowed people is empty."]
    assert describe(simple(requesters=[], approvers=["U1"], approvals=1)) == nobody
    assert describe(Policy(())) == nobody


@given(policies())
def test_every_policy_can_be_told_and_names_everybody_in_it(policy: Policy) -> None:
    """No id that a rule gives a right to is left out."""
    told = "\n".join(describe(policy))
    if any(rule.requesters for rule in policy.rules):
        for rule in policy.rules:
            assert all(name in told for name in rule.requesters)
            assert not rule.most_approvals or all(name in told for name in rule.approvers)
