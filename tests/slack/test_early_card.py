"""The card of what nobody can have to approve is posted while its invoice is still read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.domain.payment import State
from bot.ledger.opening import open_ledger
from bot.ledger.rows import Kind
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE
from tests.fixture_types import QUICK, NewSettings, StartBot
from tests.ledger.making import claimed, request
from tests.slack.acting import ANSWER, approve, at_rest, card, shown, states_of, thread

UNPAID = "api_vps_get_client_unpaid_invoices"
PATIENT = replace(QUICK, look_up=20.0)


async def test_it_stands_before_the_billing_api_has_answered(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """It says that the invoice is looked up; nothing is sent until that is done."""
    bot = await start_bot(timing=PATIENT, BILLING_TIMEOUT="20")
    billing.fail("stall", operation=UNPAID)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await slack.wait_for(lambda: slack.messages("#payments"))
    assert ":eyes: *Looking it up*" in shown(card(slack))
    assert "amount not read yet" in card(slack).text
    assert card(slack).action_ids() == []
    assert await states_of(bot) == [State.REQUESTED]
    assert billing.payments_received("vps", 10101) == 0


async def test_one_update_shows_the_rest(slack: LocalSlack, start_bot: StartBot) -> None:
    """Where all goes well, it is posted once and changed once, and the thread has the answer."""
    bot = await start_bot()
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await at_rest(bot)
    assert len(thread(slack)) == 1
    assert ANSWER in thread(slack)[0]
    assert "10.00 USD" in card(slack).text
    assert ":white_check_mark: *Paid*" in shown(card(slack))
    calls = [call.method for call in slack.calls if call.method.startswith("chat.")]
    assert sorted(calls) == ["chat.postMessage", "chat.postMessage", "chat.update"]


async def test_what_the_policy_forbids_after_all_is_told_in_its_thread(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """An invoice that is not listed, of a request whose card stands already."""
    bot = await start_bot()
    assert (await slack.person("alice").types("#payments", "/pay vps 10105")).ok
    await at_rest(bot)
    assert await states_of(bot) == [State.CANCELLED]
    assert "*Cancelled; nothing was paid*" in shown(card(slack))
    assert len(thread(slack)) == 1
    assert billing.payments_received("vps", 10105) == 0


async def test_rules_that_came_to_ask_for_approval_meanwhile_tell_those_who_may_give_it(
    slack: LocalSlack, settings: NewSettings, start_bot: StartBot
) -> None:
    """Nobody is notified of what is written into a message later: the thread mentions who is in the channel,
    and who is not is asked directly."""
    slack.world.leave("payments", "carol")
    where = slack.world.channel("#payments")
    stands = slack.world.post(where, ids.BOT_USER_ID, "Looking it up", bot_id=ids.BOT_ID)
    async with open_ledger(settings().ledger_url.get_secret_value()) as ledger:
        asked = await request(ledger, team=ids.TEAM_ID, channel=ids.PAYMENTS, requester=ids.ALICE)
        async with ledger.transaction() as transaction:
            await transaction.outbox.add(asked.request, Kind.CARD)
        (posted,) = await claimed(ledger)
        async with ledger.transaction() as transaction:
            await transaction.outbox.mark_delivered(posted, ts=stands.ts)
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await at_rest(bot)
    assert await states_of(bot) == [State.PENDING_APPROVAL]
    now = slack.messages("#payments")[0]
    assert APPROVE in now.action_ids()
    assert [f"<@{ids.BOB}>" in shown(one) for one in now.thread] == [True]
    assert "asks for your approval" in slack.direct_messages("carol")[0].text
    assert (await approve(slack, now, "bob")).ok
    await at_rest(bot)
    assert await states_of(bot) == [State.PAID]


async def test_what_is_worth_showing_later_delays_no_card_that_is_still_to_be_posted(
    settings: NewSettings,
) -> None:
    """It shows that anyway; one that stands, or is just being posted, is changed a moment later."""
    moment = timedelta(seconds=30)
    async with open_ledger(settings().ledger_url.get_secret_value()) as ledger:
        asked = await request(ledger)
        async with ledger.transaction() as transaction:
            await transaction.outbox.add(asked.request, Kind.CARD)
        async with ledger.transaction() as transaction:
            transaction.outbox.refresh_cards(asked.request.id, after=moment)
        (being_posted,) = await claimed(ledger)
        assert being_posted.revision == 2
        async with ledger.transaction() as transaction:
            transaction.outbox.refresh_cards(asked.request.id, after=moment)
        async with ledger.transaction() as transaction:
            await transaction.outbox.mark_delivered(being_posted, ts="1.1")
        assert await claimed(ledger) == []
        assert await ledger.undelivered() == 1
