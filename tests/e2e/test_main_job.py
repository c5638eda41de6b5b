"""The main job over real sockets: from `/pay` in a channel to the API's status_text in the thread."""

from __future__ import annotations

import asyncio
import html
from typing import Any

import pytest
import structlog.testing

from bot import app
from bot.domain.payment import State
from bot.ledger.store import Ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.interactions import Result
from tests.fixture_types import NewDatabase, StartBot
from tests.ledger.making import trail

ANSWER = "Payment of 10.00 USD for Invoice 10101 Successful."
SOON = 2.0
"""Seconds, also on a machine that is busy: under the three that Slack allows."""


async def pay(
    slack: LocalSlack, text: str = "/pay vps 10101", by: str = "alice", channel: str = "#payments"
) -> Result:
    return await slack.person(by).types(channel, text)


def told(slack: LocalSlack, person: str) -> str:
    """The last thing that only this person was shown."""
    return html.unescape("\n".join(slack.ephemerals(person)[-1].texts()))


def threads(slack: LocalSlack, channel: str = "#payments") -> list[list[str]]:
    """What stands under each card."""
    return [[reply.text for reply in root.thread] for root in slack.messages(channel)]


def called(billing: LocalBilling) -> set[str]:
    """The operations that the API heard of, but for the question which modules there are."""
    return {call.operation for call in billing.log} - {"get_modules"}


class TestTheWholeWay:
    async def test_the_whole_way(self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot) -> None:
        """The command is acknowledged, the card shows who asked for what, the thread carries the answer."""
        result = await pay(slack)
        assert result.ok
        assert result.seconds < SOON
        assert await bot.rest(10)
        (card,) = slack.messages("#payments")
        shown = "\n".join(card.texts())
        for words in (
            "#1 · vps invoice 10101 · 10.00 USD",
            "KVM Linux VPS 1 Slice",
            f"<@{ids.ALICE}>",
            "*Paid*",
        ):
            assert words in shown
        assert threads(slack) == [[f"#1: Paid. The billing API says: {ANSWER}"]]
        assert slack.ephemerals("alice") == []
        calls = [call.operation for call in billing.log if call.operation != "get_modules"]
        assert calls == ["api_login", "api_vps_get_client_unpaid_invoices", "api_make_payment"]
        assert billing.payments_made("vps", 10101) == 1
        assert (await bot.ledger.verify()).broken_at is None

    @pytest.mark.parametrize("text", ["/pay VPS #10101", "/pay   vps    10101  "])
    async def test_the_command_may_be_typed_freely(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, text: str
    ) -> None:
        """Capitals, a number sign, surplus blanks."""
        assert (await pay(slack, text)).ok
        assert await bot.rest(10)
        assert billing.payments_made("vps", 10101) == 1

    async def test_an_account_that_cannot_read_invoices_pays(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """The amount is not told, and the API says what it did."""
        billing.fail("unreadable")
        await pay(slack)
        assert await bot.rest(10)
        (card,) = slack.messages("#payments")
        assert "amount unknown" in "\n".join(card.texts())
        assert threads(slack) == [[f"#1: Paid. The billing API says: {ANSWER}"]]

    async def test_what_the_api_refuses_is_told_in_its_own_words(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """The documented answer to a wrong number, where the bot cannot know better."""
        billing.fail("unreadable")
        await pay(slack, "/pay vps 4711")
        assert await bot.rest(10)
        ((reply,),) = threads(slack)
        assert "Declined; nothing was paid" in reply
        assert "Invalid Invoice Number Passed or missing Module information." in reply

    async def test_a_wrong_number_is_not_sent_at_all(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """The list of unpaid invoices does not hold it; the thread says so, and how to go on."""
        await pay(slack, "/pay vps 4711")
        assert await bot.rest(10)
        ((reply,),) = threads(slack)
        assert "Cancelled: vps 4711 is not in the list of unpaid invoices" in reply
        assert "/pay list vps" in reply
        assert billing.payments_received("vps", 4711) == 0

    async def test_a_second_request_is_refused_with_a_link(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """To the first card; the invoice is not paid again."""
        await pay(slack)
        assert await bot.rest(10)
        assert (await pay(slack)).ok
        (card,) = slack.messages("#payments")
        assert "vps invoice 10101 was already paid; it is #1." in told(slack, "alice")
        assert f"/archives/{ids.PAYMENTS}/p{card.ts.replace('.', '')}|See its card>" in told(slack, "alice")
        assert billing.payments_received("vps", 10101) == 1

    async def test_a_second_request_is_refused_while_the_first_is_under_way(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """Whoever asks gets the link, and the audit trail their name."""
        bot = await start_bot(PAY_ALLOWED_USERS=f"{ids.ALICE},{ids.MALLORY}", BILLING_TIMEOUT="20")
        billing.fail("timeout-after")
        await pay(slack)
        (card,) = await slack.wait_for(lambda: slack.messages("#payments"))
        assert (await pay(slack, "/pay VPS #10101", by="mallory")).ok
        assert "vps invoice 10101 was already requested; it is #1." in told(slack, "mallory")
        assert f"p{card.ts.replace('.', '')}|See its card>" in told(slack, "mallory")
        billing.heal()
        assert await bot.rest(10)
        assert billing.payments_received("vps", 10101) == 1
        refused = [event for event in await bot.ledger.history(1) if event.action == "refused"]
        assert [event.actor for event in refused] == [ids.MALLORY]

    async def test_what_was_never_sent_is_sent_later_by_itself(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """No login at first: the thread says that nothing was sent, and then that it was paid."""
        billing.fail("login-fault")
        bot = await start_bot()
        await pay(slack)
        await slack.wait_for(lambda: slack.messages("#payments") and threads(slack)[0])
        assert threads(slack)[0][0].startswith("#1: Waiting: the billing API cannot be reached")
        assert "Nothing was sent; it is tried again by itself." in threads(slack)[0][0]
        billing.heal()
        await slack.wait_for(lambda: ANSWER in threads(slack)[0][-1])
        assert await bot.rest(10)
        assert billing.payments_received("vps", 10101) == 1

    async def test_a_restart_forgets_nothing(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, settings: Any
    ) -> None:
        """What was paid yesterday is paid today."""
        async with app.running(settings()) as first:
            await pay(slack)
            assert await first.rest(10)
        second = await start_bot()
        await pay(slack)
        assert "was already paid; it is #1." in told(slack, "alice")
        assert await second.rest(10)
        assert billing.payments_received("vps", 10101) == 1


class TestTheAcknowledgement:
    @pytest.mark.parametrize("trouble", ["billing", "posts", "both", "updates", "billing slow"])
    async def test_the_acknowledgement_waits_for_nobody(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, trouble: str
    ) -> None:
        """Neither for the billing API nor for a post to Slack, nor for the commands before it."""
        if trouble in ("billing", "both"):
            billing.fail("stall")
        if trouble == "billing slow":
            billing.fail("slow")
        if trouble in ("posts", "both"):
            slack.fail("chat.postMessage", "timeout")
        if trouble == "updates":
            slack.fail("chat.update", "timeout")
        for number in (10101, 10102, 10103, 10104):
            result = await pay(slack, f"/pay vps {number}")
            assert result.ok
            assert result.seconds < SOON
        assert len(await bot.ledger.recent()) == 4

    async def test_a_post_that_hangs_delays_the_payment_and_nothing_else(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """No card, no payment; when Slack has taken the card, it is paid."""
        slack.fail("chat.postMessage", "slow", 1, seconds=1.5)
        for number in (10101, 10102):
            await pay(slack, f"/pay vps {number}")
        assert "api_make_payment" not in called(billing)
        assert await bot.rest(10)
        assert [len(replies) for replies in threads(slack)] == [1, 1]
        assert any(ANSWER in replies[0] for replies in threads(slack))

    async def test_many_commands_at_once_are_all_acknowledged(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """While the billing API answers nothing at all."""
        billing.fail("stall")
        results = await asyncio.gather(*(pay(slack, f"/pay mail {number}") for number in range(1, 21)))
        assert all(result.ok for result in results)
        assert max(result.seconds for result in results) < 2
        assert len(await bot.ledger.recent(limit=50)) == 20

    async def test_a_slow_group_look_up_denies_in_time(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """Slack may take a second to say who is in a group, and no longer."""
        bot = await start_bot(PAY_ALLOWED_USERS=ids.FINANCE_GROUP, PAY_APPROVERS="")
        slack.fail("usergroups.users.list", "timeout")
        slack.fail("users.info", "timeout")
        result = await pay(slack, by="bob")
        assert result.ok
        assert result.seconds < 2
        assert "Try again in a minute." in told(slack, "bob")
        assert await bot.ledger.recent() == []
        assert called(billing) == set()


class TestDeliveries:
    async def test_a_command_that_is_delivered_twice_is_one(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """Slack repeats; the trigger_id tells."""
        slack.sockets.duplicate_next(1)
        await pay(slack)
        assert await bot.rest(10)
        assert len(slack.messages("#payments")) == 1
        assert slack.ephemerals("alice") == []
        assert billing.payments_received("vps", 10101) == 1


MALFORMED = [
    "/pay vps",
    "/pay vps abc",
    "/pay vps 10101.7",
    "/pay vps 1e4",
    "/pay vps -1",
    "/pay vps 0",
    "/pay vps 2147483648",
    "/pay vps ١٠١٠١",
    "/pay 10101",
    "/pay vpss 10101",
    "/pay vps 10,101",
    "/pay <@U0ALICE001> 10101",
    "/pay help",
]


class TestRefusals:
    async def test_nothing_reaches_the_billing_api_for_what_is_refused(
        self, slack: LocalSlack, billing: LocalBilling, bot: app.Bot
    ) -> None:
        """Strangers, guests and slips: each is told alone, and the API hears nothing, not even a login."""
        for person in ("mallory", "gil"):
            assert (await pay(slack, by=person)).ok
            assert "You are not among those who may request payments." in told(slack, person)
        for number, text in enumerate(MALFORMED, start=1):
            assert (await pay(slack, text)).ok
            assert len(slack.ephemerals("alice")) == number, text
            assert told(slack, "alice").strip()
        assert await bot.rest(10)
        assert slack.messages("#payments") == []
        assert called(billing) == set()
        assert await bot.ledger.by_state() == {}
        refused = [event for event in await trail(bot.ledger) if event.action == "refused"]
        assert [event.actor for event in refused] == [ids.MALLORY, ids.GIL]

    async def test_a_near_miss_is_helped(self, slack: LocalSlack, bot: app.Bot) -> None:
        """Did you mean: shown, never acted on."""
        await pay(slack, "/pay vpss 10101")
        assert "Did you mean /pay vps 10101?" in told(slack, "alice")
        assert await bot.ledger.recent() == []

    async def test_an_empty_allowlist_allows_nobody(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """And start-up says so in the log."""
        with structlog.testing.capture_logs() as logged:
            await start_bot(PAY_ALLOWED_USERS="")
        assert any("nobody is allowed" in line["event"] for line in logged)
        await pay(slack)
        assert "Nobody may request payments yet" in told(slack, "alice")
        assert called(billing) == set()

    async def test_a_channel_that_is_not_allowed_is_refused(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """With the channels where it is."""
        await start_bot(PAY_ALLOWED_CHANNELS=ids.APPROVALS)
        await pay(slack)
        assert f"<#{ids.APPROVALS}>" in told(slack, "alice")
        assert called(billing) == set()

    @pytest.mark.parametrize("named", [False, True])
    async def test_a_guest_is_allowed_only_by_id(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, named: bool
    ) -> None:
        """A group that a guest is in does not let them in."""
        slack.world.change_group("finance", ["bob", "gil"])
        allowed = f"{ids.FINANCE_GROUP},{ids.GIL}" if named else ids.FINANCE_GROUP
        bot = await start_bot(PAY_ALLOWED_USERS=allowed, PAY_APPROVERS="")
        await pay(slack, by="gil")
        assert await bot.rest(10)
        assert billing.payments_made("vps", 10101) == int(named)
        if not named:
            assert "Guests, deactivated people and bots cannot do that." in told(slack, "gil")

    async def test_a_member_of_an_allowed_group_pays(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
    ) -> None:
        """Whoever is added to the group may pay, and nobody has to restart anything."""
        bot = await start_bot(PAY_ALLOWED_USERS=ids.FINANCE_GROUP, PAY_APPROVERS="")
        await pay(slack, by="bob")
        assert await bot.rest(10)
        assert billing.payments_made("vps", 10101) == 1
        await pay(slack, "/pay vps 10102", by="mallory")
        assert "You are not among those who may request payments." in told(slack, "mallory")


class TestSeveralInstances:
    async def test_two_instances_share_one_ledger(
        self, slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, new_postgresql: NewDatabase
    ) -> None:
        """On PostgreSQL: a command goes to one of them, an invoice is paid once, a thread told once."""
        url = new_postgresql(migrated=True)
        bots = [await start_bot(LEDGER_URL=url), await start_bot(LEDGER_URL=url)]
        await slack.wait_for(lambda: slack.sockets.connections == 2)
        numbers = range(201, 209)
        for number in numbers:
            billing.add_invoice("servers", number)
        results = await asyncio.gather(
            *(pay(slack, f"/pay servers {number}") for number in numbers for _ in range(2))
        )
        assert all(result.ok for result in results)
        for bot in bots:
            assert await bot.rest(20)
        assert [billing.payments_received("servers", number) for number in numbers] == [1] * 8
        assert await bots[0].ledger.by_state() == {State.PAID: 8}
        assert [len(replies) for replies in threads(slack)] == [1] * 8
        # On a busy machine a person is told before that it takes longer.
        refused = [one for one in slack.ephemerals("alice") if "was already" in one.text]
        assert len(refused) == 8, "the second command for each was refused"
        assert (await bots[1].ledger.verify()).broken_at is None

    async def test_a_part_that_breaks_ends_the_bot(
        self, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bug that ends one of its loops does not leave half a bot running."""

        async def fail(_: Ledger) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(Ledger, "wake_due", fail)
        bot = await start_bot()
        async with asyncio.timeout(10):
            await bot.run_until(asyncio.Event())
        assert bot.broken.is_set()
