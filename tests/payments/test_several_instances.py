"""Several hands at one payment: one call is made, and its answer is booked on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerUnavailable
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR
from bot.ledger.transaction import Transaction
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import attempts, stored
from tests.payments.conftest import ALICE, BOB, PAY, Office, Register, policy


class TestOneCall:
    async def test_two_instances_pay_it_once(
        self, office: Office, ledger_url: str, clock: Clock, billing: LocalBilling, client: BillingClient
    ) -> None:
        """Both look at the same moment; one of them gets it."""
        payments = [await office.looked_up(InvoiceRef("vps", number)) for number in (10101, 10102, 10103)]
        async with open_ledger(ledger_url, clock=clock, boot_clock=clock.boottime) as ledger:
            other = Office(ledger, clock, billing, client, office.register, instance="two")
            await asyncio.gather(office.execute(), other.execute())
        for payment in payments:
            assert (await office.now(payment)).state is State.PAID
            assert billing.payments_received("vps", payment.ref.number) == 1

    async def test_what_is_cancelled_at_the_last_moment_is_not_sent(self, office: Office) -> None:
        """Between the check and the call nothing can get in: the move to SENDING finds out."""

        async def cancel_in_between(step: str, payment_id: int) -> None:
            if step == "checked":
                await office.desk.withdraw(ALICE, payment_id)

        office.checkpoint = cancel_in_between
        office.rules(policy())
        payment = await office.pay()
        assert payment.state is State.CANCELLED
        assert office.billing.payments_received("vps", 10101) == 0

    async def test_who_lost_the_lease_does_not_send(self, office: Office, clock: Clock) -> None:
        """It took too long to check, and another instance has it now."""
        payment = await office.looked_up()

        async def lose_the_lease(step: str, payment_id: int) -> None:
            if step == "checked":
                clock.advance(minutes=1)
                async with office.ledger.transaction() as transaction:
                    await transaction.claim(EXECUTOR, owner="two", lease=timedelta(seconds=30), limit=1)

        office.checkpoint = lose_the_lease
        office.rules(policy())
        await office.execute()
        assert (await office.now(payment)).state is State.APPROVED
        lease = (await office.now(payment)).lease
        assert lease is not None
        assert lease.owner == "two"
        assert office.billing.payments_received("vps", 10101) == 0

    async def test_while_the_call_is_under_way_the_lease_is_kept(self, office: Office, clock: Clock) -> None:
        """A slow API is no dead process: nobody calls the answer lost while somebody waits for it."""
        office.timing = Timing(lease=timedelta(seconds=0.3))
        office.rules(policy())
        office.billing.fail("stall", operation=PAY)
        payment = await office.looked_up()
        await office.executor_worker.poll_once()
        sending = await office.until(payment, lambda now: now.state is State.SENDING)
        clock.advance(seconds=0.29)
        await office.until(payment, lambda now: now.lease != sending.lease)
        clock.advance(seconds=0.29)
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is State.SENDING
        office.billing.heal()
        await office.executor_worker.pool.drain(10)


class TestAnAnswerThatComesLate:
    async def test_an_answer_that_comes_late_still_settles_it(self, office: Office, clock: Clock) -> None:
        """The lease ran out and it was called unknown; then the API said ok after all."""

        async def run_out(step: str, payment_id: int) -> None:
            if step == "answered":
                clock.advance(minutes=1)
                await office.maintenance.poll_once()
                assert (await office.now(payment)).state is State.UNKNOWN

        payment = await office.looked_up()
        office.checkpoint = run_out
        office.rules(policy())
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert await office.actions(payment) == [
            "requested",
            "looked_up",
            "approval_complete",
            "sending",
            "lease_ran_out",
            "answered",
        ]

    async def test_an_answer_after_it_was_settled_is_kept_and_moves_nothing(
        self, office: Office, clock: Clock
    ) -> None:
        """A person was faster; the contradiction stands in the trail."""

        async def settle(step: str, payment_id: int) -> None:
            if step == "answered":
                clock.advance(minutes=1)
                await office.maintenance.poll_once()
                await office.desk.resolve(BOB, payment_id, paid=False, note="not in MyAdmin")

        payment = await office.looked_up()
        office.checkpoint = settle
        office.rules(policy())
        await office.execute()
        assert (await office.now(payment)).state is State.DECLINED
        event = await office.last(payment)
        assert (event.action, stored(event)["verdict"]) == ("answered_late", "PAID")
        (attempt,) = await attempts(office.ledger, payment.id)
        assert attempt.verdict == "PAID"

    async def test_an_answer_that_was_stored_already_is_not_booked_on_another_instances_call(
        self,
        new_database: NewDatabase,
        clock: Clock,
        billing: LocalBilling,
        client: BillingClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The COMMIT counted, its answer was lost, and the ledger came back after another instance's try."""
        url = new_database(migrated=True)
        cut, back, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def one_slept(step: str, _: int) -> None:
            if step == "intended":
                clock.advance(seconds=30)
            elif step == "answered":
                cut.set()

        async def two_slept(step: str, _: int) -> None:
            if step == "intended":
                clock.advance(seconds=30)

        async with (
            open_ledger(url, clock=clock, boot_clock=clock.boottime) as first,
            open_ledger(url, clock=clock, boot_clock=clock.boottime) as second,
        ):
            one = Office(first, clock, billing, client, Register(), instance="one", checkpoint=one_slept)
            two = Office(second, clock, billing, client, Register(), instance="two", checkpoint=two_slept)
            payment = await one.looked_up()
            begin = first.transaction

            @contextlib.asynccontextmanager
            async def cut_off() -> AsyncIterator[Transaction]:
                if lost.is_set() and not back.is_set():
                    raise LedgerUnavailable("away")
                async with begin() as transaction:
                    yield transaction
                if cut.is_set() and not lost.is_set():
                    lost.set()
                    raise LedgerUnavailable("the answer of COMMIT was lost")

            monkeypatch.setattr(first, "transaction", cut_off)
            await one.executor_worker.poll_once()
            async with asyncio.timeout(10):
                await lost.wait()
            assert (await two.now(payment)).state is State.NOT_SENT
            clock.advance(minutes=1)
            await two.maintenance.poll_once()
            await two.execute()
            back.set()
            await one.executor_worker.pool.drain(10)
            now = await two.now(payment)
            assert (now.state, now.tries) == (State.NOT_SENT, 2)
            actions = await two.actions(payment)
            assert (actions.count("answered"), actions.count("answered_late")) == (2, 0)
            assert (await second.verify()).whole
            answers = [one for one in await second.history(payment.request.id) if one.action == "answered"]
            assert [stored(answer)["try"] for answer in answers] == [1, 2]
