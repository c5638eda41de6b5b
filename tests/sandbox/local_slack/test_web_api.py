"""The Web API's front door: tokens, scopes, encodings, and what it refuses to pretend."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.changes import Clock
from bot.sandbox.local_slack.methods import METHODS
from bot.sandbox.local_slack.web_api import MESSAGE_BURST, RateLimits


def client(slack: LocalSlack, token: str | None = None) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token if token is None else token, base_url=slack.api_url)


async def error_of(client: AsyncWebClient, method: str, **arguments: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await client.api_call(method, params=arguments)
    return caught.value.response.data


async def raw(slack: LocalSlack, method: str, **request: Any) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.post(slack.api_url + method, **request) as response,
    ):
        return await response.json()


def test_the_methods_are_those_a_bot_of_this_kind_needs() -> None:
    """Nobody believes in a method that is not there: the list is explicit."""
    assert set(METHODS) == {
        "api.test",
        "apps.connections.open",
        "auth.test",
        "bots.info",
        "chat.delete",
        "chat.getPermalink",
        "chat.postEphemeral",
        "chat.postMessage",
        "chat.update",
        "conversations.history",
        "conversations.info",
        "conversations.members",
        "conversations.open",
        "conversations.replies",
        "functions.completeError",
        "functions.completeSuccess",
        "usergroups.list",
        "usergroups.users.list",
        "users.conversations",
        "users.info",
        "users.list",
        "views.open",
        "views.publish",
        "views.push",
        "views.update",
    }


async def test_auth_test_says_who_the_bot_is(slack: LocalSlack) -> None:
    """auth.test gives the ids of the bot and the team."""
    answer = await client(slack).auth_test()
    assert answer["user_id"] == ids.BOT_USER_ID
    assert answer["bot_id"] == ids.BOT_ID
    assert answer["team_id"] == ids.TEAM_ID


async def test_the_answer_says_what_the_token_may_do_and_what_time_it_is(slack: LocalSlack) -> None:
    """In its headers, as Slack does; after the app was installed anew, what was granted then."""
    slack.grant({"users:read", "chat:write"})
    slack.clock.advance(7200)
    answer = await client(slack).auth_test()
    assert answer.headers["X-OAuth-Scopes"] == "chat:write,users:read"
    told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert told == pytest.approx(slack.clock.now(), abs=2)


async def test_api_test_needs_no_token_and_echoes_errors(slack: LocalSlack) -> None:
    """api.test works without a token, and fails with the error it is told."""
    assert (await raw(slack, "api.test", json={"foo": "bar"}))["args"] == {"foo": "bar"}
    assert (await raw(slack, "api.test", json={"error": "oh_no"}))["error"] == "oh_no"


async def test_a_call_without_a_token_is_not_authed(slack: LocalSlack) -> None:
    """No token is a different error from a wrong one."""
    assert (await raw(slack, "auth.test"))["error"] == "not_authed"


async def test_a_wrong_token_is_invalid_auth(slack: LocalSlack) -> None:
    """A token that was never issued is refused."""
    assert (await error_of(client(slack, "xoxb-wrong"), "auth.test"))["error"] == "invalid_auth"


async def test_tokens_work_only_for_their_own_methods(slack: LocalSlack) -> None:
    """The app-level token opens connections and nothing else; the bot token does not."""
    wrong_way = await error_of(client(slack, slack.app_token), "auth.test")
    other_way = await error_of(client(slack), "apps.connections.open")
    assert wrong_way["error"] == other_way["error"] == "not_allowed_token_type"


async def test_the_token_may_be_in_a_form_but_not_in_a_json_body(slack: LocalSlack) -> None:
    """A JSON body's token does not count, as in Slack."""
    token = {"token": slack.bot_token}
    assert (await raw(slack, "auth.test", data=token))["ok"]
    assert (await raw(slack, "auth.test", json=token))["error"] == "not_authed"


async def test_opening_a_connection_takes_the_token_in_the_header_only(slack: LocalSlack) -> None:
    """apps.connections.open does not look for a token in the body."""
    answer = await raw(slack, "apps.connections.open", data={"token": slack.app_token})
    assert answer["error"] == "not_authed"


async def test_an_unknown_method_is_an_error(slack: LocalSlack) -> None:
    """What is not implemented says so, and names what was asked for."""
    answer = await error_of(client(slack), "pins.add", channel=ids.PAYMENTS)
    assert answer["error"] == "unknown_method"
    assert answer["req_method"] == "pins.add"


async def test_an_unknown_argument_is_refused_rather_than_ignored(slack: LocalSlack) -> None:
    """The local Slack does not pretend to do what it does not do."""
    answer = await error_of(
        client(slack), "chat.postMessage", channel=ids.PAYMENTS, text="x", icon_emoji=":x:"
    )
    assert answer["error"] == "invalid_arguments"
    assert "icon_emoji" in answer["response_metadata"]["messages"][0]


async def test_a_missing_argument_is_named(slack: LocalSlack) -> None:
    """invalid_arguments says which field is missing."""
    answer = await error_of(client(slack), "chat.postMessage", text="x")
    assert "missing required field: channel" in answer["response_metadata"]["messages"][0]


async def test_a_method_whose_scope_was_not_granted_says_which() -> None:
    """missing_scope tells what is needed and what was provided."""
    async with LocalSlack(scopes=frozenset({"chat:write"})) as slack:
        answer = await error_of(client(slack), "users.info", user=ids.ALICE)
        assert answer == {
            "ok": False,
            "error": "missing_scope",
            "needed": "users:read",
            "provided": "chat:write",
        }


@pytest.mark.parametrize(
    ("method", "arguments", "scope"),
    [
        ("chat.postMessage", {"channel": ids.PAYMENTS, "text": "x"}, "chat:write"),
        ("chat.update", {"channel": ids.PAYMENTS, "ts": "1.1", "text": "x"}, "chat:write"),
        ("users.info", {"user": ids.ALICE}, "users:read"),
        ("users.list", {}, "users:read"),
        ("users.conversations", {}, "channels:read"),
        ("users.conversations", {"types": "private_channel"}, "groups:read"),
        ("usergroups.list", {}, "usergroups:read"),
        ("usergroups.users.list", {"usergroup": ids.FINANCE_GROUP}, "usergroups:read"),
        ("conversations.info", {"channel": ids.PAYMENTS}, "channels:read"),
        ("conversations.members", {"channel": ids.PAYMENTS}, "channels:read"),
        ("conversations.history", {"channel": ids.PAYMENTS}, "channels:history"),
        ("conversations.replies", {"channel": ids.PAYMENTS, "ts": "1.1"}, "channels:history"),
        ("conversations.open", {"users": ids.ALICE}, "im:write"),
        ("bots.info", {"bot": ids.BOT_ID}, "users:read"),
    ],
)
async def test_every_method_enforces_its_scope(method: str, arguments: dict[str, str], scope: str) -> None:
    """Without any scope, each method asks for exactly its own."""
    async with LocalSlack(scopes=frozenset()) as slack:
        assert (await error_of(client(slack), method, **arguments))["needed"] == scope


async def test_the_scopes_are_those_of_the_manifest() -> None:
    """An app gets the scopes that its manifest asks for, the optional ones included."""
    manifest = {
        "display_information": {"name": "Scoped"},
        "oauth_config": {"scopes": {"bot": ["chat:write"], "bot_optional": ["groups:history"]}},
    }
    async with LocalSlack(manifest=manifest) as slack:
        answer = await client(slack).auth_test()
        assert answer.headers["x-oauth-scopes"] == "chat:write,groups:history"


async def test_blocks_may_be_json_text_in_a_form(slack: LocalSlack) -> None:
    """Forms carry structures as JSON strings; JSON bodies carry them as they are."""
    blocks = [{"type": "divider"}]
    arguments = {"channel": ids.PAYMENTS, "text": "x"}
    header = {"Authorization": f"Bearer {slack.bot_token}"}
    form = arguments | {"blocks": json.dumps(blocks)}
    assert (await raw(slack, "chat.postMessage", data=form, headers=header))["ok"]
    body = arguments | {"blocks": blocks}
    assert (await raw(slack, "chat.postMessage", json=body, headers=header))["ok"]
    assert all(message.blocks[0]["type"] == "divider" for message in slack.messages("#payments"))


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        ("{", "application/json", "invalid_json"),
        ("[]", "application/json", "json_not_object"),
        ("text", "text/plain", "invalid_post_type"),
    ],
)
async def test_a_body_that_cannot_be_read_is_an_error(
    slack: LocalSlack, body: str, content_type: str, error: str
) -> None:
    """Each kind of broken body has its own error."""
    header = {"Content-Type": content_type, "Authorization": f"Bearer {slack.bot_token}"}
    assert (await raw(slack, "auth.test", data=body, headers=header))["error"] == error


async def test_the_log_of_calls_holds_no_token(slack: LocalSlack) -> None:
    """Every call is logged with its arguments and its outcome, never with a token."""
    await raw(slack, "users.info", data={"token": slack.bot_token, "user": ids.ALICE})
    await error_of(client(slack), "users.info", user="U0NOBODY01")
    good, bad = slack.calls
    assert (good.method, good.arguments, good.ok) == ("users.info", {"user": ids.ALICE}, True)
    assert (bad.ok, bad.error) == (False, "user_not_found")
    assert slack.bot_token not in repr(slack.calls)


class TestRateLimits:
    """Off by default, and Slack's own when switched on."""

    async def test_without_them_any_number_passes(self) -> None:
        """Tests of other things are not slowed down."""
        async with LocalSlack() as slack:
            web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
            for _ in range(MESSAGE_BURST * 3):
                await web.chat_postMessage(channel=ids.PAYMENTS, text="x")

    async def test_a_channel_takes_a_burst_and_then_a_message_a_second(self) -> None:
        """Beyond the burst 429 with Retry-After; another channel is free; a second later it works."""
        async with LocalSlack(enforce_rate_limits=True) as slack:
            web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
            for _ in range(MESSAGE_BURST):
                await web.chat_postMessage(channel=ids.PAYMENTS, text="x")
            with pytest.raises(SlackApiError) as caught:
                await web.chat_postMessage(channel=ids.PAYMENTS, text="x")
            assert caught.value.response.status_code == 429
            assert caught.value.response.headers["Retry-After"] == "1"
            await web.chat_postMessage(channel=ids.APPROVALS, text="x")
            slack.clock.advance(1)
            await web.chat_postMessage(channel=ids.PAYMENTS, text="x")
            assert len(slack.messages("#payments")) == MESSAGE_BURST + 1
            assert [call.error for call in slack.calls].count("ratelimited") == 1

    def test_other_methods_have_their_tier(self) -> None:
        """Tier 3 passes 50 calls at once, and then one every 1.2 seconds."""
        clock = Clock()
        limits = RateLimits(clock)
        assert [limits.take("chat.update", "C1", 50) for _ in range(50)] == [0] * 50
        assert limits.take("chat.update", "C2", 50) == 2
        clock.advance(1.2)
        assert limits.take("chat.update", "C1", 50) == 0
