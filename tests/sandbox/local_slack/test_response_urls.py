"""response_urls: five uses in thirty minutes, wherever the person was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.messages import Message

Json = dict[str, Any]
CARD: list[Json] = [
    {
        "type": "actions",
        "elements": [
            {
                "type": "button",
                "text": {"type": "plain_text", "text": "Approve"},
                "action_id": "approve",
            }
        ],
    }
]


class Bot:
    """A Bolt app that keeps the response_urls it gets."""

    def __init__(self, slack: LocalSlack) -> None:
        self.urls: list[str] = []
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        app = AsyncApp(client=self.web)

        async def keep(ack: Any, body: Json) -> None:
            self.urls.append(body["response_url"])
            await ack()

        app.command("/pay")(keep)
        app.action("approve")(keep)
        self.handler = AsyncSocketModeHandler(app, slack.app_token)


@pytest.fixture
async def bot(slack: LocalSlack) -> AsyncIterator[Bot]:
    bot = Bot(slack)
    await bot.handler.connect_async()  # type: ignore[no-untyped-call]
    yield bot
    await bot.handler.close_async()  # type: ignore[no-untyped-call]


async def command_url(slack: LocalSlack, bot: Bot, channel: str = "#payments") -> str:
    await slack.person("alice").types(channel, "/pay")
    return bot.urls[-1]


async def clicked(slack: LocalSlack, bot: Bot, *, ephemeral: bool) -> Message:
    """A card that Alice has clicked; its response_url is the bot's last."""
    if ephemeral:
        await bot.web.chat_postEphemeral(channel=ids.PAYMENTS, user=ids.ALICE, text="card", blocks=CARD)
    else:
        await bot.web.chat_postMessage(channel=ids.PAYMENTS, text="card", blocks=CARD)
    message = slack.messages("#payments", "alice")[-1]
    await slack.person("alice").clicks(message, "approve")
    return message


async def test_five_uses_and_no_more(slack: LocalSlack, bot: Bot) -> None:
    """The sixth is used_url with HTTP 404, and shows nothing."""
    url = await command_url(slack, bot)
    for number in range(5):
        answer = await AsyncWebhookClient(url).send(text=str(number), response_type="ephemeral")
        assert (answer.status_code, answer.body) == (200, "ok")
    answer = await AsyncWebhookClient(url).send(text="6", response_type="ephemeral")
    assert answer.status_code == 404
    assert "used_url" in answer.body
    assert [message.text for message in slack.ephemerals("alice")] == ["0", "1", "2", "3", "4"]


async def test_thirty_minutes_and_no_longer(slack: LocalSlack, bot: Bot) -> None:
    """After that it is expired_url with HTTP 404."""
    url = await command_url(slack, bot)
    slack.clock.advance(29 * 60)
    assert (await AsyncWebhookClient(url).send(text="in time")).status_code == 200
    slack.clock.advance(2 * 60)
    answer = await AsyncWebhookClient(url).send(text="late")
    assert answer.status_code == 404
    assert "expired_url" in answer.body


async def test_a_made_up_address_is_refused(slack: LocalSlack) -> None:
    """Only addresses that were issued work."""
    answer = await AsyncWebhookClient(f"{slack.address}/respond/commands/T/guess").send(text="x")
    assert answer.status_code == 404


async def test_it_works_without_membership(slack: LocalSlack, bot: Bot) -> None:
    """In a private channel without the bot, for the person alone or for everybody."""
    url = await command_url(slack, bot, "#finance-private")
    await AsyncWebhookClient(url).send(text="for you", response_type="ephemeral")
    await AsyncWebhookClient(url).send(text="for all", response_type="in_channel")
    texts = [message.text for message in slack.messages("#finance-private", "bob")]
    assert texts == ["for all"]
    assert slack.ephemerals("alice")[0].text == "for you"


async def test_the_default_is_ephemeral(slack: LocalSlack, bot: Bot) -> None:
    """Without response_type only the person sees it."""
    await AsyncWebhookClient(await command_url(slack, bot)).send(text="x")
    assert slack.messages("#payments") == []
    assert len(slack.ephemerals("alice")) == 1


@pytest.mark.parametrize("ephemeral", [True, False])
async def test_the_original_can_be_replaced_and_deleted(slack: LocalSlack, bot: Bot, ephemeral: bool) -> None:
    """replace_original and delete_original act on the clicked message, ephemeral or not."""
    message = await clicked(slack, bot, ephemeral=ephemeral)
    url = bot.urls[-1]
    await AsyncWebhookClient(url).send(text="done", replace_original=True)
    (replaced,) = slack.messages("#payments", "alice")
    assert (replaced.ts, replaced.text, replaced.blocks) == (message.ts, "done", [])
    await AsyncWebhookClient(url).send(delete_original=True)
    assert slack.messages("#payments", "alice") == []


async def test_an_answer_can_go_to_a_thread(slack: LocalSlack, bot: Bot) -> None:
    """thread_ts puts it under the card."""
    message = await clicked(slack, bot, ephemeral=False)
    body = {"text": "in thread", "response_type": "in_channel", "thread_ts": message.ts}
    await AsyncWebhookClient(bot.urls[-1]).send_dict(body)
    assert [reply.text for reply in slack.messages("#payments")[0].thread] == ["in thread"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"response_type": "ephemeral"}, "no_text"),
        ({"text": "x", "blocks": [{"type": "section"}]}, "invalid_blocks"),
    ],
)
async def test_bad_content_is_refused_and_costs_no_use(
    slack: LocalSlack, bot: Bot, body: Json, error: str
) -> None:
    """Limits hold here as well; a refused answer leaves all five uses."""
    url = await command_url(slack, bot)
    answer = await AsyncWebhookClient(url).send_dict(body)
    assert answer.status_code == 400
    assert error in answer.body
    for _ in range(5):
        assert (await AsyncWebhookClient(url).send(text="x")).status_code == 200


async def test_an_archived_channel_takes_no_answer(slack: LocalSlack, bot: Bot) -> None:
    """is_archived, as for every other post."""
    url = await command_url(slack, bot)
    slack.world.change_channel("#payments", is_archived=True)
    answer = await AsyncWebhookClient(url).send(text="x")
    assert "is_archived" in answer.body
