"""Trouble that goes on: a line at once, then one a minute."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bot import repeated
from bot.repeated import Repeated


def test_it_is_told_at_once_and_then_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """For how long, and how often; and anew after two minutes without it."""
    now = 1000.0
    monkeypatch.setattr(repeated, "time", SimpleNamespace(monotonic=lambda: now))
    trouble = Repeated()
    told = []
    for _ in range(100):
        told.append(trouble.seen())
        now += 2
    assert [one for one in told if one is not None] == [
        "",
        " for 1 min, tried 31 times",
        " for 2 min, tried 61 times",
        " for 3 min, tried 91 times",
    ]
    now += 118
    assert trouble.seen() == " for 5 min, tried 101 times"
    now += 121
    assert trouble.seen() == ""
