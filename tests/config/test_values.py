"""The kinds of values: what is read, and what is refused in our own words without the value."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bot.config.values import LONGEST, WRONG, Duration

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("1h", timedelta(hours=1)),
        (" 3d ", timedelta(days=3)),
        ("36h", timedelta(hours=36)),
        ("365d", LONGEST),
    ],
)
def test_a_span_is_a_whole_number_and_a_unit(text: str, duration: timedelta) -> None:
    """Seconds, minutes, hours or days."""
    assert DURATION.validate_python(text) == duration


@pytest.mark.parametrize(
    "text", ["", "3", "d", "3 d", "3D", "3 days", "-3d", "1.5h", "0s", "366d", "99999999d", "٣d", "1h30m"]
)
def test_anything_else_is_refused_with_the_remedy(text: str) -> None:
    """The refusal says what to write instead."""
    with pytest.raises(ValidationError) as refused:
        DURATION.validate_python(text)
    (error,) = refused.value.errors()
    assert error["ctx"]["remedy"].startswith("Write a ")


@given(st.text() | st.integers() | st.floats() | st.dates() | st.none())
def test_no_value_raises_anything_but_a_refusal(value: object) -> None:
    """Whatever stands in a setting: a span that can be waited for, or a refusal in our own words."""
    duration, errors = timedelta(1), {WRONG}
    try:
        duration = DURATION.validate_python(value)
    except ValidationError as refused:
        errors = {error["type"] for error in refused.errors()}
    assert timedelta(0) < duration <= LONGEST
    assert errors == {WRONG}
