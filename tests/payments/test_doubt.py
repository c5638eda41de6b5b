"""What was called not paid, and may have been paid all the same: not let go too early, nor paid again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.domain.batch import Batch
from bot.domain.payment import Outcome, Payment, State, Verdict
from bot.ledger.rows import Kind
from bot.payments.answers import AlreadyDecided, AlreadyRequested, Done, TooEarly
from bot.payments.desk import Desk
from bot.payments.settlement import settle_by_hand
from tests.fixture_types import Clock
from tests.ledger.making import attempts, claimed, stored
from tests.ledger.pruned import pruned, settle_deliveries
from tests.payments.conftest import ALICE, BOB, CAROL, MALLORY, SETTLED, VPS, Office, policy, refused


@pytest.fixture
def desk(office: Office) -> Desk:
    """The desk, which lets nobody say "not paid" before the settling time is over."""
    return Desk(office.ledger, office.authority, office.settling)


class TestNotPaidBeforeTheSettlingTime:
    async def test_not_paid_is_refused_until_the_call_cannot_be_carried_out_any_more(
        self, office: Office, desk: Desk, clock: Clock
    ) -> None:
        """With the time from which on it can be said; until then the invoice stays held."""
        payment = await office.lost(paid=False)
        until = clock.now + SETTLED
        for now in (clock.now, until - timedelta(seconds=1)):
            clock.until(now)
            answer = await desk.resolve(BOB, payment.request.id, paid=False, note="not in MyAdmin")
            assert answer == TooEarly(payment, until)
            assert await office.now(payment) == payment
        held = await office.desk.request(ALICE, "C1", [VPS], trigger_id="again")
        assert held == AlreadyRequested(payment)
        clock.until(until)
        answer = await desk.resolve(BOB, payment.request.id, paid=False, note="not in MyAdmin")
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.DECLINED
        await office.request()

    async def test_the_waiting_counts_from_when_the_answer_was_known_to_be_lost(
        self, office: Office, desk: Desk, clock: Clock
    ) -> None:
        """And readings in between, which settle nothing, do not prolong it."""
        payment = await office.lost(paid=False)
        until = clock.now + SETTLED
        clock.advance(minutes=5)
        await office.reconcile()
        answer = await desk.resolve(BOB, payment.request.id, paid=False, note="not in MyAdmin")
        assert isinstance(answer, TooEarly)
        assert answer.until == until

    async def test_paid_is_taken_at_once(self, office: Office, desk: Desk) -> None:
        """It holds the invoice for ever, so it can do no harm."""
        payment = await office.lost(paid=False)
        answer = await desk.resolve(BOB, payment.request.id, paid=True, note="seen in MyAdmin")
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.PAID

    async def test_an_operator_is_told_the_same(self, office: Office, clock: Clock) -> None:
        """On the command line nobody checks who it is, but the time counts there too."""
        payment = await office.lost(paid=False)
        answer = await settle_by_hand(
            office.ledger, "operator:root", payment.id, paid=False, note="no", settling=office.settling
        )
        assert answer == TooEarly(payment, clock.now + SETTLED)


async def late(office: Office, clock: Clock, *, paid: bool) -> tuple[Payment, list[str]]:
    """A payment whose answer comes after Bob's word, and what the log says as errors meanwhile."""

    async def settle(step: str, payment_id: int) -> None:
        if step == "answered":
            clock.advance(minutes=1)
            await office.maintenance.poll_once()
            await office.desk.resolve(BOB, payment_id, paid=paid, note="I looked")
            while await claimed(office.ledger):
                pass

    payment = await office.looked_up()
    office.checkpoint = settle
    office.rules(policy())
    with capture_logs() as logged:
        await office.execute()
    return await office.now(payment), [line["event"] for line in logged if line["log_level"] == "error"]


async def told_in_the_end(office: Office) -> list[int | None]:
    """The events that the thread is told, in order."""
    told: list[int | None] = []
    while found := await claimed(office.ledger):
        for delivery in found:
            if delivery.kind is Kind.THREAD_REPLY:
                told.append(delivery.event_id)
            async with office.ledger.transaction() as transaction:
                await transaction.outbox.mark_delivered(delivery, ts="1700000001.000001")
    return told


class TestAnAnswerAfterNotPaid:
    async def test_paid_after_declined_is_told_in_the_thread_and_logged(
        self, office: Office, clock: Clock
    ) -> None:
        """Somebody may be about to pay it again, so people and operators hear of it."""
        payment, errors = await late(office, clock, paid=False)
        assert payment.state is State.DECLINED
        assert errors == ["it was paid after all"]
        event = await office.last(payment)
        assert (event.action, stored(event)["verdict"]) == ("answered_late", "PAID")
        clock.advance(minutes=1)
        told = await told_in_the_end(office)
        assert event.id in told

    async def test_paid_after_paid_is_told_and_alarms_nobody(self, office: Office, clock: Clock) -> None:
        """The API's own words are what everybody waits for, be they late."""
        payment, errors = await late(office, clock, paid=True)
        assert (payment.state, errors) == (State.PAID, [])
        event = await office.last(payment)
        assert event.action == "answered_late"
        clock.advance(minutes=1)
        assert event.id in await told_in_the_end(office)


async def settled_by_absence(office: Office, clock: Clock) -> Payment:
    """A lost answer that was called paid as its invoice had left the list."""
    payment = await office.lost(paid=False)
    row = office.billing.row("vps", VPS.number)
    assert row is not None
    row["invoices_type"] = 2
    clock.advance(seconds=10)
    await office.reconcile()
    payment = await office.now(payment)
    assert payment.state is State.PAID
    return payment


class TestAPersonCorrects:
    async def test_paid_that_rests_on_absence_is_corrected_by_a_person(
        self, office: Office, clock: Clock
    ) -> None:
        """Nothing was proved by it; the correction is in the trail, and the invoice may be asked for
        again."""
        payment = await settled_by_absence(office, clock)
        answer = await office.desk.resolve(BOB, payment.request.id, paid=False, note="it was moved")
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.DECLINED
        event = await office.last(payment)
        assert (event.actor, event.action, event.from_state, event.to_state) == (
            BOB.id,
            "corrected",
            State.PAID,
            State.DECLINED,
        )
        assert stored(event) == {"paid": False, "note": "it was moved"}
        await office.request()

    async def test_who_may_not_see_payments_does_not_learn_how_one_stands_by_settling_it(
        self, office: Office, clock: Clock
    ) -> None:
        """As with `/pay status`; the refusal is in the trail. Who asked may have left since, and is told."""
        payment = await office.request()
        await office.desk.withdraw(ALICE, payment.request.id)
        resolving: Any = {"paid": True, "note": "x"}
        answer = await office.desk.resolve(MALLORY, payment.request.id, **resolving)
        assert refused(answer) == "person_not_allowed"
        assert await office.refusals() == [(MALLORY.id, "person_not_allowed")]
        decided = AlreadyDecided(Batch((await office.now(payment),)))
        office.rules(policy(requesters=frozenset({CAROL.id})))
        for person in (ALICE, BOB):
            assert await office.desk.resolve(person, payment.request.id, **resolving) == decided

    async def test_nobody_corrects_what_may_be_their_own(self, office: Office, clock: Clock) -> None:
        """Who asked may not; once that is erased nobody may, but for an operator."""
        office.rules(policy(approvers=frozenset({ALICE.id, BOB.id})))
        payment = await settled_by_absence(office, clock)
        resolving: Any = {"paid": False, "note": "it was moved"}
        assert refused(await office.desk.resolve(ALICE, payment.request.id, **resolving)) == "own_request"
        await settle_deliveries(office.ledger)
        clock.advance(days=60)
        assert await pruned(office.ledger, clock.now - timedelta(days=30)) == 1
        decided = AlreadyDecided(Batch((await office.now(payment),)))
        for person in (ALICE, BOB):
            assert await office.desk.resolve(person, payment.request.id, **resolving) == decided
        answer = await settle_by_hand(
            office.ledger, "operator:root", payment.request.id, settling=office.settling, **resolving
        )
        assert isinstance(answer, Done)

    async def test_declined_that_rests_on_the_list_is_corrected_by_a_person(
        self, office: Office, clock: Clock
    ) -> None:
        """The call was carried out after all; from then on the invoice is held as paid."""
        payment = await office.lost(paid=False)
        clock.advance(minutes=17)
        await office.reconcile()
        answer = await office.desk.resolve(
            BOB, payment.request.id, paid=True, note="it shows on the statement"
        )
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.PAID
        held = await office.desk.request(ALICE, "C1", [VPS], trigger_id="again")
        assert held == AlreadyRequested(answer.batch.first)

    async def test_declined_is_not_corrected_while_a_new_request_holds_the_invoice(
        self, office: Office, clock: Clock
    ) -> None:
        """Whoever wants to is told of it."""
        payment = await office.lost(paid=False)
        clock.advance(minutes=17)
        await office.reconcile()
        again = await office.request()
        answer = await office.desk.resolve(
            BOB, payment.request.id, paid=True, note="it shows on the statement"
        )
        assert answer == AlreadyRequested(again)

    @pytest.mark.parametrize("paid", [True, False])
    async def test_what_the_api_answered_is_not_corrected(self, office: Office, *, paid: bool) -> None:
        """It is proved; somebody's word does not undo it."""
        if not paid:
            office.billing.fail("declined", times=1)
        payment = await office.pay()
        answer = await office.desk.resolve(BOB, payment.request.id, paid=not paid, note="I think not")
        assert answer == AlreadyDecided(Batch((payment,)))

    async def test_what_the_api_answered_late_is_not_corrected(self, office: Office, clock: Clock) -> None:
        """It was called paid as it had left the list; then the API itself said so."""
        payment = await settled_by_absence(office, clock)
        async with office.ledger.transaction() as transaction:
            (attempt,) = await attempts(office.ledger, payment.id)
            await transaction.finish_attempt(attempt.id, Outcome(Verdict.PAID, "ok", "Paid.", "late"))
        answer = await office.desk.resolve(BOB, payment.request.id, paid=False, note="it was moved")
        assert answer == AlreadyDecided(Batch((payment,)))

    @pytest.mark.parametrize("paid", [True, False], ids=["payment row", "paid flag"])
    async def test_what_a_payment_row_proves_is_not_corrected(
        self, office: Office, clock: Clock, *, paid: bool
    ) -> None:
        """The API itself shows that it was paid; "not paid" would let the invoice be paid again."""
        payment = await office.lost(paid=paid)
        if not paid:
            row = office.billing.row("vps", VPS.number)
            assert row is not None
            row["invoices_paid"] = 1
        clock.advance(seconds=10)
        await office.reconcile()
        clock.advance(hours=1)
        payment = await office.now(payment)
        assert payment.state is State.PAID
        answer = await office.desk.resolve(BOB, payment.request.id, paid=False, note="I do not see it")
        assert answer == AlreadyDecided(Batch((payment,)))

    async def test_a_slip_is_corrected_by_whoever_made_it_or_by_the_operator(
        self, office: Office, clock: Clock
    ) -> None:
        """Of two people who contradict each other the first word stands."""
        payment = await office.lost(paid=False)
        clock.advance(minutes=17)
        await office.desk.resolve(BOB, payment.request.id, paid=True, note="yes")
        assert isinstance(
            await office.desk.resolve(CAROL, payment.request.id, paid=False, note="no"), AlreadyDecided
        )
        clock.advance(minutes=17)
        assert isinstance(
            await office.desk.resolve(BOB, payment.request.id, paid=False, note="I erred"), Done
        )
        answer = await settle_by_hand(
            office.ledger, "operator:root", payment.id, paid=True, note="it is", settling=office.settling
        )
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.PAID

    async def test_a_command_that_slack_delivers_again_takes_no_correction_back(
        self, office: Office, clock: Clock
    ) -> None:
        """Who said "not paid", and then that it was a slip, is not overruled by their own first words."""
        payment = await office.lost(paid=True)
        number = payment.request.id
        clock.advance(minutes=17)
        slip: dict[str, Any] = {"paid": False, "note": "I do not see it", "trigger_id": "typed once"}
        assert isinstance(await office.desk.resolve(BOB, number, **slip), Done)
        mended = await office.desk.resolve(BOB, number, paid=True, note="I do", trigger_id="typed then")
        assert isinstance(mended, Done)
        assert await office.desk.resolve(BOB, number, **slip) == AlreadyDecided(mended.batch)
        assert await office.desk.request(ALICE, "C1", [VPS], trigger_id="x") == AlreadyRequested(
            mended.batch.first
        )
        anew = await office.desk.resolve(BOB, number, paid=False, note="no", trigger_id="typed anew")
        assert isinstance(anew, Done)
        again = await office.desk.resolve(BOB, number, paid=True, note="I do", trigger_id="typed then")
        assert again == AlreadyDecided(anew.batch)
        assert (await office.ledger.verify()).whole
