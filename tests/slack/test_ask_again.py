"""Ask again: a new request for the same invoice, by the same rules as a command."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import app
from bot.domain.payment import State
from bot.domain.schedule import PayOn
from bot.ledger.store import utc_now
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.messages import Message
from bot.slack.card import ASK_AGAIN
from tests.fixture_types import StartBot
from tests.ledger.making import REF
from tests.slack.acting import at_rest, card, deny, request, shown, state_of, told


async def declined(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> Message:
    """The card of a payment that the billing API declined."""
    billing.fail("declined", times=1)
    await request(slack, bot)
    await slack.wait_for(lambda: card(slack).action_ids())
    return card(slack)


async def test_what_was_declined_is_asked_for_again(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """A new request with a card of its own, and the first stays as it is."""
    old = await declined(slack, billing, bot)
    assert old.action_ids() == [ASK_AGAIN]
    assert (await slack.person("alice").clicks(old, ASK_AGAIN)).ok
    await at_rest(bot)
    assert (await state_of(bot), await state_of(bot, 2)) == (State.DECLINED, State.PAID)
    assert "#2 · vps invoice 10101" in shown(card(slack))
    assert billing.payments_made("vps", 10101) == 1


async def test_what_was_denied_is_asked_for_again_with_its_note(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """It needs its approvals anew; the note goes along for those who give them."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    alice = Person(ids.ALICE, bot.services.workspace.team)
    await bot.services.desk.request(
        alice, ids.PAYMENTS, [REF], trigger_id="1.1", typed_there=True, note="for the new office"
    )
    await at_rest(bot)
    await deny(slack, card(slack), "bob", "not now")
    await at_rest(bot)
    assert (await slack.person("alice").clicks(card(slack), ASK_AGAIN)).ok
    await at_rest(bot)
    again = await bot.ledger.of_request(2)
    assert again is not None
    assert (again.first.state, again.request.note) == (State.PENDING_APPROVAL, "for the new office")
    assert "for the new office" in shown(card(slack))


async def test_whoever_is_not_in_the_channel_cannot_ask_there(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """People see public channels that they are not in, and the channel decides the rule."""
    old = await declined(slack, billing, bot)
    slack.fail("users.conversations", "error:internal_error")
    await slack.person("alice").clicks(old, ASK_AGAIN)
    assert await told(slack, "alice")
    assert await bot.ledger.of_request(2) is None


@pytest.mark.parametrize("person", ["mallory", "bob"])
async def test_whoever_may_not_ask_is_refused(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot, person: str
) -> None:
    """Whoever pressed it asks, not whoever asked before."""
    old = await declined(slack, billing, bot)
    await slack.person(person).clicks(old, ASK_AGAIN)
    assert "not among those who may request" in await told(slack, person)
    assert await bot.ledger.of_request(2) is None


async def test_a_second_press_is_told_of_the_first(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """The old card keeps its button; the invoice is held by the new request."""
    old = await declined(slack, billing, bot)
    for _ in range(2):
        await slack.person("alice").clicks(old, ASK_AGAIN)
        await at_rest(bot)
    assert "it is #2" in await told(slack, "alice")
    assert billing.payments_received("vps", 10101) == 2
    assert await bot.ledger.of_request(3) is None


@pytest.mark.parametrize(("days", "meant"), [(30, True), (None, True), (0, False)])
async def test_what_was_for_a_day_is_for_that_day_again(
    slack: LocalSlack, start_bot: StartBot, days: int | None, meant: bool
) -> None:
    """Nobody asked for it to be paid before; where the day is over meanwhile, it is wanted at once."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    alice = Person(ids.ALICE, bot.services.workspace.team)
    pay_on = PayOn(utc_now().date() + timedelta(days) if days is not None else None)
    await bot.services.desk.request(
        alice, ids.PAYMENTS, [REF], trigger_id="1.1", typed_there=True, pay_on=pay_on
    )
    await at_rest(bot)
    await deny(slack, card(slack), "bob", "not now")
    await at_rest(bot)
    if not meant:
        over = utc_now() + timedelta(days=2)
        object.__setattr__(bot.ledger, "clock", lambda: over)
    assert (await slack.person("alice").clicks(card(slack), ASK_AGAIN)).ok
    await at_rest(bot)
    again = await bot.ledger.of_request(2)
    assert again is not None
    assert again.request.pay_on == (pay_on if meant else None)
