"""Clocks that jump: they make no second payment, nor a false word about the first."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot import app
from bot.domain.payment import State
from bot.domain.policy import Tier
from bot.ledger.queues import EXECUTOR, LOOK_UP, RECONCILER, RETRY, Queue
from bot.ledger.store import utc_now
from bot.payments.answers import Done, TooEarly
from bot.payments.maintenance import Maintenance
from bot.payments.settlement import settle_by_hand
from bot.payments.settling import Settling
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from tests.fixture_types import Clock
from tests.ledger.making import request_in
from tests.payments.conftest import BOB, PAY, SETTLED, TIMING, UNPAID, VPS, Office, policy


class TestAClockThatJumpsForward:
    async def test_an_own_call_is_no_orphan(self, office: Office, clock: Clock) -> None:
        """However far the clock jumps: whoever waits for the answer will hear it."""
        office.billing.fail("stall", operation=PAY)
        payment = await office.looked_up()
        arrived = asyncio.Event()
        office.billing.on_call = lambda call: arrived.set() if call.operation == PAY else None
        await office.executor_worker.poll_once()
        async with asyncio.timeout(10):
            await arrived.wait()
        clock.advance(hours=1)
        pool = office.executor_worker.pool
        await Maintenance(office.ledger, policy(), TIMING, "one", lambda: pool.keys).poll_once()
        assert (await office.now(payment)).state is State.SENDING
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is State.UNKNOWN, "of another process it is one"
        office.billing.heal()
        await office.executor_worker.pool.drain(10)

    async def test_the_running_bot_knows_its_own_calls(
        self, bot: app.Bot, slack: LocalSlack, billing: LocalBilling, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clock jumps in mid-call; the heartbeat catches up with it, and the answer is taken as it is."""
        arrived = asyncio.Event()
        billing.on_call = lambda call: arrived.set() if call.operation == PAY else None
        billing.fail("slow", operation=PAY)
        assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
        async with asyncio.timeout(10):
            await arrived.wait()
            jumped = utc_now() + timedelta(hours=1)
            monkeypatch.setattr(bot.ledger, "_clock", lambda: utc_now() + timedelta(hours=1))
            changed = bot.ledger.watch()
            while True:
                await changed.wait()
                changed.clear()
                payment = await bot.ledger.payment(1)
                assert payment is not None
                if payment.lease is None or payment.lease.until > jumped:
                    break
        assert payment.state is State.SENDING
        billing.heal()
        assert await bot.rest(10)
        assert "lease_ran_out" not in [event.action for event in await bot.ledger.history(1)]
        assert (await bot.ledger.by_state()) == {State.PAID: 1}

    async def test_the_settling_time_counts_from_when_the_answer_was_known_to_be_lost(
        self, office: Office, clock: Clock
    ) -> None:
        """A call that was begun long ago by the clock may have been sent a moment ago."""
        payment = await request_in(
            office.ledger, State.SENDING, lease_owner="dead", lease_until=clock.now + timedelta(seconds=30)
        )
        async with office.ledger.transaction() as transaction:
            await transaction.start_attempt(payment, "dead")
        clock.advance(hours=1)
        await office.maintenance.poll_once()
        lost_at = clock.now
        await office.reconcile()
        assert (await office.now(payment)).state is State.UNKNOWN
        clock.until(lost_at + SETTLED - timedelta(seconds=1))
        await office.reconcile()
        assert (await office.now(payment)).state is State.UNKNOWN
        clock.until(lost_at + SETTLED)
        await office.reconcile()
        assert (await office.now(payment)).state is State.DECLINED


class TestAClockThatIsSetBack:
    async def test_an_old_reading_is_not_fresh_because_the_clock_was_set_back(
        self, office: Office, clock: Clock
    ) -> None:
        """By the ledger's clock it is of this moment; by the one that nobody sets it is not."""
        office.rules(policy(tiers=(Tier(None, 1),)))
        payment = await office.looked_up()
        clock.advance(minutes=5)
        clock.set(minutes=-5)
        await office.desk.approve(BOB, payment.request.id)
        office.billing.add_invoice("vps", VPS.number, paid=True)
        office.billing.log.clear()
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.CANCELLED, "the invoice is not unpaid any more")
        assert office.calls() == [UNPAID]

    @pytest.mark.parametrize("back", [{"minutes": 10}, {"days": 1}, {"days": 400}])
    @pytest.mark.parametrize(
        ("state", "queue"),
        [(State.REQUESTED, LOOK_UP), (State.APPROVED, EXECUTOR), (State.UNKNOWN, RECONCILER)],
    )
    async def test_work_does_not_wait_for_a_clock_that_was_set_back(
        self, office: Office, clock: Clock, state: State, queue: Queue, back: dict[str, float]
    ) -> None:
        """Work that was put off, and work that a dead process held, is due soon, although it seems far
        away."""
        lease = {"lease_owner": "dead", "lease_until": clock.now + timedelta(seconds=30)}
        payment = await request_in(office.ledger, state, card_ts="1.1")
        async with office.ledger.transaction() as transaction:
            await transaction.change(payment, due_at=clock.now + timedelta(seconds=30), **lease)
        await office.ledger.wake_due()
        assert not await office.ledger.any_due(queue)
        clock.set(**{name: -value for name, value in back.items()})
        await office.ledger.wake_due()
        clock.advance(minutes=1)
        assert await office.ledger.any_due(queue)

    @pytest.mark.parametrize("back", [timedelta(minutes=10), timedelta(days=1)])
    async def test_a_retry_comes_within_its_longest_wait_although_the_clock_was_set_back(
        self, office: Office, clock: Clock, back: timedelta
    ) -> None:
        """What nothing was sent of waits no day for it."""
        payment = await request_in(office.ledger, State.NOT_SENT)
        async with office.ledger.transaction() as transaction:
            await transaction.change(payment, due_at=clock.now + timedelta(minutes=1))
        await office.ledger.wake_due()
        clock.set(seconds=-back.total_seconds())
        await office.ledger.wake_due()
        clock.advance(minutes=15)
        assert await office.ledger.any_due(RETRY)

    async def test_a_bot_that_is_started_again_and_again_uses_up_no_retry(
        self, office: Office, clock: Clock
    ) -> None:
        """Each has its wait in full, however often the bot is started meanwhile."""
        payment = await request_in(office.ledger, State.NOT_SENT)
        async with office.ledger.transaction() as transaction:
            await transaction.change(payment, due_at=clock.now + max(TIMING.not_sent))
        for _ in range(5):
            await office.maintenance.take_over()
            await office.maintenance.poll_once()
            clock.advance(seconds=30)
        assert (await office.now(payment)).state is State.NOT_SENT

    async def test_a_call_under_way_is_not_lost_because_the_clock_was_set_back(
        self, office: Office, clock: Clock
    ) -> None:
        """Its process is alive and prolongs its lease; another instance says of it that it has stopped."""
        payment = await request_in(
            office.ledger, State.SENDING, lease_owner="alive", lease_until=clock.now + timedelta(seconds=30)
        )
        await office.ledger.wake_due()
        clock.set(days=-1)
        await office.ledger.wake_due()
        for _ in range(12):
            await office.maintenance.poll_once()
            assert (await office.now(payment)).state is State.SENDING
            clock.advance(seconds=10)
            async with office.ledger.transaction() as transaction:
                assert await transaction.renew(payment.id, owner="alive", lease=timedelta(seconds=30))

    async def test_nor_does_what_a_bot_left_that_was_stopped_before_the_clock_was_set_back(
        self, office: Office, clock: Clock
    ) -> None:
        """At its start it looks at all that waits, whatever the time that was written to it."""
        payment = await request_in(office.ledger, State.UNKNOWN)
        async with office.ledger.transaction() as transaction:
            await transaction.change(payment, due_at=clock.now + timedelta(hours=12))
        clock.set(days=-1)
        await office.maintenance.take_over()
        assert await office.ledger.any_due(RECONCILER)

    async def test_time_that_passes_brings_nothing_forward(self, office: Office, clock: Clock) -> None:
        """Nor does a clock that is set ahead, or set right by less than a second."""
        payment = await request_in(office.ledger, State.UNKNOWN)
        async with office.ledger.transaction() as transaction:
            await transaction.change(payment, due_at=clock.now + timedelta(hours=12))
        await office.ledger.wake_due()
        clock.advance(hours=1)
        clock.set(seconds=-0.9)
        await office.ledger.wake_due()
        clock.set(hours=1)
        await office.ledger.wake_due()
        assert not await office.ledger.any_due(RECONCILER)

    async def test_a_call_of_a_dead_process_is_lost_although_the_clock_was_set_back(
        self, office: Office, clock: Clock
    ) -> None:
        """Its lease seems to last for a day, and no lease does."""
        payment = await request_in(
            office.ledger, State.SENDING, lease_owner="dead", lease_until=clock.now + timedelta(seconds=30)
        )
        await office.ledger.wake_due()
        clock.set(days=-1)
        await office.ledger.wake_due()
        clock.advance(minutes=1)
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is State.UNKNOWN


class TestAClockThatIsSetForward:
    async def test_a_clock_that_steps_forward_settles_no_lost_answer(
        self, office: Office, clock: Clock
    ) -> None:
        """NTP, a resumed machine, a database that failed over: no time has passed."""
        payment = await office.lost(paid=False)
        clock.set(minutes=20)
        await office.reconcile()
        assert (await office.now(payment)).state is State.UNKNOWN
        clock.advance(minutes=16, seconds=59)
        await office.reconcile()
        assert (await office.now(payment)).state is State.UNKNOWN
        clock.advance(seconds=1)
        await office.reconcile()
        assert (await office.now(payment)).state is State.DECLINED

    async def test_a_clock_that_is_set_back_a_day_does_not_keep_an_answer_lost_for_a_day(
        self, office: Office, clock: Clock
    ) -> None:
        """The clock that nobody sets says when the call cannot be carried out any more."""
        payment = await office.lost(paid=False)
        clock.set(days=-1)
        clock.advance(minutes=16, seconds=59)
        await office.ledger.wake_due()
        await office.reconcile()
        assert (await office.now(payment)).state is State.UNKNOWN
        async with office.ledger.transaction() as transaction:
            await transaction.bring_forward()
        clock.advance(seconds=1)
        await office.reconcile()
        assert (await office.now(payment)).state is State.DECLINED

    async def test_a_clock_that_steps_forward_lets_nobody_say_not_paid(
        self, office: Office, clock: Clock
    ) -> None:
        """Nor does anybody's word count earlier for it, here or on the command line."""
        payment = await office.lost(paid=False)
        clock.set(days=1)
        answer = await settle_by_hand(
            office.ledger, BOB.id, payment.id, paid=False, note="no", settling=office.settling
        )
        assert answer == TooEarly(payment, clock.now + office.settling.lasts)
        begins_now = Settling(office.settling.lasts, clock.boottime)
        clock.advance(minutes=17)
        answer = await settle_by_hand(
            office.ledger, "operator:root", payment.id, paid=False, note="no", settling=begins_now
        )
        assert isinstance(answer, TooEarly), (
            "a process that has only just begun to see it has waited for nothing"
        )
        assert begins_now.only_here(payment, clock.now)
        clock.advance(minutes=17)
        answer = await settle_by_hand(
            office.ledger, "operator:root", payment.id, paid=False, note="no", settling=begins_now
        )
        assert isinstance(answer, Done)

    async def test_a_machine_that_slept_since_the_check_checks_again(
        self, office: Office, clock: Clock
    ) -> None:
        """What somebody paid by hand meanwhile is not paid again."""

        async def sleep(step: str, payment_id: int) -> None:
            if step == "checked":
                clock.advance(hours=8)
                clock.set(hours=-8)
                office.billing.add_invoice("vps", VPS.number, paid=True)

        payment = await office.looked_up()
        office.checkpoint = sleep
        office.rules(policy())
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.APPROVED, "checking it took too long")
        clock.advance(seconds=30)
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.CANCELLED, "the invoice is not unpaid any more")

    async def test_what_was_approved_long_ago_is_not_sent(self, office: Office, clock: Clock) -> None:
        """An approval has an age: that of the request's expiry, also where a bot was away for 300 days."""
        office.rules(policy(tiers=(Tier(None, 1),)))
        payment = await office.looked_up()
        await office.desk.approve(BOB, payment.request.id)
        clock.advance(days=300)
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (
            State.CANCELLED,
            "it was not sent before the request expired",
        )
        assert office.billing.payments_received("vps", VPS.number) == 0
