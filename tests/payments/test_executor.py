"""The executor: one call is made, and what became of it is kept."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef, Payment, State
from bot.errors import LedgerUnavailable
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from tests.fixture_types import Clock
from tests.ledger.forging import forge, past_the_ledger
from tests.ledger.making import attempts, stored
from tests.payments.conftest import ALICE, ONE, PAY, UNPAID, Office


async def executed_by(office: Office, client: BillingClient, payment: Payment) -> Payment:
    """What is approved is paid by an instance with this client, which knows of the reading just now."""
    office.executor.billing = client
    await office.execute()
    return await office.now(payment)


class TestTheGoodWay:
    async def test_a_payment_costs_one_reading_and_one_call(self, office: Office) -> None:
        """Without approval the snapshot is fresh enough to be the check."""
        payment = await office.pay()
        assert payment.state is State.PAID
        assert office.calls() == [UNPAID, PAY]
        assert (payment.status, payment.tries) == ("ok", 1)
        assert payment.status_text == "Payment of 10.00 USD for Invoice 10101 Successful."
        assert payment.lease is None

    async def test_the_way_is_in_the_trail(self, office: Office) -> None:
        """Each step with who took it; the answer verbatim."""
        payment = await office.pay()
        history = await office.ledger.history(payment.request.id)
        assert [(event.actor, event.action) for event in history] == [
            (ALICE.id, "requested"),
            ("look-up", "looked_up"),
            ("policy", "approval_complete"),
            ("executor", "sending"),
            ("billing", "answered"),
        ]
        sending = stored(history[-2])
        assert sending["try"] == 1
        answered = stored(history[-1])
        assert (answered["verdict"], answered["status"]) == ("PAID", "ok")
        assert answered["status_text"] == payment.status_text

    async def test_the_attempt_is_written_before_the_call(self, office: Office) -> None:
        """When the API hears of it, the ledger holds state, event and attempt already."""
        arrived = asyncio.Event()
        office.billing.on_call = lambda call: arrived.set() if call.operation == PAY else None
        office.billing.fail("stall", operation=PAY)
        payment = await office.looked_up()
        await office.executor_worker.poll_once()
        async with asyncio.timeout(10):
            await arrived.wait()
        assert (await office.now(payment)).state is State.SENDING
        assert [attempt.verdict for attempt in await attempts(office.ledger, payment.id)] == [None]
        office.billing.heal()
        await office.executor_worker.pool.drain(10)
        assert [attempt.verdict for attempt in await attempts(office.ledger, payment.id)] == ["UNKNOWN"]

    async def test_without_a_card_nothing_is_paid(self, office: Office) -> None:
        """Nobody would see it."""
        payment = await office.request()
        await office.look_up_worker.poll_once()
        await office.look_up_worker.pool.drain(10)
        await office.execute()
        assert (await office.now(payment)).state is State.APPROVED
        assert office.billing.payments_received("vps", 10101) == 0


OUTCOMES = {
    State.PAID: ["shouted-ok", "session-expired", "unlisted"],
    State.DECLINED: ["declined"],
    State.NOT_SENT: ["login-blank", "login-fault", "down"],
    State.UNKNOWN: ["reset-before", "reset-after", "html-after", "missing-status-after", "fault-before"],
}


class TestWhatBecameOfTheCall:
    @pytest.mark.parametrize(
        ("mode", "state"), [(mode, state) for state in OUTCOMES for mode in OUTCOMES[state]]
    )
    async def test_every_way_to_fail_has_its_outcome(
        self,
        ledger: Ledger,
        clock: Clock,
        office: Office,
        other_client: BillingClient,
        mode: str,
        state: State,
    ) -> None:
        """Never sent is not sent; a doubt is unknown; and the API got one call at most, whatever happened."""
        payment = await office.looked_up()
        office.billing.fail(mode)
        payment = await executed_by(office, other_client, payment)
        assert payment.state is state
        assert office.billing.payments_received("vps", 10101) <= 1
        (attempt,) = await attempts(ledger, payment.id)
        assert (attempt.verdict, attempt.finished_at) == (state.value, clock.now)
        assert payment.reason == attempt.evidence
        told = stored(await office.last(payment))
        assert told.get("unclear", False) is (mode in {"html-after", "missing-status-after", "fault-before"})
        assert payment.due_at > clock.now or state in (State.PAID, State.DECLINED)

    async def test_a_decline_says_why_and_frees_the_invoice(self, office: Office) -> None:
        """The API's own words, and another try is another request."""
        office.billing.fail("declined", times=1)
        payment = await office.pay()
        assert payment.status_text == "The Credit Card on file was declined."
        again = await office.pay()
        assert (again.id, again.state) == (payment.id + 1, State.PAID)

    async def test_a_lost_answer_is_never_sent_again(self, office: Office, clock: Clock) -> None:
        """However long one waits, and however often everybody looks."""
        office.billing.fail("reset-after", times=1)
        payment = await office.pay()
        office.billing.fail("unreadable")
        for _ in range(5):
            clock.advance(hours=13)
            await office.maintenance.poll_once()
            await office.reconcile()
            await office.execute()
        assert (await office.now(payment)).state is State.UNKNOWN
        assert office.billing.payments_received("vps", 10101) == 1


class TestNotSent:
    async def test_what_was_not_sent_is_tried_again_later_and_later(
        self, office: Office, clock: Clock, other_client: BillingClient
    ) -> None:
        """With the waits that the timing gives, by itself."""
        payment = await office.looked_up()
        office.billing.fail("login-blank")
        payment = await executed_by(office, other_client, payment)
        assert payment.due_at == clock.now + timedelta(minutes=1)
        clock.advance(seconds=59)
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is State.NOT_SENT
        clock.advance(seconds=1)
        await office.maintenance.poll_once()
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.tries) == (State.NOT_SENT, 2)
        assert payment.due_at == clock.now + timedelta(minutes=5)
        office.billing.heal()
        clock.advance(minutes=5)
        await office.maintenance.poll_once()
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert office.billing.payments_received("vps", 10101) == 1

    async def test_what_can_never_be_sent_is_given_up(
        self, office: Office, clock: Clock, other_client: BillingClient
    ) -> None:
        """After a bounded number of tries, as cancelled: nothing was paid."""
        payment = await office.looked_up()
        office.billing.fail("login-blank")
        payment = await executed_by(office, other_client, payment)
        for _ in range(5):
            clock.advance(minutes=5)
            await office.maintenance.poll_once()
            await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.tries) == (State.CANCELLED, 3)
        assert "nothing could be sent in 3 tries" in str(payment.reason)
        await office.request()

    async def test_between_two_tries_it_can_be_taken_back(
        self, office: Office, other_client: BillingClient
    ) -> None:
        """Nothing was sent, so its requester still decides."""
        payment = await office.looked_up()
        office.billing.fail("login-blank")
        payment = await executed_by(office, other_client, payment)
        await office.desk.withdraw(ALICE, payment.request.id)
        assert (await office.now(payment)).state is State.CANCELLED

    async def test_the_last_try_is_the_end_at_once(
        self, office: Office, clock: Clock, other_client: BillingClient
    ) -> None:
        """Nobody waits for a try that never comes."""
        payment = await office.looked_up()
        office.billing.fail("login-blank")
        payment = await executed_by(office, other_client, payment)
        for minutes in (1, 5):
            clock.advance(minutes=minutes)
            await office.maintenance.poll_once()
            await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.tries) == (State.NOT_SENT, 3)
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is State.CANCELLED


class TestNotOffered:
    """What the API's description lacks does not come by waiting: it is said at once, with whom to tell."""

    async def test_an_api_that_has_no_payment_is_not_tried_again(
        self, office: Office, other_client: BillingClient
    ) -> None:
        """No attempt is written, and the invoice can be asked for again."""
        payment = await office.looked_up()
        office.billing.fail("unpayable")
        payment = await executed_by(office, other_client, payment)
        assert (payment.state, payment.tries) == (State.CANCELLED, 0)
        assert await attempts(office.ledger, payment.id) == []
        told = stored(await office.last(payment))
        assert "api_make_payment" in told["reason"]
        assert "Tell the people who run this bot" in told["remedy"]
        await office.request()

    async def test_a_module_that_cannot_be_listed_any_more_is_said_before_anybody_approves(
        self, office: Office, other_client: BillingClient
    ) -> None:
        """Its invoices were read before, so it is no account that never could."""
        await office.looked_up()
        office.billing.fail("unlisted")
        office.client = other_client
        office.rules(ONE)
        payment = await office.looked_up(InvoiceRef("vps", 10102))
        assert payment.state is State.CANCELLED
        assert "no operation any more" in str(payment.reason)

    async def test_nor_is_it_sent_for_ever_where_that_is_found_later(
        self, office: Office, other_client: BillingClient
    ) -> None:
        """Between the approval and the call: it is cancelled, and not held until it expires."""
        payment = await office.approved()
        office.billing.fail("unlisted")
        office.client = other_client
        office.rules(ONE)
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.CANCELLED
        assert "no operation any more" in str(payment.reason)
        assert office.billing.payments_received("vps", 10101) == 0


async def test_the_answer_of_a_payment_that_the_ledger_forgot_settles_no_other(
    office: Office, ledger_url: str
) -> None:
    """A failover lost it, and gave its number away: what became of the call is in the log alone."""

    async def fail_over(point: str, payment_id: int) -> None:
        if point == "answered":
            async with past_the_ledger(ledger_url) as engine:
                await forge(engine, "UPDATE requests SET created_at = expires_at")

    office.checkpoint = fail_over
    office.rules(office.authority.policy)
    with capture_logs() as logs:
        payment = await office.pay()
    assert payment.state is State.SENDING
    assert [attempt.verdict for attempt in await attempts(office.ledger, payment.id)] == [None]
    (logged,) = [one for one in logs if one["event"] == "what became of a call can only be logged"]
    assert (logged["invoice"], logged["outcome"]) == ("vps 10101", "PAID")


async def test_an_answer_whose_commit_counted_is_written_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it did was not heard, so it is asked before it is written again."""
    begin, answered = office.ledger.transaction, asyncio.Event()

    @contextlib.asynccontextmanager
    async def unheard() -> AsyncIterator[Transaction]:
        lost = answered.is_set()
        answered.clear()
        async with begin() as transaction:
            yield transaction
        if lost:
            raise LedgerUnavailable("the answer of COMMIT was lost")

    async def cut(step: str, _: int) -> None:
        if step == "answered":
            answered.set()

    office.checkpoint = cut
    office.rules(office.authority.policy)
    monkeypatch.setattr(office.ledger, "transaction", unheard)
    payment = await office.pay()
    assert payment.state is State.PAID
    actions = await office.actions(payment)
    assert (actions.count("answered"), actions.count("answered_late")) == (1, 0)


@pytest.mark.parametrize("sent", [True, False])
async def test_a_call_that_the_ledger_forgot_is_not_made_again(
    office: Office, ledger_url: str, clock: Clock, other_client: BillingClient, sent: bool
) -> None:
    """It was set back, to where the payment was approved; the invoices of this account cannot be read.

    sent: otherwise provably nothing was, and it may be.
    """
    if sent:
        office.billing.fail("unreadable")
    payment = await office.looked_up()
    if not sent:
        office.billing.fail("login-blank")
    before = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(str(make_url(ledger_url).database))) as kept:
        kept.backup(before)
        gone = await executed_by(office, office.client if sent else other_client, payment)
        assert gone.state is (State.PAID if sent else State.NOT_SENT)
        before.backup(kept)
    before.close()
    if not sent:
        office.billing.heal()
    clock.advance(minutes=1)
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is (State.APPROVED if sent else State.PAID)
    assert ("the ledger was set back and lacks a call for this" in str(payment.reason)) is sent
    assert office.billing.payments_received("vps", 10101) == 1
