"""A post whose answer was lost: it is looked for before it is made again, and never for ever."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from bot import app
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.sandbox.local_slack.messages import Message
from tests.fixture_types import QUICK, StartBot
from tests.slack.acting import ANSWER, VAIN, approve, at_rest, card, direct, pay, posts, thread, when_paying
from tests.slack.gateway import JSON, Gateway, Said, no


def root_of(slack: LocalSlack) -> Message:
    """The card that the bot itself posted."""
    (root,) = [message for message in slack.messages("#payments") if message.bot_id == ids.BOT_ID]
    return root


class TestALostAnswer:
    """Where the app may read the history."""

    @pytest.mark.parametrize("mode", ["drop-after", "500"])
    @pytest.mark.parametrize("which", ["card", "reply"])
    async def test_a_lost_answer_is_looked_for_and_posted_once(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, mode: str, which: str
    ) -> None:
        """Where the app may read the history: whether it had arrived or not, it stands there once."""
        if which == "card":
            slack.fail("chat.postMessage", mode, times=1)
        else:
            when_paying(billing, lambda: slack.fail("chat.postMessage", mode, times=1))
        await pay(slack)
        await at_rest(bot)
        (message,) = slack.messages("#payments")
        assert len(message.thread) == 1
        assert len(posts(slack)) == (2 if mode == "drop-after" else 3)
        looked = "conversations.history" if which == "card" else "conversations.replies"
        assert posts(slack, looked) == [None]
        assert billing.payments_received("vps", 10101) == 1

    @pytest.mark.parametrize("which", ["card", "reply"])
    async def test_a_message_of_another_app_is_not_taken_for_ours(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, which: str
    ) -> None:
        """It carries our post's metadata, which anybody can read or guess: ours is posted all the same."""
        channel = slack.world.channel("#payments")

        def forge(number: int, thread_ts: str | None = None) -> None:
            payload = {"ledger": bot.ledger.identity, "delivery": number}
            metadata = {"event_type": "payment_delivery", "event_payload": payload}
            slack.world.post(
                channel, ids.MALLORY, "forged", bot_id="B0OTHERAPP", metadata=metadata, thread_ts=thread_ts
            )

        def lose_the_reply() -> None:
            forge(2, root_of(slack).ts)
            slack.fail("chat.postMessage", "drop-before", times=1)

        if which == "card":
            forge(1)
            slack.fail("chat.postMessage", "drop-before", times=1)
        else:
            when_paying(billing, lose_the_reply)
        await pay(slack)
        await at_rest(bot)
        root = root_of(slack)
        assert "*Paid*" in "\n".join(root.texts())
        assert [ANSWER in reply.text for reply in root.thread if reply.bot_id == ids.BOT_ID] == [True]

    @pytest.mark.parametrize(
        "shape",
        [
            '{"ok": true}',
            '{"ok": true, "messages": {}}',
            '{"ok": true, "messages": [1]}',
            '{"ok": true, "messages": [], "has_more": true}',
            '{"ok": true, "messages": [], "has_more": true, "response_metadata": {"next_cursor": ""}}',
        ],
    )
    async def test_half_an_answer_about_the_history_does_not_mean_that_it_is_not_there(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, shape: str
    ) -> None:
        """It arrived, and is found when the history can be read: so it stands there once."""
        bot = await start_bot(SLACK_API_URL=gateway.url)
        gateway.says("chat.postMessage", [no("bad_gateway", 502, arrives=True)])
        gateway.says("conversations.history", [Said(200, shape.encode(), (JSON,))])
        await pay(slack)
        await at_rest(bot)
        assert len(slack.messages("#payments")) == (2 if "[1]" in shape else 1)


@pytest.fixture
async def without_history() -> AsyncIterator[LocalSlack]:
    """An installation without the optional scopes."""
    scopes = frozenset(DEFAULT_MANIFEST["oauth_config"]["scopes"]["bot"])
    async with LocalSlack(scopes=scopes) as running:
        yield running


class TestWithoutHistory:
    """An app that may not read the history."""

    @pytest.fixture
    def slack(self, without_history: LocalSlack) -> LocalSlack:
        return without_history

    async def test_a_reply_whose_answer_was_lost_comes_at_least_once(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """Twice is better than never, and it was paid once all the same."""
        when_paying(billing, lambda: slack.fail("chat.postMessage", "drop-after", times=1))
        await pay(slack)
        await at_rest(bot)
        (message,) = slack.messages("#payments")
        assert [ANSWER in reply.text for reply in message.thread] == [True, True]
        assert billing.payments_received("vps", 10101) == 1


class TestALimitOnReading:
    """Or no end of it: the reply comes all the same."""

    async def test_a_look_up_that_is_never_answered_does_not_hold_the_reply_for_ever(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """That it is not there does not follow from an unknown word; it is posted after a while."""
        bot = await start_bot(timing=replace(VAIN, deliver_for=timedelta(days=1)), SLACK_API_URL=gateway.url)
        gateway.says("chat.postMessage", [no("bad_gateway", 502, arrives=True)])
        gateway.says_always("conversations.history", no("history_is_on_fire"))
        await pay(slack)
        await gateway.called("conversations.history", 2)
        assert gateway.calls["chat.postMessage"] == 1
        await at_rest(bot)
        assert len(slack.messages("#payments")) == 2, "twice is better than never"
        assert billing.payments_received("vps", 10101) == 1

    async def test_a_limit_on_reading_holds_no_reply_for_ever_and_no_other_message(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """Slack names its end every time, and it never ends: it is posted at last all the same."""
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        gateway.says("chat.postMessage", [no("bad_gateway", 503)])
        gateway.says_always("conversations.replies", Said(429, b"", (("Retry-After", "0.1"),)))
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        assert ANSWER in thread(slack)[-1]
        assert direct(slack) == []

    async def test_a_limit_on_reading_does_not_keep_a_channel_from_other_messages(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """The first card waits for its history; the second one comes meanwhile."""
        bot = await start_bot(SLACK_API_URL=gateway.url)
        gateway.says("chat.postMessage", [no("bad_gateway", 503)])
        gateway.says("conversations.history", [Said(429, b"", (("Retry-After", "4"),))])
        await pay(slack)
        await gateway.called("conversations.history", 1)
        await pay(slack, "vps 10102")
        await slack.wait_for(lambda: slack.messages("#payments"))
        assert gateway.calls["conversations.history"] == 1
        await at_rest(bot)
        assert len(slack.messages("#payments")) == 2

    async def test_a_long_history_is_read_on_from_where_slack_set_a_limit(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """One page at a time: the card stands on the third, and is found there."""
        bot = await start_bot(SLACK_API_URL=gateway.url)

        def page(following: str) -> Said:
            newest = time.time()
            others = [{"ts": f"{newest - number:.6f}", "bot_id": "B0OTHERAPP"} for number in range(200)]
            body = {"ok": True, "messages": others, "response_metadata": {"next_cursor": following}}
            return Said(200, json.dumps(body).encode(), (JSON,))

        limit = Said(429, b"", (JSON, ("Retry-After", "0.1")))
        gateway.says("chat.postMessage", [no("bad_gateway", 502, arrives=True)])
        gateway.says("conversations.history", [page("200"), limit, page("400"), limit, limit])
        await pay(slack)
        await gateway.called("conversations.history", 6)
        assert gateway.asked["conversations.history"][:6] == ["", "200", "200", "400", "400", "400"]
        await at_rest(bot)

    async def test_an_outage_in_which_posts_arrive_and_nobody_may_look_does_not_fill_the_channel(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """After each post that went out blindly, it is looked for as long again. One copy is ours."""
        pause, look_for = timedelta(seconds=0.05), timedelta(seconds=0.5)
        timing = replace(QUICK, deliver_first=pause, deliver_most=pause, search_for=look_for)
        bot = await start_bot(timing=timing, SLACK_API_URL=gateway.url)
        gateway.says_always("chat.postMessage", Said(503, b"", (), arrives=True))
        gateway.says_always("conversations.history", Said(503, b""))
        await pay(slack)
        await gateway.called("conversations.history", 25)
        gateway.heal()
        await at_rest(bot)
        cards = slack.messages("#payments")
        assert len(cards) == 3
        assert [len(one.thread) for one in cards].count(1) == 1
        assert [ANSWER in reply.text for one in cards for reply in one.thread] == [True]
