"""What a digest tells of, and to whom."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

from bot.domain.payment import Invoice, InvoiceRef, Payment
from bot.domain.policy import Policy, Rule, Tier
from bot.payments.due_soon import Due, approvers_named, due_in
from bot.payments.unpaid import Listing, Unpaid

TODAY = date(2026, 3, 2)
ASKED_FOR = cast(Payment, object())


def invoice(module: str, number: int, days: int | None) -> Invoice:
    """days: until it is due."""
    due = None if days is None else TODAY + timedelta(days=days)
    return Invoice(InvoiceRef(module, number), "Sample", Decimal(10), "USD", due)


def due(*invoices: Invoice, requested: Any = None, unread: tuple[str, ...] = ()) -> Due:
    listing = Listing(tuple(Unpaid(one, requested) for one in invoices), unread)
    return due_in(listing, TODAY, timedelta(days=7))


def test_what_is_due_today_is_not_overdue_and_the_last_day_counts() -> None:
    """The longest due first."""
    yesterday, today, last, later = (invoice("vps", one, days) for one, days in enumerate((-1, 0, 7, 8), 1))
    found = due(later, last, today, yesterday, invoice("vps", 5, None), unread=("mail",))
    assert found == Due((yesterday,), (today, last), ("mail",))
    assert found.invoices == (yesterday, today, last)


def test_of_one_day_they_come_by_module_and_number() -> None:
    """So that a digest that is told again is the same."""
    expected = [invoice("mail", 9, 1), invoice("vps", 2, 1), invoice("vps", 10, 1)]
    assert list(due(*reversed(expected)).soon) == expected


def test_what_somebody_asked_for_is_left_out() -> None:
    """It is under way."""
    assert due(invoice("vps", 1, 1), requested=ASKED_FOR).invoices == ()


def test_who_may_be_asked_is_whom_a_rule_asks() -> None:
    """People and groups apart; those of a rule that asks nobody are none."""
    asks = Rule("asks", frozenset({"U1"}), frozenset({"U2", "S1"}), (Tier(None, 1),))
    asks_nobody = Rule("asks nobody", frozenset({"U9"}), frozenset({"U3", "S2"}))
    assert approvers_named(Policy((asks, asks_nobody))) == (frozenset({"U2"}), frozenset({"S1"}))
