"""Which rule decides, what is refused and why, and which policies are refused themselves."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.policy import Policy, PolicyError, Reason, Refusal, Rule, Tier
from bot.domain.policy.policy import SIMPLE_RULE
from tests.domain.policy.policies import CHANNELS, GROUPS, MODULES, memberships, policies, users

modules = st.sampled_from(MODULES)
channels = st.sampled_from(CHANNELS)


@given(policies(), modules, channels, users, memberships)
def test_the_first_rule_that_fits_decides(
    policy: Policy, module: str, channel: str, person: str, groups: frozenset[str]
) -> None:
    """Rules above it do not fit, and where none fits the request is refused."""
    principals = groups | {person}
    fitting = [
        rule
        for rule in policy.rules
        if rule.requesters & principals
        and (rule.modules is None or module in rule.modules)
        and (rule.channels is None or channel in rule.channels)
    ]
    answer = policy.match(module, channel, principals)
    if fitting:
        assert answer == fitting[0]
    else:
        assert isinstance(answer, Refusal)
        assert answer.text
        assert answer.remedy


@given(policies(), modules, channels, users, memberships)
def test_the_groups_to_resolve_are_enough_to_find_the_same_rule(
    policy: Policy, module: str, channel: str, person: str, groups: frozenset[str]
) -> None:
    """What is not looked up could not have changed the answer, the wording of a refusal included."""
    needed = policy.groups_to_resolve(module, channel, person)
    assert needed <= policy.groups <= set(GROUPS)
    everything = policy.match(module, channel, groups | {person})
    assert policy.match(module, channel, (groups & needed) | {person}) == everything


def test_who_is_named_by_id_needs_no_look_up_unless_a_rule_above_names_a_group() -> None:
    """The strict rule for a group comes first, so its members must be known."""
    strict = Rule("strict", frozenset({"S1"}), frozenset({"U9"}), (Tier(None, 1),))
    free = Rule("free", frozenset({"U1"}))
    assert Policy((free, strict)).groups_to_resolve("vps", "C1", "U1") == frozenset()
    assert Policy((strict, free)).groups_to_resolve("vps", "C1", "U1") == {"S1"}
    assert Policy((free, strict)).groups_to_resolve("vps", "C1", "U2") == {"S1"}


def test_each_refusal_says_what_stands_in_the_way() -> None:
    """Not the person, not the module, not the channel: three different answers."""
    policy = Policy(
        (
            Rule(
                "servers",
                frozenset({"U1"}),
                frozenset({"U9"}),
                modules=frozenset({"vps", "servers"}),
                channels=frozenset({"C1"}),
            ),
        )
    )
    person = policy.match("vps", "C1", frozenset({"U2"}))
    assert isinstance(person, Refusal)
    assert person.reason is Reason.PERSON
    assert person.text == "You are not among those who may request payments."
    assert person.ask == {"U9"}

    module = policy.match("mail", "C1", frozenset({"U1"}))
    assert isinstance(module, Refusal)
    assert module.reason is Reason.MODULE
    assert "mail invoices; your modules are: servers, vps." in module.text

    channel = policy.match("vps", "C2", frozenset({"U1"}))
    assert isinstance(channel, Refusal)
    assert channel.reason is Reason.CHANNEL
    assert channel.channels == {"C1"}


@pytest.mark.parametrize("policy", [Policy(()), Policy.simple(allowed=[])])
def test_an_empty_allowlist_allows_nobody(policy: Policy) -> None:
    """Empty is never read as everybody, and the answer says so."""
    refusal = policy.match("vps", "C1", frozenset({"U1", "S1"}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NOBODY_ALLOWED


def test_the_environment_makes_one_rule_for_everything() -> None:
    """Every setting arrives in the rule, and no channels means all channels."""
    policy = Policy.simple(
        allowed=["U1", "S1"],
        approvers=["U2", "U3"],
        approvals_required=2,
        approval_channel="C9",
        expires_after=timedelta(hours=1),
    )
    assert policy.rules == (
        Rule(
            SIMPLE_RULE,
            frozenset({"U1", "S1"}),
            frozenset({"U2", "U3"}),
            (Tier(None, 2),),
            approval_channel="C9",
            expires_after=timedelta(hours=1),
        ),
    )
    assert policy.groups == {"S1"}
    assert policy.match("vps", "C5", frozenset({"U1"})) == policy.rules[0]


def test_settings_that_are_wrong_are_named_by_their_variables_and_never_echoed() -> None:
    """All at once, each with its remedy, and without the value: it might be a secret."""
    with pytest.raises(PolicyError) as refused:
        Policy.simple(
            allowed=["xoxb-secret", "@alice", "bob@example.com"],
            approvers=["U1"],
            approvals_required=2,
            channels=["#payments"],
            approval_channel="U1",
            expires_after=timedelta(0),
        )
    problems = refused.value.problems
    assert [problem.partition(":")[0] for problem in problems] == [
        "PAY_ALLOWED_USERS",
        "PAY_ALLOWED_USERS",
        "PAY_ALLOWED_CHANNELS",
        "PAY_APPROVAL_CHANNEL",
        "PAY_EXPIRES_AFTER",
        "PAY_APPROVALS_REQUIRED",
    ]
    assert "Copy member ID" in problems[0]
    assert "an e-mail address can change" in problems[1]
    for value in ("secret", "alice", "bob@", "#payments"):
        assert value not in str(refused.value)


@pytest.mark.parametrize(
    ("allowed", "approvers", "required", "problem"),
    [
        (["U1"], [], 1, "PAY_APPROVERS: approvals are required, and nobody may give them."),
        (["U1"], ["U2"], 2, "PAY_APPROVALS_REQUIRED: 2 approvals are required of 1 approver,"),
        (["U1"], ["U1"], 1, "PAY_APPROVERS: 1 approval could never be given: nobody approves"),
        (["U1"], ["U1", "U2"], 2, "PAY_APPROVERS: 2 approvals could never be given:"),
        (["U1"], ["U2"], -1, "PAY_APPROVALS_REQUIRED: a number of approvals is below zero."),
    ],
)
def test_a_rule_that_can_never_be_satisfied_is_refused(
    allowed: list[str], approvers: list[str], required: int, problem: str
) -> None:
    """Two approvals of one approver, an approver who is the only requester, and the like."""
    with pytest.raises(PolicyError) as refused:
        Policy.simple(allowed=allowed, approvers=approvers, approvals_required=required)
    assert [each.startswith(problem) for each in refused.value.problems] == [True]


@pytest.mark.parametrize(
    ("allowed", "approvers", "required"),
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
    allowed: list[str], approvers: list[str], required: int
) -> None:
    """A group may be many people, and one requester who can get an approval is enough."""
    policy = Policy.simple(allowed=allowed, approvers=approvers, approvals_required=required)
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
    with pytest.raises(PolicyError, match='rule "servers": this rule is never asked: "everything"'):
        Policy((everything, servers))


def test_two_rules_of_one_name_are_refused() -> None:
    """The ledger and the audit trail name the rule that was applied."""
    vps = Rule("same", frozenset({"U1"}), modules=frozenset({"vps"}))
    mail = Rule("same", frozenset({"U1"}), modules=frozenset({"mail"}))
    with pytest.raises(PolicyError, match='rule "same": two rules have this name'):
        Policy((vps, mail))


@pytest.mark.parametrize(
    ("tiers", "problem"),
    [
        ((), "the last step must be without up_to"),
        ((Tier(Decimal(5), 1),), "the last step must be without up_to"),
        ((Tier(None, 1), Tier(None, 2)), "only the last step may be without up_to"),
        ((Tier(Decimal(0), 1), Tier(None, 2)), "up_to must be above zero"),
        ((Tier(Decimal("NaN"), 1), Tier(Decimal(5), 1), Tier(None, 2)), "up_to must be above zero"),
        ((Tier(Decimal(5), 1), Tier(Decimal(5), 1), Tier(None, 2)), "the amounts do not rise"),
        ((Tier(Decimal(5), 1), Tier(None, 0)), "a higher amount would need fewer approvals"),
        ((Tier(Decimal(5), -1), Tier(None, 0)), "a number of approvals is below zero"),
    ],
)
def test_steps_that_make_no_sense_are_refused(tiers: tuple[Tier, ...], problem: str) -> None:
    """Amounts rise, approvals rise with them, and the last step takes whatever is above."""
    with pytest.raises(PolicyError, match=f'rule "steps": approvals: {problem}'):
        Policy((Rule("steps", frozenset({"U1"}), frozenset({"S1"}), tiers),))


def test_the_modules_named_can_be_compared_with_those_of_the_api() -> None:
    """A misspelt module would make a strict rule silently never fit; this is how it is found."""
    vps = Rule("vps", frozenset({"U1"}), modules=frozenset({"vps", "vsp"}))
    assert Policy((vps, Rule("rest", frozenset({"U1"})))).modules == {"vps", "vsp"}
