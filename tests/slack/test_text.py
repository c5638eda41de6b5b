"""Text from outside: quoted verbatim, cut where it is too long, and harmless."""

from __future__ import annotations

import html

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.text import escape, quote
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
