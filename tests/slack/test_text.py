"""Text from outside: quoted verbatim, cut where it is too long, and harmless."""

from __future__ import annotations

import html
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.payment import Invoice, InvoiceRef
from bot.slack.text import description, escape, quote, totals
from tests.slack.scenes import (
    outside,
)


@given(outside, st.integers(10, 3_000))
def test_a_quotation_keeps_to_its_length(text: str, most: int) -> None:
    """It may be a mark and an ellipsis longer than asked for, and every line of it is marked."""
    quoted = quote(text, most)
    assert len(quoted) <= most + 4
    assert all(line.startswith("> ") for line in quoted.split("\n"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Zl", "Zp", "Cs"]), max_size=1_000))
def test_what_fits_is_quoted_verbatim(text: str) -> None:
    """Not a character of it is lost or changed."""
    assert html.unescape(quote(text, 10_000).removeprefix("> ")) == text


def test_a_long_text_is_cut_at_its_end_only() -> None:
    """An ampersand near the beginning is no reason to drop what comes after it."""
    text = "Terms & Conditions: " + "x" * 3_000
    quoted = html.unescape(quote(text, 2_000))
    assert quoted.startswith("> Terms & Conditions: xxx")
    assert len(quoted) > 1_900
    assert quoted.endswith("…")
    assert quote("x" * 9 + "&", 10) == "> xxxxxxxxx…"


def test_the_three_characters_that_slack_reads_are_escaped() -> None:
    """Slack's own list."""
    assert escape("<&>") == "&lt;&amp;&gt;"


def invoice(amount: str, currency: str = "USD", description: str = "") -> Invoice:
    return Invoice(InvoiceRef("vps", 1), description, Decimal(amount), currency, None)


class TestTotals:
    def test_each_currency_is_added_up_for_itself(self) -> None:
        """Exactly; what is not known is counted, and not left out."""
        many = [invoice("0.10", "EUR"), invoice("1000.10"), invoice("1000.20"), None, None]
        assert totals(many) == "2,000.30 USD · 0.10 EUR · 2 of unknown amount"
        assert totals([]) == ""
        assert totals([invoice("5", "")]) == "5.00"

    def test_odd_currencies_are_harmless_and_counted(self) -> None:
        """Slack takes only so much text."""
        many = [invoice("1", f"<{letter}>") for letter in "abcdefgh"]
        assert totals(many) == " · ".join(
            [*(f"1.00 &lt;{letter}&gt;" for letter in "abcde"), "3 more currencies"]
        )


class TestDescriptions:
    """MyAdmin puts the number of an order before each of them, which tells nobody what it is for."""

    ORDER = "(Repeat Invoice: 19160103)  KVM  Windows"

    def test_the_number_of_the_order_is_away_or_last(self) -> None:
        assert description(invoice("1", description=self.ORDER), 100) == "KVM Windows"
        assert description(invoice("1", description=self.ORDER), 100, whole=True) == (
            "KVM Windows (Repeat Invoice: 19160103)"
        )
        assert description(invoice("1", description=self.ORDER), 20, whole=True) == "KVM Windows (Repeat…"

    @pytest.mark.parametrize("text", ["KVM (Repeat Invoice: 1)", "(Repeat Invoice: x) KVM", "(Other: 1) KVM"])
    def test_nothing_else_is_taken_from_it(self, text: str) -> None:
        assert description(invoice("1", description=text), 100) == text

    def test_what_is_nothing_but_that_number_is_shown(self) -> None:
        only = invoice("1", description="(Repeat Invoice: 5)")
        assert description(only, 100) == description(only, 100, whole=True) == "(Repeat Invoice: 5)"
