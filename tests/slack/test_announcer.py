"""The announcer: whatever Slack does, people hear of the outcome, and nobody pays what nobody can see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from bot import app
from bot.domain.payment import State
from bot.ledger import leases
from bot.ledger.rows import Kind
from bot.ledger.schema import deliveries
from bot.ledger.store import utc_now
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.messages import Message
from bot.slack import announcer, event_text, messages
from bot.slack.pace import Pace
from tests.conftest import MANIFEST, QUICK, NewDatabase, NewSettings, StartBot
from tests.slack.acting import approve, at_rest, card, thread
from tests.slack.gateway import open_gateway

PAY = "api_make_payment"
ANSWER = "Payment of 10.00 USD for Invoice 10101 Successful."


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's history is up to date at once here, and nobody wants to wait."""
    monkeypatch.setattr(announcer, "_SETTLES", timedelta(seconds=0.1))


async def pay(slack: LocalSlack, channel: str = "#payments", text: str = "vps 10101") -> None:
    result = await slack.person("alice").types(channel, f"/pay {text}")
    assert result.ok, result


def posts(slack: LocalSlack, method: str = "chat.postMessage") -> list[str | None]:
    """What became of each call, the oldest first."""
    return [call.error for call in slack.calls if call.method == method]


def direct(slack: LocalSlack) -> list[str]:
    return ["\n".join(message.texts()) for message in slack.direct_messages("alice")]


def when_paying(billing: LocalBilling, action: object) -> None:
    """Do something at the moment when the payment arrives at the billing API."""
    assert callable(action)
    billing.on_call = lambda call: action() if call.operation == PAY else None


async def state_of(bot: app.Bot, payment_id: int = 1) -> State:
    payment = await bot.ledger.payment(payment_id)
    assert payment is not None
    return payment.state


# -- the good way -----------------------------------------------------------------------------------


async def test_card_and_thread_tell_the_outcome(slack: LocalSlack, bot: app.Bot) -> None:
    """One card, which shows the final state, and one reply with the API's words."""
    await pay(slack)
    await at_rest(bot)
    (message,) = slack.messages("#payments")
    assert "*Paid*" in "\n".join(message.texts())
    assert message.text.endswith(": Paid")
    (reply,) = message.thread
    assert f"> {ANSWER}" in "\n".join(reply.texts())
    assert slack.direct_messages("alice") == []


async def test_the_thread_keeps_the_order_in_which_it_happened(
    slack: LocalSlack, start_bot: StartBot, billing: LocalBilling
) -> None:
    """First not sent, then paid, although Slack does not take the first reply at once."""
    bot = await start_bot(timing=replace(QUICK, not_sent=(timedelta(seconds=1),) * 3))
    slack.fail("chat.postMessage", "429", times=1, retry_after=1)
    await pay(slack)
    await slack.wait_for(lambda: posts(slack))
    billing.fail("down")
    await slack.wait_for(lambda: slack.messages("#payments"))
    slack.fail("chat.postMessage", "error:token_revoked", times=2)
    await slack.wait_for(lambda: posts(slack).count("error:token_revoked") == 2)
    billing.heal()
    await slack.wait_for(lambda: any(ANSWER in reply for reply in thread(slack)))
    await at_rest(bot)
    first, second = thread(slack)
    assert "Not sent" in first
    assert ANSWER in second


# -- Slack is busy, or silent, or loses answers -----------------------------------------------------


async def test_a_busy_channel_keeps_its_trouble_to_itself(slack: LocalSlack, bot: app.Bot) -> None:
    """One channel has to wait; another goes on meanwhile; in the end both have everything."""
    slack.fail("chat.postMessage", "429", times=1, channel="#payments", retry_after=2)
    await pay(slack, "#payments", "vps 10101")
    await slack.wait_for(lambda: posts(slack) == ["429"])
    await pay(slack, "#shared-with-partner", "vps 10102")
    other = "#shared-with-partner"
    await slack.wait_for(lambda: slack.messages(other) and thread(slack, other))
    assert slack.messages("#payments") == []
    await at_rest(bot)
    assert len(thread(slack)) == 1
    assert posts(slack).count("429") == 1, "nothing was posted there before its time"


@pytest.mark.parametrize("mode", ["drop-after", "500"])
@pytest.mark.parametrize("which", ["card", "reply"])
async def test_a_lost_answer_is_looked_for_and_posted_once(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling, mode: str, which: str
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


@pytest.fixture
async def without_history() -> AsyncIterator[LocalSlack]:
    """An installation without the optional scopes."""
    scopes = frozenset(MANIFEST["oauth_config"]["scopes"]["bot"])
    async with LocalSlack(manifest=MANIFEST, scopes=scopes) as running:
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


async def test_an_outage_is_waited_for(slack: LocalSlack, bot: app.Bot) -> None:
    """Slack goes away after the command and comes back: everything is told."""
    slack.fail("chat.postMessage", "error:fatal_error", times=2)
    await pay(slack)
    await slack.wait_for(lambda: len(posts(slack)) >= 2)
    async with slack.outage():
        pass
    await at_rest(bot)
    assert len(thread(slack)) == 1


async def test_blocks_that_slack_refuses_do_not_cost_anybody_the_reply(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
) -> None:
    """A bug of ours: the text alone says the same."""
    when_paying(billing, lambda: slack.fail("chat.postMessage", "error:invalid_blocks", times=1))
    await pay(slack)
    await at_rest(bot)
    (reply,) = card(slack).thread
    assert reply.blocks == []
    assert ANSWER in reply.text


async def test_metadata_that_slack_refuses_does_not_cost_anybody_the_reply(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """It only serves to find the reply again; the last way to say it goes without."""
    async with open_gateway(slack.api_url) as gateway:
        bot = await start_bot(SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        gateway.refuses_metadata = True
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
    assert any(ANSWER in reply for reply in thread(slack))
    assert direct(slack) == []


async def test_a_thread_that_is_closed_holds_up_nothing(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
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


@pytest.mark.parametrize("which", ["card", "reply"])
async def test_a_message_of_another_app_is_not_taken_for_ours(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling, which: str
) -> None:
    """It carries the metadata of our post, which anybody can read or guess: ours is posted all the same."""
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


def root_of(slack: LocalSlack) -> Message:
    """The card that the bot itself posted."""
    (root,) = [message for message in slack.messages("#payments") if message.bot_id == ids.BOT_ID]
    return root


# -- where the bot may not post ---------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["#random", "#finance-private"])
async def test_where_the_bot_is_not_nothing_is_paid(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling, channel: str
) -> None:
    """The requester alone is told, with the words to type, and it can be asked again."""
    await pay(slack, channel)
    await at_rest(bot)
    (message,) = slack.ephemerals("alice")
    said = "\n".join(message.texts())
    assert message.channel == slack.world.channel(channel).id
    assert "Nothing was paid" in said
    assert "`/invite @invoice-pay`" in said
    assert slack.messages(channel) == []
    assert billing.payments_received("vps", 10101) == 0
    assert await state_of(bot) is State.CANCELLED
    await slack.person("alice").invites_bot(channel)
    await pay(slack, channel)
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1
    assert ANSWER in thread(slack, channel)[0]


async def test_an_archived_channel_cancels(slack: LocalSlack, bot: app.Bot, billing: LocalBilling) -> None:
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
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
) -> None:
    """One way or the other the requester hears of it."""
    slack.fail("response_url", "500")
    await pay(slack, "#random")
    await at_rest(bot)
    assert slack.ephemerals("alice") == []
    (told,) = direct(slack)
    assert "`/invite @invoice-pay`" in told
    assert billing.payments_received("vps", 10101) == 0


async def test_nobody_can_be_told_and_it_still_ends(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
) -> None:
    """No card, no answer URL, no direct message: nothing is paid, and nothing is tried for ever."""
    slack.fail("response_url", "500")
    slack.fail("chat.postMessage", "error:channel_not_found")
    await pay(slack)
    await at_rest(bot)
    assert await state_of(bot) is State.CANCELLED
    assert billing.payments_received("vps", 10101) == 0


async def test_what_was_cancelled_before_its_card_could_be_posted_comes_to_rest(
    slack: LocalSlack, start_bot: StartBot, tmp_path: object
) -> None:
    """A reply that waits for a card which never comes is told to the requester, and waits no more."""
    policy = f"{tmp_path}/policy.toml"
    with open(policy, "w", encoding="utf-8") as file:  # noqa: ASYNC230
        file.write(f'[[rule]]\nname = "small"\nrequesters = ["{ids.ALICE}"]\nlimit_per_payment = 1\n')
    bot = await start_bot(PAY_ALLOWED_USERS="", PAY_APPROVERS="", PAY_POLICY_FILE=policy)
    await pay(slack, "#random")
    await at_rest(bot)
    told = "\n".join("\n".join(message.texts()) for message in slack.ephemerals("alice")) + "".join(
        direct(slack)
    )
    assert "above the limit" in told
    assert await bot.ledger.undelivered() == 0


# -- what happens to the card on the way ------------------------------------------------------------


def delete(slack: LocalSlack) -> None:
    (message,) = slack.messages("#payments")
    slack.world.delete(message)


async def test_a_deleted_card_leaves_a_direct_message(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
) -> None:
    """There is no thread to reply in, so the requester is told alone."""
    when_paying(billing, lambda: delete(slack))
    await pay(slack)
    await at_rest(bot)
    (told,) = direct(slack)
    assert ANSWER in told
    assert "#1 · vps invoice 10101" in told
    assert await state_of(bot) is State.PAID


async def test_a_removed_bot_says_it_directly(slack: LocalSlack, bot: app.Bot, billing: LocalBilling) -> None:
    """It was in the channel when the card came, and is not when the answer does."""
    when_paying(billing, lambda: slack.world.leave("#payments", ids.BOT_USER_ID))
    await pay(slack)
    await at_rest(bot)
    (told,) = direct(slack)
    assert ANSWER in told
    assert await state_of(bot) is State.PAID


async def test_a_channel_that_is_archived_meanwhile_says_it_directly(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
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
    slack: LocalSlack, bot: app.Bot
) -> None:
    """Such as after a team's time for editing: the thread tells it."""
    slack.fail("chat.update", "error:edit_window_closed")
    await pay(slack)
    await at_rest(bot)
    (reply,) = thread(slack)
    assert ANSWER in reply


# -- what cannot be put into words ------------------------------------------------------------------


class TestWords:
    """An event of a newer version after a roll-back, one without what its words need, a bug."""

    @pytest.fixture
    def logs(self) -> Iterator[list[Any]]:
        with capture_logs() as captured:
            yield captured

    def reference(self, logs: list[Any]) -> str:
        """The one that stands in the log."""
        (entry,) = [each for each in logs if "cannot be put into words" in each["event"]]
        assert (entry["log_level"], entry["payment"]) == ("error", 1)
        assert entry["exc_info"]
        return str(entry["reference"])

    @pytest.mark.parametrize(
        ("action", "detail"),
        [
            ("refunded by a newer version", {}),
            ("denied", {}),
            ("held", {}),
            ("reconciled", {"evidence": "none"}),
        ],
    )
    async def test_an_event_without_words_is_told_in_a_plain_line(
        self, slack: LocalSlack, start_bot: StartBot, logs: list[Any], action: str, detail: dict[str, Any]
    ) -> None:
        """It names the payment, its state and the reference in the log; what comes after it is told too."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        async with bot.ledger.transaction() as transaction:
            payment = await transaction.payment(1)
            assert payment is not None
            event_id = await transaction.record(action, actor="U2", payment=payment, detail=detail)
            await transaction.tell_thread(payment, event_id)
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        plain, approved, *_, last = thread(slack)
        assert plain.startswith("#1 · vps invoice 10101: ")
        assert f"reference {self.reference(logs)}" in plain
        assert "Approved by" in approved
        assert ANSWER in last

    async def test_the_api_s_words_are_not_lost_with_ours(
        self, slack: LocalSlack, bot: app.Bot, logs: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the billing API said is in the plain line as well: it is what everybody waits for."""

        def broken(*_: object) -> Message:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(event_text, "_answered", broken)
        await pay(slack)
        await at_rest(bot)
        (reply,) = thread(slack)
        assert "#1 · vps invoice 10101: Paid. The billing API says: " + ANSWER in reply
        assert f"reference {self.reference(logs)}" in reply

    async def test_a_card_without_words_is_a_plain_line_too(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The payment goes on: it can be seen."""

        def broken(*_: object) -> Message:
            raise KeyError("a bug")

        monkeypatch.setattr(messages, "card", broken)
        await pay(slack)
        await at_rest(bot)
        (root,) = slack.messages("#payments")
        assert root.text.startswith("#1 · vps invoice 10101: Paid.")
        assert any(ANSWER in reply.text for reply in root.thread)
        assert billing.payments_made("vps", 10101) == 1

    async def test_a_delivery_of_a_kind_that_nobody_knows_holds_up_nothing(
        self, slack: LocalSlack, bot: app.Bot
    ) -> None:
        """A newer version wrote it; that version tells it when it is back."""
        await pay(slack)
        await at_rest(bot)
        async with bot.ledger.transaction() as transaction:
            payment = await transaction.payment(1)
            assert payment is not None
            await transaction.outbox.add(payment, Kind.INVITATION, channel=ids.BOB)
            await transaction._connection.execute(
                update(deliveries).where(deliveries.c.kind == "invitation").values(kind="telegram")
            )
        await pay(slack, text="vps 10102")
        await slack.wait_for(lambda: len(slack.messages("#payments")) == 2 and thread(slack))
        assert not bot.broken.is_set()

    @pytest.mark.parametrize("word", ["msg_too_long", "invalid_arguments", "invalid_metadata_schema"])
    async def test_words_that_slack_refuses_are_told_in_a_plain_line(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling, word: str
    ) -> None:
        """First without blocks, then plainly: nobody goes without because of how it was said."""
        when_paying(billing, lambda: slack.fail("chat.postMessage", f"error:{word}", times=2))
        await pay(slack)
        await at_rest(bot)
        (reply,) = thread(slack)
        assert reply.startswith(f"#1 · vps invoice 10101: Paid. The billing API says: {ANSWER}")

    async def test_a_card_whose_blocks_slack_refuses_loses_its_buttons_all_the_same(
        self, slack: LocalSlack, start_bot: StartBot
    ) -> None:
        """Slack keeps the blocks of a message that is changed without any, so they are taken away."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        await pay(slack)
        await at_rest(bot)
        slack.fail("chat.update", "error:invalid_blocks", times=1)
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        updates = [call.arguments for call in slack.calls if call.method == "chat.update"]
        assert all("blocks" in one for one in updates)
        assert "*Paid*" in "\n".join(card(slack).texts()) or card(slack).text.endswith("Paid")


# -- what a message carries -------------------------------------------------------------------------


async def test_every_post_carries_what_it_can_be_found_by(slack: LocalSlack, bot: app.Bot) -> None:
    """The ledger's identity and the delivery; nothing that tells anything, for everybody can read it."""
    await pay(slack)
    await at_rest(bot)
    root = card(slack)
    found = [message.metadata for message in (root, *root.thread)]
    assert all(each is not None and each["event_type"] == "payment_delivery" for each in found)
    payloads = [each["event_payload"] for each in found if each is not None]
    assert [set(each) for each in payloads] == [{"ledger", "delivery"}] * 2
    assert {each["ledger"] for each in payloads} == {bot.ledger.identity}
    assert len({each["delivery"] for each in payloads}) == 2


async def test_no_link_in_a_message_is_unfolded(slack: LocalSlack, bot: app.Bot) -> None:
    """What the API says may hold an address; Slack is told to leave it alone."""
    await pay(slack)
    await at_rest(bot)
    calls = [call.arguments for call in slack.calls if call.method == "chat.postMessage"]
    assert all(call["unfurl_links"] is call["unfurl_media"] is False for call in calls)


async def test_a_hostile_description_is_text_in_the_channel(
    slack: LocalSlack, bot: app.Bot, billing: LocalBilling
) -> None:
    """The invoice of the sample books, `café & <b> <!channel>`, over the sockets."""
    await pay(slack, text="domains 10002")
    await at_rest(bot)
    message: Message = card(slack)
    assert any("café &amp; &lt;b&gt; &lt;!channel&gt;" in text for text in message.texts())
    assert all("<!channel>" not in text for text in message.texts())


# -- a clock that is set back while something is told -------------------------------------------------


async def test_who_froze_before_posting_posts_nothing_that_another_tells_although_the_clock_was_set_back(
    slack: LocalSlack,
    billing: LocalBilling,
    settings: NewSettings,
    new_postgresql: NewDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the clock its lease lasts for another day; in truth it is over, and another instance has it."""
    monkeypatch.setattr(leases, "LONGEST_LEASE", timedelta(seconds=1))
    posting, go = asyncio.Event(), asyncio.Event()

    async def hold(step: str, payment_id: int) -> None:
        if step == "posting note":
            posting.set()
            await go.wait()

    url = new_postgresql(migrated=True)

    def start(**more: Any) -> Any:
        pace = Pace(posts=1000, updates=1000, burst=1000)
        return app.running(settings(LEDGER_URL=url), timing=QUICK, pace=pace, **more)

    async with start(steps=hold) as one:
        await pay(slack)
        async with asyncio.timeout(10):
            await posting.wait()
        async with start() as two:
            for bot in (one, two):
                monkeypatch.setattr(bot.ledger, "_clock", lambda: utc_now() - timedelta(days=1))
            await slack.wait_for(lambda: thread(slack), timeout=20)
            await at_rest(two)
            go.set()
            await at_rest(one)
            assert await one.rest(10)
    (reply,) = thread(slack)
    assert ANSWER in reply
