"""Requests of several: what the card shows of them, all of them as a table, and the words of each outcome."""

from __future__ import annotations

import html
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain import events
from bot.domain.batch import MOST_LINES, Batch
from bot.domain.payment import Invoice, InvoiceRef, State
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.sandbox.local_slack.messages import visible_texts
from bot.slack import event_text
from bot.slack.blocks import Block, Message
from bot.slack.card import request_card
from bot.slack.invoice_table import all_invoices, without_tables
from bot.slack.rendering import ways_to_say
from tests.domain.made import NOW
from tests.slack.scenes import batch_of, batches, check, event_of, payment_in, said, scene_of

TODAY = NOW.date()
PENDING, APPROVED, SENDING = State.PENDING_APPROVAL, State.APPROVED, State.SENDING
PAID, DECLINED, UNKNOWN, CANCELLED = State.PAID, State.DECLINED, State.UNKNOWN, State.CANCELLED


def card_lines(batch: Batch, **fields: Any) -> list[str]:
    return said(request_card(scene_of(batch, **fields))).splitlines()


def told(batch: Batch, what: events.DomainEvent, line: int | None = None, **fields: Any) -> Message:
    return event_text.thread_reply(event_of(what, actor="U1", line=line), scene_of(batch, **fields))


class TestTheCard:
    """Total, count, the first lines, and how far they are."""

    def test_it_shows_the_total_and_the_first_ten(self) -> None:
        """The others are in the thread."""
        lines = card_lines(batch_of(*[PENDING] * 19))
        assert lines[0] == "*#42 · 19 payments · 1,900.00 USD*"
        assert [line for line in lines if line.startswith("`vps")][-1].startswith(
            "`vps 10110` · *100.00 USD*"
        )
        assert "… and 9 more; all are in the thread." in lines
        assert "Needs 1 more approval from <!subteam^S1> or <@U3>" in lines

    def test_each_currency_has_its_own_total(self) -> None:
        """They are not added up to one."""
        first, second = batch_of(PENDING, PENDING).payments
        euros = Invoice(second.ref, "", Decimal("17.50"), "EUR", None)
        assert card_lines(Batch((first, replace(second, invoice=euros))))[0].endswith(
            "2 payments · 17.50 EUR · 10.00 USD*"
        )

    def test_it_counts_as_they_go(self) -> None:
        """In the text that notifications read as well."""
        batch = batch_of(*[PAID] * 8, DECLINED, *[SENDING] * 3)
        assert ":outbox_tray: *8 of 12 paid, 1 declined, 3 under way*" in card_lines(batch)
        assert request_card(scene_of(batch)).text.endswith(": 8 of 12 paid, 1 declined, 3 under way")

    def test_what_went_wrong_is_shown_before_the_others(self) -> None:
        """Wherever it stands among them; in the order of the lines all the same."""
        lines = card_lines(batch_of(*[PAID] * 12, DECLINED, PAID, UNKNOWN))
        shown = [line for line in lines if "`vps" in line]
        assert ["10101" in shown[0], "10113" in shown[-2], "10115" in shown[-1]] == [True] * 3
        assert shown[-2].startswith(":x: Declined · `vps 10113`")

    def test_what_is_not_asked_for_any_more_is_counted_out(self) -> None:
        """Where some were cancelled at once, or left out."""
        lines = card_lines(batch_of(PENDING, CANCELLED, PENDING))
        assert ":hourglass_flowing_sand: *Waiting for approval: 2 of 3*" in lines
        assert lines[0].endswith("40.00 USD*")

    def test_who_approved_is_not_asked_again(self) -> None:
        """They are named as having approved, and in no other line."""
        batch = batch_of(*[PENDING] * 12)
        lines = card_lines(batch, approvers=["U2"], may_approve=frozenset({"U2", "U3"}))
        assert [line for line in lines if "<@U2>" in line] == ["Approved so far by <@U2>"]

    def test_its_question_speaks_of_all_of_them(self) -> None:
        """How much, how many, and that it cannot be undone."""
        batch = batch_of(PENDING, PENDING, approvals_required=1)
        card = request_card(scene_of(batch, approvers=[]))
        (actions,) = [block for block in card.blocks if block["type"] == "actions"]
        question = actions["elements"][0]["confirm"]
        assert question["title"]["text"] == "Approve 2 payments?"
        assert question["text"]["text"] == (
            "Pay 30.00 USD for 2 invoices?\nThey are paid at once and cannot be undone."
        )


def table_of(message: Message) -> Block:
    (table,) = [block for block in message.blocks if block["type"] == "table"]
    return table


def cells(table: Block) -> list[list[str]]:
    return [["".join(visible_texts(cell)) for cell in row] for row in table["rows"]]


class TestAllInvoices:
    """What the thread holds where the card shows the first."""

    def test_it_is_a_table_with_what_identifies_them_first(self) -> None:
        """A phone shows the first columns; what is in a cell is as it was written."""
        batch = batch_of(
            PENDING, PENDING, invoice=Invoice(InvoiceRef("vps", 1), "A & <b>", Decimal(5), "USD", None)
        )
        message = all_invoices(batch, TODAY)
        assert cells(table_of(message)) == [
            ["Invoice", "Amount", "Due", "For"],
            ["vps 10101", "5.00 USD", "–", "A & <b>"],
            ["vps 10102", "5.00 USD", "–", "A & <b>"],
        ]
        assert said(message).startswith("*All 2 invoices of #42 · 10.00 USD*")
        assert "`vps 10102` · 5.00 USD · – · A &amp; &lt;b&gt;" in message.text

    def test_where_slack_takes_no_table_they_are_lines(self) -> None:
        """Before it is told as text alone, which shows only the first."""
        batch = batch_of(*[PENDING] * 90)
        message = all_invoices(batch, TODAY)
        (_, tabled, _), (_, lines, marked), (_, none, _), _ = ways_to_say(message, batch)
        assert (tabled, none, marked) == (message.blocks, [], True)
        checked_blocks(lines)
        text = "\n".join(visible_texts(lines))
        assert all(f"`{one.ref}` · {one.line * 10}.00 USD" in text for one in batch.payments)

    @given(batches)
    @settings(max_examples=40)
    def test_as_many_as_there_may_be_fit(self, batch: Batch) -> None:
        """Whatever is written in them; each stands there, and in the lines that stand for a table."""
        message = all_invoices(batch, TODAY)
        check(message)
        lines = without_tables(message.blocks)
        check(Message(message.text, lines))
        for shown in ("\n".join(visible_texts(message.blocks)), said(Message("x", lines))):
            assert all(str(one.ref) in shown for one in batch.payments)

    @pytest.mark.parametrize("count", [MOST_LINES - 1, MOST_LINES])
    def test_the_heading_is_a_row_as_well(self, count: int) -> None:
        """So one table holds one invoice fewer than a request; the last is not left out for that."""
        message = all_invoices(batch_of(*[PENDING] * count), TODAY)
        checked_blocks(message.blocks)
        assert any(block["type"] == "table" for block in message.blocks) is (count < MOST_LINES)
        assert f"vps {10100 + count}" in "\n".join(visible_texts(message.blocks))

    def test_nothing_is_told_together_with_it(self) -> None:
        """Slack puts a table below all else, and takes one a message."""
        message = all_invoices(batch_of(PENDING, PENDING), TODAY)
        other = told(batch_of(PAID, PAID), events.Approved(1, 1))
        assert message.followed_by(other) is None
        assert other.followed_by(message) is None
        assert other.followed_by(other) is not None


class TestReplies:
    """Of one among several, and of all of them."""

    def test_the_look_up_is_about_all_of_them(self) -> None:
        """Although its event is that of the last line."""
        message = told(batch_of(*[PENDING] * 12), events.LookedUp(True, "1", "USD", 1), line=12)
        assert said(message).startswith("*All 12 invoices of #42")
        assert message.text.startswith("All 12 invoices of #42")

    def test_what_was_left_out_is_named_with_what_is_left(self) -> None:
        """As it was then, however many were left out since."""
        batch = batch_of(CANCELLED, CANCELLED, PENDING)
        message = told(batch, events.LeftOut("not ours", "50.00 USD; 2 payments"), line=1)
        assert said(message).splitlines() == [
            "*vps 10101* · Left out by <@U1>; it is not paid. What is left costs 50.00 USD.",
            "> not ours",
        ]

    @pytest.mark.parametrize(
        "what", [events.Denied("no"), events.Expired(), events.Cancelled("by its requester")]
    )
    def test_nobody_says_that_nothing_was_paid_where_some_was(self, what: events.DomainEvent) -> None:
        """The rest may be taken back while some are paid."""
        assert "Nothing was paid." in said(told(batch_of(PENDING, PENDING), what))
        assert "What was not sent is not paid." in said(told(batch_of(PAID, CANCELLED), what))
        assert "Nothing was paid." not in told(batch_of(PAID, CANCELLED), what).text

    def test_of_several_unknown_people_are_called_by_the_first(self) -> None:
        """Nobody is mentioned once a line."""
        batch = batch_of(UNKNOWN, UNKNOWN, PAID)
        first, second = (said(told(batch, events.Unsettled("not listed"), line=line)) for line in (1, 2))
        assert "<!subteam^S1> or <@U3>: look in MyAdmin" in first
        assert "Look in MyAdmin" in second
        assert "<" not in html.unescape(second).replace("<#", "")
        alone = said(told(Batch((payment_in(UNKNOWN),)), events.Unsettled("not listed")))
        assert "<@U3>: look in MyAdmin" in alone

    def test_the_sum_stands_alone_and_counts_all(self) -> None:
        """Paid, declined, unknown, and the total."""
        message = told(batch_of(PAID, PAID, DECLINED, UNKNOWN, CANCELLED), events.Completed())
        assert said(message).splitlines() == [
            "*#42: nothing is under way any more, but not all is known*",
            "Paid: 2 · 30.00 USD",
            "Declined, nothing was paid: 1 · 30.00 USD",
            "Unknown; do not pay them again: 1 · 40.00 USD",
            "Cancelled or left out: 1 · 50.00 USD",
        ]
        assert message.alone
        done = told(batch_of(PAID, PAID, DECLINED), events.Completed())
        assert said(done).splitlines()[0] == "*#42 is done: 3 payments · 60.00 USD*"
        assert done.text.startswith("*#42 is done")

    @given(st.data())
    @settings(max_examples=20)
    def test_gathered_outcomes_keep_slacks_limits(self, data: st.DataObject) -> None:
        """However many are told together, each is there whole, or left to the next message."""
        batch = data.draw(batches.filter(lambda one: len(one.payments) > 5))
        texts = st.sampled_from(["Paid & done. ", "<!channel> ", "no"]).flatmap(
            lambda word: st.integers(1, 300).map(lambda times: word * times)
        )
        message = None
        for line in range(1, min(21, len(batch.payments)) + 1):
            answer = events.Answered("PAID", "ok", data.draw(texts), "status ok")
            one = event_text.thread_reply(event_of(answer, PAID, "billing", line), scene_of(batch))
            if message is None:
                message = one
            elif (joined := message.followed_by(one)) is not None:
                assert said(joined).endswith(said(one))
                message = joined
        assert message is not None
        check(message)


def test_a_due_date_is_called_overdue_in_the_table_too() -> None:
    """As on the card."""
    late = Invoice(InvoiceRef("vps", 1), "", Decimal(5), "USD", date(2026, 3, 1))
    table = cells(table_of(all_invoices(batch_of(PENDING, PENDING, invoice=late), TODAY)))
    assert table[1][2] == "1 Mar 2026 (overdue)"
