"""The views by themselves: within Block Kit's limits whatever they are given, and read back as filled in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.batch import Batch
from bot.domain.events import Denied
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.ledger.rows import Event
from bot.payments.approvals import ApprovalStatus
from bot.payments.overview import Concerns, Pending, Waiting
from bot.payments.unpaid import Listing, Unpaid
from bot.sandbox.local_slack.blocks import checked_blocks, checked_view
from bot.slack import home, lists
from bot.slack.blocks import notice
from bot.slack.decisions import deny_form
from bot.slack.history_text import history
from bot.slack.inbound import one_line
from bot.slack.pay_form import Origin, PayForm
from bot.slack.text import SECTION
from tests.slack.scenes import payment_in

TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
texts = st.text(max_size=400) | st.just("&<>" * 200) | st.just("\n" * 30)


def invoice(number: int, description: str = "Sample", amount: str = "10.00") -> Invoice:
    return Invoice(InvoiceRef("vps", number), description, Decimal(amount), "USD", TODAY)


def payment(note: str | None = None, described: Invoice | None = None, **fields: Any) -> Payment:
    ref = InvoiceRef("vps", 1)
    whole = {"approval_channel": None, "approval_ts": None, "card_ts": "1.0", "note": note, "ref": ref}
    return payment_in(State.PENDING_APPROVAL, invoice=described, **(whole | fields))


@given(st.lists(texts, max_size=130), st.sampled_from([None, "C1"]), st.booleans())
def test_the_form_keeps_block_kits_limits(described: list[str], channel: str | None, unread: bool) -> None:
    """However many invoices there are, and however they are called."""
    listing = Listing(
        tuple(Unpaid(invoice(number + 1, text), None) for number, text in enumerate(described)),
        ("vps",) if unread else (),
    )
    for shown in (None, listing):
        origin = Origin(channel, "https://hooks.slack.com/" + "x" * 200)
        checked_view(PayForm(origin, ["mail", "vps"], "vps", shown, TODAY).view(), "modal")


def test_more_invoices_than_a_picker_takes_are_said() -> None:
    """The first hundred can be picked; any other can be typed."""
    listing = Listing(tuple(Unpaid(invoice(number), None) for number in range(1, 131)), ())
    view = PayForm(Origin("C1", None), ["vps"], "vps", listing, TODAY).view()
    (picker,) = [block for block in view["blocks"] if block.get("block_id") == "invoice:vps"]
    assert len(picker["element"]["options"]) == 100
    assert "type the number of any other" in str(view["blocks"])


@pytest.mark.parametrize("origin", [Origin("C1", "https://x"), Origin(None, None, "C2"), Origin(None, None)])
def test_where_it_was_opened_travels_with_the_form(origin: Origin) -> None:
    """It comes back with the submission, from where nobody but the app could write it."""
    assert Origin.of({"private_metadata": origin.packed()}) == origin


def test_what_was_entered_is_one_line() -> None:
    """Line breaks and control characters go; PostgreSQL takes no NUL, and a quotation no blank line."""
    assert one_line(" a\x00b\n\n c ") == "a b c"
    assert one_line("  ") is None
    assert one_line(None) is None


@given(texts, texts)
def test_the_other_views_keep_block_kits_limits(note: str, described: str) -> None:
    """The form of a denial, a notice, and the Home tab with as much as there can be."""
    one = payment(note, invoice(1, described))
    checked_view(deny_form(Batch((one,))), "modal")
    checked_view(notice(described.strip() or "x"), "modal")
    many = tuple(
        Waiting(Batch((payment(note, invoice(1, described), id=number),)), ApprovalStatus(2, ("U2",)), True)
        for number in range(10)
    )
    asked = (Batch((one,)),) * 300
    mine = tuple(one.batch for one in many) * 30
    concerns = Concerns(Pending(mine, (), 3), many, asked, asked)
    checked_view(home.home(home.Tab(concerns, "https://acme.slack.com/", TODAY, may_ask=True)), "home")


@given(st.lists(texts, max_size=60))
def test_lists_keep_block_kits_limits(given_texts: list[str]) -> None:
    """Whatever invoices, reasons and answers hold."""
    listing = Listing(
        tuple(Unpaid(invoice(number + 1, text), payment()) for number, text in enumerate(given_texts)), ("x",)
    )
    events = [
        Event(number, NOW, 1, None, "U1", Denied(text), None, None) for number, text in enumerate(given_texts)
    ]
    for message in (
        lists.unpaid(listing, None, TODAY),
        lists.unpaid(Listing((), ("vps",)), "vps", TODAY),
        lists.status(Batch((payment(),)), events, "https://acme.slack.com/", date(2026, 3, 2)),
        lists.mine([Batch((payment(),))] * 50, "https://acme.slack.com/"),
        lists.pending(
            Pending((Batch((payment(),)),) * 90, (Batch((payment(),)),), 2),
            [Waiting(Batch((payment(),)), ApprovalStatus(2), True)] * 50,
            "https://acme.slack.com/",
        ),
    ):
        checked_blocks(message.blocks)
        assert message.text.strip()
        assert all(len(block["text"]["text"]) <= SECTION for block in message.blocks)


def test_history_shows_outside_text_as_text() -> None:
    """A reason, a note and the API's words are escaped and on one line."""
    event = Event(1, NOW, 1, None, "U1", Denied("<!channel>\n& more"), None, State.DENIED)
    (line,) = history([event])
    assert line.endswith("denied by <@U1>: &lt;!channel&gt; &amp; more")
