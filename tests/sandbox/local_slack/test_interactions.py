"""Buttons, menus and shortcuts: what the app is told, and what people cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Message

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


CARD = [
    {
        "type": "actions",
        "block_id": "card",
        "elements": [
            {"type": "button", "text": plain("Approve"), "action_id": "approve", "value": "42"},
            {
                "type": "static_select",
                "action_id": "why",
                "options": [{"text": plain("Late"), "value": "late"}],
            },
        ],
    }
]
MANIFEST = DEFAULT_MANIFEST | {
    "features": DEFAULT_MANIFEST["features"]
    | {
        "shortcuts": [
            {"name": "Pay", "type": "global", "callback_id": "pay", "description": "Pay one"},
            {"name": "This", "type": "message", "callback_id": "this", "description": "x"},
        ]
    }
}


class Bot:
    """A Bolt app that keeps what it gets and acknowledges it."""

    def __init__(self, slack: LocalSlack) -> None:
        self.received: list[Json] = []
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        app = AsyncApp(client=self.web)

        async def keep(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack()

        for action in ("approve", "why"):
            app.action(action)(keep)
        app.shortcut("pay")(keep)
        self.handler = AsyncSocketModeHandler(app, slack.app_token)


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(manifest=MANIFEST) as running:
        yield running


@pytest.fixture
async def bot(slack: LocalSlack) -> AsyncIterator[Bot]:
    bot = Bot(slack)
    await bot.handler.connect_async()  # type: ignore[no-untyped-call]
    yield bot
    await bot.handler.close_async()  # type: ignore[no-untyped-call]


async def card(slack: LocalSlack, bot: Bot, channel: str = ids.PAYMENTS) -> Message:
    await bot.web.chat_postMessage(channel=channel, text="card", blocks=CARD)
    return slack.messages(channel)[-1]


async def test_a_click_tells_who_where_and_what(slack: LocalSlack, bot: Bot) -> None:
    """user with team, channel, container, the message as stored, and the action."""
    message = await card(slack, bot)
    result = await slack.person("bob").clicks(message, "approve")
    assert result.ok
    (body,) = bot.received
    assert body["type"] == "block_actions"
    assert body["user"] == {
        "id": ids.BOB,
        "username": "bob",
        "name": "bob",
        "team_id": ids.TEAM_ID,
    }
    assert body["channel"] == {"id": ids.PAYMENTS, "name": "payments"}
    assert body["container"]["message_ts"] == body["message"]["ts"] == message.ts
    assert body["message"]["blocks"] == message.blocks
    (action,) = body["actions"]
    assert (action["action_id"], action["block_id"], action["value"]) == ("approve", "card", "42")
    assert float(action["action_ts"]) > float(message.ts)
    assert body["trigger_id"] == result.trigger_id
    assert body["response_url"].startswith(slack.address)


async def test_somebody_of_another_organization_can_click(slack: LocalSlack, bot: Bot) -> None:
    """The team is the host's; only user.team_id tells that Xena is not one of them."""
    message = await card(slack, bot, ids.SHARED)
    assert (await slack.person("xena").clicks(message, "approve")).ok
    (body,) = bot.received
    assert body["user"]["team_id"] == ids.OTHER_TEAM_ID
    assert body["team"]["id"] == ids.TEAM_ID


async def test_a_menu_tells_what_was_chosen(slack: LocalSlack, bot: Bot) -> None:
    """selected_option is the option itself, in the action and in the state."""
    message = await card(slack, bot)
    await slack.person("bob").clicks(message, "why", value="late")
    (body,) = bot.received
    assert body["actions"][0]["selected_option"]["value"] == "late"
    chosen = body["state"]["values"]["card"]["why"]["selected_option"]
    assert chosen["value"] == "late"
    with pytest.raises(NotThere, match="early"):
        await slack.person("bob").clicks(message, "why", value="early")


async def test_a_click_in_a_thread_tells_the_thread(slack: LocalSlack, bot: Bot) -> None:
    """container.thread_ts is the root's ts."""
    root = await card(slack, bot)
    await bot.web.chat_postMessage(channel=ids.PAYMENTS, text="reply", blocks=CARD, thread_ts=root.ts)
    (reply,) = slack.messages("#payments")[0].thread
    await slack.person("bob").clicks(reply, "approve")
    assert bot.received[0]["container"]["thread_ts"] == root.ts


async def test_a_click_in_an_ephemeral_message_brings_no_message(slack: LocalSlack, bot: Bot) -> None:
    """Slack keeps no copy of ephemeral messages, so there is none in the payload."""
    await bot.web.chat_postEphemeral(channel=ids.PAYMENTS, user=ids.BOB, text="x", blocks=CARD)
    (message,) = slack.ephemerals("bob")
    with pytest.raises(NotThere):
        await slack.person("alice").clicks(message, "approve")
    await slack.person("bob").clicks(message, "approve")
    (body,) = bot.received
    assert body["container"]["is_ephemeral"]
    assert "message" not in body


async def test_a_stale_button_can_still_be_pressed(slack: LocalSlack, bot: Bot) -> None:
    """Whoever has not seen the update yet presses what they see; the payload has what is stored."""
    stale = await card(slack, bot)
    await bot.web.chat_update(channel=ids.PAYMENTS, ts=stale.ts, text="done")
    assert (await slack.person("bob").clicks(stale, "approve")).ok
    assert bot.received[0]["message"]["text"] == "done"
    with pytest.raises(NotThere, match="approve"):
        await slack.person("bob").clicks(stale.ts, "approve")


async def test_who_does_not_see_a_message_cannot_click_it(slack: LocalSlack, bot: Bot) -> None:
    """Not a member, or deleted: there is nothing to press."""
    message = await card(slack, bot, ids.APPROVALS)
    with pytest.raises(NotThere):
        await slack.person("mallory").clicks(message, "approve")
    await bot.web.chat_delete(channel=ids.APPROVALS, ts=message.ts)
    with pytest.raises(NotThere):
        await slack.person("bob").clicks(message, "approve")
    assert bot.received == []


async def test_the_person_hears_of_a_click_that_failed(slack: LocalSlack, bot: Bot) -> None:
    """Without any connection the click fails before the person's eyes."""
    message = await card(slack, bot)
    await bot.handler.close_async()  # type: ignore[no-untyped-call]
    await slack.wait_for(lambda: slack.sockets.connections == 0)
    result = await slack.person("bob").clicks(message, "approve")
    assert (result.ok, result.error) == (False, "dispatch_failed")
    assert "dispatch_failed" in slack.ephemerals("bob")[-1].text


async def test_interactivity_has_to_be_enabled() -> None:
    """Without it in the manifest no click reaches the app."""
    manifest = MANIFEST | {"settings": {"socket_mode_enabled": True}}
    async with LocalSlack(manifest=manifest) as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        await web.chat_postMessage(channel=ids.PAYMENTS, text="card", blocks=CARD)
        result = await slack.person("bob").clicks(slack.messages("#payments")[0], "approve")
        assert result.error == "interactivity_disabled"


async def test_a_home_tab_has_buttons(slack: LocalSlack, bot: Bot) -> None:
    """A click there is the person's own, with the Home view in it."""
    await bot.web.views_publish(user_id=ids.BOB, view={"type": "home", "blocks": CARD})
    view = slack.home("bob")
    assert view is not None
    with pytest.raises(NotThere):
        await slack.person("alice").clicks(view, "approve")
    assert (await slack.person("bob").clicks(view, "approve")).ok
    assert bot.received[-1]["view"]["type"] == "home"


async def test_only_global_shortcuts_of_the_manifest_exist(slack: LocalSlack, bot: Bot) -> None:
    """A message shortcut or a made up one cannot be chosen from the menu."""
    for missing in ("this", "nothing"):
        with pytest.raises(NotThere):
            await slack.person("bob").uses_shortcut(missing)
    assert (await slack.person("bob").uses_shortcut("pay")).ok
    (body,) = bot.received
    assert (body["type"], body["callback_id"]) == ("shortcut", "pay")
    assert "channel" not in body
    assert "response_url" not in body
