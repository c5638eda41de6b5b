"""The outbox: what Slack still has to be told, in which order, and when it counts as told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.payment import InvoiceRef, Payment, State
from bot.ledger.queues import OUTBOX
from bot.ledger.rows import Delivery, Kind
from bot.ledger.store import Ledger
from tests.fixture_types import Clock
from tests.ledger.making import claimed, happened, moved, request, request_in, with_card


async def add(ledger: Ledger, payment: Payment, kind: Kind, channel: str | None = None) -> None:
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, kind, channel=channel)


async def done(ledger: Ledger, delivery: Delivery, ts: str = "1700000000.000009") -> None:
    async with ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(delivery, ts=ts)


async def posted(ledger: Ledger) -> list[tuple[Kind, int | None]]:
    """Tell everything that can be told now, as (kind, event)."""
    told = []
    while found := await claimed(ledger):
        for delivery in found:
            await done(ledger, delivery)
            told.append((delivery.kind, delivery.event_id))
    return told


async def test_a_card_is_told_once_its_ts_is_stored(ledger: Ledger) -> None:
    """Until then it is undelivered; afterwards the payment knows where its card stands."""
    payment = await request(ledger)
    await add(ledger, payment, Kind.CARD)
    assert await ledger.undelivered() == 1
    assert await ledger.any_due(OUTBOX)
    (card,) = await claimed(ledger)
    assert (card.kind, card.channel, card.ts, card.revision) == (Kind.CARD, "C1", None, 1)
    assert await ledger.undelivered() == 1
    await done(ledger, card, ts="1700000000.000001")
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.request.cards.ts == "1700000000.000001"
    assert await ledger.undelivered() == 0
    assert not await ledger.any_due(OUTBOX)


async def test_telling_the_same_twice_is_one_delivery(ledger: Ledger) -> None:
    """The same card, or the same event in the same place, is told once."""
    payment = await request(ledger)
    await add(ledger, payment, Kind.CARD)
    await add(ledger, payment, Kind.CARD)
    await add(ledger, payment, Kind.APPROVAL_CARD, "C2")
    await add(ledger, payment, Kind.APPROVAL_CARD, "C2")
    assert await ledger.undelivered() == 2


async def test_the_thread_is_told_in_the_order_it_happened(ledger: Ledger) -> None:
    """A reply waits for its card and for the replies before it, also for one that has to be repeated."""
    payment = await request_in(ledger, State.PAID)
    assert await claimed(ledger) == [], "there is no card yet to reply under"
    await with_card(ledger, payment)
    (first,) = await claimed(ledger)
    assert await claimed(ledger) == [], "the second waits while the first is under way"
    async with ledger.transaction() as transaction:
        due_at = transaction.now + timedelta(seconds=5)
        await transaction.outbox.retry_at(first, due_at=due_at, ambiguous=False)
    assert await claimed(ledger) == [], "the second waits while the first waits"


async def test_replies_come_in_order(ledger: Ledger, clock: Clock) -> None:
    """Every move is told, the oldest first."""
    payment = await request_in(ledger, State.PAID)
    await with_card(ledger, payment)
    moves = [event.id for event in await ledger.history(payment.request.id) if event.to_state]
    assert await posted(ledger) == [(Kind.THREAD_REPLY, event) for event in moves]


async def test_a_reply_that_was_given_up_holds_up_no_other(ledger: Ledger) -> None:
    """What cannot be told there is passed over, and says why."""
    payment = await request_in(ledger, State.PAID)
    await with_card(ledger, payment)
    (first,) = await claimed(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.give_up(first, "msg_too_long")
    (second,) = await claimed(ledger)
    assert second.id > first.id


async def test_one_message_at_a_time_goes_to_a_channel(ledger: Ledger) -> None:
    """Channels do not wait for each other; within one, one post is under way."""
    for number, channel in enumerate(["C1", "C1", "C2"], start=1):
        payment = await request(ledger, InvoiceRef("vps", number), channel=channel)
        await add(ledger, payment, Kind.CARD)
    first = await claimed(ledger)
    assert sorted(each.channel for each in first) == ["C1", "C2"]
    busy = [(each.channel, False) for each in first]
    assert await claimed(ledger, busy=busy) == []
    for each in first:
        await done(ledger, each)
    (last,) = await claimed(ledger)
    assert last.channel == "C1"


async def test_posting_and_changing_do_not_wait_for_each_other(ledger: Ledger) -> None:
    """Slack counts posts and updates apart, so a channel that is posted to can still be updated."""
    shown = await with_card(ledger, await request(ledger, InvoiceRef("vps", 1)))
    await moved(ledger, shown, State.CANCELLED, announce=None)
    new = await request(ledger, InvoiceRef("vps", 2))
    await add(ledger, new, Kind.CARD)
    update, post = sorted(await claimed(ledger), key=lambda each: each.request_id)
    assert (update.request_id, post.request_id) == (shown.id, new.id)
    assert update.ts is not None
    assert post.ts is None


async def test_a_changed_card_is_shown_again(ledger: Ledger) -> None:
    """Every move gives the card something new to show, under the same ts."""
    payment = await with_card(ledger, await request(ledger))
    await moved(ledger, payment, State.PENDING_APPROVAL, announce=None)
    (card,) = await claimed(ledger)
    assert (card.revision, card.ts) == (2, payment.request.cards.ts)
    await done(ledger, card, ts=str(card.ts))
    assert await ledger.undelivered() == 0


async def test_a_card_that_changes_while_it_is_posted_is_shown_again(ledger: Ledger) -> None:
    """What was posted was outdated already, so it is not the last word."""
    payment = await request(ledger)
    await add(ledger, payment, Kind.CARD)
    (card,) = await claimed(ledger)
    await moved(ledger, payment, State.PENDING_APPROVAL, announce=None)
    await done(ledger, card)
    (again,) = await claimed(ledger)
    assert (again.id, again.revision) == (card.id, card.revision + 1)
    await done(ledger, again)
    assert await ledger.undelivered() == 0


async def test_many_changes_are_one_update(ledger: Ledger) -> None:
    """A card shows the state as it is, not every state on the way."""
    payment = await with_card(ledger, await request(ledger))
    for state in (State.APPROVED, State.SENDING, State.PAID):
        payment = await moved(ledger, payment, state, announce=None)
    assert await posted(ledger) == [(Kind.CARD, None)]


async def test_a_lost_card_is_updated_no_more(ledger: Ledger) -> None:
    """A card that was deleted in Slack is given up, and the payment says so."""
    payment = await with_card(ledger, await request(ledger))
    payment = await moved(ledger, payment, State.PENDING_APPROVAL, announce=None)
    (card,) = await claimed(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.give_up(card, "message_not_found")
        await transaction.outbox.card_lost(payment.request)
    await moved(ledger, payment, State.CANCELLED, announce=None)
    assert await claimed(ledger) == []
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.request.cards.lost


async def test_what_a_lost_thread_was_told_last_is_told_directly_as_well(
    ledger: Ledger, clock: Clock
) -> None:
    """Slack takes some replies to what is gone: the newest, and what is on its way there, nobody may see."""
    payment = await with_card(ledger, await request(ledger))
    ids = [101, 102, 103, 104]
    for event_id in ids:
        async with ledger.transaction() as transaction:
            await transaction.outbox.add(payment.request, Kind.THREAD_REPLY, event_id=event_id)
    for ts in ("1700000000.000002", "1700000000.000003"):
        (reply,) = await claimed(ledger)
        await done(ledger, reply, ts=ts)
    (under_way,) = await claimed(ledger)
    for _ in range(2):
        async with ledger.transaction() as transaction:
            await transaction.outbox.card_lost(payment.request)
    await done(ledger, under_way, ts="1700000000.000004")
    told = await posted(ledger)
    assert [event_id for kind, event_id in told if kind is Kind.DIRECT] == ids[1:3]


async def test_what_failed_comes_again_when_it_is_due(ledger: Ledger, clock: Clock) -> None:
    """Not before, with its tries counted, and knowing whether it may have arrived."""
    payment = await request(ledger)
    await add(ledger, payment, Kind.CARD)
    (card,) = await claimed(ledger)
    assert card.tries == 1
    async with ledger.transaction() as transaction:
        due_at = transaction.now + timedelta(seconds=5)
        await transaction.outbox.retry_at(card, due_at=due_at, ambiguous=True)
    assert await claimed(ledger) == []
    clock.advance(seconds=5)
    (again,) = await claimed(ledger)
    assert (again.tries, again.ambiguous) == (2, True)


async def test_a_direct_message_waits_for_no_card(ledger: Ledger) -> None:
    """Where there can be no card, the requester is told all the same."""
    payment = await request(ledger)
    await moved(ledger, payment, State.CANCELLED, announce=Kind.DIRECT)
    (direct,) = await claimed(ledger)
    assert (direct.kind, direct.channel) == (Kind.DIRECT, "U1")


async def test_an_approval_card_comes_after_the_card(ledger: Ledger) -> None:
    """It links to the card, so the card is there first; each knows its own ts."""
    payment = await request(ledger, approval_channel="C2")
    await add(ledger, payment, Kind.APPROVAL_CARD, "C2")
    await add(ledger, payment, Kind.CARD)
    (card,) = await claimed(ledger)
    assert card.kind is Kind.CARD
    await done(ledger, card, ts="1700000000.000001")
    (approval_card,) = await claimed(ledger)
    assert (approval_card.kind, approval_card.channel) == (Kind.APPROVAL_CARD, "C2")
    await done(ledger, approval_card, ts="1700000000.000002")
    found = await ledger.payment(payment.id)
    assert found is not None
    assert (found.request.cards.ts, found.request.cards.approval_ts) == (
        "1700000000.000001",
        "1700000000.000002",
    )


URL = "https://hooks.slack.com/commands/T1/1/live"


async def response_url(ledger: Ledger, payment: Payment) -> str | None:
    found = await ledger.payment(payment.id)
    assert found is not None
    return found.request.response_url


async def test_where_the_card_stands_no_address_for_an_answer_is_kept(ledger: Ledger) -> None:
    """Whoever has one may write in its channel as the bot; the card's thread is where things are told."""
    payment = await request(ledger, response_url=URL)
    await add(ledger, payment, Kind.CARD)
    (card,) = await claimed(ledger)
    assert await response_url(ledger, payment) == URL
    await done(ledger, card)
    assert await response_url(ledger, payment) is None


async def test_who_was_told_directly_has_no_address_for_an_answer(ledger: Ledger) -> None:
    """There or elsewhere: it is of no more use."""
    payment = await request(ledger, response_url=URL)
    await moved(ledger, payment, State.CANCELLED, announce=Kind.DIRECT)
    (direct,) = await claimed(ledger)
    await done(ledger, direct, ts="response_url")
    assert await response_url(ledger, payment) is None


async def test_an_approval_card_leaves_the_address_for_an_answer(ledger: Ledger) -> None:
    """It stands elsewhere, and the requester's own card may still be refused."""
    payment = await with_card(ledger, await request(ledger, approval_channel="C2"))
    async with ledger.transaction() as transaction:
        await transaction.change_request(payment.request, response_url=URL)
    await add(ledger, payment, Kind.APPROVAL_CARD, "C2")
    (card,) = await claimed(ledger)
    await done(ledger, card)
    assert await response_url(ledger, payment) == URL


async def test_a_card_that_was_given_up_is_shown_when_somebody_acts_on_it(ledger: Ledger) -> None:
    """It stands there, as can be seen, so it can be brought up to date."""
    payment = await with_card(ledger, await request(ledger))
    await moved(ledger, payment, State.CANCELLED, announce=None)
    (card,) = await claimed(ledger)
    async with ledger.transaction() as transaction:
        assert await transaction.outbox.give_up(card, "card_is_on_fire")
    assert await claimed(ledger) == []
    heard = ledger.watch(OUTBOX)
    heard.clear()
    async with ledger.transaction() as transaction:
        await transaction.outbox.repair_cards(payment.id)
    assert heard.is_set()
    (again,) = await claimed(ledger)
    assert (again.id, again.tries) == (card.id, 1)


async def test_a_card_that_is_not_posted_yet_shows_what_happened_in_the_same_moment(ledger: Ledger) -> None:
    """It has nothing to be changed for, so it is one message and no change."""
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
        await transaction.move(payment, State.CANCELLED, happened("moved"), actor="U1", announce=None)
    (card,) = await claimed(ledger)
    assert card.revision == 1


async def test_a_failure_that_slack_names_the_end_of_is_not_counted(ledger: Ledger, clock: Clock) -> None:
    """A busy channel is no reason to give anything up."""
    payment = await request(ledger)
    await add(ledger, payment, Kind.CARD)
    for _ in range(3):
        (card,) = await claimed(ledger)
        assert card.tries == 1
        async with ledger.transaction() as transaction:
            await transaction.outbox.retry_at(card, due_at=transaction.now, ambiguous=False, counted=False)


async def test_long_queues_hide_no_other_channel(ledger: Ledger) -> None:
    """One of each channel is taken, also where more wait in one than can be taken at all."""
    for number in range(1, 31):
        payment = await request(ledger, InvoiceRef("vps", number), channel="C1" if number < 30 else "C2")
        await add(ledger, payment, Kind.CARD)
    assert sorted(one.channel for one in await claimed(ledger)) == ["C1", "C2"]


async def test_a_channel_that_had_nothing_lately_comes_first(ledger: Ledger) -> None:
    """Where there is room for one alone, it is not always the longest queue's."""
    for number, channel in enumerate(["C1", "C1", "C2"], start=1):
        payment = await request(ledger, InvoiceRef("vps", number), channel=channel)
        await add(ledger, payment, Kind.CARD)
    (one,) = await claimed(ledger, limit=1, lately=["C1"])
    assert one.channel == "C2"


async def test_only_so_many_cards_are_changed_at_once(ledger: Ledger) -> None:
    """Slack counts changes in all channels together; posts do not wait for them."""
    shown = [await request(ledger, InvoiceRef("vps", one), channel=f"C{one}") for one in (1, 2, 3)]
    shown = [await with_card(ledger, one, ts=f"1700000000.00000{one.id}") for one in shown]
    for one in shown:
        await moved(ledger, one, State.CANCELLED, announce=None)
    new = await request(ledger, InvoiceRef("vps", 9), channel="C9")
    await add(ledger, new, Kind.CARD)
    found = await claimed(ledger, updates=2)
    assert [each.ts is not None for each in found] == [True, True, False]
    assert await claimed(ledger, updates=0) == []


async def test_a_move_that_is_rolled_back_is_told_to_nobody(ledger: Ledger) -> None:
    """What is announced is written in the transaction that made it true."""
    payment = await with_card(ledger, await request(ledger))

    async def fail() -> None:
        async with ledger.transaction() as transaction:
            await transaction.move(payment, State.CANCELLED, happened("moved"), actor="U2")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await fail()
    assert await ledger.undelivered() == 0


@pytest.mark.parametrize("heard", ["no answer", "a doubtful answer"])
async def test_what_a_dead_instance_may_have_told_is_left_alone_until_slack_would_show_it(
    ledger: Ledger, clock: Clock, heard: str
) -> None:
    """Its post may be under way yet: who looks at once does not find it, and posts again."""
    await add(ledger, await request(ledger), Kind.CARD)
    (card,) = await claimed(ledger)
    if heard == "a doubtful answer":
        async with ledger.transaction() as transaction:
            due_at = transaction.now + timedelta(seconds=2)
            await transaction.outbox.retry_at(card, due_at=due_at, ambiguous=True)
    async with ledger.transaction() as transaction:
        await transaction.bring_forward()
        await transaction.free_leases(instead_of="another", visible_within=timedelta(seconds=2))
    assert await claimed(ledger) == []
    clock.advance(seconds=2)
    (again,) = await claimed(ledger)
    assert again.ambiguous


async def test_what_may_stand_there_is_taken_only_with_what_may_as_well(ledger: Ledger, clock: Clock) -> None:
    """One message tells both otherwise, and one of them for the second time."""
    payment = await with_card(ledger, await request(ledger, also=[InvoiceRef("vps", 10102)]))
    async with ledger.transaction() as transaction:
        for _ in range(4):
            event_id = await transaction.record(happened("told"), actor="test", payment=payment)
            await transaction.outbox.add(payment.request, Kind.THREAD_REPLY, event_id=event_id)
    lease = timedelta(seconds=30)

    async def taken(owner: str, limit: int) -> tuple[list[tuple[int, bool]], set[int]]:
        async with ledger.transaction() as transaction:
            (first,) = await transaction.outbox.claim(owner=owner, lease=lease, busy=(), limit=1, updates=0)
            with_it = await transaction.outbox.claim_with(first, owner=owner, lease=lease, limit=limit)
        return [(one.id, one.ambiguous) for one in (first, *with_it)], transaction.outbox.taken_over

    (first, second), from_whom = await taken("the dead", 1)
    assert (first[1], second[1], from_whom) == (False, False, set())
    clock.advance(minutes=1)
    both = {first[0], second[0]}
    assert await taken("alive", 10) == ([(first[0], True), (second[0], True)], both)
