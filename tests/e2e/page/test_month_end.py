"""The month end in the browser: thirty invoices of three modules, from one form to one sum."""

from __future__ import annotations

import html
from collections import Counter

import pytest
from playwright.async_api import Page, expect

from bot.domain.payment import InvoiceRef
from bot.sandbox.local_slack.messages import visible_texts
from tests.browser import LAPTOP, PHONE, fits
from tests.e2e.conftest import OpenOffice

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONE_APPROVAL = """
[[rule]]
name = "all"
requesters = ["U0ALICE001"]
approvers = ["U0BOB00001"]
approvals = 1
"""
MODULES = ("backups", "licenses", "ssl")
OF_REQUESTER, OF_APPROVER, MESSAGES = 12, 2, 10
"""The most clicks, and the most messages of one request."""


async def count_clicks(page: Page) -> None:
    """From now on; a key that presses a button is one as well."""
    await page.evaluate(
        "window.clicks = 0; addEventListener('click', (event) => event.isTrusted && window.clicks++, true)"
    )


async def clicks(page: Page) -> int:
    return int(await page.evaluate("window.clicks"))


async def fits_everywhere(page: Page) -> bool:
    """Whether nothing on the page makes it scroll sideways, on a laptop or a phone; it keeps its own size."""
    own = page.viewport_size
    assert own is not None
    seen = []
    for width, height in (LAPTOP, PHONE):
        await page.set_viewport_size({"width": width, "height": height})
        seen.append(await fits(page))
    await page.set_viewport_size(own)
    return all(seen)


async def test_thirty_invoices_from_one_form_to_one_sum(open_office: OpenOffice) -> None:
    """From a phone to a laptop: few clicks, one approval, few messages; each invoice is paid once, and each
    answer told once."""
    office = await open_office(ONE_APPROVAL)
    slack, billing = office.slack, office.billing
    refs = [InvoiceRef(MODULES[number % 3], 50_000 + number) for number in range(1, 31)]
    for ref in refs:
        billing.add_invoice(ref.module, ref.number, amount=float(ref.number - 50_000), due_in_days=-3)
    alice = await office.windows.open("alice", PHONE)
    bob = await office.windows.open("bob", LAPTOP)
    await count_clicks(alice)
    await count_clicks(bob)

    await alice.get_by_test_id("composer").fill("/pay")
    await alice.get_by_test_id("send").click()
    await alice.get_by_test_id("input-modules").click()
    # It begins with the first one, which is not wanted here.
    for module in ("domains", *MODULES):
        await alice.get_by_test_id("options-modules").get_by_test_id(f"option-{module}").click()
    await alice.get_by_test_id("action-pick_overdue").click()
    form = alice.get_by_test_id("modal")
    await expect(form).to_contain_text("30 payments · 465.00 USD")
    assert await fits_everywhere(alice)
    await alice.get_by_test_id("input-note").fill("the month end")
    await alice.get_by_test_id("modal-submit").click()
    await expect(form).to_be_hidden()

    card = bob.get_by_test_id("message").filter(has_text="#1 · 30 payments · 465.00 USD")
    await expect(card).to_contain_text("… and 20 more; all are in the thread.")
    await expect(card).to_contain_text("the month end")
    assert await fits_everywhere(bob)
    await bob.get_by_test_id("action-payment_approve").click()
    await expect(bob.get_by_test_id("dialog")).to_contain_text("Pay 465.00 USD for 30 invoices?")
    await bob.get_by_test_id("confirm-accept").click()
    await expect(card).to_contain_text("30 of 30 paid", timeout=60_000)
    assert await clicks(alice) <= OF_REQUESTER
    assert await clicks(bob) <= OF_APPROVER

    (root,) = await slack.wait_for(
        lambda: [one for one in slack.messages("#payments") if "#1 is done" in str(one.thread)], timeout=60
    )
    assert 1 + len(root.thread) <= MESSAGES
    told = Counter(
        line
        for reply in root.thread
        for line in html.unescape("\n".join(visible_texts(reply.blocks))).splitlines()
        if line.startswith("> ")
    )
    amounts = {ref.number: ref.number - 50_000 for ref in refs}
    assert told == Counter(
        f"> Payment of {amount}.00 USD for Invoice {number} Successful." for number, amount in amounts.items()
    )
    assert [billing.payments_made(ref.module, ref.number) for ref in refs] == [1] * 30
    await bob.get_by_test_id("thread-open").click()
    replies = bob.get_by_test_id("thread-panel").get_by_test_id("message")
    await expect(replies.last).to_contain_text("#1 is done: 30 payments · 465.00 USD")
    await expect(replies.last).to_contain_text("Paid: 30 · 465.00 USD")
    await expect(replies.nth(1).get_by_role("row")).to_have_count(31)
    assert await fits_everywhere(bob)
