"""A request with its payments: what it costs, how it ended, and when each of its payments is sent."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.batch import Batch, amounts_in
from bot.domain.payment import Cards, Invoice, InvoiceRef, Payment, PaymentRequest, State
from bot.domain.schedule import PayOn
from tests.domain.made import NOW, payment_with, request_with

MORNING = NOW + timedelta(days=1)
DUE = date(2026, 3, 3)


def payment(line: int, of: PaymentRequest, state: State, price: str | None = None, **fields: Any) -> Payment:
    """price: such as `10.00 USD`; None where it is not known."""
    ref = InvoiceRef("vps", line)
    invoice = None
    if price is not None:
        amount, currency = price.split()
        invoice = Invoice(ref, "Sample", Decimal(amount), currency, DUE)
    return payment_with(id=line, request=of, line=line, ref=ref, state=state, invoice=invoice, **fields)


def batch(*lines: tuple[State, str | None]) -> Batch:
    of = request_with(size=len(lines))
    return Batch(tuple(payment(at, of, state, price) for at, (state, price) in enumerate(lines, start=1)))


def in_states(*states: State) -> Batch:
    return batch(*((state, "10.00 USD") for state in states))


def test_a_payment_is_found_by_its_line() -> None:
    """Events of a request that has one name none, and nor do those of the first versions."""
    two = in_states(State.PAID, State.DENIED)
    assert [two.of_line(line).line for line in (1, 2, None)] == [1, 2, 1]
    assert [one.line for one in two.within({State.DENIED, State.UNKNOWN})] == [2]


def test_people_are_told_the_invoice_where_there_are_several() -> None:
    """The request's number says which payment is meant, where it has one only."""
    assert in_states(State.PAID).first.number == "#42"
    assert [one.number for one in in_states(State.PAID, State.PAID).payments] == ["#42 vps 1", "#42 vps 2"]


@pytest.mark.parametrize(
    ("cards", "card", "elsewhere"),
    [
        (Cards(), None, False),
        (Cards("1.1"), ("C1", "1.1"), False),
        (Cards("1.1", approval_channel="C1"), ("C1", "1.1"), False),
        (Cards("1.1", approval_channel="C2"), ("C1", "1.1"), True),
        (Cards("1.1", approval_channel="C2", approval_ts="2.2"), ("C2", "2.2"), True),
    ],
)
def test_it_is_decided_on_where_approvals_are_given(
    cards: Cards, card: tuple[str, str] | None, elsewhere: bool
) -> None:
    """People are led to that card, or to the request's own one while it does not stand."""
    of = request_with(cards=cards)
    assert (of.decided_on, of.approved_elsewhere) == (card, elsewhere)


@pytest.mark.parametrize(
    ("states", "ended"),
    [
        ((State.DENIED, State.DENIED), State.DENIED),
        ((State.CANCELLED, State.DENIED), State.DENIED),
        ((State.EXPIRED,), State.EXPIRED),
        ((State.EXPIRED, State.CANCELLED), State.EXPIRED),
        ((State.CANCELLED, State.CANCELLED), State.CANCELLED),
        ((State.DENIED, State.EXPIRED), None),
        ((State.DENIED, State.PAID), None),
        ((State.CANCELLED, State.PAID), None),
        ((State.PAID, State.PAID), None),
    ],
)
def test_what_ended_by_one_decision_is_told_as_one(states: tuple[State, ...], ended: State | None) -> None:
    """What was left out of it before does not count; what was paid of it does."""
    assert in_states(*states).ended_together is ended


WAITS, DENIED, PAID = State.PENDING_APPROVAL, State.DENIED, State.PAID


@pytest.mark.parametrize(
    ("lines", "price"),
    [
        ([(WAITS, "10.00 USD")], "10.00 USD"),
        ([(WAITS, None)], "unknown"),
        ([(WAITS, "10.00 USD"), (WAITS, "20.50 USD")], "30.50 USD; 2 payments"),
        (
            [(WAITS, "10.00 USD"), (WAITS, "5.00 EUR"), (WAITS, None), (WAITS, None)],
            "5.00 EUR, 10.00 USD, 2 unknown; 4 payments",
        ),
        # What is not to be decided on is not what a click is about.
        ([(WAITS, "10.00 USD"), (PAID, "20.50 USD")], "10.00 USD; 1 payments"),
        ([(PAID, "10.00 USD"), (DENIED, "20.50 USD")], "10.00 USD; 1 payments"),
        ([(DENIED, "10.00 USD"), (DENIED, "20.50 USD")], "30.50 USD; 2 payments"),
    ],
)
def test_a_price_says_what_a_click_is_about(lines: list[tuple[State, str | None]], price: str) -> None:
    """By currency, and how many it is for."""
    assert batch(*lines).price == price


def test_a_price_that_no_button_can_carry_is_told_from_any_other() -> None:
    """A hundred invoices, each in a currency of its own: one cent makes another price."""

    def price(first: str) -> str:
        amounts = [first, *["100000000.00"] * 99]
        return batch(*((WAITS, f"{one} C{at:02}") for at, one in enumerate(amounts))).price

    prices = {price("100000000.00"), price("100000000.01")}
    assert len(prices) == 2
    assert all(len(one) == 64 + len("; 100 payments") and one.endswith("; 100 payments") for one in prices)
    assert amounts_in(price("1.00")) == [None]


@pytest.mark.parametrize(
    ("price", "amounts"),
    [
        ("10.00 USD", [(Decimal("10.00"), "USD")]),
        (
            "5.00 EUR, 10.00 USD, 2 unknown; 4 payments",
            [(Decimal("5.00"), "EUR"), (Decimal("10.00"), "USD"), None, None],
        ),
        ("unknown", [None]),
        (None, [None]),
        ("ten USD", [None]),
        ("x unknown", [None]),
    ],
)
def test_the_amounts_of_a_price_are_read_back(
    price: str | None, amounts: list[tuple[Decimal, str] | None]
) -> None:
    """Whatever a button brings: what is no amount is not known."""
    assert amounts_in(price) == amounts


@pytest.mark.parametrize(
    ("not_before", "pay_on", "meant", "day"),
    [
        (MORNING, PayOn(), DUE, DUE),
        (MORNING, PayOn(date(2026, 3, 9)), date(2026, 3, 9), date(2026, 3, 9)),
        (NOW, PayOn(), DUE, None),
        (None, PayOn(), DUE, None),
        (None, None, None, None),
    ],
)
def test_a_payment_waits_for_a_day_that_was_to_come(
    not_before: datetime | None, pay_on: PayOn | None, meant: date | None, day: date | None
) -> None:
    """It is sent at once where its morning was over, or had just come, when it was looked up."""
    of = request_with(pay_on=pay_on)
    one = payment(1, of, State.APPROVED, "10.00 USD", not_before=not_before)
    assert (one.day_meant, one.pay_day) == (meant, day)
    assert one.scheduled is (day is not None)
    assert one.too_early(NOW) is (not_before == MORNING)
    assert not payment(1, of, State.APPROVED, "10.00 USD", not_before=not_before, tries=1).scheduled
    assert payment(1, of, State.APPROVED, "10.00 USD", not_before=MORNING, looked_up_at=None).pay_day is None


@pytest.mark.parametrize(
    ("not_before", "lasts_until"),
    [(None, NOW + timedelta(days=3)), (MORNING, MORNING + timedelta(days=3))],
)
def test_what_allows_a_payment_grows_too_old(not_before: datetime | None, lasts_until: datetime) -> None:
    """As old as a request may, which counts from the day that was asked for."""
    one = payment(1, request_with(), State.APPROVED, not_before=not_before)
    assert not one.too_late(lasts_until - timedelta(seconds=1))
    assert one.too_late(lasts_until)


def test_a_day_long_over_gives_no_less_time_than_none() -> None:
    """A request can be carried out until it expires, whatever its day."""
    one = payment(1, request_with(), State.APPROVED, not_before=NOW - timedelta(days=30))
    assert not one.too_late(NOW + timedelta(days=2))
    assert one.too_late(NOW + timedelta(days=3))
