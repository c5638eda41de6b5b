"""What is to be paid on a day: decided now, sent on its morning, and everything asked again then."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Refusal
from bot.domain.schedule import PayOn
from bot.ledger.queues import EXECUTOR
from bot.payments.answers import Done, Requested
from bot.payments.executor import no_checkpoint
from tests.fixture_types import Clock
from tests.payments.conftest import (
    ALICE,
    BOB,
    CAROL,
    MALLORY,
    ONE,
    PAY,
    UNPAID,
    VPS,
    Office,
    policy,
    refused,
)
from tests.payments.test_forged import forge

DAY = date(2026, 3, 20)
"""The clock says 2 March, and a request expires after three days."""

MORNING = datetime(2026, 3, 20, 8, 0, tzinfo=UTC)
ON_DAY = PayOn(DAY)


async def approved(office: Office, ref: InvoiceRef = VPS, pay_on: PayOn = ON_DAY) -> Payment:
    """One that Bob approved for its day, whatever it is."""
    office.rules(ONE)
    payment = await office.looked_up(ref, pay_on=pay_on)
    answer = await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    assert isinstance(answer, Done)
    return await office.now(payment)


async def on_the_day(office: Office, clock: Clock, payment: Payment) -> Payment:
    """The payment after its morning has come."""
    clock.until(MORNING)
    await office.maintenance.poll_once()
    await office.execute()
    return await office.now(payment)


def due_on(office: Office, ref: InvoiceRef, due: str | None) -> None:
    row = office.billing.row(ref.module, ref.number)
    assert row is not None
    row["invoices_due_date"] = due


class TestTheDay:
    async def test_it_is_sent_on_its_morning_and_not_before(self, office: Office, clock: Clock) -> None:
        """Its request has long expired by then: that counted for the decision."""
        payment = await approved(office)
        assert (payment.state, payment.not_before, payment.pay_day) == (State.APPROVED, MORNING, DAY)
        assert not await office.ledger.any_due(EXECUTOR), "there is nothing to do but wait"
        clock.until(MORNING - timedelta(seconds=1))
        await office.maintenance.poll_once()
        await office.execute()
        assert (await office.now(payment)).state is State.APPROVED
        clock.until(MORNING)
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert office.calls().count(PAY) == 1
        assert (await office.ledger.verify()).whole

    async def test_also_where_nobody_has_to_approve(self, office: Office, clock: Clock) -> None:
        """A look-up that lets it go lets it go on its day."""
        payment = await office.looked_up(pay_on=ON_DAY)
        assert (payment.state, payment.not_before) == (State.APPROVED, MORNING)
        await office.execute()
        assert PAY not in office.calls()
        assert (await on_the_day(office, clock, payment)).state is State.PAID

    async def test_each_invoice_has_its_own_due_date(self, office: Office, clock: Clock) -> None:
        """One is overdue and goes at once; of one the date cannot be read, and of one it is absurd."""
        refs = [InvoiceRef("vps", number) for number in (10101, 10102, 10103, 10104, 10105)]
        for ref, due in zip(
            refs, ["2026-03-20", "2026-03-05", "2026-03-01", "soon", "9999-12-31"], strict=True
        ):
            office.billing.add_invoice(ref.module, ref.number, amount=10.0)
            due_on(office, ref, due)
        answer = await office.desk.request(
            ALICE, "C1", refs, typed_there=True, trigger_id="t", pay_on=PayOn()
        )
        assert isinstance(answer, Requested)
        await office.look()
        await office.execute()
        found = await office.ledger.of_request(answer.batch.request.id)
        assert found is not None
        assert [(one.state, one.pay_day) for one in found.payments] == [
            (State.APPROVED, DAY),
            (State.APPROVED, date(2026, 3, 5)),
            (State.PAID, None),
            (State.CANCELLED, None),
            (State.CANCELLED, None),
        ]
        assert [one.reason for one in found.payments[3:]] == [
            "it was to be paid on its due date, which is not known",
            "it was to be paid on 9999-12-31, which is more than a year away",
        ]
        clock.until(datetime(2026, 3, 5, 8, 0, tzinfo=UTC))
        await office.execute()
        assert office.calls().count(PAY) == 2
        clock.until(MORNING)
        await office.execute()
        assert office.calls().count(PAY) == 3
        assert (await office.ledger.verify()).whole

    async def test_whose_due_date_cannot_be_read_now_is_not_paid_at_once(self, office: Office) -> None:
        """Nobody guesses when that is."""
        office.billing.fail("unreadable")
        payment = await office.looked_up(pay_on=PayOn())
        assert (payment.state, payment.reason) == (
            State.CANCELLED,
            "it was to be paid on its due date, which is not known",
        )

    async def test_a_due_date_is_waited_for_longer_than_an_amount(self, office: Office) -> None:
        """A slow billing API keeps nobody from paying on time."""
        office.billing.fail("slow", operation=UNPAID)
        office.patience(seconds=0.05)
        due_on(office, VPS, str(DAY))
        payment = await office.looked_up(pay_on=PayOn())
        assert (payment.state, payment.pay_day) == (State.APPROVED, DAY)

    async def test_a_day_that_is_over_before_it_is_decided_is_at_once(
        self, office: Office, clock: Clock
    ) -> None:
        """Whoever approves late approves all the same."""
        office.rules(ONE)
        payment = await office.looked_up(pay_on=PayOn(date(2026, 3, 3)))
        clock.until(datetime(2026, 3, 4, 12, 0, tzinfo=UTC))
        await office.desk.approve(BOB, payment.request.id)
        await office.execute()
        assert (await office.now(payment)).state is State.PAID

    @pytest.mark.parametrize(
        ("day", "text"),
        [
            (date(2026, 3, 1), "That day is over."),
            (date(2027, 3, 4), "That day is more than a year away."),
            (date(1, 1, 1), "That day is over."),
            (date(9999, 12, 31), "That day is more than a year away."),
        ],
    )
    async def test_no_day_that_is_over_or_a_year_away_is_taken(
        self, office: Office, day: date, text: str
    ) -> None:
        """It was mistyped; the refusal is in the trail."""
        answer = await office.desk.request(
            ALICE, "C1", [VPS], typed_there=True, trigger_id="t", pay_on=PayOn(day)
        )
        assert isinstance(answer, Refusal)
        assert (refused(answer), answer.text) == ("not_on_that_day", text)
        assert await office.refusals() == [(ALICE.id, "not_on_that_day")]

    async def test_the_expiry_counts_for_the_decision(self, office: Office, clock: Clock) -> None:
        """What nobody decided on in time is not sent on its day."""
        office.rules(ONE)
        payment = await office.looked_up(pay_on=ON_DAY)
        clock.advance(days=3)
        await office.maintenance.poll_once()
        assert (await office.now(payment)).state is State.EXPIRED
        assert (await on_the_day(office, clock, payment)).state is State.EXPIRED
        assert PAY not in office.calls()


class TestOnTheDay:
    """What was true when it was approved is asked again."""

    async def test_another_amount_is_not_paid(self, office: Office, clock: Clock) -> None:
        payment = await approved(office)
        row = office.billing.row("vps", VPS.number)
        assert row is not None
        row["invoices_amount"] = 10.01
        now = await on_the_day(office, clock, payment)
        assert (now.state, now.reason) == (
            State.CANCELLED,
            "the amount changed from 10.00 USD to 10.01 USD since it was requested",
        )

    async def test_what_was_paid_elsewhere_by_then_is_not_paid(self, office: Office, clock: Clock) -> None:
        payment = await approved(office)
        office.billing.add_invoice("vps", VPS.number, paid=True)
        now = await on_the_day(office, clock, payment)
        assert (now.state, now.reason) == (State.CANCELLED, "the invoice is not unpaid any more")

    @pytest.mark.parametrize(
        ("rules", "reason"),
        [
            ({"requesters": frozenset({MALLORY.id})}, "the requester may not ask for this any more"),
            (
                {"approvers": frozenset({CAROL.id})},
                "it has 0 of the approvals that the rules as they are now ask for",
            ),
        ],
    )
    async def test_whoever_asked_or_approved_must_still_be_allowed_to(
        self, office: Office, clock: Clock, rules: dict[str, Any], reason: str
    ) -> None:
        payment = await approved(office)
        office.rules(policy(**({"tiers": ONE.rules[0].tiers} | rules)))
        now = await on_the_day(office, clock, payment)
        assert now.state is State.CANCELLED
        assert reason in str(now.reason)
        assert PAY not in office.calls()

    async def test_the_requester_takes_it_back_until_then(self, office: Office, clock: Clock) -> None:
        """And nobody else does."""
        payment = await approved(office)
        clock.until(MORNING - timedelta(seconds=1))
        assert not isinstance(await office.desk.withdraw(BOB, payment.request.id), Done)
        assert isinstance(await office.desk.withdraw(ALICE, payment.request.id), Done)
        assert (await on_the_day(office, clock, payment)).withdrawn
        assert PAY not in office.calls()

    async def test_what_is_left_is_taken_back_when_a_part_was_sent(
        self, office: Office, clock: Clock
    ) -> None:
        """What was paid stays paid."""
        refs = [VPS, InvoiceRef("vps", 10102)]
        due_on(office, refs[0], "2026-03-04")
        due_on(office, refs[1], "2026-03-20")
        answer = await office.desk.request(
            ALICE, "C1", refs, typed_there=True, trigger_id="t", pay_on=PayOn()
        )
        assert isinstance(answer, Requested)
        await office.look()
        clock.until(datetime(2026, 3, 4, 8, 0, tzinfo=UTC))
        await office.execute()
        done = await office.desk.withdraw(ALICE, answer.batch.request.id)
        assert isinstance(done, Done)
        assert isinstance(done.batch, Batch)
        assert [one.state for one in done.batch.payments] == [State.PAID, State.CANCELLED]

    async def test_a_bot_that_is_away_on_the_day_sends_it_soon_after_or_not_at_all(
        self, office: Office, clock: Clock
    ) -> None:
        """So long after its day as a request may grow old, and no moment longer."""
        payment = await approved(office)
        clock.until(MORNING + timedelta(days=3))
        await office.execute()
        now = await office.now(payment)
        assert (now.state, now.reason) == (
            State.CANCELLED,
            "it could not be sent on its day, nor soon after it",
        )

    async def test_a_moment_before_that_it_is_sent(self, office: Office, clock: Clock) -> None:
        payment = await approved(office)
        clock.until(MORNING + timedelta(days=3) - timedelta(seconds=1))
        await office.execute()
        assert (await office.now(payment)).state is State.PAID

    async def test_what_cannot_be_checked_on_the_day_waits_and_is_given_up(
        self, office: Office, clock: Clock
    ) -> None:
        """Not when the request expired, which was long ago."""
        payment = await approved(office)
        office.billing.fail("unreadable")
        now = await on_the_day(office, clock, payment)
        assert (now.state, now.reason) == (State.APPROVED, "the invoice cannot be read any more")
        clock.until(MORNING + timedelta(days=3))
        await office.execute()
        assert (await office.now(payment)).state is State.CANCELLED

    async def test_what_was_not_sent_is_tried_again(self, office: Office, clock: Clock) -> None:
        payment = await approved(office)

        async def go_down(at: str, payment_id: int) -> None:
            if at == "intended":
                office.billing.fail("down")

        office.checkpoint = go_down
        office.rules(ONE)
        clock.until(MORNING)
        await office.execute()
        assert (await office.now(payment)).state is State.NOT_SENT
        office.checkpoint = no_checkpoint
        office.rules(ONE)
        office.billing.heal()
        clock.advance(minutes=1)
        await office.maintenance.poll_once()
        await office.execute()
        assert (await office.now(payment)).state is State.PAID

    async def test_an_amount_that_is_known_only_then_is_not_decided_on_without_time(
        self, office: Office, clock: Clock
    ) -> None:
        """Approved as unknown for a day; the request has expired when it can be read."""
        office.billing.fail("unreadable")
        payment = await approved(office)
        assert (payment.state, payment.invoice) == (State.APPROVED, None)
        office.billing.heal()
        now = await on_the_day(office, clock, payment)
        assert now.state is State.CANCELLED
        assert "nobody knew its amount when it was approved" in str(now.reason)
        assert PAY not in office.calls()
        assert (await office.ledger.verify()).whole


class TestClocks:
    """Whatever is done to the ledger's clock, by that clock the day must have come at the call."""

    async def test_a_clock_that_is_set_back_brings_nothing_forward(
        self, office: Office, clock: Clock
    ) -> None:
        """Nor does a start, which looks at all that waits."""
        payment = await approved(office)
        await office.ledger.wake_due()
        clock.set(hours=-2)
        await office.ledger.wake_due()
        await office.maintenance.take_over()
        await office.execute()
        assert (await office.now(payment)).state is State.APPROVED
        assert PAY not in office.calls()
        assert (await on_the_day(office, clock, payment)).state is State.PAID

    async def test_a_clock_that_was_ahead_at_the_look_up_does_not_make_the_day_today(
        self, office: Office, clock: Clock
    ) -> None:
        """By a clock that is right again the day is still to come, and it is waited for."""
        payment = await office.request(pay_on=ON_DAY)
        clock.set(days=20)
        await office.ledger.wake_due()
        await office.look()
        clock.set(days=-20)
        await office.ledger.wake_due()
        await office.execute()
        assert PAY not in office.calls()
        assert (await on_the_day(office, clock, payment)).state is State.PAID

    @pytest.mark.parametrize("step", ["checked", "intended"])
    async def test_a_clock_that_jumped_ahead_and_is_set_right_in_time_sends_nothing(
        self, office: Office, clock: Clock, step: str
    ) -> None:
        """Up to the call's first byte; then it waits for its day."""
        payment = await approved(office)

        async def set_right(at: str, payment_id: int) -> None:
            if at == step and clock.now >= MORNING:
                clock.set(days=-20)

        office.checkpoint = set_right
        office.rules(ONE)
        clock.set(days=20)
        await office.execute()
        assert PAY not in office.calls()
        assert (await office.now(payment)).tries == (1 if step == "intended" else 0)
        office.checkpoint = no_checkpoint
        office.rules(ONE)
        await office.ledger.wake_due()
        for _ in range(3):
            clock.advance(minutes=20)
            await office.maintenance.poll_once()
            await office.execute()
        assert PAY not in office.calls()
        assert (await office.now(payment)).state is State.APPROVED
        assert (await on_the_day(office, clock, payment)).state is State.PAID


class TestForged:
    """An approval is for a day, so the day is proved like an amount."""

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments SET not_before = NULL",
            "UPDATE payments SET not_before = '2026-03-02 08:00:00.000000'",
            "UPDATE requests SET pay_on = NULL",
            "UPDATE requests SET pay_on = '2026-03-03'",
            "UPDATE requests SET pay_on = 'due'",
        ],
    )
    async def test_a_day_that_was_written_by_hand_sends_nothing(
        self, office: Office, clock: Clock, ledger_url: str, statement: str
    ) -> None:
        """Not before its day, and not on it: whoever runs the bot has to look."""
        await approved(office)
        await forge(ledger_url, statement)
        await office.execute()
        assert not (await office.ledger.verify()).whole
        clock.until(MORNING)
        await office.execute()
        assert PAY not in office.calls()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE payments SET not_before = '2026-03-20 08:00:00.000000'",
            "UPDATE requests SET pay_on = '2026-03-20'",
        ],
    )
    async def test_what_was_for_no_day_is_not_put_off_by_hand(
        self, office: Office, clock: Clock, ledger_url: str, statement: str
    ) -> None:
        """That would keep an approval alive beyond its time."""
        office.rules(ONE)
        payment = await office.looked_up()
        await office.desk.approve(BOB, payment.request.id)
        await forge(ledger_url, statement)
        await office.execute()
        assert not (await office.ledger.verify()).whole
        await on_the_day(office, clock, payment)
        assert PAY not in office.calls()
