"""Rate limits: off by default, and Slack's own when switched on."""

from __future__ import annotations

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.changes import Clock
from bot.sandbox.local_slack.web_api import MESSAGE_BURST, RateLimits


async def test_without_them_any_number_passes() -> None:
    """Tests of other things are not slowed down."""
    async with LocalSlack() as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        for _ in range(MESSAGE_BURST * 3):
            await web.chat_postMessage(channel=ids.PAYMENTS, text="x")


async def test_a_channel_takes_a_burst_and_then_a_message_a_second() -> None:
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


def test_other_methods_have_their_tier() -> None:
    """Tier 3 passes 50 calls at once, and then one every 1.2 seconds."""
    clock = Clock()
    limits = RateLimits(clock)
    assert [limits.take("chat.update", "C1", 50) for _ in range(50)] == [0] * 50
    assert limits.take("chat.update", "C2", 50) == 2
    clock.advance(1.2)
    assert limits.take("chat.update", "C1", 50) == 0
