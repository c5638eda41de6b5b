"""Modals: what is submitted, what the client refuses, and what the app's answers do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.sandbox.local_slack.views import View

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


FORM = {
    "type": "modal",
    "callback_id": "form",
    "title": plain("Form"),
    "submit": plain("Go"),
    "private_metadata": "payment 42",
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": plain("Reason"),
            "element": {"type": "plain_text_input", "action_id": "text", "max_length": 20},
        },
        {
            "type": "input",
            "block_id": "day",
            "optional": True,
            "label": plain("Day"),
            "element": {
                "type": "datepicker",
                "action_id": "date",
                "initial_date": "2026-01-02",
            },
        },
    ],
}
FILLED: dict[str, dict[str, Json]] = {"reason": {"text": {"value": "too late"}}}
SHORTCUT = {"name": "Pay", "type": "global", "callback_id": "pay", "description": "Pay one"}
MANIFEST = DEFAULT_MANIFEST | {"features": DEFAULT_MANIFEST["features"] | {"shortcuts": [SHORTCUT]}}


class Bot:
    """A Bolt app that opens a modal, keeps what it gets, and answers submissions with `answer`."""

    def __init__(self, slack: LocalSlack) -> None:
        self.received: list[Json] = []
        self.answer: Json = {}
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        app = AsyncApp(client=self.web)

        async def keep(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack()

        async def answer(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack(**self.answer)

        async def open_form(ack: Any, body: Json) -> None:
            await ack()
            await self.web.views_open(trigger_id=body["trigger_id"], view=FORM)

        app.action("date")(keep)
        app.shortcut("pay")(open_form)
        app.view_submission("form")(answer)
        app.view_closed("form")(keep)
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


async def form(slack: LocalSlack) -> View:
    assert (await slack.person("bob").uses_shortcut("pay")).ok
    (view,) = await slack.wait_for(lambda: slack.views("bob"))
    return view


async def test_a_submission_brings_what_was_entered(slack: LocalSlack, bot: Bot) -> None:
    """state.values has entered and initial values; an empty answer closes the modal."""
    view = await form(slack)
    assert (await slack.person("bob").submits(view, FILLED)).ok
    body = bot.received[-1]
    assert body["type"] == "view_submission"
    assert body["view"]["private_metadata"] == "payment 42"
    assert body["view"]["state"]["values"] == {
        "reason": {"text": {"type": "plain_text_input", "value": "too late"}},
        "day": {"date": {"type": "datepicker", "selected_date": "2026-01-02"}},
    }
    assert body["view"]["hash"] == view.hash
    assert body["response_urls"] == []
    assert slack.views("bob") == []


async def test_the_client_refuses_what_it_can_check_itself(slack: LocalSlack, bot: Bot) -> None:
    """A required field or a length that does not fit: the app hears nothing."""
    view = await form(slack)
    empty = await slack.person("bob").submits(view, {})
    assert empty.errors == {"reason": "Please complete this required field."}
    long = await slack.person("bob").submits(view, {"reason": {"text": {"value": "x" * 21}}})
    assert list(long.errors) == ["reason"]
    assert bot.received == []


async def test_errors_keep_the_modal_open(slack: LocalSlack, bot: Bot) -> None:
    """response_action errors are shown at their inputs, and gone with the next submission."""
    view = await form(slack)
    bot.answer = {"response_action": "errors", "errors": {"reason": "Say more"}}
    result = await slack.person("bob").submits(view, FILLED)
    assert (result.ok, result.errors) == (False, {"reason": "Say more"})
    assert slack.views("bob")[0].errors == {"reason": "Say more"}
    bot.answer = {}
    assert (await slack.person("bob").submits(view, FILLED)).ok
    assert slack.views("bob") == []


async def test_an_answer_can_update_push_or_clear(slack: LocalSlack, bot: Bot) -> None:
    """The three other response_actions."""
    view = await form(slack)
    bot.answer = {"response_action": "update", "view": FORM | {"title": plain("Updated")}}
    await slack.person("bob").submits(view, FILLED)
    assert [each.texts()[0] for each in slack.views("bob")] == ["Updated"]
    bot.answer = {"response_action": "push", "view": FORM | {"title": plain("Pushed")}}
    await slack.person("bob").submits(slack.views("bob")[-1], FILLED)
    assert [each.texts()[0] for each in slack.views("bob")] == ["Updated", "Pushed"]
    bot.answer = {"response_action": "clear"}
    await slack.person("bob").submits(slack.views("bob")[-1], FILLED)
    assert slack.views("bob") == []


@pytest.mark.parametrize(
    "answer",
    [
        {"response_action": "errors", "errors": {"no_such_block": "x"}},
        {"response_action": "update", "view": {"type": "modal"}},
    ],
)
async def test_a_bad_answer_to_a_submission_fails(slack: LocalSlack, bot: Bot, answer: Json) -> None:
    """Errors for blocks that are not there, or a broken view: the person sees that it failed."""
    view = await form(slack)
    bot.answer = answer
    result = await slack.person("bob").submits(view, FILLED)
    assert not result.ok
    assert str(result.error).startswith("invalid_response")
    assert len(slack.views("bob")) == 1


async def test_an_answer_to_a_modal_that_was_closed_meanwhile_does_nothing(
    slack: LocalSlack, bot: Bot
) -> None:
    """The person may press the cross while the app is thinking."""
    view = await form(slack)
    bot.answer = {"response_action": "errors", "errors": {"reason": "no"}}
    submitting = asyncio.create_task(slack.person("bob").submits(view, FILLED))
    await asyncio.sleep(0)
    await slack.person("bob").closes(view)
    assert (await submitting).ok
    assert slack.views("bob") == []


async def test_closing_is_told_only_on_request(slack: LocalSlack, bot: Bot) -> None:
    """view_closed comes with notify_on_close alone."""
    view = await form(slack)
    assert (await slack.person("bob").closes(view)).ok
    assert slack.views("bob") == []
    assert bot.received == []
    view = await form(slack)
    await bot.web.views_update(view_id=view.id, view=FORM | {"notify_on_close": True})
    await slack.person("bob").closes(view)
    body = bot.received[-1]
    assert (body["type"], body["is_cleared"]) == ("view_closed", False)


async def test_a_picker_in_a_modal_is_an_action_and_is_kept(slack: LocalSlack, bot: Bot) -> None:
    """block_actions of a view has the view and no channel; the chosen value stays entered."""
    view = await form(slack)
    await slack.person("bob").clicks(view, "date", value="2026-05-06", values=FILLED)
    body = bot.received[-1]
    assert body["container"] == {"type": "view", "view_id": view.id}
    assert "channel" not in body
    assert "response_url" not in body
    assert body["actions"][0]["selected_date"] == "2026-05-06"
    await slack.person("bob").submits(view, {})
    entered = bot.received[-1]["view"]["state"]["values"]
    assert entered["day"]["date"]["selected_date"] == "2026-05-06"
    assert entered["reason"]["text"]["value"] == "too late"


async def test_an_update_keeps_what_was_entered(slack: LocalSlack, bot: Bot) -> None:
    """Blocks that stay keep their input over views.update."""
    view = await form(slack)
    await slack.person("bob").clicks(view, "date", value="2026-05-06", values=FILLED)
    await bot.web.views_update(view_id=view.id, view=FORM | {"title": plain("New")})
    await slack.person("bob").submits(view, {})
    entered = bot.received[-1]["view"]["state"]["values"]
    assert entered["reason"]["text"]["value"] == "too late"


async def test_a_modal_may_ask_for_a_response_url(slack: LocalSlack, bot: Bot) -> None:
    """response_url_enabled gives an address for the chosen channel with the submission."""
    view = await form(slack)
    channel_field = {
        "type": "input",
        "block_id": "where",
        "label": plain("Where"),
        "element": {
            "type": "conversations_select",
            "action_id": "channel",
            "response_url_enabled": True,
        },
    }
    await bot.web.views_update(view_id=view.id, view=FORM | {"blocks": [channel_field]})
    await slack.person("bob").submits(view, {"where": {"channel": {"selected_conversation": ids.RANDOM}}})
    (address,) = bot.received[-1]["response_urls"]
    assert (address["block_id"], address["channel_id"]) == ("where", ids.RANDOM)
