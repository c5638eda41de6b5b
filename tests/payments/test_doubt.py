"""What was called not paid, and may have been paid all the same: not let go too early, nor paid again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bot.domain.payment import InvoiceRef, Outcome, Payment, State, Verdict
from bot.ledger.rows import Kind
from bot.payments.answers import AlreadyRequested, Done, TooEarly
from bot.payments.desk import Desk, settle_by_hand
from tests.conftest import Clock
from tests.ledger.making import claimed, moved, request_in
from tests.payments.conftest import ALICE, BOB, VPS, Office, policy
from tests.payments.test_reconciler import SETTLED

PAY = "api_make_payment"
IN_DOUBT = "an earlier payment of this invoice may have been carried out late: it is not unpaid any more"


async def unknown(office: Office) -> Payment:
    """A payment whose answer was lost; it was not carried out."""
    office.billing.fail("reset-before", times=1)
    payment = await office.pay()
    assert payment.state is State.UNKNOWN
    return payment


# -- not-paid before the settling time --------------------------------------------------------------


@pytest.fixture
def desk(office: Office) -> Desk:
    """The desk, which lets nobody say "not paid" before the settling time is over."""
    return Desk(office.ledger, office.authority, settling=SETTLED)


async def test_not_paid_is_refused_until_the_call_cannot_be_carried_out_any_more(
    office: Office, desk: Desk, clock: Clock
) -> None:
    """With the time from which on it can be said; until then the invoice stays held."""
    payment = await unknown(office)
    until = clock.now + SETTLED
    for now in (clock.now, until - timedelta(seconds=1)):
        clock.now = now
        answer = await desk.resolve(BOB, payment.id, paid=False, note="not in MyAdmin")
        assert answer == TooEarly(payment, until)
        assert await office.now(payment) == payment
    held = await office.desk.request(ALICE, "C1", VPS, trigger_id="again")
    assert held == AlreadyRequested(payment)
    clock.now = until
    answer = await desk.resolve(BOB, payment.id, paid=False, note="not in MyAdmin")
    assert isinstance(answer, Done)
    assert answer.payment.state is State.DECLINED
    await office.request()


async def test_the_waiting_counts_from_when_the_answer_was_known_to_be_lost(
    office: Office, desk: Desk, clock: Clock
) -> None:
    """And readings in between, which settle nothing, do not prolong it."""
    payment = await unknown(office)
    until = clock.now + SETTLED
    clock.advance(minutes=5)
    await office.reconcile()
    answer = await desk.resolve(BOB, payment.id, paid=False, note="not in MyAdmin")
    assert isinstance(answer, TooEarly)
    assert answer.until == until


async def test_paid_is_taken_at_once(office: Office, desk: Desk) -> None:
    """It holds the invoice for ever, so it can do no harm."""
    payment = await unknown(office)
    answer = await desk.resolve(BOB, payment.id, paid=True, note="seen in MyAdmin")
    assert isinstance(answer, Done)
    assert answer.payment.state is State.PAID


async def test_an_operator_is_told_the_same(office: Office, clock: Clock) -> None:
    """On the command line nobody checks who it is, but the time counts there too."""
    payment = await unknown(office)
    answer = await settle_by_hand(
        office.ledger, "operator:root", payment.id, paid=False, note="no", settling=SETTLED
    )
    assert answer == TooEarly(payment, clock.now + SETTLED)


# -- an answer that comes after "not paid" ----------------------------------------------------------


async def late(office: Office, clock: Clock, *, paid: bool) -> tuple[Payment, list[str]]:
    """A payment whose answer comes after Bob's word, and what the log says as errors meanwhile."""

    async def settle(step: str, payment_id: int) -> None:
        if step == "answered":
            clock.advance(minutes=1)
            await office.timekeeper.look()
            await office.desk.resolve(BOB, payment_id, paid=paid, note="I looked")
            while await claimed(office.ledger):
                pass

    payment = await office.looked_up()
    office.steps = settle
    office.rules(policy())
    with capture_logs() as logged:
        await office.execute()
    return await office.now(payment), [line["event"] for line in logged if line["log_level"] == "error"]


async def test_paid_after_declined_is_told_in_the_thread_and_logged(office: Office, clock: Clock) -> None:
    """Somebody may be about to pay it again, so people and operators hear of it."""
    payment, errors = await late(office, clock, paid=False)
    assert payment.state is State.DECLINED
    assert errors == ["it was paid after all"]
    event = await office.last(payment)
    assert (event.action, event.detail["verdict"]) == ("answered_late", "PAID")
    clock.advance(minutes=1)
    told = await told_in_the_end(office)
    assert event.id in told


async def test_paid_after_paid_is_no_news(office: Office, clock: Clock) -> None:
    """It stands in the trail, and nobody is alarmed."""
    payment, errors = await late(office, clock, paid=True)
    assert (payment.state, errors) == (State.PAID, [])
    event = await office.last(payment)
    assert event.action == "answered_late"
    clock.advance(minutes=1)
    assert event.id not in await told_in_the_end(office)


async def told_in_the_end(office: Office) -> list[int | None]:
    """The events that the thread is told, in order."""
    told: list[int | None] = []
    while found := await claimed(office.ledger):
        for delivery in found:
            if delivery.kind is Kind.NOTE:
                told.append(delivery.event_id)
            async with office.ledger.transaction() as transaction:
                await transaction.outbox.done(delivery, ts="1700000001.000001")
    return told


# -- asked for again, after an attempt in doubt -----------------------------------------------------


async def declined_after(office: Office, verdict: Verdict | None, ref: InvoiceRef = VPS) -> Payment:
    """A request that was released, and whose one attempt ended like this; None: nobody heard."""
    payment = await request_in(office.ledger, State.SENDING, ref)
    async with office.ledger.transaction() as transaction:
        attempt = await transaction.start_attempt(payment, "one")
        if verdict is not None:
            await transaction.finish_attempt(attempt, Outcome(verdict, None, None, "as it was"))
    return await moved(office.ledger, payment, State.DECLINED)


@pytest.mark.parametrize("verdict", [None, Verdict.UNKNOWN, Verdict.PAID])
async def test_what_left_the_list_after_an_attempt_in_doubt_is_not_sent_again(
    office: Office, verdict: Verdict | None
) -> None:
    """The first call may have been carried out late: it is cancelled, and says where to look."""
    await declined_after(office, verdict)
    office.billing.add_invoice("vps", VPS.number, paid=True)
    payment = await office.looked_up()
    assert (payment.listed, payment.state, payment.reason) == (False, State.CANCELLED, IN_DOUBT)
    event = await office.last(payment)
    assert event.action == "cancelled"
    assert event.detail == {"reason": IN_DOUBT, "remedy": "Look in MyAdmin before you pay it there."}
    await office.execute()
    assert PAY not in office.calls()


async def test_a_slow_server_that_carries_the_call_out_after_all_is_not_asked_twice(
    office: Office, clock: Clock
) -> None:
    """The whole way: lost, found unpaid for as long as it takes, carried out after that, asked for again."""
    payment = await unknown(office)
    clock.advance(seconds=SETTLED.total_seconds())
    await office.reconcile()
    assert (await office.now(payment)).state is State.DECLINED
    office.billing.add_invoice("vps", VPS.number, paid=True)
    again = await office.pay()
    assert (again.state, again.reason) == (State.CANCELLED, IN_DOUBT)
    assert office.billing.payments_received("vps", VPS.number) == 1


async def test_what_is_still_listed_is_paid(office: Office, clock: Clock) -> None:
    """The list says that the first call did nothing, so asking again is what it is for."""
    await declined_after(office, Verdict.UNKNOWN)
    assert (await office.pay()).state is State.PAID


@pytest.mark.parametrize("verdict", [Verdict.DECLINED, Verdict.NOT_SENT])
async def test_an_attempt_that_is_known_to_have_paid_nothing_is_no_doubt(
    office: Office, verdict: Verdict
) -> None:
    """The API is asked, and says itself what is wrong."""
    ref = InvoiceRef("vps", 4711)
    await declined_after(office, verdict, ref)
    payment = await office.pay(ref)
    assert payment.listed is False
    assert office.billing.payments_received("vps", 4711) == 1


async def test_an_invoice_that_is_simply_not_listed_goes_to_the_api(office: Office) -> None:
    """A number that was paid elsewhere or mistyped, and never tried: the API's words say why not."""
    payment = await office.pay(InvoiceRef("vps", 10105))
    assert payment.listed is False
    assert office.calls()[-1] == PAY
    assert payment.state is State.DECLINED
    assert payment.status_text
