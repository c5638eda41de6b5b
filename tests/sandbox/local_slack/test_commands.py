"""Slash commands: what Slack itself refuses, what the app gets, and what its answer does."""

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
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.sandbox.local_slack.errors import NotThere

Json = dict[str, Any]
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "in blocks"}}


def with_messages_tab(*, read_only: bool) -> Json:
    """The default manifest, with direct messages between people and the app."""
    app_home = {"messages_tab_enabled": True, "messages_tab_read_only_enabled": read_only}
    return DEFAULT_MANIFEST | {"features": DEFAULT_MANIFEST["features"] | {"app_home": app_home}}


class Bot:
    """A Bolt app that keeps the commands it gets and answers with `answer`."""

    def __init__(self) -> None:
        self.received: list[Json] = []
        self.answer: Json = {}

    async def connect(self, slack: LocalSlack) -> AsyncSocketModeHandler:
        app = AsyncApp(client=AsyncWebClient(token=slack.bot_token, base_url=slack.api_url))

        @app.command("/pay")
        async def pay(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack(**self.answer)

        handler = AsyncSocketModeHandler(app, slack.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        return handler


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(manifest=with_messages_tab(read_only=False)) as running:
        yield running


@pytest.fixture
async def bot(slack: LocalSlack) -> AsyncIterator[Bot]:
    bot = Bot()
    handler = await bot.connect(slack)
    yield bot
    await handler.close_async()  # type: ignore[no-untyped-call]


async def test_the_payload_is_slacks(slack: LocalSlack, bot: Bot) -> None:
    """Every field that a bot may rely on is there, and no thread_ts."""
    result = await slack.person("alice").types("#payments", "/pay   vps 10101 ")
    assert result.ok
    (body,) = bot.received
    assert body["command"] == "/pay"
    assert body["text"] == "vps 10101"
    assert (body["team_id"], body["api_app_id"]) == (ids.TEAM_ID, ids.APP_ID)
    assert (body["user_id"], body["user_name"]) == (ids.ALICE, "alice")
    assert (body["channel_id"], body["channel_name"]) == (ids.PAYMENTS, "payments")
    assert body["trigger_id"] == result.trigger_id
    assert body["response_url"].startswith(slack.address)
    assert body["is_enterprise_install"] == "false"
    assert "thread_ts" not in body


async def test_private_and_direct_channels_do_not_tell_their_names(slack: LocalSlack, bot: Bot) -> None:
    """privategroup and directmessage, and a command works where the bot is not a member."""
    direct = slack.world.direct_channel("alice")
    assert (await slack.person("alice").types("#finance-private", "/pay")).ok
    assert (await slack.person("alice").types(direct.id, "/pay")).ok
    assert [body["channel_name"] for body in bot.received] == ["privategroup", "directmessage"]


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_read_only_messages_tab_has_no_composer(read_only: bool) -> None:
    """Where the manifest makes the app's direct messages read-only, nothing can be typed there."""
    async with LocalSlack(manifest=with_messages_tab(read_only=read_only)) as slack:
        direct = slack.world.direct_channel("alice")
        result = await slack.person("alice").types(direct.id, "/pay vps 1")
        assert result.error == ("messages_tab_read_only" if read_only else "dispatch_failed")
        if read_only:
            with pytest.raises(NotThere):
                await slack.person("alice").says(direct.id, "hello")


async def test_every_command_has_its_own_trigger(slack: LocalSlack, bot: Bot) -> None:
    """The trigger_id is unique, so it can serve for deduplication."""
    for _ in range(5):
        await slack.person("alice").types("#payments", "/pay vps 1")
    assert len({body["trigger_id"] for body in bot.received}) == 5


async def test_a_guest_may_type_commands_in_their_channels(slack: LocalSlack, bot: Bot) -> None:
    """Slack lets guests run commands; refusing them is the bot's business."""
    assert (await slack.person("gil").types("#payments", "/pay vps 1")).ok
    result = await slack.person("gil").types("#approvals", "/pay vps 1")
    assert (result.ok, result.error) == (False, "not_in_channel")


async def test_commands_do_not_run_for_other_organizations(slack: LocalSlack, bot: Bot) -> None:
    """For Xena there is no such command, even in the shared channel."""
    result = await slack.person("xena").types("#shared-with-partner", "/pay vps 1")
    assert (result.ok, result.error) == (False, "invalid_command")
    assert bot.received == []
    assert (await slack.person("alice").types("#shared-with-partner", "/pay vps 1")).ok


async def test_commands_do_not_run_in_threads(slack: LocalSlack, bot: Bot) -> None:
    """Slack says so to the person, and the app hears nothing."""
    root = await slack.person("alice").says("#payments", "a thread")
    result = await slack.person("alice").types("#payments", "/pay vps 1", thread_ts=root.ts)
    assert (result.ok, result.error) == (False, "not_supported_in_thread")
    assert slack.ephemerals("alice")[-1].text == "/pay is not supported in threads. Sorry!"
    assert bot.received == []


async def test_an_unknown_command_goes_nowhere(slack: LocalSlack, bot: Bot) -> None:
    """Only what the manifest lists is a command."""
    result = await slack.person("alice").types("#payments", "/foo bar")
    assert (result.ok, result.error, result.trigger_id) == (False, "invalid_command", None)
    assert slack.ephemerals("alice")[-1].text == "/foo is not a valid command."
    assert slack.ephemerals("alice")[-1].user == ids.SLACKBOT_ID
    assert bot.received == []


async def test_an_archived_channel_takes_no_command(slack: LocalSlack, bot: Bot) -> None:
    """Nothing can be typed there."""
    slack.world.change_channel("#payments", is_archived=True)
    result = await slack.person("alice").types("#payments", "/pay vps 1")
    assert (result.ok, result.error) == (False, "is_archived")


async def test_inviting_is_a_command_of_slack_itself(slack: LocalSlack, bot: Bot) -> None:
    """/invite brings the bot in; a name that is not there is told so."""
    assert (await slack.person("alice").types("#random", "/invite @invoice-pay")).ok
    assert slack.world.channel("#random").bot_is_member
    result = await slack.person("alice").types("#random", "/invite @nobody")
    assert result.error == "user_not_found"
    assert bot.received == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"text": "only you", "response_type": "ephemeral"}, "only you"),
        ({"text": "by default"}, "by default"),
        ({"blocks": [SECTION], "response_type": "ephemeral"}, "in blocks"),
    ],
)
async def test_an_answer_in_the_acknowledgement_is_ephemeral(
    slack: LocalSlack, bot: Bot, answer: Json, text: str
) -> None:
    """Text or blocks in the acknowledgement are shown to the person alone."""
    bot.answer = answer
    assert (await slack.person("alice").types("#payments", "/pay")).ok
    assert text in slack.ephemerals("alice")[-1].texts()
    assert slack.messages("#payments", "bob") == []


async def test_an_answer_can_be_for_the_channel(slack: LocalSlack, bot: Bot) -> None:
    """response_type in_channel shows the answer to everybody."""
    bot.answer = {"text": "for all", "response_type": "in_channel"}
    await slack.person("alice").types("#payments", "/pay")
    assert [message.text for message in slack.messages("#payments", "bob")] == ["for all"]


async def test_an_empty_acknowledgement_shows_nothing(slack: LocalSlack, bot: Bot) -> None:
    """A bare ack is silent."""
    assert (await slack.person("alice").types("#payments", "/pay")).ok
    assert slack.messages("#payments", "alice") == []


async def test_an_answer_that_breaks_a_limit_fails_before_the_person(slack: LocalSlack, bot: Bot) -> None:
    """Bad blocks in an acknowledgement are not silently dropped."""
    bot.answer = {"text": "x", "blocks": [{"type": "section"}]}
    result = await slack.person("alice").types("#payments", "/pay")
    assert (result.ok, result.error) == (False, "invalid_response: invalid_blocks")


async def test_the_transcript_hears_the_command_and_its_answer(slack: LocalSlack, bot: Bot) -> None:
    """Typed, answered or failed: each is a change with who and where."""
    seen: list[Change] = []
    stop = slack.on_change(seen.append)
    await slack.person("alice").types("#payments", "/pay vps 1")
    stop()
    await slack.person("alice").types("#payments", "/pay vps 2")
    kinds = {
        change.kind: change
        for change in seen
        if change.kind in (ChangeKind.COMMAND_TYPED, ChangeKind.COMMAND_ANSWERED)
    }
    typed = kinds[ChangeKind.COMMAND_TYPED]
    assert (typed.person, typed.channel, typed.text) == (ids.ALICE, ids.PAYMENTS, "/pay vps 1")
    assert ChangeKind.COMMAND_ANSWERED in kinds
    assert "/pay vps 2" not in {change.text for change in seen}


async def test_a_message_is_not_a_command() -> None:
    """types() wants a slash: a typo in a test is an error."""
    with pytest.raises(ValueError, match="slash"):
        await LocalSlack().person("alice").types("#payments", "pay")
