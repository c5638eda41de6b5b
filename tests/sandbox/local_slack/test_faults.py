"""Faults on demand: what the client sees, and whether the call took effect."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids


@pytest.fixture
def web(slack: LocalSlack) -> AsyncWebClient:
    """A client that repeats nothing by itself."""
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url, retry_handlers=[], timeout=1)


async def post(web: AsyncWebClient, channel: str = ids.PAYMENTS) -> Any:
    return await web.chat_postMessage(channel=channel, text="x")


async def test_429_names_the_seconds(slack: LocalSlack, web: AsyncWebClient) -> None:
    """HTTP 429 with Retry-After, and nothing is posted."""
    slack.fail("chat.postMessage", "429", times=1, retry_after=7)
    with pytest.raises(SlackApiError) as caught:
        await post(web)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "7"
    assert caught.value.response["error"] == "ratelimited"
    assert slack.messages("#payments") == []
    await post(web)


async def test_500_is_no_json(slack: LocalSlack, web: AsyncWebClient) -> None:
    """A plain error page, as a broken server gives."""
    slack.fail("chat.postMessage", "500", times=1)
    with pytest.raises(SlackApiError) as caught:
        await post(web)
    assert caught.value.response.status_code == 500
    assert slack.messages("#payments") == []


async def test_a_connection_dropped_before_has_no_effect(slack: LocalSlack, web: AsyncWebClient) -> None:
    """The client cannot tell, but nothing was posted."""
    slack.fail("chat.postMessage", "drop-before", times=1)
    with pytest.raises(aiohttp.ClientError):
        await post(web)
    assert slack.messages("#payments") == []
    assert (slack.calls[-1].ok, slack.calls[-1].answered) == (False, False)


async def test_a_connection_dropped_after_has_taken_effect(slack: LocalSlack, web: AsyncWebClient) -> None:
    """The message is there, and the client does not know."""
    slack.fail("chat.postMessage", "drop-after", times=1)
    with pytest.raises(aiohttp.ClientError):
        await post(web)
    assert len(slack.messages("#payments")) == 1
    assert (slack.calls[-1].ok, slack.calls[-1].answered) == (True, False)


async def test_a_call_may_take_effect_after_its_connection_is_gone(
    slack: LocalSlack, web: AsyncWebClient
) -> None:
    """Whoever looks for the message at once does not find it, and it comes all the same."""
    slack.fail("chat.postMessage", "drop-late", times=1, seconds=0.2)
    with pytest.raises(aiohttp.ClientError):
        await post(web)
    assert slack.messages("#payments") == []
    await slack.wait_for(lambda: slack.messages("#payments"))
    assert (slack.calls[-1].ok, slack.calls[-1].answered) == (True, False)


async def test_the_sdks_default_retries_post_twice(slack: LocalSlack) -> None:
    """Why the bot's client has no such handler: one lost answer makes two messages."""
    web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    slack.fail("chat.postMessage", "drop-after", times=1)
    await post(web)
    assert len(slack.messages("#payments")) == 2


async def test_a_slow_call_takes_effect_late(slack: LocalSlack, web: AsyncWebClient) -> None:
    """The answer comes after the delay."""
    slack.fail("chat.postMessage", "slow", times=1, seconds=0.2)
    before = time.monotonic()
    await post(web)
    assert time.monotonic() - before >= 0.2
    assert len(slack.messages("#payments")) == 1


async def test_a_call_may_never_be_answered(slack: LocalSlack, web: AsyncWebClient) -> None:
    """The client's own time-out has to end it; healing lets go."""
    slack.fail("chat.postMessage", "timeout", times=1)
    with pytest.raises(asyncio.TimeoutError):
        await post(web)
    slack.heal()
    assert slack.messages("#payments") == []


async def test_any_error_code_can_be_ordered(slack: LocalSlack, web: AsyncWebClient) -> None:
    """error:CODE answers so, without effect."""
    slack.fail("chat.postMessage", "error:restricted_action")
    with pytest.raises(SlackApiError, match="restricted_action"):
        await post(web)
    assert slack.messages("#payments") == []


async def test_a_fault_is_for_one_method_channel_and_number(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Other methods and channels work, and after `times` calls so does this one."""
    fault = slack.fail("chat.postMessage", "error:oops", times=2, channel="#payments")
    await web.auth_test()
    await post(web, ids.APPROVALS)
    for _ in range(2):
        with pytest.raises(SlackApiError, match="oops"):
            await post(web)
    await post(web)
    assert fault.hits == 2


async def test_a_fault_for_every_method_lasts_until_healed(slack: LocalSlack, web: AsyncWebClient) -> None:
    """The star means all; heal() takes all back."""
    slack.fail("*", "500")
    for call in (web.auth_test, web.users_list):
        with pytest.raises(SlackApiError):
            await call()
    slack.heal()
    await web.auth_test()


async def test_response_urls_fail_on_demand(slack: LocalSlack) -> None:
    """They are a method of their own name."""
    slack.fail("response_url", "500", times=1)
    answer = await AsyncWebhookClient(f"{slack.address}/respond/a/b/c").send(text="x")
    assert answer.status_code == 500
    slack.fail("response_url", "drop-before", times=1)
    hook = AsyncWebhookClient(f"{slack.address}/respond/a/b/c", retry_handlers=[])
    with pytest.raises(aiohttp.ClientError):
        await hook.send(text="x")


def test_an_unknown_fault_is_an_error() -> None:
    """A typo in a test does not go unnoticed."""
    with pytest.raises(ValueError, match="drop-befor"):
        LocalSlack().fail("*", "drop-befor")


async def test_an_outage_cuts_everything_and_ends(slack: LocalSlack, web: AsyncWebClient) -> None:
    """HTTP calls and sockets break, commands fail; afterwards the client is back by itself."""
    client = SocketModeClient(app_token=slack.app_token, web_client=web, ping_interval=0.1)
    await client.connect()  # type: ignore[no-untyped-call]
    await slack.wait_for(lambda: slack.sockets.connections == 1)
    async with slack.outage():
        assert slack.sockets.connections == 0
        with pytest.raises(aiohttp.ClientError):
            await web.auth_test()
        result = await slack.person("alice").types("#payments", "/pay")
        assert result.error == "dispatch_failed"
    await slack.wait_for(lambda: slack.sockets.connections == 1)
    await web.auth_test()
    await client.close()  # type: ignore[no-untyped-call]
