"""Which rule decides, and what is refused and why."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.policy import Policy, Reason, Refusal, Refused, Rule, Tier
from tests.domain.policy.policies import (
    CHANNELS,
    GROUPS,
    MODULES,
    amounts,
    currencies,
    memberships,
    policies,
    simple,
    users,
)

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
                frozenset({"U9", "U1", "U2"}),
                modules=frozenset({"vps", "servers"}),
                channels=frozenset({"C1"}),
            ),
        )
    )
    person = policy.match("vps", "C1", frozenset({"U2"}))
    assert isinstance(person, Refusal)
    assert person.reason is Reason.PERSON
    assert person.text == "You are not among those who may request payments."
    assert person.ask == {"U9", "U1"}

    module = policy.match("mail", "C1", frozenset({"U1"}))
    assert isinstance(module, Refusal)
    assert module.reason is Reason.MODULE
    assert "mail invoices; your modules are: servers, vps." in module.text
    assert module.ask == {"U9", "U2"}

    channel = policy.match("vps", "C2", frozenset({"U1"}))
    assert isinstance(channel, Refusal)
    assert channel.reason is Reason.CHANNEL
    assert channel.channels == {"C1"}
    assert channel.ask == {"U9", "U2"}


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


NOTHING = Decimal(0)
A_DAY = Rule("a day", frozenset({"U1", "U2"}), limit_per_person_per_day=Decimal(500))
OF = Refused(A_DAY, "U1", "vps", "C1", Decimal(640), "USD")


def refusal_by(rule: Rule, amount: Decimal, today: Decimal = NOTHING) -> Refusal:
    refusal = rule.check_limits(amount, "USD", today, today)
    assert refusal is not None
    return refusal


@given(policies(), modules, channels, users, st.none() | amounts, currencies)
def test_who_is_named_may_pay_it_and_is_somebody_else(
    policy: Policy, module: str, channel: str, person: str, amount: Decimal | None, currency: str
) -> None:
    """Here, by the rule that decides for them, and on a day on which nothing was requested."""
    for rule in policy.rules:
        refusal = rule.check_limits(amount, currency, NOTHING, NOTHING)
        if refusal is None:
            continue
        advised = policy.advised(refusal, Refused(rule, person, module, channel, amount, currency))
        assert person not in advised.ask
        assert len(advised.ask) <= 3
        assert advised.remedy or advised.ask
        for one in advised.ask:
            theirs = policy.match(module, channel, frozenset({one}))
            assert isinstance(theirs, Rule)
            assert theirs.check_limits(amount, currency, NOTHING, NOTHING) is None


class TestWhomToAskForMore:
    def test_somebody_whom_another_rule_lets_pay_more(self) -> None:
        """Those of the same rule have the same limit."""
        more = Rule("more", frozenset({"U3", "U1"}), limit_per_payment=Decimal(1000))
        enough = replace(more, limit_per_person_per_day=Decimal(640), limit_per_rule_per_day=Decimal(640))
        assert Policy((A_DAY, enough)).advised(refusal_by(A_DAY, Decimal(640)), OF).ask == {"U3"}
        advised = Policy((A_DAY, more)).advised(refusal_by(A_DAY, Decimal(640)), OF)
        assert (set(advised.ask), advised.remedy) == ({"U3"}, "")

    def test_who_may_wait_may_also_ask(self) -> None:
        more = Rule("more", frozenset({"U3"}))
        advised = Policy((A_DAY, more)).advised(refusal_by(A_DAY, Decimal(300), Decimal(300)), OF)
        assert (set(advised.ask), advised.remedy) == ({"U3"}, "Try again tomorrow (days are in UTC).")

    @pytest.mark.parametrize(
        "other",
        [
            Rule("not more", frozenset({"U3"}), limit_per_payment=Decimal(639)),
            Rule("elsewhere", frozenset({"U3"}), channels=frozenset({"C2"})),
            Rule("another module", frozenset({"U3"}), modules=frozenset({"mail"})),
            Rule("another currency", frozenset({"U3"}), currencies=frozenset({"EUR"})),
        ],
        ids=lambda rule: rule.name,
    )
    def test_where_nobody_may_those_who_run_the_bot_are_named(self, other: Rule) -> None:
        advised = Policy((A_DAY, other)).advised(refusal_by(A_DAY, Decimal(640)), OF)
        assert (advised.ask, advised.remedy) == (frozenset(), "Ask the people who run this bot.")

    def test_not_more_than_three_are_disturbed_people_before_groups(self) -> None:
        """They are mentioned, and so notified."""
        more = Rule("more", frozenset({"S1", "U7", "U6", "U5"}))
        assert Policy((A_DAY, more)).advised(refusal_by(A_DAY, Decimal(640)), OF).ask == {"U5", "U6", "U7"}


@given(policies(), modules, channels, users, memberships)
def test_a_refusal_sends_nobody_to_themselves(
    policy: Policy, module: str, channel: str, person: str, groups: frozenset[str]
) -> None:
    """Somebody who approves and may not ask is not told to ask an approver, who is they."""
    answer = policy.match(module, channel, groups | {person})
    assert isinstance(answer, Rule) or person not in answer.ask
