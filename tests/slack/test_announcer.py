"""The announcer: whatever Slack does and whoever answers in its place, people hear of the outcome, once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bot import app, config
from bot.domain.payment import State
from bot.ledger import leases
from bot.ledger.store import utc_now
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.messages import Message
from bot.slack.pace import Pace
from bot.slack.web_api import FINAL
from tests.effort import drawn
from tests.fixture_types import QUICK, NewDatabase, NewSettings, StartBot, environment_of
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
    states_of,
    thread,
)
from tests.slack.gateway import JSON, Gateway, Said, no, open_gateway
from tests.slack.receiving import until

pytestmark = pytest.mark.usefixtures("soon")


class TestTheOutcome:
    """Card and thread, in the order in which it happened."""

    async def test_card_and_thread_tell_the_outcome(self, slack: LocalSlack, bot: app.Bot) -> None:
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
        self, slack: LocalSlack, start_bot: StartBot, billing: LocalBilling
    ) -> None:
        """First not sent, then paid, although Slack does not take the first reply at once."""
        bot = await start_bot(timing=replace(QUICK, not_sent=(timedelta(seconds=1),) * 3))
        slack.fail("chat.postMessage", "429", times=1, retry_after=1)
        await pay(slack)
        await slack.wait_for(lambda: posts(slack))
        async with asyncio.timeout(10):
            while await states_of(bot) != [State.APPROVED]:  # noqa: ASYNC110 -- the ledger tells nobody
                await asyncio.sleep(0.01)
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


class TestAnAilingSlack:
    """It is busy, away, or refuses the token: late is not never."""

    async def test_a_busy_channel_keeps_its_trouble_to_itself(self, slack: LocalSlack, bot: app.Bot) -> None:
        """One channel has to wait; another goes on meanwhile; in the end both have everything."""
        slack.fail("chat.postMessage", "429", times=1, channel="#payments", retry_after=2)
        await pay(slack, "vps 10101", channel="#payments")
        await slack.wait_for(lambda: posts(slack) == ["429"])
        await pay(slack, "vps 10102", channel="#shared-with-partner")
        other = "#shared-with-partner"
        await slack.wait_for(lambda: slack.messages(other) and thread(slack, other))
        assert slack.messages("#payments") == []
        await at_rest(bot)
        assert len(thread(slack)) == 1
        assert posts(slack).count("429") == 1, "nothing was posted there before its time"

    async def test_an_outage_is_waited_for(self, slack: LocalSlack, bot: app.Bot) -> None:
        """Slack goes away after the command and comes back: everything is told."""
        slack.fail("chat.postMessage", "error:fatal_error", times=2)
        await pay(slack)
        await slack.wait_for(lambda: len(posts(slack)) >= 2)
        async with slack.outage():
            pass
        await at_rest(bot)
        assert len(thread(slack)) == 1

    async def test_while_slack_takes_nothing_nothing_is_given_up(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        """No other way is better then: it is tried until Slack is well, however long that is."""
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url)
        for method in ("chat.postMessage", "auth.test", "conversations.history"):
            gateway.says_always(method, no("on_fire", 503))
        await pay(slack)
        await gateway.called("chat.postMessage", 8)
        gateway.heal()
        await at_rest(bot)
        assert ANSWER in thread(slack)[0]
        assert await bot.ledger.not_told() == 0

    @pytest.mark.parametrize("word", ["invalid_auth", "token_revoked", "account_inactive", "missing_scope"])
    async def test_a_token_that_is_refused_is_told_of_loudly_and_waited_for(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, word: str
    ) -> None:
        """Somebody mends it. Until then the log names the variable, and nothing is given up or cancelled."""
        with capture_logs() as logs:
            bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url)
            gateway.says_always("chat.postMessage", no(word))
            await pay(slack)
            await gateway.called("chat.postMessage", 8)
            gateway.heal()
            await at_rest(bot)
        assert ANSWER in thread(slack)[0]
        loud = [one for one in logs if "Slack refuses SLACK_BOT_TOKEN" in one["event"]]
        assert {(one["log_level"], one["error"]) for one in loud} == {("error", word)}


WORDS = st.one_of(
    st.sampled_from(
        [
            "internal_server_error",
            "temporarily_unavailable",
            "message_limit_exceeded",
            "internal_error",
            "fatal_error",
            "service_unavailable",
            "invalid_auth",
            "token_revoked",
            "account_inactive",
            "team_added_to_org",
            "ratelimited",
            "channel_not_found",
            "is_archived",
            "message_not_found",
            "invalid_blocks",
        ]
    ),
    st.from_regex(r"[a-z_]{1,30}", fullmatch=True),
)


def as_json(status: int, text: str, arrives: bool) -> Said:
    return Said(status, text.encode("utf-8", "replace"), (JSON,), arrives)


def said(method: str) -> st.SearchStrategy[Said]:
    """An answer to a call of this method that nobody may take for a no of Slack's own."""
    unknown = WORDS.filter(lambda word: word not in FINAL[method])
    troubles = st.sampled_from([400, 403, 404, 408, 500, 502, 503, 504, 520, 599])
    odd = st.sampled_from(
        ["", "[]", "null", "17", "<html>Log in</html>", '{"ok": tr', '{"ok": true}', '{"ok": 1}', "[" * 9999]
    )
    after = st.sampled_from(["", "0", "nan", "inf", "-1", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
    return st.one_of(
        # Only where Slack says so itself, in words of trouble, may it have arrived.
        st.builds(no, unknown.filter(lambda word: "error" in word), arrives=st.booleans()),
        st.builds(no, unknown),
        st.builds(no, WORDS, troubles, arrives=st.booleans()),
        st.builds(as_json, troubles | st.sampled_from([200, 201, 204, 301, 302]), odd, st.booleans()),
        st.builds(Said, troubles | st.just(200), st.binary(max_size=40), st.just(()), st.booleans()),
        st.builds(lambda value: Said(429, b"{}", (JSON, ("Retry-After", value))), after),
        st.builds(lambda value: Said(503, b"{}", (("Retry-After", value),), arrives=True), after),
    )


METHODS = ("chat.postMessage", "chat.update", "conversations.history", "conversations.replies")


badly = st.fixed_dictionaries({method: st.lists(said(method), max_size=4) for method in METHODS})


@given(badly, st.booleans())
@settings(
    max_examples=drawn(8, 30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=False,
)
def test_whatever_is_answered_everything_is_told_once_slack_is_well(
    new_sqlite: NewDatabase, answers: dict[str, list[Said]], decided: bool
) -> None:
    """Words, statuses, bodies at random, to posts, updates and look-ups, whether or not the call arrived."""

    async def history() -> None:
        async with AsyncExitStack() as stack:
            slack = await stack.enter_async_context(LocalSlack())
            billing = LocalBilling()
            await billing.start()
            stack.push_async_callback(billing.stop)
            gateway = await stack.enter_async_context(open_gateway(slack.api_url))
            environment = environment_of(slack, billing, new_sqlite(migrated=True))
            environment |= {"SLACK_API_URL": gateway.url, "PAY_APPROVALS_REQUIRED": str(int(decided))}
            pace = Pace(posts=1000, updates=1000, burst=1000)
            running = app.running(config.load(environment=environment), timing=QUICK, pace=pace)
            bot = await stack.enter_async_context(running)
            for method, given in answers.items():
                gateway.says(method, given)
            await pay(slack)
            if decided:
                await slack.wait_for(lambda: slack.messages("#payments"))
                await approve(slack, card(slack), "bob")
            assert await bot.rest(20)
            payment = await bot.ledger.payment(1)
            assert payment is not None
            assert payment.state is State.PAID
            (root,) = slack.messages("#payments")
            assert "*Paid*" in shown(root)
            assert "actions" not in [block["type"] for block in root.blocks]
            assert [ANSWER in reply.text for reply in root.thread].count(True) == 1
            assert len(root.thread) == (3 if decided else 1)
            assert direct(slack) == []
            assert "not_told" not in [event.action for event in await bot.ledger.history(1)]
            assert billing.payments_received("vps", 10101) == 1

    asyncio.run(history())


class TestAMessage:
    """What every message carries."""

    async def test_every_post_carries_what_it_can_be_found_by(self, slack: LocalSlack, bot: app.Bot) -> None:
        """The ledger's identity, the delivery and when it was made; anybody can read it, so nothing else."""
        await pay(slack)
        await at_rest(bot)
        root = card(slack)
        found = [message.metadata for message in (root, *root.thread)]
        assert all(each is not None and each["event_type"] == "payment_delivery" for each in found)
        payloads = [each["event_payload"] for each in found if each is not None]
        assert [set(each) for each in payloads] == [{"ledger", "delivery", "made"}] * 2
        assert {each["ledger"] for each in payloads} == {bot.ledger.identity}
        assert len({each["delivery"] for each in payloads}) == 2

    async def test_no_link_in_a_message_is_unfolded(self, slack: LocalSlack, bot: app.Bot) -> None:
        """What the API says may hold an address; Slack is told to leave it alone."""
        await pay(slack)
        await at_rest(bot)
        calls = [call.arguments for call in slack.calls if call.method == "chat.postMessage"]
        assert all(call["unfurl_links"] is call["unfurl_media"] is False for call in calls)

    async def test_a_hostile_description_is_text_in_the_channel(
        self, slack: LocalSlack, bot: app.Bot, billing: LocalBilling
    ) -> None:
        """The invoice of the sample books, `café & <b> <!channel>`, over the sockets."""
        await pay(slack, text="domains 10002")
        await at_rest(bot)
        message: Message = card(slack)
        assert any("café &amp; &lt;b&gt; &lt;!channel&gt;" in text for text in message.texts())
        assert all("<!channel>" not in text for text in message.texts())


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

    async with start(checkpoint=hold) as one:
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


def steps_forward(monkeypatch: pytest.MonkeyPatch, *bots: app.Bot) -> None:
    """The ledger's clock is set ahead by a day."""
    for bot in bots:
        monkeypatch.setattr(bot.ledger, "_clock", lambda: utc_now() + timedelta(days=1))


async def test_what_another_is_telling_is_not_told_again_although_the_clock_steps_forward(
    slack: LocalSlack,
    billing: LocalBilling,
    settings: NewSettings,
    new_postgresql: NewDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the ledger's clock its lease is over at once; in truth its post is under way, and not to be seen."""
    url = new_postgresql(migrated=True)

    def start() -> Any:
        pace = Pace(posts=1000, updates=1000, burst=1000)
        return app.running(settings(LEDGER_URL=url), timing=QUICK, pace=pace)

    async with start() as one, start() as two:
        slow = slack.fail("chat.postMessage", "slow", times=1, seconds=0.8)
        await pay(slack)
        await until(lambda: slow.hits)
        steps_forward(monkeypatch, one, two)
        await slack.wait_for(lambda: slack.messages("#payments") and thread(slack), timeout=20)
        await at_rest(one)
        await at_rest(two)
    assert len(slack.messages("#payments")) == 1


async def test_what_may_arrive_yet_is_not_looked_for_although_the_clock_steps_forward(
    slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
) -> None:
    """Slack takes a while to show a post whose answer was lost; by the ledger's clock it is over at once."""
    bot = await start_bot(timing=replace(QUICK, visible_within=timedelta(seconds=3)))
    lost = slack.fail("chat.postMessage", "drop-late", times=1, seconds=1.5)
    await pay(slack)

    await until(lambda: lost.hits)
    await until(lambda: any(one["event"] == "not delivered yet" for one in logs))
    # Whoever writes next does so after it has been given back.
    async with bot.ledger.transaction():
        pass
    steps_forward(monkeypatch, bot)
    await slack.wait_for(lambda: slack.messages("#payments") and thread(slack))
    await slack.wait_for(lambda: any(call.ok and not call.answered for call in slack.calls))
    await at_rest(bot)
    assert len(slack.messages("#payments")) == 1
