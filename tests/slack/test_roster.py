"""Who and what there is in a workspace, also where a gateway answers in Slack's place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.errors import ConfigError
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack import roster
from bot.slack.installation import app_connected, installation_of
from bot.slack.web_api import Client, web_client
from tests.slack.gateway import JSON, Gateway, Said

ODD: list[Any] = [None, 3, "x", [], {}, [1, None, []], [{}], {"id": 3}, [{"profile": 1, "users": 2}]]


@pytest.fixture
def client(slack: LocalSlack, gateway: Gateway) -> Client:
    return web_client(slack.bot_token, gateway.url)


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_odd_answers_are_no_errors_of_ours(client: Client, gateway: Gateway, odd: Any) -> None:
    """Whatever stands where a list or an object should: nobody is found, or Slack did not say."""
    names = ("members", "user", "usergroups", "channel", "channels", "bot", "response_metadata", "team")
    body = json.dumps({"ok": True} | dict.fromkeys(names, odd)).encode()
    for method in (
        "users.list",
        "users.info",
        "usergroups.list",
        "conversations.info",
        "users.conversations",
    ):
        gateway.says_always(method, Said(200, body, (JSON,)))
    gateway.says_always("bots.info", Said(200, body, (JSON,)))
    assert all(not one.foreign or one.id for one in await roster.members(client, ids.TEAM_ID))
    await roster.member(client, ids.TEAM_ID, ids.ALICE)
    await roster.groups(client)
    await roster.channel(client, ids.PAYMENTS)
    await roster.channels_of_bot(client)
    assert (await installation_of(client)).app is None
    gateway.says_always("auth.test", Said(200, body, (JSON,)))
    with pytest.raises(ConfigError, match="does not answer"):
        await installation_of(client)


async def test_a_plan_without_groups_has_none(client: Client, slack: LocalSlack) -> None:
    """People can be named all the same."""
    slack.fail("usergroups.list", "error:plan_upgrade_required")
    assert await roster.groups(client) == []


async def test_a_list_that_never_ends_is_given_up(
    client: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor that leads in a circle."""
    monkeypatch.setattr(roster, "PAGES", 3)
    page = {"ok": True, "members": [{"id": "U1"}], "response_metadata": {"next_cursor": "again"}}
    gateway.says_always("users.list", Said(200, json.dumps(page).encode(), (JSON,)))
    with pytest.raises(ConfigError, match=r"users\.list never ends"):
        await roster.members(client, ids.TEAM_ID)


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026"])
async def test_a_date_that_is_none(client: Client, gateway: Gateway, slack: LocalSlack, date: str) -> None:
    """Then Slack did not say what time it is."""
    told = {"ok": True, "team_id": "T1", "url": "https://x/", "user_id": "U1", "user": "b", "bot_id": "B1"}
    headers = (JSON, ("Date", date), ("X-OAuth-Scopes", " commands ,, chat:write"))
    gateway.says_always("auth.test", Said(200, json.dumps(told).encode(), headers))
    found = await installation_of(client)
    assert found.ahead is None
    assert found.scopes == frozenset({"commands", "chat:write"})


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("invalid_auth", "Slack refuses it"),
        ("link_disabled", "Socket Mode is turned off"),
        ("too_many_websockets", "the app has all the connections that Slack allows"),
        ("internal_error", "does not answer"),
    ],
)
async def test_why_it_does_not_connect(client: Client, slack: LocalSlack, word: str, said: str) -> None:
    """Each with its remedy, and without the token."""
    slack.fail("apps.connections.open", f"error:{word}")
    with pytest.raises(ConfigError, match=said) as refused:
        await app_connected(client, slack.app_token)
    assert slack.app_token not in str(refused.value)
