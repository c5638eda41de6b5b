"""Whatever answers in Slack's place, and whatever an ailing Slack says: late is not never, and no is not no.

Nothing is lost, nothing is cancelled, and no paid card keeps its buttons.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
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
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack import announcer, connection, socket_mode
from bot.slack.card import APPROVE
from bot.slack.pace import Pace
from bot.slack.web_api import FINAL
from bot.slack.workflow_step import STEP
from tests.conftest import MANIFEST, QUICK, NewDatabase, StartBot, environment_of
from tests.ledger.making import stored
from tests.optional_step import with_the_step
from tests.slack.acting import approve, at_rest, card, shown, thread
from tests.slack.gateway import Gateway, Said, no, open_gateway

ANSWER = "Payment of 10.00 USD for Invoice 10101 Successful."

VAIN = replace(QUICK, tell_for=timedelta(seconds=0.5), look_for=timedelta(seconds=0.3))
"""What is given up after days in earnest."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack's history is up to date at once here, and nobody wants to wait."""
    monkeypatch.setattr(announcer, "_SETTLES", timedelta(seconds=0.1))
    monkeypatch.setattr(connection, "PATIENCE", 0.1)
    monkeypatch.setattr(socket_mode, "FIRST_PAUSE", 0.1)


@pytest.fixture
async def gateway(slack: LocalSlack) -> AsyncIterator[Gateway]:
    async with open_gateway(slack.api_url) as opened:
        yield opened


async def pay(slack: LocalSlack, text: str = "vps 10101") -> None:
    assert (await slack.person("alice").types("#payments", f"/pay {text}")).ok


def direct(slack: LocalSlack) -> list[str]:
    return [shown(message) for message in slack.direct_messages("alice")]


async def actions(bot: app.Bot) -> list[str]:
    return [event.action for event in await bot.ledger.history(1)]


# -- drawn at random ----------------------------------------------------------------------------------

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
JSON = ("Content-Type", "application/json")


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
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=False,
)
def test_whatever_is_answered_everything_is_told_once_slack_is_well(
    new_sqlite: NewDatabase, answers: dict[str, list[Said]], decided: bool
) -> None:
    """Words, statuses, bodies at random, to posts, updates and look-ups, whether or not the call arrived."""

    async def history() -> None:
        async with AsyncExitStack() as stack:
            slack = await stack.enter_async_context(LocalSlack(manifest=MANIFEST))
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
            assert "not_told" not in await actions(bot)
            assert billing.payments_received("vps", 10101) == 1

    asyncio.run(history())


# -- given up at last ---------------------------------------------------------------------------------


async def test_a_reply_that_slack_takes_nowhere_near_its_thread_is_told_directly_at_last(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
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
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
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


async def test_a_card_that_slack_does_not_take_for_days_cancels_at_last_and_not_before(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
) -> None:
    """An unknown word is no refusal; but nobody pays for ever what nobody can see."""
    bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url)
    slack.fail("chat.postMessage", "error:channel_is_on_fire", channel="#payments")
    await pay(slack)
    await slack.wait_for(lambda: len([one for one in slack.calls if one.method == "chat.postMessage"]) >= 2)
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is not State.CANCELLED
    await at_rest(bot)
    assert billing.payments_received("vps", 10101) == 0
    assert await bot.ledger.not_told() == 1
    told = "\n".join(direct(slack) + [shown(one) for one in slack.ephemerals("alice")])
    assert "Nothing was paid" in told
    assert "channel_is_on_fire" in told


async def test_while_slack_takes_nothing_nothing_is_given_up(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
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
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, word: str
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


async def test_a_look_up_that_is_never_answered_does_not_hold_the_reply_for_ever(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
) -> None:
    """That it is not there does not follow from an unknown word; after a while it is posted all the same."""
    bot = await start_bot(timing=replace(VAIN, tell_for=timedelta(days=1)), SLACK_API_URL=gateway.url)
    gateway.says("chat.postMessage", [no("bad_gateway", 502, arrives=True)])
    gateway.says_always("conversations.history", no("history_is_on_fire"))
    await pay(slack)
    await gateway.called("conversations.history", 2)
    assert gateway.calls["chat.postMessage"] == 1
    await at_rest(bot)
    assert len(slack.messages("#payments")) == 2, "twice is better than never"
    assert billing.payments_received("vps", 10101) == 1


async def test_a_limit_on_reading_holds_no_reply_for_ever_and_no_other_message(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
) -> None:
    """Slack names the end of the limit every time, and it never ends: it is posted at last all the same."""
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
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
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
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
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
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
) -> None:
    """After each post that went out blindly, it is looked for as long again. Of the copies one is ours."""
    timing = replace(QUICK, tell_first=timedelta(seconds=0.05), tell_most=timedelta(seconds=0.05))
    bot = await start_bot(timing=replace(timing, look_for=timedelta(seconds=0.5)), SLACK_API_URL=gateway.url)
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


@pytest.mark.parametrize(
    "shape", ['{"ok": true}', '{"ok": true, "messages": {}}', '{"ok": true, "messages": [1]}']
)
async def test_half_an_answer_about_the_history_does_not_mean_that_it_is_not_there(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, shape: str
) -> None:
    """It arrived, and is found when the history can be read: so it stands there once."""
    bot = await start_bot(SLACK_API_URL=gateway.url)
    gateway.says("chat.postMessage", [no("bad_gateway", 502, arrives=True)])
    gateway.says("conversations.history", [Said(200, shape.encode(), (JSON,))])
    await pay(slack)
    await at_rest(bot)
    assert len(slack.messages("#payments")) == (2 if "[1]" in shape else 1)


# -- workflow steps -----------------------------------------------------------------------------------


class TestSteps:
    """The end of a workflow's step."""

    @pytest.fixture
    async def slack(self) -> AsyncIterator[LocalSlack]:
        async with LocalSlack(manifest=with_the_step()) as running:
            yield running

    @pytest.mark.parametrize(
        "answer",
        [
            no("function_execution_not_found", 502),
            no("temporarily_unavailable"),
            no("internal_error", arrives=True),
            Said(200, b"<html></html>"),
        ],
    )
    async def test_a_step_ends_whatever_is_answered_first(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, answer: Said
    ) -> None:
        bot = await start_bot(SLACK_API_URL=gateway.url)
        gateway.says("functions.completeSuccess", [answer, answer])
        inputs = {"module": "vps", "invoice": "10101", "channel": ids.PAYMENTS}
        run = await slack.run_workflow_step(STEP, inputs, by="alice")
        await slack.wait_for(lambda: run.status != "running")
        assert run.status == "completed"
        await at_rest(bot)
        assert await bot.ledger.not_told() == 0

    async def test_a_step_that_cannot_be_ended_is_told_of_at_last(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url)
        gateway.says_always("functions.completeSuccess", no("parameter_validation_failed"))
        inputs = {"module": "vps", "invoice": "10101", "channel": ids.PAYMENTS}
        await slack.run_workflow_step(STEP, inputs, by="alice")
        await at_rest(bot)
        (told,) = direct(slack)
        assert "Paid" in told
        assert "end the workflow's step" in told
        assert await bot.ledger.not_told() == 1


# -- at start -----------------------------------------------------------------------------------------

AT_START: tuple[Any, ...] = (
    no("invalid_auth", 502),
    no("not_authed", 401),
    no("a_word_that_nobody_knows"),
    no("internal_server_error"),
    Said(200, b"<html>Log in</html>", (("Content-Type", "text/html"),)),
    Said(200, b'{"ok": tr', (JSON,)),
    Said(200, b'{"ok": true}', (JSON,)),
    Said(200, b'{"ok": true, "url": 17}', (JSON,)),
    Said(200, b"[]", (JSON,)),
    Said(307, b"", (("Location", "/elsewhere"),)),
)


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
@pytest.mark.parametrize("answer", AT_START)
async def test_it_starts_whatever_is_answered_first(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, method: str, answer: Said
) -> None:
    """What a gateway says about a token is no word of Slack's, and a word that nobody knows is no refusal."""
    gateway.says(method, [answer, answer])
    await start_bot(SLACK_API_URL=gateway.url)
    assert gateway.calls[method] == 3
    assert (await slack.person("alice").types("#payments", "/pay help")).ok


async def test_what_waits_for_a_card_that_is_then_refused_is_told_directly(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, billing: LocalBilling
) -> None:
    """Approved on the Home tab before the card stood: nothing is paid, and nothing waits for ever."""
    bot = await start_bot(SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
    gateway.says_always("chat.postMessage", no("message_limit_exceeded"))
    await pay(slack)
    await gateway.called("chat.postMessage", 1)
    await slack.person("bob").opens_home()
    home = await slack.wait_for(lambda: (view := slack.home("bob")) and APPROVE in str(view.blocks) and view)
    assert home
    assert (await approve(slack, home, "bob")).ok
    slack.world.leave("#payments", ids.BOT_USER_ID)
    gateway.heal()
    await at_rest(bot)
    assert await bot.ledger.undelivered() == 0
    assert billing.payments_received("vps", 10101) == 0


async def test_who_is_told_how_an_open_payment_stands_is_not_told_that_nothing_is_to_be_done(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot
) -> None:
    """It waits for an approval."""
    bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url, PAY_APPROVALS_REQUIRED="1")
    await pay(slack)
    await at_rest(bot)
    gateway.says_always("chat.update", no("card_is_on_fire"))
    async with bot.ledger.transaction() as transaction:
        await transaction.outbox.refresh_cards(1)
    await at_rest(bot)
    (told,) = direct(slack)
    assert "how it stands" in told
    assert "nobody has to do anything" not in told
