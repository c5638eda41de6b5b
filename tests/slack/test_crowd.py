"""Many things to tell at once: what waits for its turn keeps nothing else waiting."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import pytest

from bot.domain.payment import InvoiceRef, Payment, State
from bot.ledger.rows import Kind
from bot.ledger.store import Ledger
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.pace import Pace
from tests.fixture_types import StartBot
from tests.ledger.making import request

CROWD = 40
"""Channels: more than the announcer has places, and more than Slack lets change at once."""


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A local Slack that counts, with many channels."""
    async with LocalSlack(enforce_rate_limits=True) as running:
        for number in range(CROWD):
            running.world.add_channel(f"crowd-{number}", ["alice", ids.BOT_USER_ID], id=f"C0CROWD{number:03}")
        yield running


async def old_requests(ledger: Ledger, each: int = 1) -> list[Payment]:
    """Requests that were cancelled long ago, so many in every channel of the crowd."""
    return [
        await request(
            ledger,
            InvoiceRef("vps", 1 + number * each + place),
            channel=f"C0CROWD{number:03}",
            requester=ids.ALICE,
            moved_to=State.CANCELLED,
            trigger_id=f"crowd-{number}-{place}",
        )
        for place in range(each)
        for number in range(CROWD)
    ]


async def seconds_to_the_card(slack: LocalSlack) -> float:
    """How long /pay takes to its card, in a channel where nothing else happens."""
    began = time.monotonic()
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await slack.wait_for(lambda: slack.messages("#payments"), timeout=30)
    return time.monotonic() - began


def refused(slack: LocalSlack) -> Iterator[str]:
    return (str(call.error) for call in slack.calls if call.error)


async def test_cards_that_wait_to_be_changed_hold_up_no_new_card(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Forty cards are to be changed, which takes long; a request elsewhere has its card at once."""
    bot = await start_bot(pace=Pace(updates=0.2))
    payments = await old_requests(bot.ledger)
    for payment in payments:
        async with bot.ledger.transaction() as transaction:
            await transaction.outbox.add(payment.request, Kind.CARD)
    await slack.wait_for(lambda: all(slack.messages(f"#crowd-{one}") for one in range(CROWD)), timeout=30)
    for payment in payments:
        async with bot.ledger.transaction() as transaction:
            transaction.outbox.refresh_cards(payment.request.id)
    await slack.wait_for(lambda: [one for one in slack.calls if one.method == "chat.update"])
    assert await seconds_to_the_card(slack) < 20
    assert await bot.ledger.undelivered() > 0, "the others still wait for their turn"
    assert list(refused(slack)) == []


async def test_queues_in_many_channels_hold_up_no_other_channel(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """A channel takes few messages at a time: who has to wait for that does so in the ledger."""
    bot = await start_bot(pace=Pace(posts=0.1, burst=2))
    payments = await old_requests(bot.ledger, each=4)
    async with bot.ledger.transaction() as transaction:
        for payment in payments:
            await transaction.outbox.add(payment.request, Kind.CARD)
    await slack.wait_for(
        lambda: len([one for one in slack.calls if one.method == "chat.postMessage"]) > CROWD
    )
    assert await seconds_to_the_card(slack) < 20
    assert await bot.ledger.undelivered() > 0, "the others still wait for their turn"
    assert list(refused(slack)) == []


async def test_nobody_is_refused_and_everything_comes(slack: LocalSlack, start_bot: StartBot) -> None:
    """Seven cards in one channel, where few may come at once: in order, and Slack refuses none."""
    # One fewer than Slack lets through: a post that is long on its way may meet the next one there.
    bot = await start_bot(pace=Pace(burst=4))
    for number in range(1, 8):
        payment = await request(
            bot.ledger,
            InvoiceRef("vps", number),
            channel=ids.PAYMENTS,
            requester=ids.ALICE,
            moved_to=State.CANCELLED,
        )
        async with bot.ledger.transaction() as transaction:
            await transaction.outbox.add(payment.request, Kind.CARD)
    assert await bot.rest(10)
    numbers = [message.text.split("invoice ")[1].split(",")[0] for message in slack.messages("#payments")]
    assert numbers == [str(number) for number in range(1, 8)]
    assert list(refused(slack)) == []
