"""How long a call may still be carried out: by two clocks, of which the one that says less is believed."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from bot.domain.payment import Payment
from bot.payments.settling import Settling
from tests.fixture_types import Clock


@pytest.mark.parametrize(
    ("passed", "stepped", "lasted", "only_here"),
    [
        (0, 0, 0, False),
        (9, 0, 9, False),
        (10, 0, 10, False),
        (11, 0, 11, False),
        (0, 10, 0, True),
        (9, 1, 9, True),
        (0, 9, 0, False),
        (10, 10, 10, False),
        (10, -5, 5, False),
        (10, -10, 0, False),
        (10, -11, 10, False),
    ],
)
def test_minutes_since_an_answer_was_lost(passed: int, stepped: int, lasted: int, only_here: bool) -> None:
    """Both clocks go on by `passed`; the ledger's is set by `stepped` besides. It settles in ten."""
    clock = Clock()
    settling = Settling(timedelta(minutes=10), clock.boottime)
    payment = cast(Payment, SimpleNamespace(id=1, updated_at=clock.now))
    settling.observe([1])
    clock.advance(minutes=passed)
    clock.set(minutes=stepped)
    assert settling.lasted(payment, clock.now) == timedelta(minutes=lasted)
    assert settling.left(payment, clock.now) == timedelta(minutes=10 - lasted)
    assert settling.only_here(payment, clock.now) is only_here
