"""A policy file says exactly what it says, and a wrong one is refused with line, rule and remedy."""

from __future__ import annotations

import dataclasses
import re
import textwrap
import tomllib
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import rule_table
from bot.config.policy_file import load
from bot.config.rule_table import KEYS
from bot.domain.policy import Policy, Rule, Tier
from bot.domain.policy.rule import DEFAULT_EXPIRY
from bot.domain.problem import Problem
from bot.errors import ConfigError
from tests.domain.policy.policies import policies

FULL = """
[[rule]]
name = "servers"
modules = ["servers", "quickservers"]
channels = ["C012AB3CD"]
requesters = ["U012AB3CD", "S012AB3CD"]
approvers = ["U012AB3CE", "W012AB3CE", "S012AB3CE"]
approvals = [{ up_to = 49.99, required = 0 }, { up_to = 500, required = 1 }, { required = 2 }]
limit_per_payment = 1_000
limit_per_person_per_day = 2000.10
limit_per_rule_per_day = 5e3
currencies = ["USD", "EUR"]
approval_channel = "C012AB3CE"
expires_after = "36h"
remind_every = "90m"

[[rule]]
name = "rest"
requesters = ["U012AB3CD"]
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        load(text, "policy.toml")
    return [str(problem) for problem in refused.value.problems]


def rule_with(*lines: str) -> str:
    """A file of one rule: its name in line 2, its requesters in line 3, then these lines."""
    return "\n".join(["[[rule]]", 'name = "a"', 'requesters = ["U1", "U2"]', *lines])


def test_every_field_of_a_rule_has_its_key() -> None:
    """In the table of what may be written, in the docstring's example, and in this test's."""
    fields = {field.name for field in dataclasses.fields(Rule)}
    assert set(KEYS) == fields - {"tiers"} | {"approvals"}
    example = tomllib.loads(textwrap.dedent((rule_table.__doc__ or "").split("\n\n")[1]))
    for text in (example, tomllib.loads(FULL)):
        assert set(text["rule"][0]) == set(KEYS)


def test_every_key_arrives_in_the_rule() -> None:
    """Amounts are exactly what is written; what is left out has its default."""
    assert load(FULL, "policy.toml") == Policy(
        (
            Rule(
                name="servers",
                requesters=frozenset({"U012AB3CD", "S012AB3CD"}),
                approvers=frozenset({"U012AB3CE", "W012AB3CE", "S012AB3CE"}),
                tiers=(Tier(Decimal("49.99"), 0), Tier(Decimal(500), 1), Tier(None, 2)),
                modules=frozenset({"servers", "quickservers"}),
                channels=frozenset({"C012AB3CD"}),
                limit_per_payment=Decimal(1000),
                limit_per_person_per_day=Decimal("2000.10"),
                limit_per_rule_per_day=Decimal(5000),
                currencies=frozenset({"USD", "EUR"}),
                approval_channel="C012AB3CE",
                expires_after=timedelta(hours=36),
                remind_every=timedelta(minutes=90),
            ),
            Rule(
                name="rest",
                requesters=frozenset({"U012AB3CD"}),
                tiers=(Tier(None, 0),),
                expires_after=DEFAULT_EXPIRY,
            ),
        )
    )


def test_a_file_that_an_editor_of_windows_wrote_is_read() -> None:
    """A byte order mark and CRLF make no difference."""
    assert load("\ufeff" + FULL.replace("\n", "\r\n"), "policy.toml") == load(FULL, "policy.toml")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('approvers = "U1"', "approvers: must be a list of strings. Write approvers = ["),
        ("approvers = [1]", "approvers: must be a list of strings. Write approvers = ["),
        ('channels = ["#payments"]', "channels: a channel's name is not an id"),
        ('channels = ["U1"]', "channels: the id of a person or a group cannot stand for a channel"),
        ("channels = []", "channels: an empty list would allow none. Name some, or take the line"),
        ('approval_channel = "payments"', "approval_channel: a channel's name is not an id"),
        ("approval_channel = 5", 'approval_channel: must be a string. Write approval_channel = "…".'),
        ('modules = ["VPS"]', 'modules: a module is a lower-case name (here "VPS"). Write it as'),
        ('currencies = ["usd"]', 'currencies: a currency is three capital letters (here "usd")'),
        ('approvals = "1"', "approvals: must be a number or a list of tiers."),
        ("approvals = true", "approvals: must be a number or a list of tiers."),
        ("approvals = []", "approvals: must be a number or a list of tiers."),
        ("approvals = -1", "approvals: a number of approvals is below zero."),
        ("approvals = 1", "approvers: approvals are required, and nobody may give them."),
        ("approvals = [{ required = 0.5 }]", "approvals: each tier says how many must approve."),
        ("approvals = [{ up_to = 5, required = 0 }]", "approvals: the last tier must be without"),
        (
            "approvals = [{ up_to = 9, required = 0 }, { up_to = 5, required = 0 }, { required = 0 }]",
            "approvals: the amounts do not rise. Put the lowest up_to first.",
        ),
        (
            'approvals = [{ up_to = "5", required = 0 }, { required = 0 }]',
            "approvals: up_to is not an amount. Write up_to = 50, unquoted.",
        ),
        ("approvals = [{ upto = 5, required = 0 }]", 'approvals: there is no setting "upto". Did you'),
        ('limit_per_payment = "50"', "limit_per_payment: this is not an amount. Write limit_per_p"),
        ("limit_per_payment = nan", "limit_per_payment: this is not an amount."),
        ("limit_per_payment = true", "limit_per_payment: this is not an amount."),
        ("limit_per_payment = 1e9999999999999999999", "limit_per_payment: this is not an amount."),
        ("limit_per_payment = 1e400", "limit_per_payment: no invoice has such an amount. Write an am"),
        ("limit_per_rule_per_day = 1e999999", "limit_per_rule_per_day: no invoice has such an amount."),
        ("limit_per_person_per_day = 0.0000001", "limit_per_person_per_day: no invoice has such an amo"),
        (
            "approvals = [{ up_to = 1e400, required = 0 }, { required = 0 }]",
            "approvals: no invoice has such an amount.",
        ),
        ("approvals = 101", "approvals: so many people never approve. Write 0, 1, 2 or a few more."),
        ("limit_per_payment = 0", "limit_per_payment: with this limit nothing could ever be paid."),
        ("limit_per_rule_per_day = -5.0", "limit_per_rule_per_day: with this limit nothing could"),
        ('expires_after = "3 days"', "expires_after: this is not a span of time. Write a whole"),
        ("expires_after = 3", "expires_after: this is not a span of time. Write a whole number and a"),
        ('expires_after = "0h"', "expires_after: this is not a span of time. Write a span between"),
        ('remind_every = "3d"', "remind_every: no reminder would ever be sent: requests expire after 3"),
        ('approver = ["U3"]', 'approver: there is no setting "approver". Did you mean approvers?'),
        ("colour = 3", 'colour: there is no setting "colour". Known are: name, modules,'),
        ("limit_per_day = 3", 'limit_per_day: there is no setting "limit_per_day". Did you mean'),
    ],
)
def test_a_wrong_line_is_named_with_its_rule_and_the_remedy(line: str, problem: str) -> None:
    """The fourth line of each of these files is wrong, and nothing else is said."""
    said = () if line.startswith("approvals") else ("approvals = 0",)
    (found,) = problems_of(rule_with(line, *said))
    rule_line = 'policy.toml:1: rule "a": ' if problem.startswith("approvers: approvals are") else ""
    assert found.startswith((rule_line or 'policy.toml:4: rule "a": ') + problem)
    assert found[-1] in ".?)"


@pytest.mark.parametrize(
    "line", ['approvers = ["U3"]', 'approval_channel = "C012AB3CE"', 'remind_every = "1h"']
)
def test_how_many_must_approve_is_said_where_anything_of_approvals_is(line: str) -> None:
    """Whoever says who approves, where, or how often to remind, means approvals and would get none."""
    (found,) = problems_of(rule_with(line))
    assert "approvals: it is not said how many must approve. Write approvals = 1." in found
    load(rule_with(line, "approvals = 0"), "policy.toml")


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        ("@bob", "a name, a handle or a mention is not an id"),
        ("bob", "a name, a handle or a mention is not an id"),
        ("<@U1>", "a name, a handle or a mention is not an id"),
        ("u012ab3cd", "a name, a handle or a mention is not an id"),
        ("U1\u200b", "a name, a handle or a mention is not an id"),
        ("bob@example.com", "an e-mail address can change and is not an id"),
        ("C012AB3CD", "a channel's id cannot stand for people"),
        ("@everyone", "there is no word for everybody"),
        ("*", "there is no word for everybody"),
        ("", "a name, a handle or a mention is not an id"),
    ],
)
def test_people_are_named_by_id_and_the_refusal_says_where_to_find_it(written: str, wrong: str) -> None:
    """Names and e-mails can be changed by their owners, so nobody is known by them."""
    (found,) = problems_of(rule_with(f'approvers = ["S1", "{written}"]', "approvals = 1"))
    assert found.startswith(f'policy.toml:4: rule "a": approvers: {wrong} (here "')
    assert "Copy member ID" in found


@pytest.mark.parametrize(
    "key",
    [
        *("self_approval", "allow_self_approve", "approve_own", "own_requests", "four_eyes"),
        *("requester_may_approve", "same_person"),
    ],
)
@pytest.mark.parametrize("value", ["true", "false"])
def test_no_setting_lets_people_approve_their_own_request(key: str, value: str) -> None:
    """Whoever looks for one is told that there is none, in the rule and outside of it."""
    expected = "nobody approves their own request, and no setting changes that"
    assert expected in problems_of(rule_with(f"{key} = {value}"))[0]
    assert expected in problems_of(f"{key} = {value}\n" + rule_with())[0]


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() -> None:
    """Values in a list of several lines are found where they stand."""
    text = """\
owner = "me"
rules = 1
[[rule]]
requesters = [
  "U1",
  "bob",
  'carol',
]
approvers = ["U1"]

[["rule"]] # the second
name = 'b'
requesters = ["U1"]
modules = ["vps"]
approvals = 0
approver = ["U2"]

[[rule]]
name = "c"
requesters = ["U1"]
approvers = ["U1", "U1"]
modules = ["vps"]
[[rule.approvals]]
required = 2
"""
    found = [problem.removeprefix("policy.toml:") for problem in problems_of(text)]
    beginnings = (
        '1: "owner" stands outside of any rule.',
        '2: there is no setting "rules". Did you mean [[rule]]?',
        '3: rule "#1": name: a rule needs a name',
        '3: rule "#1": approvals: it is not said how many must approve.',
        '6: rule "#1": requesters: a name, a handle or a mention is not an id (here "bob")',
        '7: rule "#1": requesters: a name, a handle or a mention is not an id (here "carol")',
        '12: rule "b": this rule is never asked: "#1" above it',
        '16: rule "b": approver: there is no setting "approver".',
        '19: rule "c": this rule is never asked: "#1" above it',
        '23: rule "c": approvals: 2 approvals are required of 1 approver, and each person counts',
    )
    for problem, beginning in zip(found, beginnings, strict=True):
        assert problem.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1: there is no rule, so nobody could pay. Write at least one [[rule]]."),
        ("# later\n", "1: there is no rule, so nobody could pay."),
        ("rule = []", "1: there is no rule, so nobody could pay."),
        ('\n[rule]\nname = "a"', "2: a rule begins with two pairs of brackets. Write [[rule]]"),
        ("\nrule = 3", "2: a rule begins with two pairs of brackets."),
        ("[[rule]]\nname = servers", "2: this is not TOML: Invalid value. Strings go in double"),
        ('[[rule]]\nname = "a"\nname = "b"', "3: this is not TOML: Cannot overwrite a value."),
        ("[[rule]]\nname = ", "2: this is not TOML: Invalid value."),
        ("[[rule]]\nx = " + "9" * 5000, "2: this is not TOML: Exceeds the limit"),
        ("[[rule]]\nx = " + "[" * 3000, "2: this is not TOML: Too many brackets in each other"),
        ('rule = [{ requesters = ["U1"] }]', '1: rule "#1": name: a rule needs a name'),
    ],
)
def test_a_file_that_holds_no_rules_is_refused_with_its_line(text: str, problem: str) -> None:
    """Empty files, other tables, and what is not TOML at all."""
    assert problems_of(text)[0].startswith(f"policy.toml:{problem}")


def test_a_name_with_line_breaks_stays_on_one_line() -> None:
    """Each problem is one line, whatever was written."""
    (problem,) = problems_of('[[rule]]\nname = "a\\nb"\nrequesters = ["U1"]')
    assert problem.startswith('policy.toml:2: rule "a\ufffdb": name: a rule needs a name of 1 to 60')


def test_an_empty_name_is_none() -> None:
    """A rule would be called by its place then, which changes as soon as another is put above it."""
    (problem,) = problems_of('[[rule]]\nname = ""\nrequesters = ["U1"]')
    assert problem.startswith('policy.toml:2: rule "#1": name: a rule needs a name of 1 to 60')


def test_an_entry_that_stands_there_twice_is_told_once() -> None:
    """It is put right wherever it stands."""
    assert len(problems_of(rule_with('channels = ["#payments", "C1", "#payments"]'))) == 1


@given(st.text() | st.text("[]{}=\"'\n rule.name#,1", max_size=60))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    """Whatever stands in the file, every problem names it, and a line."""
    problems = list[str]()
    try:
        assert load(text, "policy.toml").rules
    except ConfigError as refused:
        problems = list(map(str, refused.problems))
    assert all(re.match(r"policy\.toml:[1-9][0-9]*: .+\Z", problem) for problem in problems)


VALUES = (
    *("0", "-7", "1.5", "nan", "-inf", "1e999999", "true", '""', '"U1"', "2026-11-27", "07:32:00"),
    *("{}", "[]", "[1]", '["U1", 2]', '[["U1"]]', "[{}]", '[{ up_to = "x", required = true }]'),
    "[{ required = 1, x = 1 }]",
)


@pytest.mark.parametrize("key", [*KEYS, "x"])
@pytest.mark.parametrize("value", VALUES)
def test_a_value_of_any_type_is_taken_or_refused_in_plain_words(key: str, value: str) -> None:
    """Nothing that TOML can say is left without words, and no other key is blamed for it."""
    lines = {"name": '"a"', "requesters": '["U1"]', "approvers": '["S1"]', "approvals": "1"}
    text = "[[rule]]\n" + "\n".join(f"{name} = {given}" for name, given in (lines | {key: value}).items())
    problems = tuple[Problem, ...]()
    try:
        assert load(text, "policy.toml").rules
    except ConfigError as refused:
        problems = refused.problems
    assert {problem.where.rpartition(": ")[2] for problem in problems} <= {key, "approvers"}
    assert all(problem.what and problem.remedy for problem in problems)


@given(policies())
def test_a_policy_that_is_written_down_is_read_back_the_same(policy: Policy) -> None:
    """Files and rules say the same things, to the last cent."""
    rules = tuple(rule for rule in policy.rules if rule.requesters)
    if rules:
        assert load("\n".join(map(written, rules)), "policy.toml").rules == rules


def written(rule: Rule) -> str:
    """A rule as TOML."""
    tiers = [
        f"{{ required = {tier.required}" + ("" if tier.up_to is None else f", up_to = {tier.up_to}") + " }"
        for tier in rule.tiers
    ]
    lines = ["[[rule]]", f'name = "{rule.name}"', f"approvals = [{', '.join(tiers)}]"]
    for key in ("requesters", "approvers", "modules", "channels", "currencies"):
        if getattr(rule, key) is not None:
            lines.append(f"{key} = {sorted(getattr(rule, key))}")
    for key in ("limit_per_payment", "limit_per_person_per_day", "limit_per_rule_per_day"):
        if getattr(rule, key) is not None:
            lines.append(f"{key} = {getattr(rule, key)}")
    return "\n".join(lines)
