"""Requests of several in the thread: few messages, each answer in them once, whatever Slack does."""

from __future__ import annotations

import asyncio
import html
import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import pytest
from aiohttp import web

from bot import app
from bot.domain.events import Expired
from bot.domain.payment import InvoiceRef, State
from bot.ledger import outbox
from bot.ledger.rows import Delivery, Kind
from bot.ledger.store import Ledger
from bot.sandbox.local_billing import LocalBilling, nusoap
from bot.sandbox.local_billing.failures import Exchange, Failure, plain
from bot.sandbox.local_billing.service import PAYMENT
from bot.sandbox.local_slack import LocalSlack, blocks
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST
from bot.sandbox.local_slack.messages import Message, visible_texts
from bot.sandbox.local_slack.methods import chat
from bot.slack.card import ASK_AGAIN, WAS_NOT_PAID, WAS_PAID
from bot.slack.pace import Pace
from bot.slack.post_search import metadata
from tests.fixture_types import StartBot
from tests.slack.acting import (
    THREE,
    approve,
    at_rest,
    card,
    deny,
    invoices,
    posts,
    request_several,
    shown,
    states_of,
    text,
    told,
    when_paying,
)

MOST_MESSAGES = 10
"""Of one request, its card among them."""

PAID, DECLINED, UNKNOWN = State.PAID, State.DECLINED, State.UNKNOWN


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes wait half a second for each other."""
    monkeypatch.setattr(outbox, "TOGETHER", timedelta(seconds=0.5))


@pytest.fixture
async def bot(start_bot: StartBot) -> app.Bot:
    """It asks for one approval."""
    return await start_bot(PAY_APPROVALS_REQUIRED="1")


def replies(slack: LocalSlack) -> list[str]:
    """What the blocks of each reply under the card say, the oldest first."""
    return [html.unescape("\n".join(visible_texts(one.blocks))) for one in card(slack).thread]


def answers(slack: LocalSlack) -> Counter[str]:
    """How often the thread has each answer of the billing API."""
    return Counter(re.findall(r"(?m)^> (.*)$", "\n".join(replies(slack))))


def successes(refs: Sequence[InvoiceRef]) -> Counter[str]:
    """What the local billing API says when it pays these, which `invoices` made."""
    amounts = {ref.number: ref.number - 50_000 for ref in refs}
    return Counter(
        f"Payment of {amount}.00 USD for Invoice {number} Successful." for number, amount in amounts.items()
    )


def messages(slack: LocalSlack) -> list[Message]:
    """All in the channel and its threads."""
    return [one for root in slack.messages("#payments") for one in (root, *root.thread)]


async def approved(slack: LocalSlack, bot: app.Bot, refs: Sequence[InvoiceRef] = THREE) -> None:
    """Asked for by Alice and approved by Bob, and everything that follows."""
    await approve(slack, await request_several(slack, bot, refs), "bob")
    assert await bot.rest(60)


def once(action: Callable[[], object]) -> Callable[[], object]:
    """The same, the first time only."""
    calls = itertools.count()
    return lambda: action() if next(calls) == 0 else None


def saying(status_text: str) -> Failure:
    """Every payment is declined in these words."""
    body = nusoap.struct("make_payment_return", {"status": "error", "status_text": status_text})

    async def answer(_: Exchange) -> web.Response:
        return web.Response(body=nusoap.response(PAYMENT, body), content_type="text/xml", charset="utf-8")

    return Failure("declined", answer, carried_out=False)


async def taken_by_the_dead(ledger: Ledger) -> list[Delivery]:
    """Six replies that another instance took to tell them together, as it is just about to die."""
    async with ledger.transaction() as transaction:
        batch = await transaction.of_request(1)
        assert batch is not None
        for _ in range(6):
            event_id = await transaction.record(Expired(), actor="policy", request=batch.request)
            await transaction.outbox.add(batch.request, Kind.THREAD_REPLY, event_id=event_id)
        dead, lease = "the dead", timedelta(seconds=1)
        (first,) = await transaction.outbox.claim(owner=dead, lease=lease, busy=(), limit=1, updates=0)
        return [first, *await transaction.outbox.claim_with(first, owner=dead, lease=lease, limit=20)]


def tidy(slack: LocalSlack, refs: Sequence[InvoiceRef], most: int = MOST_MESSAGES) -> None:
    """Each answer once, few messages, the sum last, and nobody told elsewhere."""
    assert answers(slack) == successes(refs)
    assert len(messages(slack)) <= most
    total = sum(ref.number - 50_000 for ref in refs)
    assert replies(slack)[-1] == (
        f"*#1 is done: {len(refs)} payments · {total:,}.00 USD*\nPaid: {len(refs)} · {total:,}.00 USD"
    )
    assert [slack.direct_messages(one) for one in ("alice", "bob", "carol")] == [[], [], []]


class TestFewMessages:
    """Thirty payments of one approved request."""

    async def test_thirty_make_at_most_ten_messages(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """All invoices, who approved, what became of each, and the sum, in that order."""
        refs = invoices(billing, 30)
        await approved(slack, bot, refs)
        tidy(slack, refs)
        table, decided, *outcomes, _ = replies(slack)
        assert table.startswith("*All 30 invoices of #1 · 465.00 USD*")
        assert decided.startswith("Approved by")
        assert all(one.startswith(":white_check_mark: *Paid* · `") for one in outcomes)
        assert card(slack).text.endswith(": 30 of 30 paid")

    async def test_a_slow_billing_api_makes_no_more(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They come in one after the other for longer than one waits for the next."""
        monkeypatch.setattr(outbox, "TOGETHER", timedelta(seconds=0.25))
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1", BILLING_CONCURRENCY="1")
        refs = invoices(billing, 30)

        async def slow(exchange: Exchange) -> web.StreamResponse:
            await asyncio.sleep(0.1)
            return await plain(exchange)

        billing.fail(Failure("slow", slow, carried_out=True))
        await approved(slack, bot, refs)
        tidy(slack, refs)

    async def test_a_hundred_are_told_as_well(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """As many as one request holds: Slack takes every message, and each answer is there."""
        refs = invoices(billing, 100)
        await approved(slack, bot, refs)
        tidy(slack, refs, most=2 * MOST_MESSAGES)
        assert set(posts(slack)) == {None}

    async def test_what_is_too_long_for_one_message_is_told_by_several(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """Each answer is whole in one of them, and Slack takes every one."""
        refs = invoices(billing, 12)
        said = " ".join(["Ask <support> & wait."] * 40)
        billing.fail(saying(said))
        await approved(slack, bot, refs)
        assert answers(slack) == {said: 12}
        assert set(posts(slack)) == {None}
        assert len(replies(slack)) > 4
        assert replies(slack)[-1] == (
            "*#1 is done: 12 payments · 78.00 USD*\nDeclined, nothing was paid: 12 · 78.00 USD"
        )

    async def test_nobody_is_called_twice(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """The card asks those who may approve; who did is named where they did, and asked no more."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="2")
        asked = await request_several(slack, bot, invoices(billing, 12))
        await approve(slack, asked, "bob")
        await at_rest(bot)
        assert f"Needs 1 more approval from <@{ids.CAROL}>" in shown(card(slack))
        await approve(slack, card(slack), "carol")
        await at_rest(bot)
        said = "\n".join(replies(slack))
        assert [said.count(f"<@{one}>") for one in (ids.BOB, ids.CAROL, ids.ALICE)] == [1, 1, 0]
        assert [slack.direct_messages(one) for one in ("alice", "bob", "carol")] == [[], [], []]


class TestTrouble:
    """Every answer stands in the thread, and once where Slack lets the bot look."""

    @pytest.mark.parametrize("mode", ["drop-after", "drop-before", "500"])
    @pytest.mark.parametrize("count", [1, 3])
    async def test_an_answer_that_was_lost_makes_no_message_twice(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, mode: str, count: int
    ) -> None:
        """Those that one message tells are found by it, or told by one message again."""
        refs = invoices(billing, 15)
        when_paying(billing, once(lambda: slack.fail("chat.postMessage", mode, times=count)))
        await approved(slack, bot, refs)
        tidy(slack, refs)
        # One look for all that a message told.
        assert len(posts(slack, "conversations.replies")) <= count + 1

    async def test_one_that_is_told_to_wait_waits_with_all_of_it(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """Slack's limit is no failure: nothing is split, and nothing looked for."""
        refs = invoices(billing, 15)
        when_paying(billing, once(lambda: slack.fail("chat.postMessage", "429", times=2, retry_after=1)))
        await approved(slack, bot, refs)
        tidy(slack, refs)
        assert posts(slack).count("429") == 2
        assert posts(slack, "conversations.replies") == []

    async def test_where_slack_takes_no_table_all_are_lines(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says so of what it made of it; the same is told without."""
        monkeypatch.delitem(blocks._IN_MESSAGES, "table")
        refs = invoices(billing, 30)
        await request_several(slack, bot, refs)
        (lines,) = replies(slack)
        assert all(f"`{ref}` · {ref.number - 50_000}.00 USD" in lines for ref in refs)
        assert posts(slack) == [None, "invalid_blocks", None]

    async def test_what_slack_does_not_take_together_is_told_one_by_one(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A plain line in place of a message of several would lose what the billing API said of each."""
        monkeypatch.setattr(chat, "_METADATA_LIMIT", 180)
        refs = invoices(billing, 6)
        await approved(slack, bot, refs)
        assert posts(slack).count("metadata_too_large") >= 2
        assert answers(slack) == successes(refs)

    async def test_who_died_after_posting_tells_nothing_twice(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, ledger_url: str
    ) -> None:
        """The other instance finds all that the message told, by one look."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        refs = invoices(billing, 12)
        await request_several(slack, bot, refs)
        gone = await taken_by_the_dead(bot.ledger)
        assert len(gone) == 6
        await bot.services.client.chat_postMessage(
            channel=ids.PAYMENTS,
            thread_ts=card(slack).ts,
            text="told",
            metadata=metadata(bot.ledger.identity, gone[0], gone[1:]),
        )
        await at_rest(bot)
        assert [one.text for one in card(slack).thread][1:] == ["told"]
        assert posts(slack, "conversations.replies") == [None]


class TestASlackThatCounts:
    """One message a second a channel, and changes of messages as well."""

    @pytest.fixture
    async def slack(self) -> AsyncIterator[LocalSlack]:
        async with LocalSlack(enforce_rate_limits=True) as running:
            yield running

    async def test_slacks_own_limits_are_kept(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """It refuses nothing."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1", pace=Pace(burst=4))
        refs = invoices(billing, 30)
        await approved(slack, bot, refs)
        tidy(slack, refs)
        assert [call.error for call in slack.calls if call.error] == []


class TestWithoutHistory:
    """An installation without the optional scopes."""

    @pytest.fixture
    async def slack(self) -> AsyncIterator[LocalSlack]:
        scopes = frozenset(DEFAULT_MANIFEST["oauth_config"]["scopes"]["bot"])
        async with LocalSlack(scopes=scopes) as running:
            yield running

    async def test_who_may_not_look_tells_twice_rather_than_never(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """By one message again, and not by one each."""
        refs = invoices(billing, 15)
        when_paying(billing, once(lambda: slack.fail("chat.postMessage", "drop-after", times=1)))
        await approved(slack, bot, refs)
        assert answers(slack).keys() == successes(refs).keys()
        assert set(answers(slack).values()) <= {1, 2}
        assert len(messages(slack)) <= MOST_MESSAGES


class TestSettling:
    """What became of some is not known, and people say so, for each."""

    async def test_each_unknown_payment_is_settled_by_itself(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """The form asks which, and offers those that are still unknown; the last one brings the sum again."""
        bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
        billing.fail("reset-before", times=2)
        await approved(slack, bot)
        unknown = [ref for ref, state in zip(THREE, await states_of(bot), strict=True) if state is UNKNOWN]
        assert len(unknown) == 2
        await slack.wait_for(lambda: WAS_PAID in card(slack).action_ids())
        assert card(slack).text.endswith(": 1 of 3 paid, 2 unknown")
        assert "not all is known" in "\n".join(replies(slack))
        for number in range(len(unknown)):
            assert (await slack.person("bob").clicks(card(slack), WAS_PAID)).ok
            form = (await slack.wait_for(lambda: slack.views("bob")))[-1]
            (picker,) = [one["element"] for one in form.blocks if one.get("block_id") == "which"]
            assert [one["value"] for one in picker["options"]] == [str(one) for one in unknown[number:]]
            option = {"type": "static_select", "selected_option": picker["options"][0]}
            seen = text("how", "seen on the statement") | {"which": {"which": option}}
            assert (await slack.person("bob").submits(form, seen)).ok
            await at_rest(bot)
        assert await states_of(bot) == [PAID] * 3
        assert replies(slack)[-1].startswith("*#1 is done: 3 payments · 179.99 USD*\nPaid: 3")
        assert [one for one in card(slack).action_ids() if one in (WAS_PAID, WAS_NOT_PAID)] == []

    async def test_a_form_that_is_open_settles_nothing_that_was_settled_meanwhile(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """Of several as of one."""
        billing.fail("reset-before", times=2)
        await approved(slack, bot)
        await slack.wait_for(lambda: WAS_PAID in card(slack).action_ids())
        for person in ("bob", "carol"):
            await slack.person(person).clicks(card(slack), WAS_PAID)
        await slack.wait_for(lambda: slack.views("bob") and slack.views("carol"))
        forms = [slack.views(person)[-1] for person in ("bob", "carol")]
        (picker,) = [one["element"] for one in forms[0].blocks if one.get("block_id") == "which"]
        first = {"which": {"which": {"type": "static_select", "selected_option": picker["options"][0]}}}
        await slack.person("bob").submits(forms[0], text("how", "seen") | first)
        await at_rest(bot)
        await slack.person("carol").submits(forms[1], text("how", "me too") | first)
        await at_rest(bot)
        assert "me too" not in "\n".join(replies(slack))
        assert (await states_of(bot)).count(UNKNOWN) == 1


class TestAskingAgain:
    """What did not work is asked for again, and nothing else."""

    async def test_what_was_declined_is_asked_for_again(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """By one request, with a card of its own; what was paid stays paid."""
        billing.fail("declined", times=2)
        await approved(slack, bot)
        first = card(slack)
        declined = [ref for ref, state in zip(THREE, await states_of(bot), strict=True) if state is DECLINED]
        assert len(declined) == 2
        assert first.action_ids() == [ASK_AGAIN]
        assert (await slack.person("alice").clicks(first, ASK_AGAIN)).ok
        await at_rest(bot)
        again = await bot.ledger.of_request(2)
        assert again is not None
        assert [one.ref for one in again.payments] == declined
        assert "#2 · 2 payments" in shown(card(slack))
        await approve(slack, card(slack), "bob")
        await at_rest(bot)
        assert await states_of(bot, 2) == [PAID, PAID]
        await slack.person("alice").clicks(first, ASK_AGAIN)
        assert "already paid" in await told(slack, "alice")

    async def test_what_was_denied_is_asked_for_again_with_its_note(
        self, slack: LocalSlack, bot: app.Bot
    ) -> None:
        """All of it."""
        await request_several(slack, bot, note="month end")
        await deny(slack, card(slack), "bob", "not now")
        await at_rest(bot)
        assert (await slack.person("alice").clicks(card(slack), ASK_AGAIN)).ok
        await at_rest(bot)
        assert "#2 · 3 payments · 179.99 USD" in shown(card(slack))
        assert "month end" in shown(card(slack))
