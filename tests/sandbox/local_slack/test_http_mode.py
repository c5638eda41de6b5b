"""HTTP mode: signed deliveries to a request URL, checked by Bolt itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.errors import ManifestRefused

Json = dict[str, Any]


class Bot:
    """A Bolt app behind a real HTTP server. `before` runs ahead of Bolt, and may answer itself."""

    def __init__(self, slack: LocalSlack) -> None:
        self.received: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.before: Any = None
        self.answer: Json = {}
        self.url = ""
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        self.app = AsyncApp(client=self.web, signing_secret=slack.signing_secret)

        async def keep(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack(**self.answer)

        self.app.command("/pay")(keep)
        self.app.action("approve")(keep)

        @self.app.event("app_home_opened")
        async def home(body: Json) -> None:
            self.received.append(body)

    async def handle(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.before:
            early: web.Response | None = await self.before()
            if early is not None:
                return early
        response = await self.app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(response)


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(ack_deadline=0.3, event_retry_delays=(0, 0, 0)) as running:
        yield running


@pytest.fixture
async def bot(slack: LocalSlack) -> AsyncIterator[Bot]:
    bot = Bot(slack)
    application = web.Application()
    application.router.add_post("/slack/events", bot.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    bot.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
    slack.deliver_to(bot.url)
    yield bot
    await runner.cleanup()


async def test_bolt_accepts_the_signature_of_a_command(slack: LocalSlack, bot: Bot) -> None:
    """A signed form reaches the listener, whose answer is shown to the person."""
    bot.answer = {"text": "taken", "response_type": "ephemeral"}
    assert (await slack.person("alice").types("#payments", "/pay vps 1 & <2>")).ok
    assert bot.received[0]["text"] == "vps 1 & <2>"
    assert bot.received[0]["user_id"] == ids.ALICE
    assert [message.text for message in slack.ephemerals("alice")] == ["taken"]


async def test_clicks_and_events_arrive_as_well(slack: LocalSlack, bot: Bot) -> None:
    """Interactions come as a form with a payload, events as JSON."""
    button = {"type": "button", "text": {"type": "plain_text", "text": "x"}, "action_id": "approve"}
    blocks = [{"type": "actions", "elements": [button]}]
    await bot.web.chat_postMessage(channel=ids.PAYMENTS, text="card", blocks=blocks)
    assert (await slack.person("bob").clicks(slack.messages("#payments")[0], "approve")).ok
    assert (await slack.person("bob").opens_home()).ok
    await slack.wait_for(lambda: len(bot.received) == 2)
    assert [body["type"] for body in bot.received] == ["block_actions", "event_callback"]


async def test_bolt_refuses_another_secret(slack: LocalSlack, bot: Bot) -> None:
    """A delivery that is signed wrongly never reaches the listener."""
    slack.deliver_to(bot.url, signing_secret="not the app's")
    result = await slack.person("alice").types("#payments", "/pay")
    assert (result.ok, result.error) == (False, "dispatch_failed")
    assert bot.received == []


async def test_a_late_answer_is_operation_timeout(slack: LocalSlack, bot: Bot) -> None:
    """The three second rule holds for HTTP too."""

    async def dawdle() -> None:
        await asyncio.sleep(0.5)

    bot.before = dawdle
    result = await slack.person("alice").types("#payments", "/pay")
    assert (result.ok, result.error) == (False, "operation_timeout")


async def test_nobody_listening_is_dispatch_failed(slack: LocalSlack) -> None:
    """A refused connection is told to the person at once."""
    slack.deliver_to("http://127.0.0.1:9/slack/events")
    result = await slack.person("alice").types("#payments", "/pay")
    assert (result.ok, result.error) == (False, "dispatch_failed")


async def test_a_failed_event_is_repeated_with_headers(slack: LocalSlack, bot: Bot) -> None:
    """X-Slack-Retry-Num and X-Slack-Retry-Reason count and explain the repetitions."""

    async def fail_twice() -> web.Response | None:
        return web.Response(status=500) if len(bot.headers) <= 2 else None

    bot.before = fail_twice
    assert not (await slack.person("bob").opens_home()).ok
    await slack.wait_for(lambda: bot.received)
    assert [each.get("x-slack-retry-num") for each in bot.headers] == [None, "1", "2"]
    assert bot.headers[1]["x-slack-retry-reason"] == "http_error"


async def test_a_delivery_can_be_repeated_on_demand(slack: LocalSlack, bot: Bot) -> None:
    """The same command twice, with one trigger_id."""
    slack.duplicate_next(1)
    assert (await slack.person("alice").types("#payments", "/pay")).ok
    first, second = bot.received
    assert first["trigger_id"] == second["trigger_id"]


async def test_an_outage_stops_deliveries(slack: LocalSlack, bot: Bot) -> None:
    """In an outage Slack reaches no request URL either."""
    async with slack.outage():
        result = await slack.person("alice").types("#payments", "/pay")
    assert result.error == "dispatch_failed"
    assert bot.headers == []


async def test_a_request_url_is_verified_by_what_comes_back(slack: LocalSlack, bot: Bot) -> None:
    """Who gives the challenge back in time is the app; an app with another secret is none, nor is nobody."""
    assert await slack.challenges()
    slack.deliver_to(bot.url, signing_secret="not the app's")
    assert not await slack.challenges()
    slack.deliver_to("http://127.0.0.1:9/slack/events")
    assert not await slack.challenges()


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"event_subscriptions": {"bot_events": ["app_home_opened"]}}, "Event Subscription requires either"),
        ({"interactivity": {"is_enabled": True}}, "Interactivity requires a Request URL"),
        ({}, "/pay requires a URL"),
    ],
)
def test_an_app_that_nothing_can_be_delivered_to_is_refused(part: Json, why: str) -> None:
    """With neither Socket Mode nor a request URL, as Slack refuses it."""
    commands = {} if part else {"slash_commands": [{"command": "/pay", "description": "x"}]}
    manifest = {"display_information": {"name": "x"}, "features": commands, "settings": part}
    with pytest.raises(ManifestRefused, match=why):
        LocalSlack(manifest=manifest)
