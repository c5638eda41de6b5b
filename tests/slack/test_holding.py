"""Which deliveries a process may tell, where another took them over: not both, whatever a clock shows."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.payment import State
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.payments.timing import Timing
from bot.slack.holding import Holding
from tests.fixture_types import Clock
from tests.ledger.making import claimed, moved, request

TIMING = Timing()
SECOND = timedelta(seconds=1)


async def test_a_post_is_looked_for_when_whoever_held_it_begins_none_any_more(
    ledger: Ledger, clock: Clock
) -> None:
    """The ledger's clock stepped forward right after they had claimed it, and they do not know of that."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    one, two = Holding(ledger, TIMING), Holding(ledger, TIMING)
    (theirs,) = await claimed(ledger, owner="one")
    one.begins([theirs], clock.boottime(), ())
    clock.set(days=1)
    (ours,) = await claimed(ledger, owner="two")
    two.begins([ours], clock.boottime(), {ours.id})
    clock.set(days=-1)
    looked_for = two.may_arrive_within([ours])
    begun = timedelta(0)
    while await one.all_ours([theirs]):
        clock.advance(seconds=1)
        begun += SECOND
    call = TIMING.lease / 2
    assert begun >= SECOND
    assert begun + call + TIMING.visible_within <= looked_for


async def test_who_has_a_card_to_change_posts_it_no_more(ledger: Ledger, clock: Clock) -> None:
    """Another posted it, while this process slept over it and the ledger's clock was set back."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    holding = Holding(ledger, TIMING)
    (posting,) = await claimed(ledger, owner="one")
    holding.begins([posting], clock.boottime(), ())
    clock.advance(minutes=1)
    (theirs,) = await claimed(ledger, owner="two")
    async with ledger.transaction() as transaction:
        assert await transaction.outbox.mark_delivered(theirs, ts="1700000000.000001")
    await moved(ledger, payment, State.PENDING_APPROVAL, announce=None)
    (changing,) = await claimed(ledger, owner="one")
    holding.begins([changing], clock.boottime(), ())
    clock.set(minutes=-1)
    assert await holding.all_ours([changing])
    assert not await holding.all_ours([posting])
