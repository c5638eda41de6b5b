"""The daily digest: what it tells and to whom, once a day, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from bot import app
from bot.billing.client import BillingClient
from bot.config import policy_of
from bot.domain.payment import Invoice, InvoiceRef, State
from bot.ledger.notices import Topic
from bot.ledger.store import Ledger, utc_now
from bot.payments.due_soon import due_in
from bot.payments.unpaid import Listing, Unpaid
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.books import MODULES
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.connection import workspace_of
from bot.slack.digest import DigestTeller, due_message, waiting_message
from bot.slack.once import Once
from bot.slack.pace import Pace
from bot.slack.pay_form_button import PAY_SEVERAL
from bot.slack.text import day
from bot.slack.web_api import web_client
from tests.fixture_types import QUICK, Clock, NewSettings, StartBot
from tests.ledger.making import request_in
from tests.slack.acting import asks, card, posts, request, shown, thread
from tests.slack.filling import choose_module, opened, options
from tests.slack.scenes import batch_of, check

AT_NINE = f"{ids.PAYMENTS} daily 09:00 UTC"
MONDAY = date(2026, 3, 2)
WEEK = timedelta(days=7)

NewTeller = Callable[..., DigestTeller]


@pytest.fixture
async def new_teller(
    ledger: Ledger, settings: NewSettings, slack: LocalSlack, billing: LocalBilling
) -> AsyncIterator[NewTeller]:
    """Makes tellers on one ledger whose clock is moved by hand: what a bot that does nothing else has."""
    overdue = str(datetime.now())  # noqa: DTZ005 - the billing API's dates have no zone
    for module in MODULES:
        for row in billing._service.books.unpaid(module):
            late = str(row["invoices_due_date"]) < overdue
            row["invoices_due_date"] = "2026-02-20 00:00:00" if late else "2026-03-05 00:00:00"
    client = web_client(slack.bot_token, slack.api_url)
    workspace = await workspace_of(client)
    api = BillingClient(
        wsdl_url=billing.wsdl_url, username=billing.username, password=settings().billing_password
    )

    def make(line: str = AT_NINE, instance: str = "one", **variables: str) -> DigestTeller:
        given = settings(PAY_DIGEST=line, **variables)
        assert given.pay_digest is not None
        policy, pace = policy_of(given), Pace(posts=1000, updates=1000, burst=1000)
        edges = app.Edges(ledger, client, workspace, api)
        services = app.build(given, policy, edges, instance=instance, timing=QUICK, pace=pace).services
        return DigestTeller(
            given.pay_digest,
            policy,
            Once("PAY_DIGEST", ledger, client, workspace, QUICK, pace, instance),
            services.directory,
            services.overview,
            services.unpaid,
            services.catalogue,
        )

    yield make
    billing.heal()
    await api.close(grace=5.0)


async def tell(*tellers: DigestTeller) -> None:
    """Let each do all that it can do now."""
    await asyncio.gather(*(one.poll_once() for one in tellers))
    await asyncio.gather(*(one.pool.drain(10) for one in tellers))


def told(slack: LocalSlack) -> list[str]:
    return [shown(one) for one in slack.messages("#payments")]


class TestTheChannel:
    async def test_it_tells_what_is_due_and_nobody_asked_for(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller
    ) -> None:
        """Overdue first, with totals per currency and lines to be pasted; what is requested is left out."""
        await request_in(ledger, State.PENDING_APPROVAL, InvoiceRef("vps", 10103), team=ids.TEAM_ID)
        teller = new_teller()
        due = due_in(await teller.unpaid.of(teller.catalogue.modules), MONDAY, WEEK)
        assert {"domains 10002", "servers 10902"} <= {str(one.ref) for one in due.overdue}
        assert "vps 10102" in {str(one.ref) for one in due.soon}
        assert "vps 10103" not in {str(one.ref) for one in due.invoices}
        await tell(teller)
        (message,) = slack.messages("#payments")
        assert message.action_ids() == [PAY_SEVERAL]

    async def test_it_is_told_once_a_day(
        self, slack: LocalSlack, new_teller: NewTeller, clock: Clock
    ) -> None:
        """When its time has come, and on the next day again."""
        teller = new_teller()
        clock.set(minutes=-1)
        await tell(teller)
        assert told(slack) == []
        clock.advance(minutes=1)
        for _ in range(3):
            await tell(teller)
            clock.advance(hours=4)
        (text,) = told(slack)
        assert "unpaid invoices that nobody has asked for" in text
        clock.advance(hours=12)
        await tell(teller)
        assert len(told(slack)) == 2

    async def test_it_is_told_once_by_several(self, slack: LocalSlack, new_teller: NewTeller) -> None:
        """Two instances find that its time has come at the same moment."""
        await tell(new_teller(), new_teller(instance="two"))
        assert len(told(slack)) == 1

    async def test_each_channel_is_told_by_those_who_name_it(
        self, slack: LocalSlack, new_teller: NewTeller
    ) -> None:
        """Two instances may name different ones, as while PAY_DIGEST is changed: neither ends the other's."""
        here, there = new_teller(), new_teller(f"{ids.APPROVALS} daily 09:00 UTC", "two")
        await here._begin(MONDAY)
        await there._begin(MONDAY)
        await tell(here)
        assert (len(told(slack)), len(slack.messages("#approvals"))) == (1, 0)
        await tell(there)
        assert (len(told(slack)), len(slack.messages("#approvals"))) == (1, 1)

    @pytest.mark.parametrize("step", [-26, -3, 5, 26])
    async def test_a_clock_that_is_set_tells_no_day_twice(
        self, slack: LocalSlack, new_teller: NewTeller, clock: Clock, step: int
    ) -> None:
        """Ahead and back again, over the end of the day."""
        teller, days = new_teller(), set()
        for hours in (0, step, -step, step, 1):
            clock.set(hours=hours)
            days.add(teller.plan.due(clock.now))
            await tell(teller)
            clock.advance(seconds=31)
        assert len(told(slack)) == len(days - {None})

    async def test_nothing_is_told_where_there_is_nothing(
        self, slack: LocalSlack, billing: LocalBilling, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Nor later on that day, when there is something."""
        teller = new_teller()
        for module in MODULES:
            for row in billing._service.books.unpaid(module):
                row["invoices_due_date"] = None if module == "servers" else "2026-03-10 00:00:00"
        await tell(teller)
        billing.add_invoice("ssl", 4711, due_in_days=-20_000)
        clock.advance(hours=1)
        await tell(teller)
        assert told(slack) == []

    async def test_what_cannot_be_read_is_waited_for_and_then_named(
        self, slack: LocalSlack, billing: LocalBilling, new_teller: NewTeller, clock: Clock
    ) -> None:
        """An hour, and then it is told with what could be read."""
        billing.fail("fault-before", operation="api_vps_get_client_unpaid_invoices")
        teller = new_teller()
        await tell(teller)
        clock.advance(minutes=59)
        await tell(teller)
        assert told(slack) == []
        clock.advance(minutes=1)
        await tell(teller)
        assert "Could not be read: vps." in told(slack)[0]

    async def test_its_button_opens_the_form(self, slack: LocalSlack, start_bot: StartBot) -> None:
        """With this channel to begin with, to be picked: whoever sees it need not be in it."""
        await start_bot(PAY_DIGEST=f"{ids.PAYMENTS} daily 00:00 UTC", timing=replace(QUICK, digest=0.05))
        (message,) = await slack.wait_for(lambda: slack.messages("#payments"))
        assert (await slack.person("alice").clicks(message, PAY_SEVERAL)).ok
        (form,) = await slack.wait_for(lambda: slack.views("alice"))
        channel = next(block for block in form.blocks if block.get("block_id") == "channel")
        assert channel["element"]["initial_conversation"] == ids.PAYMENTS

    async def test_whoever_may_not_ask_gets_no_form(self, slack: LocalSlack, start_bot: StartBot) -> None:
        """They are told so, and nobody else sees it."""
        await start_bot(PAY_DIGEST=f"{ids.PAYMENTS} daily 00:00 UTC", timing=replace(QUICK, digest=0.05))
        (message,) = await slack.wait_for(lambda: slack.messages("#payments"))
        await slack.person("mallory").clicks(message, PAY_SEVERAL)
        await slack.wait_for(lambda: slack.ephemerals("mallory"))
        assert slack.views("mallory") == []


class TestACrash:
    @pytest.mark.parametrize("mode", ["drop-after", "drop-before", "500"])
    async def test_a_lost_answer_is_looked_for(
        self, slack: LocalSlack, new_teller: NewTeller, clock: Clock, mode: str
    ) -> None:
        """Whether it had arrived or not, it stands there once."""
        slack.fail("chat.postMessage", mode, times=1)
        teller = new_teller()
        for _ in range(3):
            await tell(teller)
            clock.advance(seconds=31)
        assert len(told(slack)) == 1

    @pytest.mark.parametrize("begun", [True, False])
    async def test_who_died_with_it_is_followed_by_another(
        self, slack: LocalSlack, new_teller: NewTeller, ledger: Ledger, clock: Clock, begun: bool
    ) -> None:
        """Before the post, or with it begun and nothing sent: another instance tells it, once."""
        dead, alive = new_teller(instance="dead"), new_teller(instance="alive")
        await dead._begin(MONDAY)
        async with ledger.transaction() as transaction:
            digest = await transaction.notices.claim({Topic.DIGEST}, owner="dead", lease=QUICK.lease)
            assert digest is not None
            assert not begun or await transaction.notices.begin(digest, lease=QUICK.lease)
        await tell(alive)
        assert told(slack) == []
        clock.advance(seconds=3)
        await tell(alive)
        assert len(told(slack)) == 1

    async def test_where_nobody_may_look_it_is_not_told_twice(
        self, slack: LocalSlack, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Without the optional scopes: rather none than two."""
        slack.fail("chat.postMessage", "drop-after", times=1)
        slack.fail("conversations.history", "error:missing_scope")
        teller = new_teller()
        for _ in range(3):
            await tell(teller)
            clock.advance(seconds=31)
        assert len(told(slack)) == 1
        assert len(posts(slack)) == 1


class TestApprovers:
    @pytest.mark.parametrize("approvers", [f"{ids.BOB},{ids.CAROL}", ids.FINANCE_GROUP])
    async def test_each_is_told_once_what_waits_for_them(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock, approvers: str
    ) -> None:
        """With links, in one message a day, also to the people of a group; nobody else hears of it."""
        await waiting(slack, ledger, 10101)
        await waiting(slack, ledger, 10102)
        rules = {"PAY_APPROVERS": approvers, "PAY_APPROVALS_REQUIRED": "1"}
        teller = new_teller(f"{ids.RANDOM} daily 09:00 UTC approvers", **rules)
        for _ in range(3):
            await tell(teller)
            clock.advance(hours=1)
        (message,) = slack.direct_messages("bob")
        assert "*2 requests wait for your approval" in shown(message)
        assert "#1 · vps invoice 10101" in shown(message)
        assert slack.direct_messages("alice") == []
        assert slack.direct_messages("mallory") == []

    async def test_who_has_nothing_to_decide_hears_nothing(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
    ) -> None:
        """Nor later on that day: what comes up then stands on its card, and in the next digest."""
        teller = new_teller(f"{ids.RANDOM} daily 09:00 UTC approvers", PAY_APPROVALS_REQUIRED="1")
        await tell(teller)
        await waiting(slack, ledger, 10101)
        clock.advance(hours=1)
        await tell(teller)
        assert slack.direct_messages("bob") == []
        clock.advance(hours=23)
        await tell(teller)
        assert len(slack.direct_messages("bob")) == 1

    async def test_without_the_word_nobody_is_told_directly(
        self, slack: LocalSlack, ledger: Ledger, new_teller: NewTeller
    ) -> None:
        """They are asked by each card."""
        await waiting(slack, ledger, 10101)
        await tell(new_teller(PAY_APPROVALS_REQUIRED="1"))
        assert slack.direct_messages("bob") == []


async def test_cards_mention_nobody_who_is_told_once_a_day(slack: LocalSlack, start_bot: StartBot) -> None:
    """Neither on the card nor by an invitation; a reminder before the end mentions them all the same."""
    another_day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(datetime.now(UTC).weekday() + 3) % 7]
    slack.world.leave("approvals", "carol")
    bot = await start_bot(
        PAY_DIGEST=f"{ids.RANDOM} {another_day} 00:00 UTC approvers",
        PAY_APPROVALS_REQUIRED="1",
        PAY_APPROVAL_CHANNEL=ids.APPROVALS,
        PAY_EXPIRES_AFTER="6s",
    )
    await request(slack, bot)
    asked = card(slack, "#approvals")
    assert "Needs 1 more approval from those who may give it: they are told once a day" in shown(asked)
    assert ids.BOB not in str(asked.blocks)
    assert slack.direct_messages("carol") == []
    await slack.wait_for(lambda: thread(slack, "#approvals"))
    assert ids.BOB in thread(slack, "#approvals")[0]


async def test_the_day_is_the_same_wherever_it_is_told(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Tokyo it is morning before the day ends in UTC: what the digest calls overdue is so everywhere."""
    bot = await start_bot(
        PAY_DIGEST=f"{ids.PAYMENTS} daily 23:59 Asia/Tokyo", PAY_APPROVERS=ids.BOB, PAY_APPROVALS_REQUIRED="1"
    )
    in_utc = utc_now().date()
    ahead = datetime.combine(in_utc, time(23, 30), UTC) - utc_now()
    monkeypatch.setattr(bot.ledger, "_clock", lambda: utc_now() + ahead)
    row = billing.row("vps", 10101)
    assert row is not None
    row["invoices_due_date"] = str(in_utc)
    overdue = f"{day(in_utc)} (overdue)"
    assert f"`/pay vps 10101` · *10.00 USD* · *overdue* since {day(in_utc)}" in await asks(slack, "list vps")
    assert f"`vps 10101` · *10.00 USD* · due {overdue}" in await asks(slack, "vps overdue")
    await slack.person("alice").types("#payments", "/pay")
    form = await choose_module(slack, await opened(slack), "vps")
    assert any(f"due {overdue}" in option for option in options(form))
    assert f"Due {overdue}" in shown(await request(slack, bot))
    await slack.person("bob").opens_home()
    await slack.wait_for(lambda: slack.home("bob"))
    assert f"Due {overdue}" in str(slack.home("bob"))


async def waiting(slack: LocalSlack, ledger: Ledger, number: int) -> None:
    """Alice asked for an invoice, and it waits for approval."""
    ref = InvoiceRef("vps", number)
    fields = {"team": ids.TEAM_ID, "channel": ids.PAYMENTS, "requester": ids.ALICE, "approvals_required": 1}
    await request_in(ledger, State.PENDING_APPROVAL, ref, **fields)


def an_invoice(number: int, due: date | None, amount: str = "10.00", currency: str = "USD") -> Unpaid:
    ref = InvoiceRef("vps", number)
    return Unpaid(Invoice(ref, "KVM <!channel> & more", Decimal(amount), currency, due), None)


class TestWords:
    def test_what_is_due_is_told_by_the_calendar(self) -> None:
        """Yesterday is overdue, today is not; the last day counts, the one after it does not."""
        days = (-1, 0, 7, 8)
        found = Listing(tuple(an_invoice(one + 10, MONDAY + timedelta(days=one)) for one in days), ())
        due = due_in(found, MONDAY, WEEK)
        assert [one.ref.number for one in due.overdue] == [9]
        assert [one.ref.number for one in due.soon] == [10, 17]
        assert due_in(Listing((an_invoice(1, None),), ()), MONDAY, WEEK).invoices == ()

    def test_a_message_is_fit_for_slack(self) -> None:
        """However many there are; totals per currency, and every line can be pasted."""
        many = [an_invoice(n, MONDAY - timedelta(days=n % 3), "1234.50", "USD") for n in range(1, 900)]
        due = due_in(Listing((*many, an_invoice(901, MONDAY, "5.00", "EUR")), ("mail",)), MONDAY, WEEK)
        message = due_message(due, MONDAY, WEEK)
        assert message is not None
        check(message)
        assert "*900 unpaid invoices that nobody has asked for*" in message.blocks[0]["text"]["text"]
        assert "Due by 9 Mar 2026: 300 · 369,115.50 USD · 5.00 EUR" in message.blocks[0]["text"]["text"]
        assert "`/pay vps 2`" in message.blocks[0]["text"]["text"]
        assert "… and 890 more; `/pay list` shows them.\nCould not be read: mail." in message.text
        assert due_message(due_in(Listing((), ()), MONDAY, WEEK), MONDAY, WEEK) is None
        assert waiting_message([], "https://acme.slack.com/") is None

    def test_what_cannot_be_added_up_is_told_also_where_nothing_else_is(self) -> None:
        """It may be overdue, and the channel is not to believe that nothing is."""
        message = due_message(due_in(Listing((), (), (InvoiceRef("vps", 7),)), MONDAY, WEEK), MONDAY, WEEK)
        assert message is not None
        check(message)
        assert message.text.startswith("Unpaid as well, with an amount that cannot be read: `vps 7`.")

    def test_a_link_leads_to_a_card_that_stands(self) -> None:
        """To the one on which it is decided; while that is not posted, to the one where it was asked for."""
        own, other = "1700000000.000001", "1700000000.000002"
        for approval_ts, where in ((None, f"C1/p{own}"), (other, f"C2/p{other}")):
            waiting = batch_of(State.PENDING_APPROVAL, approval_channel="C2", approval_ts=approval_ts)
            told = waiting_message([waiting], "https://acme.slack.com/")
            assert told is not None
            assert f"<https://acme.slack.com/archives/{where.replace('.', '')}|" in told.text
