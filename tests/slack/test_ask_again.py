"""Ask again: a new request for the same invoice, by the same rules as a command."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot import app
from bot.domain.payment import InvoiceRef, State
from bot.domain.schedule import PayOn
from bot.ledger.store import utc_now
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.messages import Message
from bot.slack.card import ASK_AGAIN
from tests.fixture_types import QUICK, NewSettings, StartBot
from tests.ledger.making import REF
from tests.slack.acting import (
    at_rest,
    card,
    costs_by_now,
    deny,
    request,
    request_several,
    shown,
    state_of,
    states_of,
    told,
)
from tests.slack.test_preview import POLICY, confirm
from tests.slack.test_scheduled import later


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


async def test_what_costs_something_else_than_its_card_shows_is_shown_before_it_is_asked_for(
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    """Nobody has to approve, and the card says 10.00; the button in the answer asks for what it shows."""
    old = await declined(slack, billing, bot)
    costs_by_now(bot, billing, 9000.0)
    await slack.person("alice").clicks(old, ASK_AGAIN)
    said = await told(slack, "alice")
    assert "Something changed since you looked" in said
    assert "9,000.00 USD" in said
    await at_rest(bot)
    assert await bot.ledger.of_request(2) is None
    await confirm(slack)
    await at_rest(bot)
    assert await state_of(bot, 2) is State.PAID


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


async def test_lines_that_stand_under_two_rules_by_now_are_a_request_a_rule(
    slack: LocalSlack, settings: NewSettings, start_bot: StartBot, tmp_path: Path
) -> None:
    """Asked for under one, and denied; then the rules changed."""
    async with app.running(settings(PAY_APPROVALS_REQUIRED="1"), timing=QUICK) as bot:
        await request_several(slack, bot, [InvoiceRef("vps", 10101), InvoiceRef("mail", 10301)])
        await deny(slack, card(slack), "bob", "not now")
        await at_rest(bot)
    old = card(slack)
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.replace("alice", ids.ALICE).replace("bob", ids.BOB))
    bot = await start_bot(PAY_POLICY_FILE=str(policy), PAY_ALLOWED_USERS="", PAY_APPROVERS="")
    assert (await slack.person("alice").clicks(old, ASK_AGAIN)).ok
    await at_rest(bot)
    assert (await told(slack, "alice")).count("Requested: ") == 2
    assert (await states_of(bot, 2), await states_of(bot, 3)) == ([State.PAID], [State.PENDING_APPROVAL])


@pytest.mark.parametrize(("days", "kept"), [(30, True), (3, False)])
async def test_the_day_goes_along_unless_it_is_over(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch, days: int, kept: bool
) -> None:
    """Whoever asks again for a payment on a day does not mean at once."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1", PAY_APPROVERS=ids.BOB)
    meant = utc_now().date() + timedelta(days=days)
    old = await request(slack, bot, f"vps 10101 on {meant}")
    await deny(slack, old, "bob", "not now")
    await at_rest(bot)
    later(bot, monkeypatch, 5)
    assert (await slack.person("alice").clicks(card(slack), ASK_AGAIN)).ok
    await at_rest(bot)
    again = await bot.ledger.of_request(2)
    assert again is not None
    assert again.request.pay_on == (PayOn(meant) if kept else None)
