"""No card, no payment: what is cancelled where Slack does not take a card, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.payment import State
from bot.domain.policy import Tier
from bot.ledger.rows import Delivery, Kind
from bot.payments.cards import Undeliverable
from tests.ledger.making import claimed, stored
from tests.payments.conftest import ALICE, BOB, Office, policy


@pytest.fixture
def undeliverable(office: Office) -> Undeliverable:
    return Undeliverable(office.ledger)


async def card_of(office: Office, kind: Kind = Kind.CARD) -> Delivery:
    """The card of a new request, which the announcer has just taken up."""
    await office.request()
    await office.look_up_worker.poll_once()
    await office.look_up_worker.pool.drain(10)
    (card,) = [one for one in await claimed(office.ledger) if one.kind is kind]
    return card


async def told(office: Office) -> list[Kind]:
    """What is still to be told, and by what kind of message."""
    return [one.kind for one in await claimed(office.ledger)]


@pytest.mark.parametrize(("required", "state"), [(1, State.PENDING_APPROVAL), (0, State.APPROVED)])
async def test_what_has_no_card_is_cancelled_and_its_requester_told(
    office: Office, undeliverable: Undeliverable, required: int, state: State
) -> None:
    """Also where nobody has to approve it."""
    office.rules(policy(tiers=(Tier(None, required),)))
    card = await card_of(office)
    payment = await office.ledger.payment(card.request_id)
    assert payment is not None
    assert payment.state is state
    await undeliverable.refused(card, payment.request, "is_archived")
    assert (await office.now(payment)).state is State.CANCELLED
    event = await office.last(payment)
    assert (event.action, event.actor) == ("no_card", "announcer")
    assert stored(event)["error"] == "is_archived"
    assert await told(office) == [Kind.DIRECT]
    await office.execute()
    assert "api_make_payment" not in office.calls()


async def test_who_is_past_cancelling_is_told_and_not_moved(
    office: Office, undeliverable: Undeliverable
) -> None:
    """It was taken back before the card was refused: it stays as it is."""
    card = await card_of(office)
    payment = await office.ledger.payment(card.request_id)
    assert payment is not None
    await office.desk.withdraw(ALICE, payment.request.id)
    before = await office.now(payment)
    await undeliverable.refused(card, before.request, "is_archived")
    assert await office.now(payment) == before
    assert await told(office) == [Kind.DIRECT]


async def test_who_lost_its_lease_cancels_nothing(office: Office, undeliverable: Undeliverable) -> None:
    """Another instance has the card by then, and may have posted it."""
    card = await card_of(office)
    payment = await office.ledger.payment(card.request_id)
    assert payment is not None
    await undeliverable.refused(replace(card, lease_owner="another"), payment.request, "is_archived")
    assert await office.now(payment) == payment


@pytest.mark.parametrize(("decided", "state"), [(False, State.CANCELLED), (True, State.APPROVED)])
async def test_the_approvals_card_alone_cancels_only_what_is_undecided(
    office: Office, undeliverable: Undeliverable, decided: bool, state: State
) -> None:
    """Nobody could decide it; but the request's own card stands, and what was decided needs no other."""
    office.rules(policy(tiers=(Tier(None, 1),), approval_channel="C2"))
    own = await card_of(office)
    async with office.ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(own, ts="1700000000.000001")
    (card,) = [one for one in await claimed(office.ledger) if one.kind is Kind.APPROVAL_CARD]
    payment = await office.ledger.payment(card.request_id)
    assert payment is not None
    if decided:
        await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    await undeliverable.refused(card, payment.request, "not_in_channel")
    assert (await office.now(payment)).state is state
