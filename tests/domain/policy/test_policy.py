"""Which rule decides, and what is refused and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.policy import Policy, Reason, Refusal, Rule, Tier
from tests.domain.policy.policies import CHANNELS, GROUPS, MODULES, memberships, policies, simple, users

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
    elsewhere = Rule("elsewhere", frozenset({"U1", "S2"}), modules=frozenset({"mail"}))
    assert Policy((elsewhere, strict, free)).groups_to_resolve("vps", "C1", "U1") == {"S1"}


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
    assert module.ask == {"U9"}

    channel = policy.match("vps", "C2", frozenset({"U1"}))
    assert isinstance(channel, Refusal)
    assert channel.reason is Reason.CHANNEL
    assert channel.channels == {"C1"}
    assert channel.ask == {"U9"}


@pytest.mark.parametrize("policy", [Policy(()), simple(requesters=[])])
def test_an_empty_allowlist_allows_nobody(policy: Policy) -> None:
    """Empty is never read as everybody, and the answer says so."""
    refusal = policy.match("vps", "C1", frozenset({"U1", "S1"}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NOBODY_ALLOWED


def test_a_rule_is_found_by_its_name() -> None:
    """A request keeps the name of its rule; the rule of that name may be gone."""
    rule = Rule("servers", frozenset({"U1"}))
    assert Policy((rule,)).rule_named("servers") is rule
    assert Policy((rule,)).rule_named("mail") is None
