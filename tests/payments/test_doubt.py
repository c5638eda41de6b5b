"""What was called not paid, and may have been paid all the same: not let go too early, nor paid again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bot.domain import events
from bot.domain.events import DomainEvent
from bot.domain.payment import InvoiceRef, Outcome, Payment, State, Verdict
from bot.ledger.rows import Kind
from bot.payments.answers import AlreadyDecided, AlreadyRequested, Done, TooEarly
from bot.payments.desk import Desk
from bot.payments.settlement import settle_by_hand
from tests.fixture_types import Clock
from tests.ledger.making import claimed, request_in, stored
from tests.payments.conftest import ALICE, BOB, CAROL, VPS, Office, policy
from tests.payments.test_reconciler import SETTLED

PAY = "api_make_payment"
UNPAID = "api_*_get_client_unpaid_invoices"
IN_DOUBT = "an earlier payment of this invoice may have been carried out late: it is not unpaid any more"
NOT_LISTED = "{} is not in the list of unpaid invoices, or not with an amount that can be read"
MAY_BE_PAID = "an earlier call may have paid this invoice, and it cannot be read whether it did"


async def unknown(office: Office) -> Payment:
    """A payment whose answer was lost; it was not carried out."""
    office.billing.fail("reset-before", times=1)
    payment = await office.pay()
    assert payment.state is State.UNKNOWN
    await office.reconciler.see()
    return payment


# -- not-paid before the settling time --------------------------------------------------------------


@pytest.fixture
def desk(office: Office) -> Desk:
    """The desk, which lets nobody say "not paid" before the settling time is over."""
    return Desk(office.ledger, office.authority, office.settling)


async def test_not_paid_is_refused_until_the_call_cannot_be_carried_out_any_more(
    office: Office, desk: Desk, clock: Clock
) -> None:
    """With the time from which on it can be said; until then the invoice stays held."""
    payment = await unknown(office)
    until = clock.now + SETTLED
    for now in (clock.now, until - timedelta(seconds=1)):
        clock.until(now)
        answer = await desk.resolve(BOB, payment.id, paid=False, note="not in MyAdmin")
        assert answer == TooEarly(payment, until)
        assert await office.now(payment) == payment
    held = await office.desk.request(ALICE, "C1", VPS, trigger_id="again")
    assert held == AlreadyRequested(payment)
    clock.until(until)
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
        office.ledger, "operator:root", payment.id, paid=False, note="no", settling=office.settling
    )
    assert answer == TooEarly(payment, clock.now + SETTLED)


# -- an answer that comes after "not paid" ----------------------------------------------------------


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


async def test_paid_after_declined_is_told_in_the_thread_and_logged(office: Office, clock: Clock) -> None:
    """Somebody may be about to pay it again, so people and operators hear of it."""
    payment, errors = await late(office, clock, paid=False)
    assert payment.state is State.DECLINED
    assert errors == ["it was paid after all"]
    event = await office.last(payment)
    assert (event.action, stored(event)["verdict"]) == ("answered_late", "PAID")
    clock.advance(minutes=1)
    told = await told_in_the_end(office)
    assert event.id in told


async def test_paid_after_paid_is_told_and_alarms_nobody(office: Office, clock: Clock) -> None:
    """The API's own words are what everybody waits for, be they late."""
    payment, errors = await late(office, clock, paid=True)
    assert (payment.state, errors) == (State.PAID, [])
    event = await office.last(payment)
    assert event.action == "answered_late"
    clock.advance(minutes=1)
    assert event.id in await told_in_the_end(office)


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


# -- asked for again, after an attempt in doubt -----------------------------------------------------


async def declined_after(office: Office, verdict: Verdict | None, ref: InvoiceRef = VPS) -> Payment:
    """A request that was released, and whose one attempt ended like this; None: nobody heard."""
    payment = await request_in(office.ledger, State.APPROVED, ref)

    async def move(payment: Payment, to: State, what: DomainEvent) -> Payment:
        return await transaction.move(payment, to, what, actor="test")

    async with office.ledger.transaction() as transaction:
        payment = await transaction.move(
            payment,
            State.SENDING,
            events.Sending("one", 1),
            actor="test",
            tries=1,
        )
        attempt = await transaction.start_attempt(payment, "one")
        if verdict in (None, Verdict.PAID):
            payment = await move(payment, State.UNKNOWN, events.LeaseRanOut("one"))
        else:
            assert verdict is not None
            await transaction.finish_attempt(attempt, Outcome(verdict, None, None, "as it was"))
            payment = await move(
                payment, verdict.state, events.Answered(verdict.value, None, None, "as it was", 1)
            )
        if payment.state is State.UNKNOWN:
            payment = await move(payment, State.DECLINED, events.Reconciled("still unpaid", "now"))
        elif payment.state is State.NOT_SENT:
            payment = await move(payment, State.CANCELLED, events.Cancelled("by its requester"))
        if verdict is Verdict.PAID:
            await transaction.finish_attempt(attempt, Outcome(verdict, None, None, "as it was"))
            late = events.AnsweredLate(verdict.value, None, None, "as it was", 1)
            await transaction.record(late, actor="executor", payment=payment)
    return payment


@pytest.mark.parametrize("verdict", [None, Verdict.UNKNOWN])
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
    assert stored(event) == {"reason": IN_DOUBT, "remedy": "Look in MyAdmin before you pay it there."}
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
    """An account that cannot read its invoices goes on as if there had been none."""
    office.billing.fail("unreadable")
    await declined_after(office, verdict)
    assert (await office.pay()).state is State.PAID


async def test_what_a_call_was_answered_as_paid_for_is_never_sent_again(office: Office) -> None:
    """Whatever the list says: the API took money for it."""
    await declined_after(office, Verdict.PAID)
    payment = await office.looked_up()
    assert (payment.listed, payment.state) == (True, State.CANCELLED)
    assert payment.reason == "the billing API said of an earlier call that this invoice is paid"


@pytest.mark.parametrize("verdict", [None, Verdict.UNKNOWN])
async def test_what_is_in_doubt_waits_while_the_list_cannot_be_read(
    office: Office, clock: Clock, verdict: Verdict | None
) -> None:
    """A list that is slow at the look-up is no word; the thread says what is waited for."""
    await declined_after(office, verdict)
    office.billing.fail("stall", operation=UNPAID)
    payment = await office.looked_up()
    assert (payment.listed, payment.state) == (None, State.APPROVED)
    await office.execute()
    event = await office.last(payment)
    assert (event.action, stored(event)["reason"]) == ("held", "the billing API does not answer")
    office.billing.heal()
    office.billing.add_invoice("vps", VPS.number, paid=True)
    clock.advance(seconds=30)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.CANCELLED, IN_DOUBT)
    assert PAY not in office.calls()


async def test_what_is_in_doubt_waits_for_ever_where_no_list_can_be_read(
    office: Office, clock: Clock
) -> None:
    """An account that cannot read its invoices proves nothing: until it expires, nothing is sent."""
    office.billing.fail("unreadable")
    await declined_after(office, Verdict.UNKNOWN)
    payment = await office.pay()
    assert payment.state is State.APPROVED
    assert (
        payment.reason == "an earlier call may have paid this invoice, and it cannot be read whether it did"
    )
    clock.advance(days=3)
    await office.execute()
    assert (await office.now(payment)).state is State.CANCELLED
    assert PAY not in office.calls()


async def test_a_persons_word_that_it_was_not_paid_ends_the_doubt(office: Office, clock: Clock) -> None:
    """Somebody looked where the bot cannot."""
    payment = await office.lost_unread()
    clock.advance(minutes=17)
    office.billing.fail("unreadable")
    answer = await office.desk.resolve(BOB, payment.id, paid=False, note="not in MyAdmin")
    assert isinstance(answer, Done)
    assert (await office.pay()).state is State.PAID


async def test_a_doubt_that_came_up_after_the_check_stops_the_intent(office: Office) -> None:
    """Asked again in the transaction that writes the intent: what came in between counts."""
    office.billing.fail("unreadable", operation=UNPAID)

    async def come_up(step: str, payment_id: int) -> None:
        if step == "checked":
            await declined_after(office, Verdict.UNKNOWN, InvoiceRef("domains", VPS.number))

    payment = await office.looked_up()
    office.checkpoint = come_up
    office.rules(policy())
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.APPROVED
    assert (
        payment.reason == "an earlier call may have paid this invoice, and it cannot be read whether it did"
    )
    assert PAY not in office.calls()


# -- asked for, and not listed ----------------------------------------------------------------------


async def test_an_invoice_that_is_not_among_the_unpaid_ones_is_not_sent(office: Office) -> None:
    """A number that was paid elsewhere or mistyped: the amount is unknown, and so nothing is paid."""
    payment = await office.pay(InvoiceRef("vps", 10105))
    assert (payment.listed, payment.state) == (False, State.CANCELLED)
    assert (
        payment.reason
        == "vps 10105 is not in the list of unpaid invoices, or not with an amount that can be read"
    )
    event = await office.last(payment)
    assert stored(event)["remedy"] == "Check the number: /pay list vps shows what can be paid."
    assert PAY not in office.calls()


def empty_floating_ips(office: Office) -> None:
    """There is no unpaid invoice in that module any more."""
    row = office.billing.row("floating_ips", 10601)
    assert row is not None
    row["invoices_paid"] = 1


async def test_an_account_that_sees_empty_lists_only_pays(office: Office) -> None:
    """Nothing was ever listed, so an empty list says nothing: the API's words say what it is."""
    empty_floating_ips(office)
    payment = await office.pay(InvoiceRef("floating_ips", 4711))
    assert payment.listed is False
    assert office.calls()[-1] == PAY
    assert payment.state is State.DECLINED
    assert payment.status_text


async def test_an_empty_list_where_there_were_invoices_before_is_believed(office: Office) -> None:
    """It could be read before, so it can be read now."""
    assert (await office.pay(InvoiceRef("floating_ips", 10601))).state is State.PAID
    payment = await office.pay(InvoiceRef("floating_ips", 4712))
    assert (payment.state, payment.reason) == (
        State.CANCELLED,
        NOT_LISTED.format("floating_ips 4712"),
    )


# -- the same number in another module --------------------------------------------------------------


SAME_NUMBER = InvoiceRef("domains", VPS.number)


@pytest.mark.parametrize("state", [State.PENDING_APPROVAL, State.SENDING, State.UNKNOWN, State.PAID])
async def test_a_number_that_another_module_holds_is_refused_with_a_link(
    office: Office, state: State
) -> None:
    """MyAdmin seems to keep all invoices in one table, so it may be the same one."""
    first = await request_in(
        office.ledger, state, VPS, card_ts="1700000000.000009", looked_up_at=office.clock.now
    )
    office.billing.fail("unreadable", operation="api_domains_get_client_unpaid_invoices")
    payment = await office.pay(SAME_NUMBER)
    assert payment.state is State.CANCELLED
    assert payment.reason == (
        "#1 is for vps 10101, which has the same number, and domains 10101 is not read as unpaid"
    )
    detail = stored(await office.last(payment))
    assert (detail["other"], detail["other_channel"], detail["other_ts"]) == (
        first.number,
        first.channel,
        first.cards.ts,
    )
    assert PAY not in office.calls()


async def test_a_number_that_its_own_module_lists_as_unpaid_is_another_invoice(office: Office) -> None:
    """Read now, so it is there to be paid."""
    await request_in(office.ledger, State.PAID, VPS)
    office.billing.add_invoice(SAME_NUMBER.module, SAME_NUMBER.number)
    assert (await office.pay(SAME_NUMBER)).state is State.PAID


async def test_a_number_that_was_in_doubt_in_another_module_is_read_before_it_is_sent(
    office: Office,
) -> None:
    """The call for the other may have paid this one."""
    await declined_after(office, Verdict.UNKNOWN)
    office.billing.fail("unreadable", operation="api_domains_get_client_unpaid_invoices")
    payment = await office.pay(SAME_NUMBER)
    assert payment.state is State.APPROVED
    assert PAY not in office.calls()


# -- a person corrects ------------------------------------------------------------------------------


async def settled_by_absence(office: Office, clock: Clock) -> Payment:
    """A lost answer that was called paid as its invoice had left the list."""
    payment = await unknown(office)
    row = office.billing.row("vps", VPS.number)
    assert row is not None
    row["invoices_type"] = 2
    clock.advance(seconds=10)
    await office.reconcile()
    payment = await office.now(payment)
    assert payment.state is State.PAID
    return payment


async def test_paid_that_rests_on_absence_is_corrected_by_a_person(office: Office, clock: Clock) -> None:
    """Nothing was proved by it; the correction is in the trail, and the invoice may be asked for again."""
    payment = await settled_by_absence(office, clock)
    answer = await office.desk.resolve(BOB, payment.id, paid=False, note="it was moved")
    assert isinstance(answer, Done)
    assert answer.payment.state is State.DECLINED
    event = await office.last(payment)
    assert (event.actor, event.action, event.from_state, event.to_state) == (
        BOB.id,
        "corrected",
        State.PAID,
        State.DECLINED,
    )
    assert stored(event) == {"paid": False, "note": "it was moved"}
    await office.request()


async def test_declined_that_rests_on_the_list_is_corrected_by_a_person(office: Office, clock: Clock) -> None:
    """The call was carried out after all; from then on the invoice is held as paid."""
    payment = await unknown(office)
    clock.advance(minutes=17)
    await office.reconcile()
    answer = await office.desk.resolve(BOB, payment.id, paid=True, note="it shows on the statement")
    assert isinstance(answer, Done)
    assert answer.payment.state is State.PAID
    held = await office.desk.request(ALICE, "C1", VPS, trigger_id="again")
    assert held == AlreadyRequested(answer.payment)


async def test_declined_is_not_corrected_while_a_new_request_holds_the_invoice(
    office: Office, clock: Clock
) -> None:
    """Whoever wants to is told of it."""
    payment = await unknown(office)
    clock.advance(minutes=17)
    await office.reconcile()
    again = await office.request()
    answer = await office.desk.resolve(BOB, payment.id, paid=True, note="it shows on the statement")
    assert answer == AlreadyRequested(again)


@pytest.mark.parametrize("paid", [True, False])
async def test_what_the_api_answered_is_not_corrected(office: Office, *, paid: bool) -> None:
    """It is proved; somebody's word does not undo it."""
    if not paid:
        office.billing.fail("declined", times=1)
    payment = await office.pay()
    answer = await office.desk.resolve(BOB, payment.id, paid=not paid, note="I think not")
    assert answer == AlreadyDecided(payment)


async def test_what_the_api_answered_late_is_not_corrected(office: Office, clock: Clock) -> None:
    """It was called paid as it had left the list; then the API itself said so."""
    payment = await settled_by_absence(office, clock)
    async with office.ledger.transaction() as transaction:
        (attempt,) = await office.ledger.attempts(payment.id)
        await transaction.finish_attempt(attempt.id, Outcome(Verdict.PAID, "ok", "Paid.", "late"))
    answer = await office.desk.resolve(BOB, payment.id, paid=False, note="it was moved")
    assert answer == AlreadyDecided(payment)


async def test_a_slip_is_corrected_by_whoever_made_it_or_by_the_operator(
    office: Office, clock: Clock
) -> None:
    """Of two people who contradict each other the first word stands."""
    payment = await unknown(office)
    clock.advance(minutes=17)
    await office.desk.resolve(BOB, payment.id, paid=True, note="yes")
    assert isinstance(await office.desk.resolve(CAROL, payment.id, paid=False, note="no"), AlreadyDecided)
    clock.advance(minutes=17)
    assert isinstance(await office.desk.resolve(BOB, payment.id, paid=False, note="I erred"), Done)
    answer = await settle_by_hand(
        office.ledger, "operator:root", payment.id, paid=True, note="it is", settling=office.settling
    )
    assert isinstance(answer, Done)
    assert answer.payment.state is State.PAID
