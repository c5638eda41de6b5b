"""Which policies are refused: rules that could never be satisfied, or are never asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from bot.domain.policy import Policy, PolicyError, Rule, Tier
from bot.domain.policy.checks import problems_of
from tests.domain.policy.policies import GROUPS, policies, simple

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("requesters", "approvers", "required", "problem"),
    [
        (["U1"], [], 1, "approvers: approvals are required, and nobody may give them."),
        (["U1"], ["U2"], 2, "approvals: 2 approvals are required of 1 approver,"),
        (["U1"], ["U2", "U3"], 3, "approvals: 3 approvals are required of 2 approvers, and each"),
        (
            ["U1"],
            ["U1"],
            1,
            "approvers: 1 approval could never be given: nobody approves their own request, and apart from "
            "whoever asks there are too few approvers.",
        ),
        (["U1"], ["U1", "U2"], 2, "approvers: 2 approvals could never be given:"),
        (["U1"], ["U2"], -1, "approvals: a number of approvals is below zero."),
    ],
)
def test_a_rule_that_can_never_be_satisfied_is_refused(
    requesters: list[str], approvers: list[str], required: int, problem: str
) -> None:
    """Two approvals of one approver, an approver who is the only requester, and the like."""
    with pytest.raises(PolicyError) as refused:
        simple(requesters=requesters, approvers=approvers, approvals=required)
    ((found,),) = refused.value.problems
    assert str(found).startswith(problem)


@pytest.mark.parametrize(
    ("requesters", "approvers", "required"),
    [
        (["U1", "U2"], ["U1", "U2"], 1),
        (["U1"], ["U1", "U2"], 1),
        (["U1", "U2"], ["U2"], 1),
        (["U1"], ["S1"], 3),
        (["S1"], ["U1", "U2"], 2),
        (["U1"], ["U2"], 0),
        ([], ["U2"], 1),
    ],
)
def test_a_rule_that_somebody_can_satisfy_is_accepted(
    requesters: list[str], approvers: list[str], required: int
) -> None:
    """A group may be many people, and one requester who can get an approval is enough."""
    policy = simple(requesters=requesters, approvers=approvers, approvals=required)
    assert policy.rules[0].approvals_required(None, None) == required


@given(policies())
def test_in_every_valid_policy_each_rule_can_be_satisfied(policy: Policy) -> None:
    """For at least one requester there are enough others, where all are named by id."""
    for rule in policy.rules:
        if any(name in GROUPS for name in rule.requesters | rule.approvers) or not rule.requesters:
            continue
        others = [len(rule.approvers - {requester}) for requester in rule.requesters]
        assert max(others) >= rule.approvals_required(None, None)


def test_a_rule_that_is_never_asked_is_refused() -> None:
    """A strict rule below one that takes all its requests would be strict in vain."""
    everything = Rule("everything", frozenset({"U1", "U2"}))
    servers = Rule("servers", frozenset({"U1"}), modules=frozenset({"servers"}))
    assert Policy((servers, everything))
    never = (
        'rule "servers": this rule is never asked: "everything" above it takes the same requesters, modules'
    )
    with pytest.raises(PolicyError, match=f"{never} and channels"):
        Policy((everything, servers))


VPS, BOTH, EVERYTHING = frozenset({"vps"}), frozenset({"vps", "mail"}), None


@pytest.mark.parametrize(
    ("above", "below", "asked"),
    [
        (VPS, VPS, False),
        (BOTH, VPS, False),
        (EVERYTHING, VPS, False),
        (EVERYTHING, EVERYTHING, False),
        (VPS, BOTH, True),
        (VPS, EVERYTHING, True),
    ],
)
@pytest.mark.parametrize("field", ["modules", "channels"])
def test_a_rule_is_asked_for_what_those_above_it_leave(
    field: str, above: frozenset[str] | None, below: frozenset[str] | None, asked: bool
) -> None:
    """The same people, and modules or channels that are among those above: nothing is left."""
    people = frozenset({"U1"})
    values: list[dict[str, Any]] = [{field: above}, {field: below}]
    first, second = (Rule(f"rule {number}", people, **each) for number, each in enumerate(values))
    assert (problems_of([first, second])[1] == []) is asked
    assert problems_of([first, replace(second, requesters=frozenset({"U1", "U2"}))])[1] == []


def test_two_rules_of_one_name_are_refused() -> None:
    """The ledger and the audit trail name the rule that was applied."""
    vps = Rule("same", frozenset({"U1"}), modules=frozenset({"vps"}))
    mail = Rule("same", frozenset({"U1"}), modules=frozenset({"mail"}))
    with pytest.raises(PolicyError, match='rule "same": two rules have this name'):
        Policy((vps, mail))


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        ((), "the last tier must be without up_to"),
        ((Tier(Decimal(5), 1),), "the last tier must be without up_to"),
        ((Tier(None, 1), Tier(None, 2)), "only the last tier may be without up_to"),
        ((Tier(Decimal(0), 1), Tier(None, 2)), "up_to must be above zero"),
        ((Tier(Decimal("NaN"), 1), Tier(Decimal(5), 1), Tier(None, 2)), "up_to must be above zero"),
        ((Tier(Decimal(5), 1), Tier(Decimal(5), 1), Tier(None, 2)), "the amounts do not rise"),
        ((Tier(Decimal(5), 1), Tier(None, 0)), "a higher amount would need fewer approvals"),
        ((Tier(Decimal(5), -1), Tier(None, 0)), "a number of approvals is below zero"),
    ],
)
def test_tiers_that_make_no_sense_are_refused(tiers: tuple[Tier, ...], problem: str) -> None:
    """Amounts rise, approvals rise with them, and the last tier takes whatever is above."""
    with pytest.raises(PolicyError, match=f'rule "tiered": approvals: {problem}'):
        Policy((Rule("tiered", frozenset({"U1"}), frozenset({"S1"}), tiers),))


def test_a_tier_may_end_at_any_amount_above_zero() -> None:
    """And a rule without tiers is wrong for that alone."""
    tiers = (Tier(Decimal("0.01"), 0), Tier(Decimal(1), 0), Tier(None, 0))
    assert problems_of([Rule("tiered", frozenset({"U1"}), tiers=tiers)]) == [[]]
    ((problem,),) = problems_of([Rule("tiered", frozenset({"U1"}), tiers=())])
    assert problem.where == "approvals"


def test_a_reminder_that_would_never_be_sent_is_refused() -> None:
    """The request has expired by then."""
    with pytest.raises(PolicyError, match='rule "late": remind_every: no reminder would ever be sent'):
        Policy((Rule("late", frozenset({"U1"}), expires_after=DAY, remind_every=DAY),))
    assert Policy((Rule("in time", frozenset({"U1"}), expires_after=DAY, remind_every=DAY / 2),))


def test_what_is_wrong_is_told_of_each_rule() -> None:
    """All at once, by the field, and as one text with the rules' names."""
    twice = Rule("same", frozenset({"U1"}), frozenset({"U2"}), (Tier(None, 2),))
    with pytest.raises(PolicyError) as refused:
        Policy((Rule("same", frozenset({"U3"})), twice))
    assert [[problem.where for problem in found] for found in refused.value.problems] == [
        [],
        ["approvals", ""],
    ]
    assert [line[:24] for line in str(refused.value).splitlines()] == [
        'rule "same": approvals: ',
        'rule "same": two rules h',
    ]
