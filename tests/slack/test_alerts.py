"""Alerts: what the people who run the bot are told in their channel, once, and that it stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from bot.domain.login import Login
from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerUnavailable
from bot.ledger.notices import Notice, Topic
from bot.ledger.store import Ledger
from bot.ledger.watching import Line
from bot.payments.alarms import Alarms
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.alert_text import settled, standing_for_itself, unknown
from bot.slack.alerts import AlertTeller
from bot.slack.connection import workspace_of
from bot.slack.once import Once
from bot.slack.pace import Pace
from bot.slack.web_api import web_client
from tests.faults.proxy import open_proxy
from tests.fixture_types import QUICK, Clock, NewDatabase, StartBot
from tests.ledger.making import moved, request_in
from tests.postgresql import Databases
from tests.slack.acting import at_rest, card, posts, shown
from tests.slack.acting import request as requested
from tests.slack.scenes import check

NewTeller = Callable[..., AlertTeller]
HERE = "#approvals"
WATCHFUL = replace(QUICK, watch=0.05)


class Billing:
    """A billing API of which only the last login is known."""

    login: Login | None = None


@pytest.fixture
async def new_teller(ledger: Ledger, slack: LocalSlack) -> AsyncIterator[NewTeller]:
    """Makes tellers on one ledger whose clock is moved by hand."""
    client = web_client(slack.bot_token, slack.api_url)
    workspace = await workspace_of(client)

    def make(instance: str = "one", channel: str = ids.APPROVALS, pace: Pace | None = None) -> AlertTeller:
        pace = pace or Pace(posts=1000, updates=1000, burst=1000)
        once = Once(
            "PAY_OPERATORS_CHANNEL", ledger, client, workspace, QUICK, pace, instance, rather_twice=True
        )
        return AlertTeller(channel, Alarms(ledger, Billing(), QUICK), once)  # type: ignore[arg-type]

    yield make
    slack.heal()


async def tell(*tellers: AlertTeller) -> None:
    """Let each look, and tell all that it can tell now."""
    for _ in range(4):
        await asyncio.gather(*(one.poll_once() for one in tellers))
        await asyncio.gather(*(pool.drain(10) for one in tellers for pool in (one.looking, one.pool)))


def told(slack: LocalSlack, channel: str = HERE) -> list[str]:
    return [shown(one) for one in slack.messages(channel)]


async def lost(ledger: Ledger, clock: Clock, number: int = 10101) -> None:
    """A payment that has been unknown for an hour."""
    await request_in(ledger, State.UNKNOWN, InvoiceRef("vps", number))
    clock.advance(hours=1)


class TestOnce:
    async def test_an_unknown_payment_is_told_by_several_instances_once(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Nor again after a restart; and once that it is settled."""
        await lost(ledger, clock)
        await tell(new_teller(), new_teller("two"))
        await tell(new_teller("three"))
        (text,) = told(slack)
        assert "1 payment has been unknown for over an hour: do not pay it again" in text
        assert "*#1* · vps invoice 10101" in text
        assert "/pay resolve 1 vps 10101 paid" in text
        payment = await ledger.payment(1)
        assert payment is not None
        await moved(ledger, payment, State.PAID)
        await tell(new_teller(), new_teller("two"))
        await tell(new_teller("three"))
        assert "*#1* · vps invoice 10101: paid" in told(slack)[1]
        assert len(told(slack)) == 2

    @pytest.mark.parametrize("mode", ["drop-after", "drop-before", "500", "429"])
    async def test_a_lost_answer_is_looked_for(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock, mode: str
    ) -> None:
        """Whether it had arrived or not, it stands there once."""
        await lost(ledger, clock)
        slack.fail("chat.postMessage", mode, times=1)
        teller = new_teller(pace=Pace(posts=1000, burst=1000))
        for _ in range(3):
            await tell(teller)
            clock.advance(minutes=11)
            teller.once.pace._paused.clear()
        assert len(told(slack)) == 1

    async def test_where_nobody_may_look_it_is_told_again(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Without the optional scopes: rather twice than never."""
        await lost(ledger, clock)
        slack.fail("chat.postMessage", "drop-before", times=1)
        slack.fail("conversations.history", "error:missing_scope")
        teller = new_teller()
        for _ in range(3):
            await tell(teller)
            clock.advance(seconds=31)
        assert len(told(slack)) == 1

    async def test_a_channel_that_refuses_is_asked_again(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Every hour, as somebody has to invite the bot first: a payment is unknown all the same."""
        await lost(ledger, clock)
        teller = new_teller(channel=ids.RANDOM)
        await tell(teller)
        slack.world.join("random", ids.BOT_USER_ID)
        clock.advance(minutes=59)
        await tell(teller)
        assert told(slack, "#random") == []
        clock.advance(minutes=1)
        await tell(teller)
        (text,) = told(slack, "#random")
        assert "1 payment has been unknown for over an hour" in text

    async def test_a_channel_that_refuses_leaves_a_line_in_the_log(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """It says which variable; and nobody hears that it is over who did not hear of it."""
        await lost(ledger, clock)
        teller = new_teller(channel=ids.RANDOM)
        with capture_logs() as logs:
            await tell(teller)
            clock.advance(minutes=59)
            await tell(teller)
        (line,) = [one for one in logs if one["log_level"] == "error"]
        assert line["event"] == "cannot be told; invite the bot, or correct PAY_OPERATORS_CHANNEL"
        assert (line["error"], line["place"]) == ("not_in_channel", ids.RANDOM)
        payment = await ledger.payment(1)
        assert payment is not None
        await moved(ledger, payment, State.PAID)
        await tell(teller)
        assert len(posts(slack)) == 1

    async def test_it_keeps_to_slacks_pace(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """What may not go now is told a little later."""
        teller = new_teller(pace=Pace(posts=0.001, burst=1))
        for _ in range(3):
            async with ledger.transaction() as transaction:
                await transaction.pause("", actor="U1")
                await transaction.resume(actor="U1")
        await tell(teller)
        assert len(told(slack)) == 1
        teller.once.pace._channels.clear()
        clock.advance(seconds=1)
        await tell(teller)
        assert len(told(slack)) == 2

    async def test_old_news_are_not_told(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Whoever sets the variable for the first time hears what is so, not what was."""
        async with ledger.transaction() as transaction:
            await transaction.pause("", actor="U1")
            await transaction.resume(actor="U1")
        await lost(ledger, clock)
        clock.advance(days=1)
        await tell(new_teller())
        (text,) = told(slack)
        assert "unknown" in text


class TestWhatIsTold:
    async def test_a_pause_and_its_end(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller
    ) -> None:
        """By whom and why; in their order, also where they come at once."""
        async with ledger.transaction() as transaction:
            await transaction.pause("moving <!channel>", actor=ids.ALICE)
            await transaction.resume(actor="operator:root")
        await tell(new_teller())
        first, second = told(slack)
        assert f"by <@{ids.ALICE}>: moving &lt;!channel&gt;" in first
        assert "/pay resume" in first
        assert "by the operator." in second

    async def test_what_was_given_up(self, slack: LocalSlack, start_bot: StartBot) -> None:
        """Somebody deleted the card, so what becomes of it cannot be shown there."""
        bot = await start_bot(
            timing=WATCHFUL, PAY_OPERATORS_CHANNEL=ids.APPROVALS, PAY_APPROVALS_REQUIRED="1"
        )
        slack.world.delete(await requested(slack, bot))
        alice = Person(ids.ALICE, ids.TEAM_ID)
        await bot.services.desk.withdraw(alice, 1)
        (text,) = await slack.wait_for(lambda: told(slack))
        assert f"does not take a message* in <#{ids.PAYMENTS}> about #1 (`message_not_found`)" in text
        assert "Somebody deleted its card" in text

    async def test_that_the_ledger_was_away(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """From when to when."""
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                async with ledger.outage.noted():
                    raise OSError("away")
            clock.advance(minutes=15)
        await tell(new_teller())
        (text,) = told(slack)
        assert "2 Mar 2026 09:00 UTC" in text
        assert "2 Mar 2026 09:15 UTC" in text
        assert "(15 min), and is back" in text

    async def test_what_was_forged(self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller) -> None:
        """Which request, and what shows more."""
        for about in (42, "request vps 1 <!channel>"):
            async with ledger.transaction() as transaction:
                await transaction.notices.alert(Topic.CONTRADICTED, about)
        await tell(new_teller())
        first, second = told(slack)
        assert "about #42:" in first
        assert "python -m bot audit verify" in first
        assert "about request vps 1 &lt;!channel&gt;:" in second

    async def test_a_running_bot_tells_of_a_refused_login_and_goes_on(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """It says what to do; and when the login works again, so do payments."""
        billing.fail("login-false")
        bot = await start_bot(timing=WATCHFUL, PAY_OPERATORS_CHANNEL=ids.APPROVALS)
        await slack.person("alice").types("#payments", "/pay vps 10101")
        (refused,) = await slack.wait_for(lambda: told(slack))
        assert "The billing API refuses the bot's login" in refused
        assert "python -m bot check --online" in refused
        assert billing.password not in refused
        billing.heal()
        await slack.wait_for(lambda: told(slack)[1:])
        assert "accepts the bot's login again" in told(slack)[1]
        await at_rest(bot)
        assert "Paid" in card(slack).text

    async def test_two_running_bots_tell_once_of_a_database_that_was_away(
        self, slack: LocalSlack, start_bot: StartBot, databases: Databases, new_postgresql: NewDatabase
    ) -> None:
        """When it is back, and not each of them."""
        timing = replace(WATCHFUL, away_alert=timedelta(seconds=1))
        async with open_proxy(lambda: asyncio.open_unix_connection(str(databases.socket))) as proxy:
            url = new_postgresql(migrated=True).partition("?")[0]
            behind = url.replace("@/", f"@127.0.0.1:{proxy.port}/")
            for _ in range(2):
                await start_bot(timing=timing, LEDGER_URL=behind, PAY_OPERATORS_CHANNEL=ids.APPROVALS)
            await proxy.cut()
            await asyncio.sleep(3)
            await proxy.open()
            (text,) = await slack.wait_for(lambda: told(slack), timeout=30)
            assert "The ledger was away" in text
            await asyncio.sleep(3)
            assert len(told(slack)) == 1


WHEN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def a_line(number: int, state: State) -> Line:
    return Line(number, number, "vps<!here>", number, state.value, WHEN)


def a_notice(topic: Topic, detail: str = "", key: str = "1") -> Notice:
    return Notice(1, topic, key, "operators", detail, 1, begun=False, created_at=WHEN, lease_owner="one")


def test_each_message_is_fit_for_slack() -> None:
    """However many payments it names, and whatever their rows hold."""
    many = [a_line(number, State.UNKNOWN) for number in range(1, 2000)]
    message = unknown(many)
    assert message is not None
    check(message)
    heading = "*1,999 payments have been unknown for over an hour: do not pay them again*"
    assert heading in message.blocks[0]["text"]["text"]
    assert "… and 1,989 more." in message.text
    assert "<!here>" not in message.text
    check(settled([a_line(number, State.PAID) for number in range(1, 2000)]))
    assert unknown([a_line(1, State.PAID)]) is None
    span = f"{WHEN.isoformat()} {(WHEN + timedelta(days=400)).isoformat()}"
    for topic in (Topic.REFUSED, Topic.ACCEPTED, Topic.AWAY, Topic.CONTRADICTED):
        told = standing_for_itself(a_notice(topic, span, "x" * 80))
        assert told is not None
        check(told)
