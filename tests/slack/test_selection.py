"""Several approvals at once: one question with every line, each approved as by a click of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from bot import app
from bot.domain.batch import Batch
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.payments.approvals import ApprovalStatus
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.blocks import checked_blocks, checked_view
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.messages import visible_texts
from bot.sandbox.local_slack.views import View
from bot.slack.selection import APPROVE_SELECTED, SELECT, Selections, approve_selected, checkbox
from tests.domain.made import NOW
from tests.fixture_types import StartBot
from tests.slack.acting import approve, at_rest, card, pay, shown, state_of
from tests.slack.scenes import batch_of, payment_in
from tests.slack.test_home import hurried, sees

__all__ = ["hurried"]

NUMBERS = (10101, 10102, 10103, 10104)


async def three_wait(slack: LocalSlack, bot: app.Bot, numbers: Sequence[int] = NUMBERS[:3]) -> View:
    """Alice asked for these; Bob looks at his Home tab."""
    for number in numbers:
        await pay(slack, f"vps {number}")
        await at_rest(bot)
    await slack.person("bob").opens_home()
    return await sees(slack, "bob", *(f"vps invoice {number}" for number in numbers), "Approve selected…")


async def selects(slack: LocalSlack, *requests: int) -> View:
    """Bob ticks the boxes of these requests; the tab as it is then."""
    view = await sees(slack, "bob")
    for ticked, number in enumerate(requests, start=1):
        (block,) = [one for one in view.blocks if one["block_id"].startswith(f"select:{number}:")]
        value = block["accessory"]["options"][0]["value"]
        assert (await slack.person("bob").clicks(view, SELECT, [value], block["block_id"])).ok
        view = await sees(slack, "bob", f"Approve selected ({ticked} · ")
    return view


async def asked(slack: LocalSlack, view: View) -> View:
    """Bob presses the button; the question that opens."""
    assert (await slack.person("bob").clicks(view, APPROVE_SELECTED)).ok
    return (await slack.wait_for(lambda: slack.views("bob")))[-1]


async def yes(slack: LocalSlack, question: View) -> Result:
    return await slack.person("bob").submits(question, {})


async def test_what_is_selected_is_asked_about_line_by_line_and_paid(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Two of three, with their sum on the button and in the question; the third waits on."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await three_wait(slack, bot)
    view = await selects(slack, 1, 3)
    assert "Approve selected (2 · 130.00 USD)" in shown(view)
    question = await asked(slack, view)
    assert shown(question).splitlines()[1:6] == [
        "*Approve selected (2 · 130.00 USD)*",
        "#1 · vps invoice 10101 · *10.00 USD*",
        "It is paid at once and cannot be undone.",
        "#3 · vps invoice 10103 · *120.00 USD*",
        "It is paid at once and cannot be undone.",
    ]
    assert question.definition["submit"]["text"] == "Approve 2"
    assert (await yes(slack, question)).ok
    assert slack.views("bob") == []
    await at_rest(bot)
    assert [await state_of(bot, number) for number in (1, 2, 3)] == [
        State.PAID,
        State.PENDING_APPROVAL,
        State.PAID,
    ]
    assert billing.payments_made("vps", 10102) == 0
    events = await bot.ledger.history(3)
    assert [one.actor for one in events if one.action == "approved"] == [ids.BOB]
    await sees(slack, "bob", "Waiting for your approval: 1 · 49.99 USD")


async def test_what_changed_meanwhile_is_skipped_and_named(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """Before the question, and again between the question and the yes."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await three_wait(slack, bot)
    view = await selects(slack, 1, 2, 3)
    slack.fail("views.publish", "429", retry_after=30)
    await approve(slack, card(slack), "carol")
    await at_rest(bot)
    question = await asked(slack, view)
    assert "*Approve selected (2 · 59.99 USD)*" in shown(question)
    assert "*Skipped*\n#3: Paid." in shown(question)
    (second,) = [one for one in slack.messages("#payments") if "#2 · vps" in one.text]
    await approve(slack, second, "carol")
    await at_rest(bot)
    assert (await yes(slack, question)).ok
    (told,) = slack.views("bob")
    assert "*1 of 2 approved; these were not:*\n#2: Nothing was done: #2 · vps invoice 10102" in shown(told)
    await at_rest(bot)
    assert [billing.payments_made("vps", number) for number in NUMBERS[:3]] == [1, 1, 1]


async def test_an_approval_counts_once_and_waits_for_the_others(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The question says so; the same yes sent twice approves nothing twice."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
    await three_wait(slack, bot, NUMBERS)
    question = await asked(slack, await selects(slack, 1, 2))
    assert shown(question).count("You are 1 of 2; it is paid after one more.") == 2
    assert (await yes(slack, question)).ok
    await at_rest(bot)
    for number in (1, 2):
        assert await state_of(bot, number) is State.PENDING_APPROVAL
        assert await bot.ledger.approvers(number) == [ids.BOB]
    again = await bot.ledger.of_request(1)
    assert again is not None
    await yes(slack, await asked_of(slack, await sees(slack, "bob", "vps invoice 10103"), again.first))
    assert "You approved #1 · vps invoice 10101 before" in shown(slack.views("bob")[-1])
    assert await bot.ledger.approvers(1) == [ids.BOB]


async def asked_of(slack: LocalSlack, view: View, payment: Payment) -> View:
    """The question about one that the tab does not offer: it was there before, or somebody made it up."""
    value = checkbox(Batch((payment,)))["accessory"]["options"][0]["value"]
    place = next(one["block_id"] for one in view.blocks if one["block_id"].startswith("select:"))
    state = {"type": "checkboxes", "selected_options": [{"value": value}]}
    button = {"type": "button", "action_id": APPROVE_SELECTED, "block_id": "selected", "value": "selected"}
    assert (await slack.person("bob").acts(view, button, {place: {SELECT: state}})).ok
    return (await slack.wait_for(lambda: slack.views("bob")))[-1]


async def test_my_own_requests_cannot_be_selected_and_are_named(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """A tab never offers them; what comes all the same is skipped."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.BOB}")
    await three_wait(slack, bot)
    assert (await slack.person("bob").types("#payments", "/pay vps 10104")).ok
    await at_rest(bot)
    own = await bot.ledger.of_request(4)
    assert own is not None
    view = await sees(slack, "bob", "Your open requests", "#4 · vps invoice 10104")
    assert not any(block["block_id"].startswith("select:4:") for block in view.blocks)
    question = await asked_of(slack, view, own.first)
    assert "*Skipped*\n#4: you asked for it, so somebody else has to decide." in shown(question)
    assert "submit" not in question.definition
    assert await state_of(bot, 4) is State.PENDING_APPROVAL


async def test_a_yes_to_what_was_not_shown_counts_for_nothing(slack: LocalSlack, start_bot: StartBot) -> None:
    """Another price, and another request of that number: neither is approved, and each is named."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await three_wait(slack, bot)
    first, second = await bot.ledger.of_request(1), await bot.ledger.of_request(2)
    assert first is not None
    assert second is not None
    mark = first.request.mark
    values = [f"1:{mark} 9.99 USD", f"2:20200101T000000.000000 {second.price}"]
    response = await Selections(bot.services)._approved(Person(ids.BOB, ids.TEAM_ID), values, "1.1")
    told = str(response["view"]["blocks"])
    assert "*0 of 2 approved; these were not:*" in told
    assert "#1 · vps invoice 10101 is 10.00 USD, which what you clicked did not show" in told
    assert "#2 is another request now than the one that you see." in told
    assert [await bot.ledger.approvers(number) for number in (1, 2)] == [[], []]


async def test_nothing_selected_asks_nothing(slack: LocalSlack, start_bot: StartBot) -> None:
    """It says what to do; and where one request waits, there is nothing to select."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    view = await three_wait(slack, bot)
    told = await asked(slack, view)
    assert "Nothing is selected." in shown(told)
    for number in (2, 3):
        (message,) = [one for one in slack.messages("#payments") if f"#{number} · vps" in one.text]
        await approve(slack, message, "carol")
    await at_rest(bot)
    last = await sees(slack, "bob", "Waiting for your approval: 1 · 10.00 USD")
    assert SELECT not in str(last.blocks)
    assert APPROVE_SELECTED not in str(last.blocks)


@pytest.mark.parametrize("described", ["&" * 60, "\N{PILE OF POO}" * 60, "a server"])
async def test_a_question_about_a_thousand_payments_can_be_asked(
    described: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view takes so many blocks and bytes; of each request its sum is told, and what is not is counted."""
    invoice = Invoice(InvoiceRef("quickservers", 2**31 - 1), described, Decimal("1234.56"), "USD", NOW.date())
    batch = batch_of(*[State.PENDING_APPROVAL] * 100, invoice=invoice)

    async def of_request(_: int) -> Batch:
        return batch

    async def approvals(*_: object) -> ApprovalStatus:
        return ApprovalStatus(1)

    monkeypatch.setattr("bot.slack.selection.shown", approvals)
    services: Any = SimpleNamespace(
        ledger=SimpleNamespace(of_request=of_request), authority=None, desk=SimpleNamespace(today=NOW.date())
    )
    values = [f"{batch.request.id}:{batch.request.mark} {batch.price}"] * 10
    question = await Selections(services)._question(Person(ids.BOB, ids.TEAM_ID), values)
    checked_view(question, "modal")
    told = "\n".join(visible_texts(question["blocks"]))
    assert told.startswith("*Approve selected (10 · 1,234,560.00 USD)*")
    assert told.count("100 payments · *123,456.00 USD*") == 10
    assert len(re.findall(r"… and [0-9]+ more; see its card", told)) == 10


def test_the_button_says_what_is_selected_within_slacks_limits() -> None:
    """Also of odd amounts; what an option cannot carry has no box, and its own button."""
    payment = payment_in(State.PENDING_APPROVAL)
    value = checkbox(Batch((payment,)))["accessory"]["options"][0]["value"]
    block = approve_selected([value] * 3 + ["7:mark unknown"])
    checked_blocks([block])
    label = block["elements"][0]["text"]["text"]
    assert label == "Approve selected (4 · 30.00 USD · 1 of unknown amount)"
    many = approve_selected([f"1:m 1234567890.00 {letter * 16}" for letter in "ABCDEF"])
    checked_blocks([many])
    odd = Invoice(InvoiceRef("vps", 1), "", Decimal("1" * 130), "USD", None)
    assert checkbox(Batch((payment_in(State.PENDING_APPROVAL, invoice=odd),))) == {}
