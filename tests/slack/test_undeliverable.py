"""What Slack does not take is told in another way, and nobody pays what nobody can see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot import app
from bot.domain.payment import State
from bot.ledger.rows import Kind
from bot.ledger.schema import deliveries
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE
from tests.fixture_types import QUICK, StartBot
from tests.ledger.making import stored
from tests.slack.acting import (
    ANSWER,
    VAIN,
    approve,
    at_rest,
    card,
    direct,
    pay,
    posts,
    shown,
    state_of,
    thread,
    when_paying,
)
from tests.slack.gateway import JSON, Gateway, Said, no


def delete(slack: LocalSlack) -> None:
    (message,) = slack.messages("#payments")
    slack.world.delete(message)


class TestNoCardNoPayment:
    """Where the card cannot be posted, nothing is paid."""

    @pytest.mark.parametrize("channel", ["#random", "#finance-private"])
    async def test_where_the_bot_is_not_nothing_is_paid(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, channel: str
    ) -> None:
        """The requester alone is told, with the words to type, and it can be asked again."""
        await pay(slack, channel=channel)
        await at_rest(bot)
        (message,) = slack.ephemerals("alice")
        said = "\n".join(message.texts())
        assert message.channel == slack.world.channel(channel).id
        assert "Nothing was paid" in said
        assert "`/invite @invoice-pay`" in said
        assert slack.messages(channel) == []
        assert billing.payments_received("vps", 10101) == 0
        assert await state_of(bot) is State.CANCELLED
        told = await bot.ledger._all(select(deliveries.c.ts).where(deliveries.c.kind == Kind.DIRECT.value))
        assert [one["ts"] for one in told] == ["response_url"], "the ledger says which way it was told"
        await slack.person("alice").invites_bot(channel)
        await pay(slack, channel=channel)
        await at_rest(bot)
        assert billing.payments_made("vps", 10101) == 1
        assert ANSWER in thread(slack, channel)[0]

    async def test_an_archived_channel_cancels(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """It was archived before the card came: the requester is told directly, and nothing is paid."""
        slack.fail("chat.postMessage", "429", times=1, retry_after=1)
        await pay(slack)
        slack.world.change_channel("#payments", is_archived=True)
        await at_rest(bot)
        (told,) = direct(slack)
        assert "Nothing was paid" in told
        assert "is_archived" in told
        assert billing.payments_received("vps", 10101) == 0

    async def test_where_the_answer_url_fails_a_direct_message_says_it(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """One way or the other the requester hears of it."""
        slack.fail("response_url", "500")
        await pay(slack, channel="#random")
        await at_rest(bot)
        assert slack.ephemerals("alice") == []
        (told,) = direct(slack)
        assert "`/invite @invoice-pay`" in told
        assert billing.payments_received("vps", 10101) == 0

    async def test_nobody_can_be_told_and_it_still_ends(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """No card, no answer URL, no direct message: nothing is paid, and nothing is tried for ever."""
        slack.fail("response_url", "500")
        slack.fail("chat.postMessage", "error:channel_not_found")
        await pay(slack)
        await at_rest(bot)
        assert await state_of(bot) is State.CANCELLED
        assert billing.payments_received("vps", 10101) == 0

    async def test_what_was_cancelled_before_its_card_could_be_posted_comes_to_rest(
        self, slack: LocalSlack, start_bot: StartBot, tmp_path: object
    ) -> None:
        """A reply that waits for a card which never comes is told to the requester, and waits no more."""
        policy = f"{tmp_path}/policy.toml"
        with open(policy, "w", encoding="utf-8") as file:  # noqa: ASYNC230
            file.write(
                f'[[rule]]\nname = "small"\nrequesters = ["{ids.ALICE}"]\nlimit_per_payment = 1\n'
                f'approvers = ["{ids.BOB}"]\napprovals = 1\n'
            )
        bot = await start_bot(PAY_ALLOWED_USERS="", PAY_APPROVERS="", PAY_POLICY_FILE=policy)
        await pay(slack, channel="#random")
        await at_rest(bot)
        told = "\n".join("\n".join(message.texts()) for message in slack.ephemerals("alice")) + "".join(
            direct(slack)
        )
        assert "above the limit" in told
        assert await bot.ledger.undelivered() == 0

    async def test_what_waits_for_a_card_that_is_then_refused_is_told_directly(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """Approved on the Home tab before the card stood: nothing is paid, and nothing waits for ever."""
        bot = await start_bot(SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        gateway.says_always("chat.postMessage", no("message_limit_exceeded"))
        await pay(slack)
        await gateway.called("chat.postMessage", 1)
        await slack.person("bob").opens_home()
        home = await slack.wait_for(
            lambda: (view := slack.home("bob")) and APPROVE in str(view.blocks) and view
        )
        assert home
        assert (await approve(slack, home, "bob")).ok
        slack.world.leave("#payments", ids.BOT_USER_ID)
        gateway.heal()
        await at_rest(bot)
        assert await bot.ledger.undelivered() == 0
        assert billing.payments_received("vps", 10101) == 0

    async def test_a_card_that_slack_does_not_take_for_days_cancels_at_last_and_not_before(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """An unknown word is no refusal; but nobody pays for ever what nobody can see."""
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url)
        slack.fail("chat.postMessage", "error:channel_is_on_fire", channel="#payments")
        await pay(slack)
        await slack.wait_for(lambda: len(posts(slack)) >= 2)
        payment = await bot.ledger.payment(1)
        assert payment is not None
        assert payment.state is not State.CANCELLED
        await at_rest(bot)
        assert billing.payments_received("vps", 10101) == 0
        assert await bot.ledger.not_told() == 1
        told = "\n".join(direct(slack) + [shown(one) for one in slack.ephemerals("alice")])
        assert "Nothing was paid" in told
        assert "channel_is_on_fire" in told


class TestTheCardIsLost:
    """It stood, and cannot be reached or changed when the answer comes."""

    async def test_a_deleted_card_leaves_a_direct_message(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """There is no thread to reply in, so the requester is told alone."""
        when_paying(billing, lambda: delete(slack))
        await pay(slack)
        await at_rest(bot)
        (told,) = direct(slack)
        assert ANSWER in told
        assert "#1 · vps invoice 10101" in told
        assert await state_of(bot) is State.PAID

    async def test_a_reply_that_slack_takes_and_shows_nobody_is_told_directly(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """The real Slack takes some replies to a deleted card; the update of the card shows that it is."""
        bot = await start_bot(SLACK_API_URL=gateway.url)
        taken = Said(200, b'{"ok": true, "ts": "9999999999.000100"}', (JSON,))

        def delete_it() -> None:
            delete(slack)
            gateway.says("chat.postMessage", [taken])

        when_paying(billing, delete_it)
        await pay(slack)
        await at_rest(bot)
        (told,) = direct(slack)
        assert ANSWER in told
        assert await bot.ledger.undelivered() == 0

    async def test_a_removed_bot_says_it_directly(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """It was in the channel when the card came, and is not when the answer does."""
        when_paying(billing, lambda: slack.world.leave("#payments", ids.BOT_USER_ID))
        await pay(slack)
        await at_rest(bot)
        (told,) = direct(slack)
        assert ANSWER in told
        assert await state_of(bot) is State.PAID

    async def test_a_channel_that_is_archived_meanwhile_says_it_directly(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """The payment is under way; what became of it is told all the same."""
        when_paying(billing, lambda: slack.world.change_channel("#payments", is_archived=True))
        await pay(slack)
        (told,) = await slack.wait_for(lambda: direct(slack))
        assert ANSWER in told
        # Its card cannot be changed as long as it is archived, and is when it is not any more.
        slack.world.change_channel("#payments", is_archived=False)
        await at_rest(bot)
        assert "*Paid*" in "\n".join(card(slack).texts())

    async def test_a_card_that_cannot_be_updated_does_not_cost_anybody_the_reply(
        self, slack: LocalSlack, bot: app.Bot
    ) -> None:
        """Such as after a team's time for editing: the thread tells it."""
        slack.fail("chat.update", "error:edit_window_closed")
        await pay(slack)
        await at_rest(bot)
        (reply,) = thread(slack)
        assert ANSWER in reply

    async def test_a_thread_that_is_closed_holds_up_nothing(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """Slack refuses the reply for good: it is told directly at once."""
        locked = "error:restricted_action_thread_locked"
        when_paying(billing, lambda: slack.fail("chat.postMessage", locked, channel="#payments"))
        await pay(slack)
        await at_rest(bot)
        assert thread(slack) == []
        (told,) = direct(slack)
        assert ANSWER in told
        assert posts(slack).count(locked) == 1
        assert await bot.ledger.undelivered() == 0


class TestAWordThatNobodyHasSeen:
    """It may be about what is in the message."""

    async def test_a_reply_is_told_as_text_where_slack_will_not_have_it_otherwise(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """Long before it is given up; and by its metadata it is found, so it comes once."""
        soon = timedelta(seconds=0.01)
        timing = replace(QUICK, deliver_first=soon, deliver_most=soon, visible_within=soon)
        bot = await start_bot(timing=timing, SLACK_API_URL=gateway.url)

        def refuse() -> None:
            gateway.refuses_blocks = True

        when_paying(billing, refuse)
        await pay(slack)
        await slack.wait_for(lambda: slack.messages("#payments") and slack.messages("#payments")[0].thread)
        gateway.refuses_blocks = False
        await at_rest(bot)
        (reply,) = slack.messages("#payments")[0].thread
        assert ANSWER in reply.text
        assert reply.blocks == []
        assert "*Paid*" in "\n".join(slack.messages("#payments")[0].texts())
        assert direct(slack) == []


class TestGivenUpAtLast:
    """After days: the requester hears of it directly, the trail says so, and it is counted."""

    async def test_a_reply_that_slack_takes_nowhere_near_its_thread_is_told_directly_at_last(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """After days: the requester hears of it, the trail says so, and it is counted."""
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        slack.fail("chat.postMessage", "error:thread_is_on_fire", channel="#payments")
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        told = "\n".join(direct(slack))
        assert ANSWER in told
        given_up = [event for event in await bot.ledger.history(1) if event.action == "not_told"]
        assert given_up
        assert stored(given_up[0]) == {
            "kind": "note",
            "channel": ids.PAYMENTS,
            "error": "thread_is_on_fire",
        }
        assert await bot.ledger.not_told() == len(given_up)

    async def test_a_card_that_cannot_be_brought_up_to_date_is_told_of_at_last(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """And a click on it tries again: it shows that the card still stands there."""
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        gateway.says_always("chat.update", no("card_is_on_fire"))
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        assert any("bring its card up to date" in one and "Paid" in one for one in direct(slack))
        assert ANSWER in thread(slack)[-1]
        assert await bot.ledger.not_told() == 1
        gateway.heal()
        await approve(slack, card(slack), "carol")
        await at_rest(bot)
        assert "*Paid*" in shown(card(slack))
        assert "actions" not in [block["type"] for block in card(slack).blocks]

    async def test_who_is_told_how_an_open_payment_stands_is_not_told_that_nothing_is_to_be_done(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """It waits for an approval."""
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        gateway.says_always("chat.update", no("card_is_on_fire"))
        async with bot.ledger.transaction() as transaction:
            transaction.outbox.refresh_cards(1)
        await at_rest(bot)
        (told,) = direct(slack)
        assert "how it stands" in told
        assert "nobody has to do anything" not in told
