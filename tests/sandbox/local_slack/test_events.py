"""Events: the Home tab, custom workflow steps, and anything else the app subscribed to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.sandbox.local_slack.errors import NotThere

Json = dict[str, Any]
MANIFEST = DEFAULT_MANIFEST | {
    "functions": {
        "pay_step": {
            "title": "Pay an invoice",
            "description": "Asks for a payment",
            "input_parameters": {"invoice": {"type": "integer", "is_required": True}},
            "output_parameters": {"payment": {"type": "integer"}},
        }
    },
    "settings": DEFAULT_MANIFEST["settings"]
    | {"event_subscriptions": {"bot_events": ["app_home_opened", "function_executed"]}},
}


class Bot:
    """A Bolt app with a Home tab and a custom step."""

    def __init__(self, slack: LocalSlack) -> None:
        self.received: list[Json] = []
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        app = AsyncApp(client=self.web)

        @app.event("app_home_opened")
        async def home(body: Json) -> None:
            self.received.append(body)

        @app.function("pay_step")
        async def step(body: Json, inputs: Json, complete: Any, fail: Any) -> None:
            self.received.append(body)
            if inputs["invoice"] > 0:
                await complete({"payment": 42})
            else:
                await fail("an invoice number is positive")

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


async def test_opening_the_home_tab_is_an_event(slack: LocalSlack, bot: Bot) -> None:
    """The event is wrapped as Slack does, and brings the view that is there already."""
    assert (await slack.person("bob").opens_home()).ok
    body = bot.received[0]
    assert (body["type"], body["team_id"], body["api_app_id"]) == (
        "event_callback",
        ids.TEAM_ID,
        ids.APP_ID,
    )
    assert body["event_id"].startswith("Ev")
    assert body["authorizations"][0]["user_id"] == ids.BOT_USER_ID
    event = body["event"]
    assert (event["type"], event["user"], event["tab"]) == ("app_home_opened", ids.BOB, "home")
    assert "view" not in event
    await bot.web.views_publish(user_id=ids.BOB, view={"type": "home", "blocks": []})
    await slack.person("bob").opens_home()
    await slack.wait_for(lambda: len(bot.received) == 2)
    assert bot.received[1]["event"]["view"]["type"] == "home"


async def test_a_custom_step_runs_to_its_end(slack: LocalSlack, bot: Bot) -> None:
    """The record gets the outputs; the event has the function, the inputs and its own token."""
    execution = await slack.run_workflow_step("pay_step", {"invoice": 7}, by="alice")
    await slack.wait_for(lambda: execution.status != "running")
    assert (execution.status, execution.outputs) == ("completed", {"payment": 42})
    event = bot.received[0]["event"]
    assert event["function"]["callback_id"] == "pay_step"
    assert event["function"]["input_parameters"][0]["name"] == "invoice"
    assert event["inputs"] == {"invoice": 7}
    assert event["function_execution_id"] == execution.id
    assert event["bot_access_token"].startswith("xwfp-")


async def test_a_custom_step_can_fail(slack: LocalSlack, bot: Bot) -> None:
    """The record has what the app told the people."""
    execution = await slack.run_workflow_step("pay_step", {"invoice": -1}, by="alice")
    await slack.wait_for(lambda: execution.status != "running")
    assert (execution.status, execution.error) == ("failed", "an invoice number is positive")


async def test_a_step_ends_once_and_its_token_with_it(slack: LocalSlack, bot: Bot) -> None:
    """A second end is refused, as is one of a step that never ran; the token is no good any more."""
    execution = await slack.run_workflow_step("pay_step", {"invoice": 7}, by="alice")
    await slack.wait_for(lambda: execution.status != "running")
    with pytest.raises(SlackApiError, match="execution_not_in_running_state"):
        await bot.web.functions_completeError(function_execution_id=execution.id, error="x")
    with pytest.raises(SlackApiError, match="function_execution_not_found"):
        await bot.web.functions_completeSuccess(function_execution_id="Fx1", outputs={})
    old = AsyncWebClient(token=execution.token, base_url=slack.api_url)
    with pytest.raises(SlackApiError, match="invalid_auth"):
        await old.auth_test()


async def test_a_step_has_to_be_in_the_manifest(slack: LocalSlack) -> None:
    """There is no such step in Workflow Builder otherwise."""
    with pytest.raises(NotThere, match="other_step"):
        await slack.run_workflow_step("other_step", {}, by="alice")


async def test_only_subscribed_events_are_sent(slack: LocalSlack, bot: Bot) -> None:
    """What the manifest does not list, the app never hears of."""
    result = await slack.send_event({"type": "channel_id_changed"})
    assert (result.ok, result.error) == (False, "not_subscribed")
    result = await slack.send_event({"type": "app_home_opened", "user": ids.BOB, "tab": "home"})
    assert result.ok
