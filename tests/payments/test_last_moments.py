"""Right before the call and right after it: what came about in between stops it, and no outcome is lost."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from bot.billing.client import BillingClient
from bot.domain.payment import State
from bot.errors import LedgerUnavailable
from bot.ledger.queues import EXECUTOR
from bot.ledger.transaction import Transaction
from bot.payments.executor import no_checkpoint
from tests.fixture_types import Clock
from tests.payments.conftest import ALICE, ONE, PAY, Office, policy


class TestBeforeTheCall:
    async def test_what_changed_since_it_was_checked_is_not_sent(self, office: Office) -> None:
        """Whatever it is that changed: the check was of another payment, so it is checked anew."""
        payment = await office.looked_up()

        async def change(step: str, payment_id: int) -> None:
            if step == "checked":
                current = await office.now(payment)
                async with office.ledger.transaction() as transaction:
                    await transaction.change(current, reason="something else")

        office.checkpoint = change
        office.rules(policy())
        await office.execute()
        assert (await office.now(payment)).state is State.APPROVED
        assert PAY not in office.calls()

    async def test_what_was_taken_back_while_it_was_checked_is_left_as_it_is(self, office: Office) -> None:
        """That it could not be checked either is of no interest any more."""
        payment = await office.approved()
        office.billing.fail("unreadable")

        async def take_back(step: str, payment_id: int) -> None:
            if step == "checked":
                await office.desk.withdraw(ALICE, payment.request.id)

        office.checkpoint = take_back
        office.rules(ONE)
        await office.execute()
        last = await office.last(payment)
        assert ((await office.now(payment)).state, last.actor, last.action) == (
            State.CANCELLED,
            ALICE.id,
            "cancelled",
        )

    @pytest.mark.parametrize(
        ("late", "state", "reason"),
        [
            (-1.0, State.PAID, None),
            (0.0, State.APPROVED, "checking it took too long"),
        ],
    )
    async def test_a_check_may_take_a_lease_and_the_time_of_a_call(
        self, office: Office, clock: Clock, late: float, state: State, reason: str | None
    ) -> None:
        """Nobody else has taken it up; but what came about in so long a time was not checked."""
        payment = await office.looked_up()

        async def wait(step: str, payment_id: int) -> None:
            if step == "checked":
                preflight = office.executor.preflight
                clock.advance(seconds=office.timing.lease.total_seconds() + preflight.call_timeout + late)

        office.checkpoint = wait
        office.rules(policy())
        await office.execute()
        now = await office.now(payment)
        assert now.state is state
        assert reason in (None, now.reason)

    async def test_what_expires_while_it_is_checked_is_not_sent(self, office: Office, clock: Clock) -> None:
        """The moment itself is too late."""
        payment = await office.looked_up()

        async def wait(step: str, payment_id: int) -> None:
            if step == "checked":
                clock.until(payment.request.expires_at)

        office.checkpoint = wait
        office.rules(policy())
        await office.execute()
        now = await office.now(payment)
        assert (now.state, now.reason) == (
            State.CANCELLED,
            "it was not sent before the request expired",
        )
        assert PAY not in office.calls()

    async def test_who_lost_the_lease_a_moment_ago_does_not_send(self, office: Office, clock: Clock) -> None:
        """The check is young enough still, and another instance has taken the payment up and will pay it."""
        payment = await office.looked_up()

        async def lose_the_lease(step: str, payment_id: int) -> None:
            if step == "checked":
                clock.advance(seconds=30)
                async with office.ledger.transaction() as transaction:
                    lease = office.timing.lease
                    (taken,) = await transaction.claim(EXECUTOR, owner="two", lease=lease, limit=1)
                    assert taken.id == payment.id

        office.checkpoint = lose_the_lease
        office.rules(policy())
        await office.execute()
        now = await office.now(payment)
        assert (now.state, now.lease and now.lease.owner) == (State.APPROVED, "two")
        assert PAY not in office.calls()

    async def test_what_an_earlier_call_may_have_paid_is_read_again_however_fresh(
        self, office: Office, clock: Clock
    ) -> None:
        """It was carried out between the look-up and the call, so what the look-up read serves no more."""
        lost = await office.lost(paid=False)
        clock.advance(minutes=18)
        await office.reconcile()
        assert (await office.now(lost)).state is State.DECLINED
        again = await office.looked_up()
        office.billing.log.clear()
        row = office.billing.row("vps", 10101)
        assert row is not None
        row["invoices_paid"] = 1
        await office.execute()
        assert (await office.now(again)).state is State.CANCELLED
        assert PAY not in office.calls()

    async def test_who_is_late_by_the_ledgers_clock_alone_sends_nothing(
        self, office: Office, clock: Clock
    ) -> None:
        """Others go by that clock: by it the lease has run out, and they may have taken it over."""

        async def step_forward(step: str, payment_id: int) -> None:
            if step == "intended":
                clock.set(seconds=30)

        office.checkpoint = step_forward
        office.rules(policy())
        payment = await office.pay()
        assert payment.state is State.NOT_SENT
        assert office.billing.payments_received("vps", 10101) == 0

    async def test_who_is_told_to_stop_begins_no_call(self, office: Office) -> None:
        """It was being checked then; it is given back, and whoever takes it up next pays it."""

        async def stop(step: str, payment_id: int) -> None:
            if step == "checked":
                office.executor.stop()

        office.checkpoint = stop
        office.rules(policy())
        payment = await office.pay()
        assert (payment.state, payment.lease) == (State.APPROVED, None)
        assert PAY not in office.calls()
        office.checkpoint = no_checkpoint
        office.rules(policy())
        await office.execute()
        assert (await office.now(payment)).state is State.PAID

    async def test_what_was_read_before_a_restart_is_read_again(
        self, office: Office, other_client: BillingClient
    ) -> None:
        """A process knows of no reading but its own, however short a time ago another one made it."""
        payment = await office.looked_up()
        row = office.billing.row("vps", 10101)
        assert row is not None
        row["invoices_amount"] = 10.01
        office.client = other_client
        office.rules(policy())
        await office.execute()
        assert (await office.now(payment)).state is State.CANCELLED
        assert PAY not in office.calls()


class TestAfterTheCall:
    async def test_an_outcome_is_stored_when_the_ledger_is_back(
        self, office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is tried until it is: an answer that is forgotten would have to be found out by readings."""
        away = 3
        begin = office.ledger.transaction
        answered = False

        async def note(step: str, payment_id: int) -> None:
            nonlocal answered
            answered = answered or step == "answered"

        @contextlib.asynccontextmanager
        async def away_after_the_call() -> AsyncIterator[Transaction]:
            nonlocal away
            if answered and away:
                away -= 1
                raise LedgerUnavailable("away")
            async with begin() as transaction:
                yield transaction

        office.checkpoint = note
        office.rules(policy())
        payment = await office.looked_up()
        monkeypatch.setattr(office.ledger, "transaction", away_after_the_call)
        await office.execute()
        assert away == 0
        assert (await office.now(payment)).state is State.PAID
