"""A ledger that another workspace's bot works on is left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.payment import State
from bot.errors import LedgerUnfit
from bot.ledger.another_team import LATELY, must_be_of
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from tests.fixture_types import Clock
from tests.ledger.making import request, request_in


@pytest.mark.parametrize("state", [State.REQUESTED, State.PENDING_APPROVAL, State.APPROVED, State.UNKNOWN])
async def test_what_is_under_way_elsewhere_is_not_taken_up(
    ledger: Ledger, clock: Clock, state: State
) -> None:
    """It would be cancelled, as nobody of another workspace may ask. What is long past hinders nobody."""
    await request_in(ledger, state, team="T1")
    await must_be_of("T1", ledger)
    with pytest.raises(LedgerUnfit, match=r"for another Slack workspace \(T1\), and the tokens are of T2"):
        await must_be_of("T2", ledger)
    clock.advance(seconds=(LATELY + timedelta(seconds=1)).total_seconds())
    await must_be_of("T2", ledger)


async def test_what_is_still_to_be_told_elsewhere_is_not_taken_up(ledger: Ledger) -> None:
    """This bot is in none of the other's channels, and would give it up."""
    payment = await request(ledger, team="T1", moved_to=State.CANCELLED)
    await must_be_of("T2", ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.DIRECT)
    with pytest.raises(LedgerUnfit):
        await must_be_of("T2", ledger)
