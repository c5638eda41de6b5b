"""`check --online` against the local Slack, the local billing API and a ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bot.domain.payment import State
from bot.ledger.opening import open_ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST, AppManifest
from bot.slack import roster
from tests.checks.looking import looked
from tests.checks.test_local import STRAY
from tests.command_line import CommandLine
from tests.ledger.making import request_in


async def test_all_is_well(environment: dict[str, str]) -> None:
    """Who the tokens stand for is said, and each part was asked."""
    found = await looked("--online", **environment)
    assert (found.code, found.of("wrong"), found.of("note")) == (0, [], [])
    team = "in the team Acme (T0ACME0001, https://acme.slack.com/)"
    assert found.of("ok", "SLACK_BOT_TOKEN") == [f"is @invoice-pay, app Invoice Pay (A0PAYBOT01), {team}"]
    assert [one["where"] for one in found.checks][2:] == [
        *("SLACK_BOT_TOKEN", "scopes", "clock", "SLACK_APP_TOKEN", "people", "channels"),
        *("billing API", "unpaid invoices", "LEDGER_URL"),
    ]


async def test_the_ledger_of_another_workspace_is_told(environment: dict[str, str]) -> None:
    """The bot does not start on it: whoever looks before hears so as well."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        await request_in(ledger, State.APPROVED, team="T0ANOTHER1")
    found = await looked("--online", **environment)
    (line,) = found.of("wrong", "LEDGER_URL")
    assert "for another Slack workspace (T0ANOTHER1), and the tokens are of T0ACME0001" in line
    unknown = environment | {"SLACK_BOT_TOKEN": "xoxb-1-revoked"}
    assert "of this version" in (await looked("--online", **unknown)).of("ok", "LEDGER_URL")[0]


async def test_wrong_settings_are_told_before_anything_is_asked(
    environment: dict[str, str], slack: LocalSlack
) -> None:
    """Half of the settings would give half of the truth."""
    found = await looked("--online", **environment | {"PAY_APPROVERS": "bob"})
    assert found.code == 1
    assert found.of("note") == ["not asked. Put the settings right first."]
    assert slack.calls == []


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1-revoked"}, "SLACK_BOT_TOKEN", "Slack refuses it (invalid_auth)"),
        ({"SLACK_APP_TOKEN": "xapp-1-A-1-b"}, "SLACK_APP_TOKEN", "Slack refuses it (invalid_auth)"),
        ({"SLACK_API_URL": "http://127.0.0.1:1/api/"}, "Slack", "does not answer (ClientConnectorError)"),
        ({"BILLING_PASSWORD": "wrong"}, "BILLING_USERNAME, BILLING_PASSWORD", "login refused"),
        ({"BILLING_WSDL_URL": "http://127.0.0.1:1/?wsdl"}, "BILLING_WSDL_URL", "the WSDL could not be used"),
        ({"LEDGER_URL": "sqlite:////no/such/folder/ledger.db"}, "LEDGER_URL", "none can be made there"),
    ],
)
async def test_what_is_refused_is_told_with_the_remedy(
    environment: dict[str, str], change: dict[str, str], where: str, said: str
) -> None:
    """One line, and what to do; the rest is looked at all the same."""
    found = await looked("--online", **environment | change)
    (line,) = found.of("wrong")
    assert said in line
    assert found.of("wrong", where) == [line]
    assert line.endswith((".", "interserver.net"))
    assert found.of("ok", "billing API") or "BILLING" in where


async def test_scopes_that_are_missing_optional_or_superfluous_are_told_apart(
    environment: dict[str, str], slack: LocalSlack
) -> None:
    """Only what the bot cannot do without is wrong."""
    granted = AppManifest(DEFAULT_MANIFEST).scopes
    slack.grant(granted - {"groups:read", "groups:history"} | {"admin.users:write"})
    found = await looked("--online", **environment)
    (line,) = found.of("wrong", "scopes")
    assert "missing groups:read (to know who is in a private channel)" in line
    optional, superfluous = found.of("note", "scopes")
    assert "without the optional groups:history" in optional
    assert "never needed: admin.users:write" in superfluous


async def test_a_clock_that_is_wrong_is_told(environment: dict[str, str], slack: LocalSlack) -> None:
    """By Slack's Date header; a minute is let pass."""
    slack.clock.advance(50)
    assert (await looked("--online", **environment)).of("wrong", "clock") == []
    slack.clock.advance(250)
    (line,) = (await looked("--online", **environment)).of("wrong", "clock")
    assert "seconds behind Slack's" in line
    slack.clock.advance(-900)
    assert "ahead of Slack's" in (await looked("--online", **environment)).of("wrong", "clock")[0]


async def test_socket_mode_that_is_turned_off_is_told(environment: dict[str, str], slack: LocalSlack) -> None:
    """The token is good, and nothing would arrive."""
    slack.fail("apps.connections.open", "error:socket_mode_not_enabled")
    (line,) = (await looked("--online", **environment)).of("wrong")
    assert line.startswith("Socket Mode is turned off for the app")


async def test_the_connection_is_let_go_of(environment: dict[str, str], slack: LocalSlack) -> None:
    """A check takes no commands away from the bot that runs."""
    await looked("--online", **environment)
    await slack.wait_for(lambda: slack.sockets.connections == 0)


async def test_two_tokens_of_two_apps_are_told(environment: dict[str, str], slack: LocalSlack) -> None:
    """Commands of the one would be answered with the token of the other."""
    other = slack.token_of_another_app("A0OTHERAPP")
    found = await looked("--online", **environment | {"SLACK_APP_TOKEN": other})
    (line,) = found.of("wrong", "SLACK_APP_TOKEN")
    assert "is of the app A0OTHERAPP, and SLACK_BOT_TOKEN of A0PAYBOT01 (Invoice Pay)" in line


PEOPLE = "PAY_ALLOWED_USERS"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({PEOPLE: "U0NOBODY01"}, "there is no U0NOBODY01 in this team"),
        ({PEOPLE: ids.MALLORY}, "Mallory Moss (@mallory, deactivated, U0MALLORY1) is deactivated"),
        ({PEOPLE: ids.XENA}, "Xena Xu (@xena, U0XENA0001) belongs to another organization"),
        ({PEOPLE: ids.BOT_USER_ID}, "is a bot"),
        ({PEOPLE: "S0NOBODY01"}, "there is no S0NOBODY01 in this team"),
        ({PEOPLE: "S0EMPTY001"}, "nobody is in the group Empty (@empty, 0 people, S0EMPTY001)"),
        ({PEOPLE: "S0GONE0001"}, "is turned off, so nobody is in it"),
        ({"PAY_ALLOWED_CHANNELS": "C0NOWHERE1"}, "there is no C0NOWHERE1, or it is private"),
        ({"PAY_ALLOWED_CHANNELS": ids.FINANCE_PRIVATE}, "or it is private and the bot is not in it"),
        ({"PAY_ALLOWED_CHANNELS": ids.RANDOM}, "In Slack, type /invite @invoice-pay there."),
        ({"PAY_ALLOWED_CHANNELS": ids.SHARED}, "#shared-with-partner (C0PARTNER1) is archived"),
        ({"PAY_DIGEST": f"{ids.RANDOM} daily 08:30 UTC"}, "the bot is not in #random (C0RANDOM01)"),
        ({"PAY_OPERATORS_CHANNEL": ids.RANDOM}, "the bot is not in #random (C0RANDOM01)"),
        ({"PAY_AUDIT_CHANNEL": "C0NOWHERE1"}, "there is no C0NOWHERE1, or it is private"),
        (
            {"PAY_APPROVERS": "S0ONLYBOB1", "PAY_APPROVALS_REQUIRED": "2"},
            "needs 2 approvals, and 1 people could give one",
        ),
        (
            {"PAY_APPROVERS": "S0MIXED001", "PAY_APPROVALS_REQUIRED": "2"},
            "needs 2 approvals, and 1 people could give one",
        ),
        (
            {PEOPLE: "S0ONLYALI1", "PAY_APPROVERS": "S0ONLYALI1", "PAY_APPROVALS_REQUIRED": "1"},
            "needs 1 approvals, and 0 people could give one",
        ),
        (
            {"PAY_APPROVERS": "S0ONLYALI1", "PAY_APPROVALS_REQUIRED": "1"},
            "needs 1 approvals, and 0 people could give one",
        ),
    ],
)
async def test_who_and_what_is_named_must_be_there(
    environment: dict[str, str], slack: LocalSlack, changed: dict[str, str], said: str
) -> None:
    """Active, in this team, with somebody in it, and the bot in the channel; else one line says which."""
    slack.world.change_person("mallory", deleted=True)
    slack.world.change_channel(ids.SHARED, is_archived=True)
    slack.world.add_group("empty", [], id="S0EMPTY001")
    slack.world.add_group("gone", ["alice"], id="S0GONE0001", disabled=True)
    slack.world.add_group("only-bob", ["bob"], id="S0ONLYBOB1")
    slack.world.add_group("only-alice", ["alice"], id="S0ONLYALI1")
    slack.world.add_group("mixed", ["bob", "gil", "xena", "mallory"], id="S0MIXED001")
    found = await looked("--online", **environment | changed)
    (line,) = found.of("wrong")
    assert said in line


@pytest.mark.parametrize("variable", ["PAY_DIGEST", "PAY_OPERATORS_CHANNEL", "PAY_AUDIT_CHANNEL"])
async def test_a_channel_that_is_only_told_things_is_known_by_its_variable(
    environment: dict[str, str], variable: str
) -> None:
    """The rules name no such channel, so that is where to look for it."""
    value = f"{ids.RANDOM} daily 08:30 UTC" if variable == "PAY_DIGEST" else ids.RANDOM
    found = await looked("--online", **environment | {variable: value})
    (line,) = found.of("wrong", variable)
    assert "the bot is not in #random" in line


async def test_a_guest_who_is_named_is_noted(environment: dict[str, str]) -> None:
    """It may be meant; who wrote the rule should know."""
    found = await looked("--online", **environment | {PEOPLE: f"{ids.ALICE},{ids.GIL}"})
    assert found.of("wrong") == []
    assert found.of("note", "people") == [
        "Gil Garcia (@gil, guest, U0GIL00001) is a guest, and counts because a rule names the id"
    ]


async def test_a_bot_that_is_in_no_channel_is_told(environment: dict[str, str], slack: LocalSlack) -> None:
    """/pay would work nowhere."""
    for channel in list(slack.world.channels):
        slack.world.leave(channel, ids.BOT_USER_ID)
    found = await looked("--online", **environment)
    assert found.of("wrong", "channels") == [
        "the bot is in none. In Slack, type /invite @invoice-pay in the one for payments."
    ]


async def test_slack_is_waited_for_where_it_says_so(
    environment: dict[str, str], slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 with Retry-After, for a few times."""
    slack.fail("users.info", "429", times=2, retry_after=0)
    assert (await looked("--online", **environment)).of("wrong") == []
    monkeypatch.setattr(roster, "TRIES", 1)
    slack.fail("users.info", "429", retry_after=0)
    (line,) = (await looked("--online", **environment)).of("wrong")
    assert line.startswith("does not answer (users.info: ratelimited)")


@pytest.mark.parametrize(
    ("mode", "verdict", "said"),
    [
        ("unreadable", "wrong", "this installation, cannot"),
        ("down", "wrong", "the WSDL could not be used"),
    ],
)
async def test_what_is_wrong_with_the_billing_api_is_told(
    environment: dict[str, str], billing: LocalBilling, mode: str, verdict: str, said: str
) -> None:
    """In one line, in the words of the client that pays."""
    billing.fail(mode)
    found = await looked("--online", **environment)
    assert found.of(verdict), found
    assert found.code == 1


async def test_amounts_that_cannot_be_read_are_named(
    environment: dict[str, str], billing: LocalBilling
) -> None:
    """They are no reason to run no bot; whoever sets it up is to know of them."""
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_currency"] = ""
    found = await looked("--online", **environment)
    assert found.of("note", "unpaid invoices") == ["the amount of 1 of them cannot be read: vps 10101"]
    assert found.code == 0


async def test_programs_get_one_object(command: CommandLine, environment: dict[str, str]) -> None:
    """Also as a process of its own, where every library may log."""
    ended = await command("check", "--online", "--policy", "--json", **environment)
    assert (ended.code, ended.err) == (0, "")
    document: dict[str, Any] = json.loads(ended.out)
    assert document["ok"] is True
    assert document["policy"][0] == 'Rule "default"'


async def test_people_get_the_lines_and_the_rules(command: CommandLine, environment: dict[str, str]) -> None:
    """Each line as soon as it is known, nothing else, and no secret."""
    ended = await command("check", "--online", "--policy", **environment | {"BILLING_PASSWORD": "hunter2"})
    assert (ended.code, ended.err) == (1, "")
    lines = ended.out.splitlines()
    rules = lines.index('Rule "default"')
    assert all(line.startswith(("ok    ", "WRONG ")) for line in lines[:rules])
    assert lines[-1] == "Whatever fits no rule is refused."
    secrets = [environment[name] for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")]
    assert not any(secret in ended.out for secret in [*secrets, "hunter2"])


async def test_a_rule_for_a_module_that_is_not_there_is_wrong(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The billing API says which there are."""
    policy = tmp_path / "policy.toml"
    policy.write_text(STRAY, encoding="utf-8")
    alone = {"PAY_ALLOWED_USERS": "", "PAY_APPROVERS": "", "PAY_APPROVALS_REQUIRED": ""}
    found = await looked("--online", **environment | alone | {"PAY_POLICY_FILE": str(policy)})
    assert found.code == 1
    (strict,) = found.of("wrong", 'rule "strict"')
    assert "names the module server, which the billing API does not have" in strict
    assert strict.endswith("Did you mean servers?")
    assert len(found.of("wrong", 'rule "other"')) == 1
    assert found.of("wrong", 'rule "everything else"') == []
