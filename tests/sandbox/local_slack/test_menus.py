"""Menus of several choices: their limits, what the app suggests for them, and how people use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.sandbox.local_slack.blocks import checked_blocks, checked_view
from bot.sandbox.local_slack.errors import ApiError, NotThere
from bot.sandbox.local_slack.views import View

Json = dict[str, Any]

SHORTCUT = {"name": "Pay", "type": "global", "callback_id": "pay", "description": "Pay one"}
MANIFEST = DEFAULT_MANIFEST | {"features": DEFAULT_MANIFEST["features"] | {"shortcuts": [SHORTCUT]}}


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def option(value: str) -> Json:
    return {"text": plain(f"Option {value}"), "value": value}


def menu(*options: Json, **fields: Any) -> Json:
    return {"type": "multi_static_select", "action_id": "static", "options": list(options), **fields}


def searched(**fields: Any) -> Json:
    return {"type": "multi_external_select", "action_id": "external", **fields}


def modal(*elements: Json, block: str = "block", **fields: Any) -> Json:
    """A form with an input for each element; its block's id is `block` and its number."""
    inputs = [
        {
            "type": "input",
            "block_id": f"{block}{number}",
            "label": plain("Label"),
            "element": one,
            "optional": True,
        }
        | fields
        for number, one in enumerate(elements)
    ]
    return {
        "type": "modal",
        "callback_id": "form",
        "title": plain("Form"),
        "submit": plain("Go"),
        "blocks": inputs,
    }


class Bot:
    """A Bolt app that opens `form`, keeps what it gets, and suggests `answer`."""

    def __init__(self, slack: LocalSlack) -> None:
        self.received: list[Json] = []
        self.answer: Json = {"options": [option("a"), option("b")]}
        self.form = modal(menu(option("1"), option("2"), option("3")), searched(min_query_length=0))
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        self.app = AsyncApp(client=self.web, signing_secret=slack.signing_secret)

        async def keep(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack()

        async def suggest(ack: Any, body: Json) -> None:
            self.received.append(body)
            await ack(**self.answer)

        async def open_form(ack: Any, body: Json) -> None:
            await ack()
            await self.web.views_open(trigger_id=body["trigger_id"], view=self.form)

        self.app.action("static")(keep)
        self.app.action("external")(keep)
        self.app.options("external")(suggest)
        self.app.shortcut("pay")(open_form)
        self.app.view_submission("form")(keep)

    async def handle(self, request: web.Request) -> web.Response:
        response = await self.app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(response)


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(manifest=MANIFEST, ack_deadline=0.5) as running:
        yield running


@pytest.fixture(params=["Socket Mode", "HTTP"])
async def bot(slack: LocalSlack, request: pytest.FixtureRequest) -> AsyncIterator[Bot]:
    bot = Bot(slack)
    if request.param == "Socket Mode":
        handler = AsyncSocketModeHandler(bot.app, slack.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield bot
        await handler.close_async()  # type: ignore[no-untyped-call]
        return
    application = web.Application()
    application.router.add_post("/slack/events", bot.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    slack.deliver_to(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
    yield bot
    await runner.cleanup()


async def form(slack: LocalSlack) -> View:
    assert (await slack.person("bob").uses_shortcut("pay")).ok
    (view,) = await slack.wait_for(lambda: slack.views("bob"))
    return view


def held(slack: LocalSlack) -> dict[str, list[str]]:
    """What the form holds: values by action id."""
    return {
        action: [one["value"] for one in state["selected_options"]]
        for states in slack.views("bob")[0].values.values()
        for action, state in states.items()
    }


async def test_options_are_suggested_for_what_was_typed(slack: LocalSlack, bot: Bot) -> None:
    """The payload has the view and the text, and, as Slack's, nothing of what was entered; over both ways."""
    view = await form(slack)
    await slack.person("bob").clicks(view, "static", ["1"])
    found = await slack.person("bob").looks_for(view, "external", "ab c")
    assert [one["value"] for one in found.options] == ["a", "b"]
    asked = bot.received[-1]
    assert asked["type"] == "block_suggestion"
    assert (asked["block_id"], asked["action_id"], asked["value"]) == ("block1", "external", "ab c")
    assert asked["container"] == {"type": "view", "view_id": view.id}
    assert asked["view"]["id"] == view.id
    assert asked["view"]["state"] == {"values": {}}
    assert "trigger_id" not in asked


async def test_groups_of_options_are_suggested_too(slack: LocalSlack, bot: Bot) -> None:
    """Each with its label."""
    bot.answer = {"option_groups": [{"label": plain("G"), "options": [option("a")]}]}
    found = await slack.person("bob").looks_for(await form(slack), "external")
    assert [one["value"] for one in found.options] == ["a"]


@pytest.mark.parametrize(
    "answer",
    [
        {"options": [option(str(number)) for number in range(101)]},
        {"options": [{"text": plain("x" * 76), "value": "x"}]},
        {"options": [{"text": plain("x"), "value": "x" * 151}]},
        {"options": [{"value": "x"}]},
    ],
)
async def test_an_answer_that_breaks_a_limit_finds_nothing(slack: LocalSlack, bot: Bot, answer: Json) -> None:
    """People see that there is no result."""
    bot.answer = answer
    found = await slack.person("bob").looks_for(await form(slack), "external")
    assert found.options == []
    assert found.error == "invalid_response: invalid_options"


async def test_an_app_that_is_away_suggests_nothing(slack: LocalSlack) -> None:
    """There is nobody to ask."""
    view = slack._workspace.views.open(slack.person("bob").id, checked_view(modal(searched()), "modal"))
    found = await slack.person("bob").looks_for(view, "external", "abc")
    assert (found.options, found.error) == ([], "dispatch_failed")


async def test_too_little_typed_is_not_asked_about(slack: LocalSlack, bot: Bot) -> None:
    """Three characters, where the element does not say otherwise."""
    bot.form = modal(searched())
    view = await form(slack)
    assert (await slack.person("bob").looks_for(view, "external", "ab")).options == []
    assert bot.received == []
    assert (await slack.person("bob").looks_for(view, "external", "abc")).options != []


async def test_without_socket_mode_it_needs_an_address_in_the_manifest() -> None:
    """The options load URL is a setting of its own."""
    settings = DEFAULT_MANIFEST["settings"] | {
        "socket_mode_enabled": False,
        "interactivity": {"is_enabled": True, "request_url": "http://127.0.0.1:9/"},
        "event_subscriptions": {"bot_events": [], "request_url": "http://127.0.0.1:9/"},
    }
    commands = [{"command": "/pay", "description": "x", "url": "http://127.0.0.1:9/"}]
    manifest = MANIFEST | {
        "settings": settings,
        "features": MANIFEST["features"] | {"slash_commands": commands},
    }
    async with LocalSlack(manifest=manifest) as slack:
        view = slack._workspace.views.open(slack.person("bob").id, checked_view(modal(searched()), "modal"))
        assert (await slack.person("bob").looks_for(view, "external", "abc")).error == "no_options_url"


async def test_what_was_chosen_is_told_and_submitted(slack: LocalSlack, bot: Bot) -> None:
    """Each choice has the whole list; so has the submission, in the order of the choices."""
    bot.form = modal(menu(option("1"), option("2")), searched(min_query_length=0), dispatch_action=True)
    view = await form(slack)
    bob = slack.person("bob")
    assert (await bob.clicks(view, "static", ["2", "1"])).ok
    found = await bob.looks_for(view, "external")
    assert (await bob.clicks(view, "external", found.options)).ok
    (action,) = bot.received[-1]["actions"]
    assert action["selected_options"] == found.options
    assert held(slack) == {"static": ["2", "1"], "external": ["a", "b"]}
    assert (await bob.submits(view, {})).ok
    values = bot.received[-1]["view"]["state"]["values"]
    assert values["block1"]["external"] == {
        "type": "multi_external_select",
        "selected_options": found.options,
    }


async def test_an_empty_menu_that_is_needed_is_not_submitted(slack: LocalSlack, bot: Bot) -> None:
    """The client says so itself."""
    bot.form = modal(searched(), optional=False)
    result = await slack.person("bob").submits(await form(slack), {})
    assert "required" in result.errors["block0"]
    assert bot.received == []


async def test_more_than_it_takes_cannot_be_chosen(slack: LocalSlack, bot: Bot) -> None:
    """max_selected_items is the client's."""
    bot.form = modal(menu(option("1"), option("2"), max_selected_items=1))
    view = await form(slack)
    with pytest.raises(NotThere):
        await slack.person("bob").clicks(view, "static", ["1", "2"])


async def test_what_is_chosen_from_the_beginning_counts(slack: LocalSlack, bot: Bot) -> None:
    """Until the person changes it, and not where an update brings it into an element that stays."""
    bot.form = modal(menu(option("1"), option("2"), initial_options=[option("2")]))
    view = await form(slack)
    await bot.web.views_update(view_id=view.id, view=modal(menu(option("1"), initial_options=[option("1")])))
    assert (await slack.person("bob").submits(view, {})).ok
    (state,) = bot.received[-1]["view"]["state"]["values"].values()
    assert [one["value"] for one in state["static"]["selected_options"]] == ["2"]


async def test_an_element_in_another_block_begins_anew(slack: LocalSlack, bot: Bot) -> None:
    """So an app sets what is chosen: by another block id."""
    bot.form = modal(menu(option("1"), option("2")))
    view = await form(slack)
    await slack.person("bob").clicks(view, "static", ["2"])
    again = modal(menu(option("1"), initial_options=[option("1")]), block="other")
    await bot.web.views_update(view_id=view.id, view=again)
    assert (await slack.person("bob").submits(view, {})).ok
    values = bot.received[-1]["view"]["state"]["values"]
    assert [one["value"] for one in values["other0"]["static"]["selected_options"]] == ["1"]


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (menu(*map(option, map(str, range(101)))), "no more than 100 items allowed"),
        (menu(option("1"), initial_options=[]), "no less than 1 items allowed"),
        (menu(option("1"), initial_options=[option("2")]), "0 must be one of the provided options"),
        (menu(option("1"), max_selected_items=0), "must be greater than 0"),
        (searched(initial_options=[option("x" * 151)]), "must be less than 151 characters"),
        (searched(options=[option("1")]), "invalid additional property: options"),
    ],
)
def test_what_does_not_fit_is_refused(element: Json, message: str) -> None:
    """By the limits of menus."""
    with pytest.raises(ApiError) as refusal:
        checked_view(modal(element), "modal")
    assert message in str(refusal.value.fields)


def test_a_menu_of_several_choices_needs_a_section_or_an_input() -> None:
    """An actions block takes none."""
    section = {"type": "section", "text": plain("x"), "accessory": menu(option("1"))}
    assert checked_blocks([section])
    with pytest.raises(ApiError):
        checked_blocks([{"type": "actions", "elements": [menu(option("1"))]}])
