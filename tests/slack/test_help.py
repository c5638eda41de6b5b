"""`/pay help`: what this very person may do here, up to how much and approved by whom; and what to type."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from bot.domain import command
from bot.domain.policy import Policy, Rule, Tier
from bot.payments.allowance import Allowance, allowance_of
from bot.payments.authority import Authority, Person
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.help_text import UNKNOWN, help_text
from tests.fixture_types import StartBot
from tests.payments.conftest import Register
from tests.slack.acting import asks
from tests.slack.scenes import check, said

MODULES = ("vps", "mail", "servers")
ALICE = Person("U1", "T1")
CAREFUL = Rule(
    "careful",
    frozenset({"U1", "U2"}),
    frozenset({"U2", "U3", "S1"}),
    (Tier(Decimal(50), 0), Tier(Decimal(500), 1), Tier(None, 2)),
    limit_per_payment=Decimal(1000),
    limit_per_person_per_day=Decimal(2000),
    limit_per_rule_per_day=Decimal(5000),
)


async def help_for(
    *rules: Rule, person: Person = ALICE, channel: str = "C1", register: Register | None = None
) -> str:
    """What stands above the commands."""
    authority = Authority(Policy(rules), register or Register(), "T1")
    message = help_text(await allowance_of(authority, person, channel, MODULES), person.id)
    check(message)
    heading, allowed = said(message).split("*What you can type*")[0].split("\n", 1)
    assert heading == "*What you may do*"
    return allowed.strip()


async def test_it_says_how_much_and_approved_by_whom() -> None:
    """Per payment, per day, for all together; the reader is not among those who approve."""
    assert await help_for(CAREFUL) == (
        "Here you may ask for payments of *every module*: up to 1,000.00 USD each, 2,000.00 USD a day and"
        " 5,000.00 USD a day by everybody together. Each needs no approval up to 50.00 USD, 1 approval up to"
        " 500.00 USD and 2 approvals above that or where the amount is not known, by <!subteam^S1>, <@U2> or"
        " <@U3>."
    )
    bobs = await help_for(CAREFUL, person=Person("U2", "T1"))
    assert "by <!subteam^S1> or <@U3>." in bobs
    assert "You may approve requests by <@U1>; nobody approves their own." in bobs


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("free", frozenset({"U1"})), "of any amount. Nobody has to approve."),
        (
            Rule("one", frozenset({"U1"}), frozenset({"U2"}), (Tier(None, 1),), approval_channel="C2"),
            "of any amount. Each needs 1 approval by <@U2>, in <#C2>.",
        ),
        (
            Rule("euro", frozenset({"U1"}), currencies=frozenset({"EUR", "USD"})),
            "of any amount, in EUR or USD only. Nobody has to approve.",
        ),
        (
            Rule(
                "both",
                frozenset({"U1"}),
                currencies=frozenset({"EUR", "USD"}),
                limit_per_person_per_day=Decimal(9),
            ),
            "up to 9.00 EUR or USD a day; each currency counts for itself. Nobody has to approve.",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Rule) else "",
)
async def test_each_rule_in_words(rule: Rule, words: str) -> None:
    assert await help_for(rule) == f"Here you may ask for payments of *every module*: {words}"


async def test_modules_and_channels_have_their_own_lines_where_their_rules_differ() -> None:
    """The channel where it is asked comes first; what is the same elsewhere is not said again."""
    rules = (
        Rule("servers", frozenset({"U1"}), modules=frozenset({"servers"}), limit_per_payment=Decimal(10)),
        Rule("here", frozenset({"U1"}), channels=frozenset({"C1", "C3"})),
        Rule("there", frozenset({"U1"}), channels=frozenset({"C2"}), limit_per_payment=Decimal(5)),
    )
    servers = "payments of *servers*: up to 10.00 USD each. Nobody has to approve."
    assert (await help_for(*rules)).splitlines() == [
        "Here you may ask for payments of *vps and mail*: of any amount. Nobody has to approve.",
        f"Here you may ask for {servers}",
        "In <#C2> you may ask for payments of *vps and mail*: up to 5.00 USD each. Nobody has to approve.",
        f"In <#C2> you may ask for {servers}",
        f"In other channels you may ask for {servers}",
    ]


async def test_who_may_do_nothing_is_told_why_and_whom_to_ask() -> None:
    """And who may only approve, or only elsewhere, is told that."""
    nobody = await help_for(CAREFUL, person=Person("U9", "T1"))
    assert nobody.startswith("You are not among those who may request payments.\nAsk the people who run")
    assert "Only people of this workspace" in await help_for(CAREFUL, person=Person("U1", "T2"))
    elsewhere = Rule("elsewhere", frozenset({"U1"}), channels=frozenset({"C2"}))
    assert (await help_for(elsewhere)).startswith("You may ask for no payment here.\nIn <#C2> you may ask")
    approver = await help_for(CAREFUL, person=Person("U3", "T1"))
    assert approver == (
        "You may ask for no payment here.\n"
        "You may approve requests by <@U1> or <@U2>; nobody approves their own."
    )


async def test_a_group_counts_for_full_members_alone() -> None:
    """As it does for what they then ask for."""
    register = Register()
    register.groups["S7"] = {"U1"}
    rule = Rule("group", frozenset({"S7"}))
    assert "of any amount" in await help_for(rule, register=register)
    register.guests.add("U1")
    assert "You are not among those" in await help_for(rule, register=register)


def test_it_shows_every_way_to_use_the_command() -> None:
    """One line each, readable as text; also where Slack does not say who somebody is."""
    nothing = Allowance((), {}, None, (), MODULES)
    for message in (help_text(nothing, "U1"), help_text(None, "U1")):
        check(message)
        _, _, commands = said(message).partition("*What you can type*\n")
        assert len(commands.splitlines()) == len(command.HELP)
        assert "`/pay <module> <invoice>`" in commands
        assert re.findall(r"<[@#!]", commands) == []
    assert UNKNOWN in said(help_text(None, "U1"))


async def test_it_is_answered_in_slack(slack: LocalSlack, start_bot: StartBot, tmp_path: Path) -> None:
    """To one person alone, by the rules of that channel; and without what Slack does not tell in time."""
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f'[[rule]]\nname = "a"\nrequesters = ["{ids.ALICE}"]\napprovers = ["{ids.FINANCE_GROUP}"]\n'
        "approvals = 1\nlimit_per_payment = 2000\n"
    )
    await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")
    slack.fail("usergroups.users.list", "error:internal_error")
    mallorys = await asks(slack, "help", by="mallory")
    assert UNKNOWN in mallorys
    assert "/pay pending" in mallorys
    slack.heal()
    alices = await asks(slack, "help")
    assert "up to 2,000.00 USD each. Each needs 1 approval by <!subteam^S0FINANCE1>." in alices
    assert "/pay list [module]" in alices
