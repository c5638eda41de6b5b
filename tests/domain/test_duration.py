"""Spans of time, as they are written in settings and said to people."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.duration import LONGEST, duration_in_words, parse_duration


@pytest.mark.parametrize(
    ("text", "duration", "words"),
    [
        ("30s", timedelta(seconds=30), "30 seconds"),
        ("90m", timedelta(minutes=90), "90 minutes"),
        ("1h", timedelta(hours=1), "1 hour"),
        ("24h", timedelta(days=1), "1 day"),
        (" 3d ", timedelta(days=3), "3 days"),
        ("36h", timedelta(hours=36), "36 hours"),
        ("365d", LONGEST, "365 days"),
    ],
)
def test_a_span_is_read_and_said(text: str, duration: timedelta, words: str) -> None:
    """A whole number and a unit; said in the largest unit that holds it."""
    assert parse_duration(text) == duration
    assert duration_in_words(duration) == words


@pytest.mark.parametrize(
    "text", ["", "3", "d", "3 d", "3D", "3 days", "-3d", "1.5h", "0s", "366d", "99999999d", "٣d", "1h30m"]
)
def test_anything_else_is_refused_with_the_remedy(text: str) -> None:
    """The refusal says what to write instead."""
    with pytest.raises(ValueError, match=r"^Write a "):
        parse_duration(text)


@given(st.text())
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    """Whatever stands in a setting, the answer is a span that can be waited for, or a ValueError."""
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) < duration <= LONGEST
