"""A month end in the browser: from the list over the form to the cards, on a laptop and on a phone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from bot.sandbox.local_slack import identifiers as ids
from bot.slack.text import day
from tests.browser import LAPTOP, PHONE, fits
from tests.e2e.conftest import OpenOffice
from tests.e2e.page.test_browser import submit, submitted, types

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICY = f"""
[[rule]]
name = "servers"
modules = ["servers", "quickservers"]
requesters = ["{ids.ALICE}"]
approvers = ["{ids.BOB}", "{ids.CAROL}"]
approvals = 1

[[rule]]
name = "small"
requesters = ["{ids.ALICE}"]
approvers = ["{ids.BOB}"]
approvals = 1
"""


async def picture(page: Page, name: str) -> None:
    """For people to look at, where they say so."""
    if folder := os.environ.get("PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
async def test_what_is_due_is_asked_for_from_the_list(open_office: OpenOffice, size: tuple[int, int]) -> None:
    """One button picks it, the sum stands below, one is taken away and another found by typing."""
    office = await open_office(POLICY)
    page = await office.windows.open("alice", size)
    name = "laptop" if size == LAPTOP else "phone"
    await types(page, "/pay list")
    await page.get_by_test_id("action-pay_several").click()
    form = page.get_by_test_id("modal")
    await expect(form).to_contain_text("Nothing is picked yet.")
    await picture(page, f"{name}-1-opened")
    assert await fits(page)
    await page.get_by_test_id("action-pick_overdue").click()
    await expect(form).to_contain_text("2 requests, one a rule")
    await picture(page, f"{name}-2-overdue")
    await page.get_by_role("button", name="Remove servers 10902").click()
    await expect(form).not_to_contain_text("2 requests")
    menu = page.get_by_test_id("input-invoice")
    await menu.fill("licenses")
    await expect(page.get_by_test_id("options-invoice").locator(".option")).to_have_count(2)
    await page.get_by_test_id("options-invoice").locator(".option").first.click()
    await picture(page, f"{name}-3-list")
    await menu.fill("10901")
    await expect(page.get_by_test_id("options-invoice").locator(".option")).to_have_count(1)
    await menu.press("Enter")
    await expect(form).to_contain_text("2 requests, one a rule")
    await page.get_by_test_id("input-numbers").fill("12a")
    await submit(page)
    await expect(form).to_contain_text('I know no module "12a"')
    await picture(page, f"{name}-4-wrong")
    assert await fits(page)
    await page.get_by_test_id("input-numbers").fill("vps 10101")
    await submitted(page)
    cards = page.get_by_test_id("message").filter(has_text="Waiting for approval")
    await expect(cards).to_have_count(2)
    await expect(cards.filter(has_text="servers invoice 10901")).to_have_count(1)
    await picture(page, f"{name}-5-cards")


async def test_what_was_taken_meanwhile_is_named(open_office: OpenOffice) -> None:
    """The rest is asked for; the form says what is not, and by which request it is held."""
    office = await open_office(POLICY)
    alice = await office.windows.open("alice", PHONE)
    await types(alice, "/pay")
    await alice.get_by_test_id("input-modules").click()
    await alice.get_by_test_id("option-vps").click()
    await alice.get_by_test_id("input-modules").press("Escape")
    await expect(alice.get_by_test_id("modal")).to_contain_text("Nothing is picked yet.")
    assert (await office.slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await alice.get_by_test_id("input-numbers").fill("vps 10101 10103")
    await submit(alice)
    await expect(alice.get_by_test_id("modal")).to_contain_text("vps 10101 was requested already: #1.")
    await picture(alice, "phone-6-left-out")
    await alice.get_by_test_id("modal-close").click()
    await expect(alice.get_by_test_id("modal")).to_be_hidden()


async def test_a_day_is_picked(open_office: OpenOffice) -> None:
    """The form takes it, the card says it, and nothing is sent before."""
    office = await open_office(POLICY)
    page = await office.windows.open("alice", LAPTOP)
    await types(page, "/pay")
    await page.get_by_test_id("input-numbers").fill("vps 10101")
    await page.get_by_label("On a day").check()
    day_after = datetime.now(UTC).date() + timedelta(days=30)
    await page.get_by_test_id("input-day").fill(day_after.isoformat())
    await picture(page, "laptop-7-day")
    await submitted(page)
    await expect(page.get_by_test_id("message")).to_contain_text(day(day_after))
