"""The views by themselves: within Block Kit's limits whatever they are given, and read back as filled in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.billing.reading import MAX_MODULES
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
from bot.slack.pay_form_view import (
    Memory,
    Origin,
    PayForm,
    Pick,
    Wanted,
    found_for,
    option,
    with_total,
)
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


def form(listing: Listing | None, memory: Memory, *chosen: str) -> PayForm:
    """The form of somebody who may ask for three modules."""
    return PayForm(memory, ["domains", "mail", "vps"], ("vps",), chosen, listing, TODAY, requests=2)


def menu_of(view: dict[str, Any]) -> dict[str, Any]:
    """The menu of invoices."""
    (block,) = [one for one in view["blocks"] if str(one.get("block_id")).startswith("invoice:")]
    return dict(block["element"])


@given(
    st.lists(texts, max_size=130),
    st.sampled_from([None, "C1"]),
    st.booleans(),
    st.sampled_from([Wanted(), Wanted(due_by=TODAY), Wanted((InvoiceRef("mail", 7), InvoiceRef("vps", 1)))]),
)
def test_the_form_keeps_block_kits_limits(
    described: list[str], channel: str | None, unread: bool, wanted: Wanted
) -> None:
    """However many invoices there are, however they are called, and whatever is picked."""
    listing = Listing(
        tuple(Unpaid(invoice(number + 1, text), None) for number, text in enumerate(described)),
        ("mail",) if unread else (),
    )
    memory = Memory(Origin(channel, "https://hooks.slack.com/" + "x" * 200), 3, wanted)
    for shown in (None, listing):
        for chosen in ((), ("vps",), ("mail", "vps")):
            view = form(shown, memory, *chosen).view()
            stored = checked_view(view, "modal")
            checked_view(with_total(stored, [Pick(InvoiceRef("vps", 1), None)] * 100, 2), "modal")


def test_more_invoices_than_a_menu_takes_are_found_by_typing() -> None:
    """Up to a hundred stand in the form; of more, the app suggests those that fit, a hundred at most."""
    many = [invoice(number, f"host {number}.example.com") for number in range(1, 131)]
    for count, kind in ((100, "multi_static_select"), (101, "multi_external_select")):
        listing = Listing(tuple(Unpaid(one, None) for one in many[:count]), ())
        view = form(listing, Memory(Origin("C1", None)), "vps").view()
        assert menu_of(view)["type"] == kind
        assert Memory.of(view).listed == ("vps",)
    assert "type to find them" in str(view["blocks"])
    assert len(found_for("", many, TODAY)) == 100
    assert [one["value"] for one in found_for("VPS 129", many, TODAY)] == ["vps 129 10.00 USD"]
    assert next(one["value"] for one in found_for("12 host", many, TODAY)) == "vps 12 10.00 USD"
    assert found_for("no such", many, TODAY) == []


@pytest.mark.parametrize("count", [0, 100, 130])
@pytest.mark.parametrize("shown", [False, True])
def test_as_many_modules_as_the_billing_api_may_name_are_offered(count: int, shown: bool) -> None:
    """With the longest names there are, and a hundred invoices picked of them; all of it comes back."""
    modules = tuple(f"{'m' * 60}{number:04}" for number in range(MAX_MODULES))
    every = [InvoiceRef(modules[place % MAX_MODULES], 2**31 - 1 - place) for place in range(130)]
    refs, listed = tuple(every[:100]), [replace(invoice(1), ref=ref) for ref in every[:count]]
    memory = Memory(Origin("C0123456789", "https://hooks.slack.com/" + "x" * 300), 9, Wanted(refs))
    listing = Listing(tuple(Unpaid(one, None) for one in listed), modules) if shown else None
    view = PayForm(memory, modules, modules, modules, listing, TODAY).view()
    checked_view(view, "modal")
    again = Memory.of(view)
    assert again.listed == modules
    assert again.wanted == (Wanted() if shown else Wanted(refs))


def test_a_hundred_due_are_picked_at_most() -> None:
    """And the form says so."""
    listing = Listing(tuple(Unpaid(invoice(number), None) for number in range(1, 131)), ())
    view = form(listing, Memory(Origin("C1", None), wanted=Wanted(due_by=TODAY)), "vps").view()
    assert len(menu_of(view)["initial_options"]) == 100
    assert "The first 100 due are picked" in str(view["blocks"])
    assert "100 payments · 1,000.00 USD" in str(view["blocks"])


def test_of_what_cannot_be_read_the_picks_stay() -> None:
    """Without their amounts; what was read, and is unpaid no more, goes."""
    wanted = Wanted((InvoiceRef("mail", 7), InvoiceRef("vps", 1), InvoiceRef("vps", 9)))
    listing = Listing((Unpaid(invoice(1), None),), ("mail",))
    view = form(listing, Memory(Origin("C1", None), wanted=wanted), "mail", "vps").view()
    chosen = [one["value"] for one in menu_of(view)["initial_options"]]
    assert chosen == ["mail 7", "vps 1 10.00 USD"]
    assert "2 payments · 10.00 USD · 1 of unknown amount*; 2 requests, one a rule" in str(view["blocks"])


def test_a_pick_carries_its_cost() -> None:
    """To the last digit; one that is too long for an option's value goes without it."""
    one = Invoice(InvoiceRef("vps", 1), "", Decimal("1234.5670"), "USD", None)
    assert Pick.of(option(one, TODAY)["value"]) == Pick(one.ref, (one.amount, "USD"))
    assert Pick.of("vps 1") == Pick(one.ref, None)
    endless = Invoice(InvoiceRef("vps", 1), "", Decimal("1" * 200), "USD", None)
    assert Pick.of(option(endless, TODAY)["value"]) == Pick(one.ref, None)


def test_a_sum_changes_nothing_else() -> None:
    """What Slack escapes in what it sends back is sent as it was."""
    described = invoice(1, "R&D <lab>")
    view = form(Listing((Unpaid(described, None),), ()), Memory(Origin("C1", None), 4), "vps").view()
    stored = checked_view(view, "modal")
    for block in stored["blocks"]:
        for one in block.get("element", {}).get("options", ()):
            if "description" in one:
                one["description"]["text"] = one["description"]["text"].replace("&", "&amp;")
    summed = with_total(stored, [Pick.of("vps 1 10.00 USD")], None)
    assert menu_of(summed)["options"][0]["description"]["text"] == "R&D <lab>"
    assert summed["private_metadata"] == view["private_metadata"]
    assert "1 payment · 10.00 USD" in str(summed["blocks"])


@pytest.mark.parametrize("origin", [Origin("C1", "https://x"), Origin(None, None, "C2"), Origin(None, None)])
@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(due_by=TODAY), Wanted((InvoiceRef("vps", 1), InvoiceRef("mail", 2)))]
)
def test_where_it_was_opened_travels_with_the_form(origin: Origin, wanted: Wanted) -> None:
    """It comes back with the submission, from where nobody but the app could write it."""
    memory = Memory(origin, 7, wanted, ("vps", "mail"))
    assert Memory.of({"private_metadata": memory.packed()}) == memory


def test_a_hundred_picks_travel_with_the_form() -> None:
    """Slack takes 3,000 characters, however long the numbers are."""
    refs = tuple(InvoiceRef(f"module_{one % 10}", 2**31 - 1 - one) for one in range(100))
    assert (
        len(Memory(Origin("C0123456789", "https://hooks.slack.com/" + "x" * 300), 9, Wanted(refs)).packed())
        < 3000
    )


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
