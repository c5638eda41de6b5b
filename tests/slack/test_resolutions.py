"""It was paid, It was not paid: who may say so, how they know, and what a click that comes too late does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot import app
from bot.domain.events import Unsettled
from bot.domain.payment import State
from bot.ledger.schema import deliveries
from bot.payments.answers import Done, Forgotten
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.messages import Message
from bot.slack.card import WAS_NOT_PAID, WAS_PAID
from tests.fixture_types import QUICK, StartBot
from tests.slack.acting import at_rest, card, refusals, request, shown, state_of, text, thread, told


async def unknown(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> Message:
    """The card of a payment whose answer was lost; that its invoice is unpaid proves nothing yet."""
    billing.fail("reset-before")
    await request(slack, bot)
    assert await state_of(bot) is State.UNKNOWN
    await slack.wait_for(lambda: card(slack).action_ids())
    return card(slack)


async def settle(slack: LocalSlack, target: Message, by: str, action: str, how: str) -> Result:
    """Press the button, and say how one knows."""
    before = len(slack.views(by))
    assert (await slack.person(by).clicks(target, action)).ok
    await slack.wait_for(lambda: len(slack.views(by)) > before)
    return await slack.person(by).submits(slack.views(by)[-1], text("how", how))


async def test_an_approver_says_that_it_was_paid(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """By the form, in their name, with their words in the thread and the trail; the buttons are gone then."""
    asked = await unknown(slack, billing, bot)
    assert asked.action_ids() == [WAS_PAID, WAS_NOT_PAID]
    assert (await settle(slack, asked, "bob", WAS_PAID, "seen on the statement")).ok
    await at_rest(bot)
    assert await state_of(bot) is State.PAID
    last = (await bot.ledger.history(1))[-1]
    assert (last.actor, last.action) == (ids.BOB, "resolved")
    assert "Settled by" in thread(slack)[-1]
    assert "seen on the statement" in thread(slack)[-1]
    assert card(slack).action_ids() == []


async def test_nobody_is_asked_to_settle_what_is_settled_by_then(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """Slack was away when people were to be asked, and somebody settled it meanwhile."""
    await unknown(slack, billing, bot)
    slack.fail("chat.postMessage", "error:internal_error")
    changed = bot.ledger.watch()
    async with bot.ledger.transaction() as transaction:
        payment = await transaction.payment(1)
        assert payment is not None
        event_id = await transaction.record(Unsettled("nothing"), actor="reconciler", payment=payment)
        await transaction.announce_in_thread(payment, event_id)
    failed = deliveries.c.event_id == event_id, deliveries.c.tries > 0, deliveries.c.lease_owner.is_(None)
    async with asyncio.timeout(10):
        while not await bot.ledger._all(select(deliveries.c.id).where(*failed)):
            await changed.wait()
            changed.clear()
    bob = Person(ids.BOB, ids.TEAM_ID)
    assert isinstance(await bot.services.desk.resolve(bob, 1, paid=True, note="seen"), Done)
    slack.heal()
    await at_rest(bot)
    assert "Settled by <@U0BOB00001>" in thread(slack)[-1]
    assert "Still unknown" not in str(thread(slack))


@pytest.mark.parametrize("person", ["alice", "mallory"])
async def test_whoever_may_not_gets_no_form(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot, person: str
) -> None:
    """Neither the requester, where there are approvers, nor anybody else; it is in the trail."""
    asked = await unknown(slack, billing, bot)
    await slack.person(person).clicks(asked, WAS_PAID)
    assert await told(slack, person)
    assert slack.views(person) == []
    assert [one["what"] for one in await refusals(bot)] == ["resolve"]
    assert await state_of(bot) is State.UNKNOWN


async def test_where_nobody_approves_its_requester_settles_it(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """And nobody else, who is told whom to ask."""
    bot = await start_bot(PAY_APPROVERS="", PAY_APPROVALS_REQUIRED="")
    asked = await unknown(slack, billing, bot)
    await slack.person("bob").clicks(asked, WAS_PAID)
    assert "Only <@U0ALICE001> can do that." in await told(slack, "bob")
    assert (await settle(slack, asked, "alice", WAS_PAID, "seen")).ok
    assert await state_of(bot) is State.PAID


async def test_not_paid_has_to_wait_until_the_call_is_over(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """No form opens that would be refused: the clicker is told when to look again."""
    asked = await unknown(slack, billing, bot)
    await slack.person("bob").clicks(asked, WAS_NOT_PAID)
    assert "may still be carried out" in await told(slack, "bob")
    assert slack.views("bob") == []


async def test_how_one_knows_must_be_said(slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> None:
    """Blanks are no reason; what was entered stays open."""
    asked = await unknown(slack, billing, bot)
    result = await settle(slack, asked, "bob", WAS_PAID, "   ")
    assert not result.ok
    assert "audit trail" in str(slack.views("bob")[-1].errors)
    assert await state_of(bot) is State.UNKNOWN


async def test_a_form_that_comes_too_late_corrects_nothing(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The invoice was read as unpaid while Bob had the form open: what he says is of what was unknown."""
    soon = replace(QUICK, settling=timedelta(0), reconcile_most=timedelta(seconds=0.5))
    bot = await start_bot(timing=soon, BILLING_TIMEOUT="1")
    asked = await unknown(slack, billing, bot)
    assert (await slack.person("bob").clicks(asked, WAS_PAID)).ok
    form = (await slack.wait_for(lambda: slack.views("bob")))[-1]
    await slack.wait_for(lambda: "Not charged" in str(thread(slack)))
    await slack.person("bob").submits(form, text("how", "seen on the statement"))
    await at_rest(bot)
    assert await state_of(bot) is State.DECLINED
    assert "is past that" in shown(slack.views("bob")[-1])


async def test_the_button_of_an_old_card_corrects_nothing(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """Its update is late; it was settled by then, and the same person could correct that by the command."""
    old = await unknown(slack, billing, bot)
    slack.fail("chat.update", "error:internal_error")
    assert (await settle(slack, old, "bob", WAS_PAID, "seen")).ok
    await slack.person("bob").clicks(card(slack), WAS_NOT_PAID)
    assert "is past that" in await told(slack, "bob")
    assert await state_of(bot) is State.PAID


async def test_the_button_of_a_forgotten_payment_settles_no_other(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """The ledger was set back, and another payment has the number that the card shows."""
    await unknown(slack, billing, bot)
    desk, bob, other = (
        bot.services.desk,
        Person(ids.BOB, bot.services.workspace.team),
        "20260302T090000.000000",
    )
    assert isinstance(await desk.may_resolve(bob, 1, mark=other, paid=True), Forgotten)
    assert isinstance(await desk.resolve(bob, 1, mark=other, paid=True, note="seen"), Forgotten)
    assert await state_of(bot) is State.UNKNOWN
