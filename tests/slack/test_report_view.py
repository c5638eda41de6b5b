"""A month in a few lines: no sum hides what is not in it, and nothing is called what it is not."""

from __future__ import annotations

from datetime import UTC, date, datetime

from bot.domain.payment import Payment, State
from bot.domain.schedule import PayOn
from bot.slack.report_view import Summary, month_in_words
from tests.slack.scenes import payment_in


def told_of(*payments: Payment) -> list[str]:
    summary = Summary()
    for one in payments:
        summary.add(one)
    return month_in_words(summary, date(2026, 3, 1)).text.splitlines()


def test_what_nobody_knows_the_amount_of_is_in_no_sum_unsaid() -> None:
    """Whoever adds up a month would take the sum for all of it."""
    paid, blank = payment_in(State.PAID), payment_in(State.PAID, invoice=None)
    told = told_of(paid, blank, payment_in(State.DENIED, invoice=None))
    assert told[0] == "Asked for in Mar 2026 (UTC): 3 · 10.00 USD · 2 of unknown amount"
    assert ":white_check_mark: *Paid*: 2 · 10.00 USD · 1 of unknown amount" in told
    assert ":no_entry: *Denied; nothing was paid*: 1 · 1 of unknown amount" in told
    assert "vps: 2 · 10.00 USD · 1 of unknown amount" in told


def test_what_waits_for_its_day_is_not_about_to_be_sent() -> None:
    """It is told apart from what is; once it was tried it is like any other."""
    at = datetime(2026, 3, 9, 8, tzinfo=UTC)
    later = payment_in(State.APPROVED, not_before=at, pay_on=PayOn(), tries=0)
    told = told_of(later, later, payment_in(State.APPROVED, tries=0), payment_in(State.PAID, not_before=at))
    assert ":calendar: *Approved, to be sent on its day*: 2 · 20.00 USD" in told
    assert ":ballot_box_with_check: *Approved, about to be sent*: 1 · 10.00 USD" in told
    assert ":white_check_mark: *Paid*: 1 · 10.00 USD" in told
