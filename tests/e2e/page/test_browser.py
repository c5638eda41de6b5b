"""The approval flow as people see it: the sandbox's page in a real browser, with the real bot behind it."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser import PHONE, chromium, fits
from tests.e2e.conftest import OpenOffice
from tests.test_readme import POLICIES

pytestmark = pytest.mark.asyncio(loop_scope="session")

ABOVE_100, TWO_FOR_SERVERS = POLICIES[1][0], POLICIES[2][0]
"""The README's examples: Bob and Carol approve, in the first in #approvals."""

APPROVE, DENY, WITHDRAW = "action-payment_approve", "action-payment_deny", "action-payment_cancel"


async def types(page: Page, text: str) -> None:
    """Type it into the composer and send it."""
    await page.get_by_test_id("composer").fill(text)
    await page.get_by_test_id("send").click()


async def confirm(page: Page, button: str, question: str) -> None:
    """Press a button of the card, read the question that follows, and say yes."""
    await page.get_by_test_id(button).click()
    await expect(page.get_by_test_id("dialog")).to_contain_text(question)
    await page.get_by_test_id("confirm-accept").click()
    await expect(page.get_by_test_id("dialog")).to_have_count(0)


async def rests(card: Locator, *texts: str) -> None:
    """The card comes to say all of this, and nothing but Ask again can be pressed on it any more."""
    for text in texts:
        await expect(card).to_contain_text(text)
    buttons = "[data-testid^=action-]:not([data-testid=action-payment_ask_again])"
    await expect(card.locator(buttons)).to_have_count(0)


async def submit(page: Page) -> None:
    await page.get_by_test_id("modal-submit").click()


async def submitted(page: Page) -> None:
    """Press the form's button, and see it close."""
    await submit(page)
    await expect(page.get_by_test_id("modal")).to_be_hidden()


async def picks(page: Page, menu: str, words: str) -> None:
    """Pick the option of a menu that begins with these words."""
    field, options = page.get_by_test_id(f"input-{menu}"), page.get_by_test_id(f"options-{menu}")
    await field.fill(words)
    only = options.locator(".option").filter(has_text=re.compile(f"^{words}")).first
    await only.click()
    await expect(only).to_have_attribute("aria-selected", "true")
    await field.press("Escape")
    await expect(options).to_be_hidden()


async def goes_to(page: Page, entry: str) -> None:
    """Open a channel, the Home tab or the direct messages."""
    await page.get_by_test_id(entry).click()
    await expect(page.get_by_test_id(entry)).to_have_attribute("aria-current", "page")


async def test_one_asks_and_another_approves(open_office: OpenOffice) -> None:
    """The question names amount and invoice; the thread says who approved and what the API said."""
    office = await open_office(TWO_FOR_SERVERS)
    alice, bob = await office.windows.open("alice"), await office.windows.open("bob")
    await types(alice, "/pay vps 10101")
    card = bob.get_by_test_id("message")
    await expect(card).to_contain_text("Needs 1 more approval from @Bob Brandt or @Carol Castro")
    await bob.get_by_test_id(APPROVE).click()
    await expect(bob.get_by_test_id("dialog")).to_contain_text("Pay 10.00 USD for vps invoice 10101?")
    await bob.get_by_test_id("confirm-cancel").click()
    await expect(card).to_contain_text("Waiting for approval")
    await confirm(bob, APPROVE, "Pay 10.00 USD for vps invoice 10101?")
    for page in (alice, bob):
        await rests(page.get_by_test_id("message"), "Paid", "Approved by @Bob Brandt")
    await alice.get_by_test_id("thread-open").click()
    replies = alice.get_by_test_id("thread-panel").get_by_test_id("message")
    await expect(replies).to_have_count(4)
    await expect(replies.nth(1)).to_contain_text("Approved by @Bob Brandt (1 of 1)")
    await expect(replies.nth(2)).to_contain_text("Sending it to the billing API now.")
    await expect(replies.nth(3)).to_contain_text("Payment of 10.00 USD for Invoice 10101 Successful.")
    assert office.billing.payments_made("vps", 10101) == 1


async def test_two_people_approve_a_server(open_office: OpenOffice) -> None:
    """The card counts down; a second click of the same person is answered to them alone."""
    office = await open_office(TWO_FOR_SERVERS)
    alice, bob = await office.windows.open("alice"), await office.windows.open("bob")
    await types(alice, "/pay servers 10901")
    question = "Pay 349.00 USD for servers invoice 10901?"
    await confirm(bob, APPROVE, question)
    await expect(alice.get_by_test_id("message")).to_contain_text("Needs 1 more approval")
    await confirm(bob, APPROVE, question)
    await expect(bob.get_by_test_id("ephemeral")).to_contain_text("each person counts once")
    assert office.billing.payments_received("servers", 10901) == 0
    carol = await office.windows.open("carol")
    await confirm(carol, APPROVE, question)
    await rests(alice.get_by_test_id("message"), "Paid", "Approved by @Bob Brandt, @Carol Castro")
    assert office.billing.payments_made("servers", 10901) == 1


async def test_nobody_approves_their_own_request(open_office: OpenOffice) -> None:
    """The refusal is shown to the requester alone, names who may, and the card stays as it was."""
    office = await open_office(TWO_FOR_SERVERS)
    alice, bob = await office.windows.open("alice"), await office.windows.open("bob")
    await types(alice, "/pay vps 10101")
    await confirm(alice, APPROVE, "10.00 USD")
    refusal = alice.get_by_test_id("ephemeral")
    await expect(refusal).to_contain_text("You asked for this payment, so you cannot approve it.")
    await expect(refusal).to_contain_text("@Bob Brandt or @Carol Castro may approve it.")
    await expect(refusal).to_contain_text("Only visible to you")
    await expect(alice.get_by_test_id("message").first).to_contain_text("Waiting for approval")
    await expect(bob.get_by_test_id(APPROVE)).to_be_visible()
    await expect(bob.get_by_test_id("ephemeral")).to_have_count(0)
    assert office.billing.payments_received("vps", 10101) == 0


async def test_a_denial_asks_why(open_office: OpenOffice) -> None:
    """Without a reason the form stays and says so; the reason stands on the card and in the thread."""
    office = await open_office(TWO_FOR_SERVERS)
    alice, bob = await office.windows.open("alice"), await office.windows.open("bob")
    await types(alice, "/pay vps 10101")
    await bob.get_by_test_id(DENY).click()
    form = bob.get_by_test_id("modal")
    await expect(form).to_contain_text("#1 · vps invoice 10101 · 10.00 USD")
    await expect(bob.get_by_test_id("input-reason")).to_be_focused()
    await submit(bob)
    await expect(form).to_contain_text("Please complete this required field.")
    await bob.get_by_test_id("input-reason").fill("too <expensive> & late")
    await submitted(bob)
    await rests(
        alice.get_by_test_id("message"), "Denied by @Bob Brandt", "nothing was paid", "too <expensive> & late"
    )
    await alice.get_by_test_id("thread-open").click()
    replies = alice.get_by_test_id("thread-panel").get_by_test_id("message")
    await expect(replies.nth(1)).to_contain_text("Denied by @Bob Brandt")
    await expect(replies.nth(1).locator("blockquote")).to_have_text("too <expensive> & late")


async def test_the_requester_takes_it_back(open_office: OpenOffice) -> None:
    """An approver who tries is refused; afterwards nothing can be pressed."""
    office = await open_office(TWO_FOR_SERVERS)
    alice, bob = await office.windows.open("alice"), await office.windows.open("bob")
    await types(alice, "/pay vps 10101")
    await confirm(bob, WITHDRAW, "Only the person who asked can do this.")
    await expect(bob.get_by_test_id("ephemeral")).to_contain_text("Only @Alice Ahrens can do that.")
    await confirm(alice, WITHDRAW, "#1 · vps invoice 10101 will not be paid.")
    for page in (alice, bob):
        await rests(page.get_by_test_id("message").first, "Withdrawn; nothing was paid")


async def test_the_form_says_under_each_input_what_is_wrong(open_office: OpenOffice) -> None:
    """`/pay` alone opens it; another module brings its invoices; the note stays and reaches the approvers."""
    office = await open_office(TWO_FOR_SERVERS)
    alice = await office.windows.open("alice")
    await types(alice, "/pay")
    form, invoice = alice.get_by_test_id("modal"), alice.get_by_test_id("input-invoice")
    await invoice.click()
    await expect(form).to_contain_text("Domain Name Renewal for café & <b> <!channel>")
    await alice.get_by_test_id("input-note").fill("for the <new> rack")
    await submit(alice)
    await expect(form).to_contain_text("Which invoices? Pick them, or type their numbers.")
    await expect(invoice).to_have_attribute("aria-invalid", "true")
    await alice.get_by_test_id("input-numbers").fill("10902.5")
    await submit(alice)
    await expect(form).to_contain_text('"10902.5" is not an invoice number.')
    await alice.get_by_test_id("input-numbers").fill("")
    await picks(alice, "modules", "servers")
    await picks(alice, "invoice", "servers 10901")
    await expect(alice.locator(".unknown")).to_have_count(0)
    await submitted(alice)
    card = alice.get_by_test_id("message")
    await expect(card).to_contain_text("#1 · servers invoice 10901 · 349.00 USD")
    await expect(card.locator("blockquote")).to_have_text("for the <new> rack")


async def test_the_shortcut_asks_in_which_channel(open_office: OpenOffice) -> None:
    """It begins with the one that is open; another can be picked, and the card comes there."""
    office = await open_office(TWO_FOR_SERVERS)
    alice = await office.windows.open("alice")
    await alice.get_by_test_id("shortcuts").click()
    await alice.get_by_test_id("shortcut-pay_invoice").click()
    channel = alice.get_by_test_id("input-channel")
    await expect(channel.locator("option:checked")).to_have_text("#payments")
    await expect(channel).not_to_contain_text("dm-")
    await channel.select_option(label="#shared-with-partner")
    await picks(alice, "modules", "vps")
    await picks(alice, "invoice", "vps 10101")
    await expect(alice.locator(".unknown")).to_have_count(0)
    await submitted(alice)
    await goes_to(alice, "channel-shared-with-partner")
    await expect(alice.get_by_test_id("message")).to_contain_text("#1 · vps invoice 10101")


async def test_both_cards_follow_and_lead_to_each_other(open_office: OpenOffice) -> None:
    """The requester's has Withdraw only, the approvers' the decision; a link opens the thread on the page."""
    office = await open_office(ABOVE_100)
    alice = await office.windows.open("alice")
    bob = await office.windows.open("bob", channel="approvals")
    await types(alice, "/pay vps 10103")
    asked, decided = alice.get_by_test_id("message"), bob.get_by_test_id("message")
    await expect(asked).to_contain_text("Needs 1 more approval in #approvals")
    await expect(asked.get_by_test_id(WITHDRAW)).to_be_visible()
    await expect(asked.get_by_test_id(APPROVE)).to_have_count(0)
    await expect(decided.locator(".mention-me")).to_have_text(["@finance"])
    await asked.get_by_role("link", name="the card").click()
    await expect(alice.get_by_role("alert")).to_have_text("You are not in #approvals.")
    await expect(alice.get_by_role("heading", name="payments")).to_be_visible()
    await confirm(bob, APPROVE, "Pay 120.00 USD for vps invoice 10103?")
    for card in (asked, decided):
        await rests(card, "Paid", "Approved by @Bob Brandt")
    await decided.get_by_role("link", name="the thread").click()
    await expect(bob.get_by_test_id("channel-payments")).to_have_attribute("aria-current", "page")
    thread = bob.get_by_test_id("thread-panel")
    await expect(thread).to_contain_text("Payment of 120.00 USD for Invoice 10103 Successful.")


async def test_several_are_approved_at_once(open_office: OpenOffice) -> None:
    """Two boxes, the button with their sum, one question with every line, and both are paid."""
    office = await open_office(TWO_FOR_SERVERS)
    alice = await office.windows.open("alice")
    for invoice in ("vps 10101", "vps 10102", "servers 10901"):
        await types(alice, f"/pay {invoice}")
        await expect(alice.get_by_test_id("message").last).to_contain_text(invoice.replace(" ", " invoice "))
    bob = await office.windows.open("bob", PHONE)
    await bob.get_by_role("button", name="Channels").click()
    await goes_to(bob, "home")
    home = bob.get_by_test_id("home-view")
    await expect(home).to_contain_text("Waiting for your approval: 3 · 408.99 USD")
    selected = home.get_by_test_id("action-approve_selected")
    # The servers' request expires first.
    await home.get_by_role("checkbox").nth(0).check()
    await expect(selected).to_have_text("Approve selected (1 · 349.00 USD)")
    await home.get_by_role("checkbox").nth(1).check()
    await expect(selected).to_have_text("Approve selected (2 · 359.00 USD)")
    await selected.click()
    form = bob.get_by_test_id("modal")
    await expect(form).to_contain_text("#1 · vps invoice 10101 · 10.00 USD")
    await expect(form).to_contain_text("You are 1 of 2; it is paid after one more.")
    assert await fits(bob)
    await submitted(bob)
    await expect(home).to_contain_text("Waiting for your approval: 1 · 49.99 USD")
    await expect(home).to_contain_text("#1 · vps invoice 10101 · 10.00 USD")
    await expect(alice.get_by_test_id("message").last).to_contain_text("Needs 1 more approval from @Carol")


async def test_the_home_tab_approves_and_denies(open_office: OpenOffice) -> None:
    """What waits goes from the list as it is decided, and the outcome comes, while the tab is open."""
    office = await open_office(TWO_FOR_SERVERS)
    alice = await office.windows.open("alice")
    for invoice in ("vps 10101", "vps 10102"):
        await types(alice, f"/pay {invoice}")
        await expect(alice.get_by_test_id("message").last).to_contain_text(invoice.replace(" ", " invoice "))
    bob = await office.windows.open("bob")
    await goes_to(bob, "home")
    home = bob.get_by_test_id("home-view")
    await expect(home.get_by_test_id(APPROVE)).to_have_count(2)
    await home.get_by_test_id(APPROVE).first.click()
    await expect(bob.get_by_test_id("dialog")).to_contain_text("Pay 10.00 USD for vps invoice 10101?")
    await bob.get_by_test_id("confirm-accept").click()
    await expect(home.get_by_test_id(DENY)).to_have_count(1)
    await home.get_by_test_id(DENY).click()
    await bob.get_by_test_id("input-reason").fill("not ours")
    await submitted(bob)
    await expect(home).to_contain_text("Nothing waits for you.")
    outcomes = home.locator(".block-section").last
    await expect(outcomes).to_contain_text("#1 · vps invoice 10101 · 10.00 USD · Paid")
    await expect(outcomes).to_contain_text("#2 · vps invoice 10102 · 49.99 USD ·")
    await expect(outcomes).to_contain_text("Denied; nothing was paid")
    await expect(bob.locator(".unknown")).to_have_count(0)
    await rests(alice.get_by_test_id("message").last, "Denied", "not ours")


async def test_an_approver_elsewhere_is_told_directly(open_office: OpenOffice) -> None:
    """Mallory is not in #approvals: a direct message asks her, and she decides on her Home tab."""
    office = await open_office(ABOVE_100.replace('"S0FINANCE1"', '"S0FINANCE1", "U0MALLORY1"'))
    alice, mallory = await office.windows.open("alice"), await office.windows.open("mallory")
    await types(alice, "/pay vps 10103")
    await goes_to(mallory, "channel-dm-mallory")
    message = mallory.get_by_test_id("message")
    await expect(message).to_contain_text(
        "@Alice Ahrens asks for your approval of #1 · vps invoice 10103, 120.00 USD."
    )
    await expect(message).to_contain_text("Decide on its card in #approvals, or on my Home tab.")
    await expect(mallory.get_by_test_id("composer")).to_be_hidden()
    await expect(mallory.get_by_text("Sending messages to this app has been turned off.")).to_be_visible()
    await goes_to(mallory, "home")
    await confirm(mallory, APPROVE, "Pay 120.00 USD for vps invoice 10103?")
    await rests(alice.get_by_test_id("message"), "Paid", "Approved by @Mallory Moss")


async def test_all_of_it_works_on_a_phone(open_office: OpenOffice) -> None:
    """At 390 pixels form, question, card and thread are in sight, and nothing scrolls sideways."""
    office = await open_office(TWO_FOR_SERVERS)
    alice, bob = await office.windows.open("alice", PHONE), await office.windows.open("bob", PHONE)
    await types(alice, "/pay")
    await picks(alice, "modules", "vps")
    await picks(alice, "invoice", "vps 10103")
    await expect(alice.get_by_test_id("modal")).to_contain_text("1 payment · 120.00 USD")
    await alice.get_by_test_id("input-note").fill("x" * 300)
    await expect(alice.get_by_test_id("modal-submit")).to_be_in_viewport(ratio=1)
    assert await fits(alice)
    await submitted(alice)
    await expect(bob.get_by_test_id(APPROVE)).to_be_in_viewport(ratio=1)
    assert await fits(bob)
    await bob.get_by_test_id(DENY).click()
    await expect(bob.get_by_test_id("modal-submit")).to_be_in_viewport(ratio=1)
    assert await fits(bob)
    await bob.get_by_test_id("modal-close").click()
    await bob.get_by_test_id(APPROVE).click()
    await expect(bob.get_by_test_id("confirm-accept")).to_be_in_viewport(ratio=1)
    assert await fits(bob)
    await bob.get_by_test_id("confirm-accept").click()
    await rests(bob.get_by_test_id("message"), "Paid")
    await bob.get_by_test_id("thread-open").click()
    outcome = bob.get_by_test_id("thread-panel").get_by_text("Payment of 120.00 USD for Invoice 10103")
    await expect(outcome).to_be_in_viewport(ratio=1)
    assert await fits(bob)


async def test_a_missing_chromium_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the package: tests that nobody runs prove nothing."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        async with chromium():
            pass
