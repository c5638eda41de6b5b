"""What is said to people: amounts, spans of time, and what they typed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from bot.domain.wording import duration_in_words, money, quote, shorten


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("1", "1.00"),
        ("0.5", "0.50"),
        ("1E+3", "1,000.00"),
        ("2085.98", "2,085.98"),
        ("1234567.125", "1,234,567.125"),
        ("0.125", "0.125"),
        ("49.90", "49.90"),
    ],
)
def test_money_is_said_exactly(amount: str, said: str) -> None:
    """At least two decimals, never an exponent, never rounded."""
    assert money(Decimal(amount), "USD") == f"{said} USD"


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=30), "30 seconds"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=24), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(days=365), "365 days"),
    ],
)
def test_a_span_is_said_in_the_largest_unit_that_holds_it(duration: timedelta, words: str) -> None:
    """Without a rest."""
    assert duration_in_words(duration) == words


def test_what_is_quoted_is_short_and_visible() -> None:
    """Nothing invisible passes, and 40 characters are enough to know it again."""
    assert quote("a\nb\u200b") == '"a\ufffdb\ufffd"'
    assert quote("x" * 41) == f'"{"x" * 39}…"'


def test_shortening_says_so() -> None:
    """An ellipsis stands for what was cut."""
    assert shorten("abcde", 5) == "abcde"
    assert shorten("abcdef", 5) == "abcd…"
