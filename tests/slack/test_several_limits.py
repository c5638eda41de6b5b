"""The largest request there is, with the worst that may stand in it: all of it is what Slack takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from bot.domain import events
from bot.domain.batch import MOST_LINES, Batch
from bot.domain.payment import Invoice, InvoiceRef, State
from bot.domain.schedule import PayOn
from bot.payments import answers
from bot.payments.approvals import ApprovalStatus
from bot.payments.overview import Concerns, Pending, Waiting
from bot.sandbox.local_slack.blocks import checked_blocks, checked_view
from bot.sandbox.local_slack.messages import interactive_elements
from bot.slack import event_text, home, lists, replies
from bot.slack.card import APPROVE, approval_card, invitation, request_card
from bot.slack.decisions import deny_form
from bot.slack.removal import remove_form
from bot.slack.rendering import ways_to_say
from bot.slack.resolutions import resolve_form
from tests.domain.made import NOW
from tests.slack.scenes import TEAM_URL, batch_of, check, event_of, scene_of

TODAY = NOW.date()
WORST = Invoice(
    InvoiceRef("vps", 1), "&<!channel>" * 300, Decimal("123456789012.345678"), "USD", date(2026, 3, 1)
)


def largest(*states: State, number: int = 42) -> Batch:
    """A hundred payments in these states in turn, with numbers as long as they come."""
    batch = batch_of(
        *[states[line % len(states)] for line in range(MOST_LINES)],
        id=number,
        invoice=WORST,
        note="&" * 500,
        reason="<" * 500,
        status_text="&" * 3000,
    )
    longest = InvoiceRef("floating_ips", 2_147_483_647)
    return Batch(
        tuple(
            replace(one, ref=replace(longest, number=longest.number - one.line), invoice=WORST)
            for one in batch.payments
        )
    )


STATES = [[state] for state in State] + [
    [State.PAID, State.DECLINED, State.UNKNOWN],
    [State.PENDING_APPROVAL, State.CANCELLED],
    [State.UNKNOWN, State.NOT_SENT, State.SENDING],
]


@pytest.mark.parametrize("states", STATES, ids="-".join)
def test_every_message_about_it_is_taken(states: list[State]) -> None:
    """The cards, the invitation, the table of all, the sum; and each in the other ways to say it."""
    batch = largest(*states)
    scene = scene_of(batch)
    told = [
        event_text.thread_reply(event_of(what, actor="U1"), scene)
        for what in (
            events.LookedUp(True, "1", "USD", 1),
            events.Completed(),
            events.Approved(1, 2),
            events.Denied("&" * 3000),
            events.Reminded(),
        )
    ]
    for message in (request_card(scene), approval_card(scene), invitation(scene), *told):
        check(message)
        for text, blocks, _ in ways_to_say(message, batch):
            checked_blocks(blocks)
            assert 0 < len(text) <= 4_000
    for card in (request_card(scene), approval_card(scene)):
        values = [element["value"] for _, element in interactive_elements(checked_blocks(card.blocks))]
        assert all(len(value) <= 2_000 for value in values)


def test_every_form_about_it_opens() -> None:
    """To deny, to remove, to settle; the picker of each has as many options as Slack takes."""
    checked_view(deny_form(largest(State.PENDING_APPROVAL)), "modal")
    checked_view(remove_form(largest(State.PENDING_APPROVAL)), "modal")
    for paid in (True, False):
        checked_view(resolve_form(largest(State.UNKNOWN).payments, paid=paid), "modal")


def test_every_list_that_names_it_is_taken() -> None:
    """The Home tab, what waits, one's own, the status, and what one person is told."""
    batch = largest(State.PENDING_APPROVAL)
    waiting = [
        Waiting(largest(State.PENDING_APPROVAL, State.CANCELLED, number=number), ApprovalStatus(2), True)
        for number in range(10)
    ]
    found = Pending((batch,) * 30, (batch,), 1)
    concerns = Concerns(found, tuple(waiting), (batch,) * 30, (batch,) * 30)
    checked_view(home.home(home.Tab(concerns, TEAM_URL, TODAY, may_ask=True)), "home")
    history = [event_of(events.Denied("&" * 3000), State.DENIED, "U1", line) for line in range(1, MOST_LINES)]
    for message in (
        lists.pending(found, waiting * 2, TEAM_URL),
        lists.mine([batch] * 20, TEAM_URL),
        lists.status(batch, history, TEAM_URL, TODAY),
    ):
        check(message)
    for answer in (
        answers.AlreadyDecided(batch),
        answers.Outdated(batch),
        answers.WhichInvoice(largest(State.UNKNOWN)),
    ):
        told = replies.said(answer, TEAM_URL)
        assert told is not None
        assert len(told) <= 3_000


def test_the_price_of_many_currencies_fits_on_the_button() -> None:
    """There is one for each payment."""
    batch = largest(State.PENDING_APPROVAL)
    odd = Batch(
        tuple(
            replace(one, invoice=replace(WORST, currency=f"{chr(65 + one.line % 26)}{one.line:02}"))
            for one in batch.payments
        )
    )
    blocks = checked_blocks(request_card(scene_of(odd)).blocks)
    (value,) = [one["value"] for _, one in interactive_elements(blocks) if one["action_id"] == APPROVE]
    assert len(value) <= 2_000


@pytest.mark.parametrize("currencies", [["USD", "EUR"], ["USD", "EUR", "GBP", "CHF", "SEK", "NOK"]], ids=len)
@pytest.mark.parametrize("amount", ["1234.50", "123456789012.345678"])
def test_what_approve_asks_is_taken_whatever_it_sums_up(currencies: list[str], amount: str) -> None:
    """Amounts in several currencies, some not known, each paid on its day: with more words than Slack takes
    the card would come without its buttons, and the Home tab not at all."""
    batch = batch_of(*[State.PENDING_APPROVAL] * MOST_LINES, pay_on=PayOn(), approvals_required=9)
    each = Batch(
        tuple(
            replace(
                one,
                invoice=None
                if one.line <= 40
                else replace(
                    WORST,
                    ref=one.ref,
                    amount=Decimal(amount),
                    currency=currencies[one.line % len(currencies)],
                    due=TODAY + timedelta(days=one.line),
                ),
                not_before=None if one.line <= 40 else NOW + timedelta(days=one.line),
                looked_up_at=NOW,
            )
            for one in batch.payments
        )
    )
    scene = scene_of(each)
    blocks = checked_blocks(request_card(scene).blocks)
    (asks,) = [
        one["confirm"]["text"]["text"]
        for _, one in interactive_elements(blocks)
        if one["action_id"] == APPROVE
    ]
    assert f"40 of unknown amount for {MOST_LINES} invoices?\nYou are 2 of 9; they are paid after 7" in asks
    concerns = Concerns(Pending((each,), (), 0), (Waiting(each, scene.approvals, True),), (), ())
    checked_view(home.home(home.Tab(concerns, TEAM_URL, TODAY, may_ask=True)), "home")
