"""views.*: modals want a fresh trigger_id, stacks have a limit, hashes guard against races."""

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

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def modal(title: str = "Pay", **fields: Any) -> Json:
    return {
        "type": "modal",
        "title": plain(title),
        "submit": plain("Go"),
        "blocks": [
            {
                "type": "input",
                "block_id": "invoice",
                "label": plain("Invoice"),
                "element": {"type": "plain_text_input", "action_id": "number"},
            }
        ],
        **fields,
    }


def home(text: str) -> Json:
    return {"type": "home", "blocks": [{"type": "section", "text": plain(text)}]}


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A local Slack with a bot that acknowledges /pay."""
    async with LocalSlack() as running:
        web = AsyncWebClient(token=running.bot_token, base_url=running.api_url)
        app = AsyncApp(client=web)

        @app.command("/pay")
        async def pay(ack: Any) -> None:
            await ack()

        handler = AsyncSocketModeHandler(app, running.app_token)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield running
        await handler.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
def web(slack: LocalSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)


async def refusal(call: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response["error"]


async def trigger(slack: LocalSlack) -> str:
    result = await slack.person("alice").types("#payments", "/pay")
    assert result.trigger_id
    return result.trigger_id


async def test_a_trigger_opens_one_modal(slack: LocalSlack, web: AsyncWebClient) -> None:
    """The person of the trigger sees the modal; the trigger is used up."""
    trigger_id = await trigger(slack)
    answer = await web.views_open(trigger_id=trigger_id, view=modal())
    (view,) = slack.views("alice")
    assert view.id == answer["view"]["id"]
    assert view.texts() == ["Pay", "Invoice"]
    assert slack.views("bob") == []
    call = web.views_open(trigger_id=trigger_id, view=modal())
    assert await refusal(call) == "exchanged_trigger_id"


async def test_a_trigger_expires_after_three_seconds(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Late is expired_trigger_id; nonsense is invalid_trigger_id."""
    trigger_id = await trigger(slack)
    slack.clock.advance(3.1)
    call = web.views_open(trigger_id=trigger_id, view=modal())
    assert await refusal(call) == "expired_trigger_id"
    assert await refusal(web.views_open(trigger_id="1.2.3", view=modal())) == "invalid_trigger_id"


async def test_a_refused_view_does_not_use_the_trigger_up(slack: LocalSlack, web: AsyncWebClient) -> None:
    """invalid_arguments says where, and the next try works."""
    trigger_id = await trigger(slack)
    call = web.views_open(trigger_id=trigger_id, view=modal("x" * 25))
    assert await refusal(call) == "invalid_arguments"
    await web.views_open(trigger_id=trigger_id, view=modal())


async def test_modals_stack_three_high(slack: LocalSlack, web: AsyncWebClient) -> None:
    """push_limit_reached beyond; a push without an open modal is not_found."""
    call = web.views_push(trigger_id=await trigger(slack), view=modal())
    assert await refusal(call) == "not_found"
    await web.views_open(trigger_id=await trigger(slack), view=modal("1"))
    for title in ("2", "3"):
        answer = await web.views_push(trigger_id=await trigger(slack), view=modal(title))
    assert [view.texts()[0] for view in slack.views("alice")] == ["1", "2", "3"]
    assert answer["view"]["root_view_id"] == slack.views("alice")[0].id
    assert answer["view"]["previous_view_id"] == slack.views("alice")[1].id
    call = web.views_push(trigger_id=await trigger(slack), view=modal("4"))
    assert await refusal(call) == "push_limit_reached"


async def test_an_update_replaces_a_view_and_its_hash(slack: LocalSlack, web: AsyncWebClient) -> None:
    """hash_conflict for an old hash; not_found for a view that is closed."""
    first = (await web.views_open(trigger_id=await trigger(slack), view=modal("Old")))["view"]
    second = (await web.views_update(view_id=first["id"], view=modal("New")))["view"]
    assert slack.views("alice")[0].texts()[0] == "New"
    assert second["hash"] != first["hash"]
    call = web.views_update(view_id=first["id"], hash=first["hash"], view=modal("Newer"))
    assert await refusal(call) == "hash_conflict"
    await slack.person("alice").closes(first["id"])
    call = web.views_update(view_id=first["id"], view=modal("Newest"))
    assert await refusal(call) == "not_found"


async def test_an_external_id_names_one_view(slack: LocalSlack, web: AsyncWebClient) -> None:
    """It finds the view for an update, and cannot be used twice."""
    await web.views_open(trigger_id=await trigger(slack), view=modal(external_id="mine"))
    await web.views_update(external_id="mine", view=modal("New", external_id="mine"))
    assert slack.views("alice")[0].texts()[0] == "New"
    call = web.views_open(trigger_id=await trigger(slack), view=modal(external_id="mine"))
    assert await refusal(call) == "duplicate_external_id"


async def test_a_view_above_250_kilobytes_is_refused(slack: LocalSlack, web: AsyncWebClient) -> None:
    """view_too_large."""
    blocks = [{"type": "section", "text": plain("x" * 3000)}] * 100
    call = web.views_open(trigger_id=await trigger(slack), view=modal(blocks=blocks))
    assert await refusal(call) == "view_too_large"


async def test_a_home_tab_is_published_for_one_person(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Publishing again keeps the id and changes the hash, which guards against races."""
    first = (await web.views_publish(user_id=ids.BOB, view=home("one")))["view"]
    second = (await web.views_publish(user_id=ids.BOB, view=home("two"), hash=first["hash"]))["view"]
    assert first["id"] == second["id"]
    view = slack.home("bob")
    assert view is not None
    assert view.texts() == ["two"]
    assert slack.home("alice") is None
    call = web.views_publish(user_id=ids.BOB, view=home("three"), hash=first["hash"])
    assert await refusal(call) == "hash_conflict"


async def test_a_home_tab_wants_the_feature_and_the_right_type() -> None:
    """not_enabled without home_tab_enabled; a modal is no Home tab."""
    manifest = {"display_information": {"name": "No home"}}
    async with LocalSlack(manifest=manifest) as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        assert await refusal(web.views_publish(user_id=ids.BOB, view=home("x"))) == "not_enabled"
        assert await refusal(web.views_publish(user_id=ids.BOB, view=modal())) == "invalid_arguments"
