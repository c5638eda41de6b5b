"""The outbox, where a second instance took over what the first one still tells."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.payment import State
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from tests.fixture_types import Clock
from tests.ledger.making import claimed, moved, request, with_card


async def test_what_another_instance_has_is_not_given_up(ledger: Ledger, clock: Clock) -> None:
    """Its lease ran out, so another may be telling it at this moment."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    (mine,) = await claimed(ledger)
    clock.advance(seconds=31)
    (theirs,) = await claimed(ledger, owner="another")
    async with ledger.transaction() as transaction:
        assert not await transaction.outbox.give_up(mine, "word")
        assert await transaction.outbox.give_up(theirs, "word")


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "answer lost"])
async def test_who_shows_an_old_card_after_another_showed_a_newer_one_has_it_shown_again(
    ledger: Ledger, clock: Clock, answered: bool
) -> None:
    """Slack keeps what came last, and that is what was true before."""
    payment = await with_card(ledger, await request(ledger))
    await moved(ledger, payment, State.PENDING_APPROVAL, announce=None)
    (asleep,) = await claimed(ledger)
    clock.advance(minutes=1)
    (newer,) = await claimed(ledger, owner="another")
    async with ledger.transaction() as transaction:
        assert await transaction.outbox.mark_delivered(newer, ts=str(newer.ts))
    assert await claimed(ledger) == []
    async with ledger.transaction() as transaction:
        if answered:
            assert not await transaction.outbox.mark_delivered(asleep, ts=str(asleep.ts))
        else:
            await transaction.outbox.retry_at(asleep, due_at=transaction.now, ambiguous=True)
    (again,) = await claimed(ledger)
    assert (again.id, again.ts) == (asleep.id, asleep.ts)
    async with ledger.transaction() as transaction:
        assert await transaction.outbox.mark_delivered(again, ts=str(again.ts))
    assert await ledger.undelivered() == 0


async def test_who_lost_a_card_to_another_instance_is_told_so(ledger: Ledger, clock: Clock) -> None:
    """It invites nobody to a card that the other one will tell of."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    (mine,) = await claimed(ledger, owner="one")
    clock.advance(minutes=1)
    (theirs,) = await claimed(ledger, owner="two")
    async with ledger.transaction() as transaction:
        assert not await transaction.outbox.mark_delivered(mine, ts="1700000000.000001")
        assert await transaction.outbox.mark_delivered(theirs, ts="1700000000.000002")
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.request.cards.ts == "1700000000.000002"


async def test_what_comes_of_a_post_that_was_taken_over_moves_no_card_that_is_changed_by_then(
    ledger: Ledger, clock: Clock
) -> None:
    """The same instance holds it again, for another message: replies stand under the card that it changes."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    (asleep,) = await claimed(ledger, owner="one")
    clock.advance(minutes=1)
    (theirs,) = await claimed(ledger, owner="two")
    async with ledger.transaction() as transaction:
        assert await transaction.outbox.mark_delivered(theirs, ts="1700000000.000002")
    await moved(ledger, payment, State.PENDING_APPROVAL, announce=None)
    (changing,) = await claimed(ledger, owner="one")
    async with ledger.transaction() as transaction:
        assert not await transaction.outbox.renew(asleep, lease=timedelta(minutes=1))
        assert not await transaction.outbox.give_up(asleep, "channel_not_found")
        await transaction.outbox.retry_at(asleep, due_at=transaction.now, ambiguous=True)
        assert not await transaction.outbox.mark_delivered(asleep, ts="1700000000.000001")
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.request.cards.ts == "1700000000.000002"
    async with ledger.transaction() as transaction:
        assert await transaction.outbox.mark_delivered(changing, ts=str(changing.ts))
    assert await ledger.undelivered() == 0
