"""Menus of several choices on the sandbox's page: by mouse, by keyboard and on a phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.blocks import checked_view
from tests.browser import LAPTOP, PHONE, Windows, fits
from tests.sandbox.local_slack.test_menus import Json, menu, modal, option, plain, searched

pytestmark = pytest.mark.asyncio(loop_scope="session")

GROUPS = (("Ones", ("10", "11")), ("Twos", ("20",)))


@pytest_asyncio.fixture(loop_scope="session")
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack() as local:
        yield local


@pytest_asyncio.fixture(loop_scope="session")
async def windows(browser: Browser, slack: LocalSlack) -> AsyncIterator[Windows]:
    opened = Windows(browser, slack)
    yield opened
    await opened.close()
    assert opened.complaints == []


def show(slack: LocalSlack, view: Json) -> None:
    """Alice has this form open."""
    slack._workspace.views.open(slack.person("alice").id, checked_view(view, "modal"))


def chips(page: Page) -> Any:
    return page.locator(".chip span")


def values(slack: LocalSlack, action: str) -> list[str]:
    (held,) = [
        state[action]["selected_options"]
        for state in slack.views("alice")[0].values.values()
        if action in state
    ]
    return [one["value"] for one in held]


@pytest.mark.parametrize("size", [LAPTOP, PHONE])
async def test_options_are_picked_and_taken_back(
    slack: LocalSlack, windows: Windows, size: tuple[int, int]
) -> None:
    """The list stays open for the next one; each stands above it with a cross. No more than it takes."""
    show(slack, modal(menu(*map(option, "123"), max_selected_items=2)))
    page = await windows.open("alice", size)
    field = page.get_by_test_id("input-static")
    await field.click()
    await page.get_by_test_id("option-3").click()
    await page.get_by_test_id("option-1").click()
    await page.get_by_test_id("option-2").click()
    await expect(chips(page)).to_have_text(["Option 3", "Option 1"])
    await expect(page.get_by_test_id("option-1")).to_have_attribute("aria-selected", "true")
    assert await fits(page)
    await page.get_by_role("button", name="Remove Option 3").click()
    await expect(chips(page)).to_have_text(["Option 1"])
    await page.get_by_test_id("modal-submit").click()
    await expect(page.get_by_test_id("modal")).to_contain_text("dispatch_failed")
    assert values(slack, "static") == ["1"]


async def test_the_keyboard_is_enough(slack: LocalSlack, windows: Windows) -> None:
    """Typing narrows the list, arrows and Enter pick, Backspace takes back, Escape closes the list alone."""
    groups = [{"label": plain(one), "options": [*map(option, those)]} for one, those in GROUPS]
    show(slack, modal({"type": "multi_static_select", "action_id": "static", "option_groups": groups}))
    page = await windows.open("alice")
    field = page.get_by_test_id("input-static")
    await field.focus()
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_test_id("options-static")).to_contain_text("Twos")
    await page.keyboard.type("option 1")
    await expect(page.locator(".option")).to_have_count(2)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(chips(page)).to_have_text(["Option 11", "Option 10"])
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("options-static")).to_be_hidden()
    await expect(page.get_by_test_id("modal")).to_be_visible()
    await field.fill("")
    await page.keyboard.press("Backspace")
    await expect(chips(page)).to_have_text(["Option 11"])


async def test_what_the_app_suggests_is_found(slack: LocalSlack, windows: Windows) -> None:
    """It is asked at the first look and for what is typed; every pick is told, an update keeps them all."""
    asked: list[str] = []
    told: list[int] = []
    web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    app = AsyncApp(client=web)

    def form(text: str) -> Json:
        view = modal(searched(min_query_length=0), dispatch_action=True)
        said = {"type": "section", "block_id": "said", "text": {"type": "plain_text", "text": text}}
        return view | {"blocks": [*view["blocks"], said]}

    @app.options("external")
    async def suggest(ack: Any, body: Json) -> None:
        asked.append(body["value"])
        found = [one for one in ("a1", "a2", "b1") if one.startswith(body["value"])]
        await ack(options=[option(one) for one in found])

    @app.action("external")
    async def pick(ack: Any, body: Json) -> None:
        told.append(len(body["actions"][0]["selected_options"]))
        await ack()
        await web.views_update(view_id=body["view"]["id"], view=form(f"{told[-1]} chosen"))

    handler = AsyncSocketModeHandler(app, slack.app_token)
    await handler.connect_async()  # type: ignore[no-untyped-call]
    show(slack, form("none chosen"))
    page = await windows.open("alice")
    field = page.get_by_test_id("input-external")
    await field.click()
    await expect(page.locator(".option")).to_have_count(3)
    await field.press_sequentially("a")
    await expect(page.locator(".option")).to_have_count(2)
    await page.get_by_test_id("option-a2").click()
    await page.get_by_test_id("option-a1").click()
    await expect(page.get_by_test_id("modal")).to_contain_text("2 chosen")
    await expect(chips(page)).to_have_text(["Option a2", "Option a1"])
    await field.fill("zzz")
    await expect(page.get_by_test_id("options-external")).to_contain_text("No results")
    assert asked[0] == ""
    assert told == [1, 2]
    await handler.close_async()  # type: ignore[no-untyped-call]
