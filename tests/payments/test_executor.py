"""The executor: everything is checked again, one call is made, and what became of it is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Tier
from bot.errors import LedgerUnavailable
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import stored
from tests.payments.conftest import ALICE, BOB, CAROL, VPS, Office, Register, policy

PAY = "api_make_payment"
UNPAID = "api_vps_get_client_unpaid_invoices"
UNREACHABLE = "the billing API cannot be reached, or refuses the login"
ONE = policy(tiers=(Tier(None, 1),))


async def approved(office: Office, ref: InvoiceRef = VPS) -> Payment:
    """A payment that Bob approved; its snapshot is older than serves as a check."""
    office.rules(ONE)
    payment = await office.looked_up(ref)
    await office.desk.approve(BOB, payment.id)
    office.clock.advance(seconds=11)
    office.billing.log.clear()
    return await office.now(payment)


async def executed_by(office: Office, client: BillingClient, payment: Payment) -> Payment:
    """What is approved is paid by an instance with this client, which knows of the reading just now."""
    office.executor.billing = client
    await office.execute()
    return await office.now(payment)


# -- the good way -----------------------------------------------------------------------------------


async def test_a_payment_costs_one_reading_and_one_call(office: Office) -> None:
    """Without approval the snapshot is fresh enough to be the check."""
    payment = await office.pay()
    assert payment.state is State.PAID
    assert office.calls() == [UNPAID, PAY]
    assert (payment.status, payment.tries) == ("ok", 1)
    assert payment.status_text == "Payment of 10.00 USD for Invoice 10101 Successful."
    assert payment.lease is None


async def test_the_way_is_in_the_trail(office: Office) -> None:
    """Each step with who took it; the answer verbatim."""
    payment = await office.pay()
    history = await office.ledger.history(payment.id)
    assert [(event.actor, event.action) for event in history] == [
        (ALICE.id, "requested"),
        ("look-up", "looked_up"),
        ("policy", "approval_complete"),
        ("executor", "sending"),
        ("billing", "answered"),
    ]
    answered = stored(history[-1])
    assert (answered["verdict"], answered["status"]) == ("PAID", "ok")
    assert answered["status_text"] == payment.status_text


async def test_the_attempt_is_written_before_the_call(office: Office) -> None:
    """When the API hears of it, the ledger holds state, event and attempt already."""
    arrived = asyncio.Event()
    office.billing.on_call = lambda call: arrived.set() if call.operation == PAY else None
    office.billing.fail("stall", operation=PAY)
    payment = await office.looked_up()
    await office.executor_worker.poll_once()
    async with asyncio.timeout(10):
        await arrived.wait()
    assert (await office.now(payment)).state is State.SENDING
    assert [attempt.verdict for attempt in await office.ledger.attempts(payment.id)] == [None]
    office.billing.heal()
    await office.executor_worker.pool.drain(10)
    assert [attempt.verdict for attempt in await office.ledger.attempts(payment.id)] == ["UNKNOWN"]


async def test_without_a_card_nothing_is_paid(office: Office) -> None:
    """Nobody would see it."""
    payment = await office.request()
    await office.look_up_worker.poll_once()
    await office.look_up_worker.pool.drain(10)
    await office.execute()
    assert (await office.now(payment)).state is State.APPROVED
    assert office.billing.payments_received("vps", 10101) == 0


# -- what became of the call ------------------------------------------------------------------------

OUTCOMES = {
    State.PAID: ["shouted-ok", "session-expired", "unlisted"],
    State.DECLINED: ["declined"],
    State.NOT_SENT: ["login-blank", "login-fault", "unpayable", "down"],
    State.UNKNOWN: ["reset-before", "reset-after", "html-after", "missing-status-after", "fault-before"],
}


@pytest.mark.parametrize(("mode", "state"), [(mode, state) for state in OUTCOMES for mode in OUTCOMES[state]])
async def test_every_way_to_fail_has_its_outcome(
    ledger: Ledger, clock: Clock, office: Office, other_client: BillingClient, mode: str, state: State
) -> None:
    """Never sent is not sent; a doubt is unknown; and the API got one call at most, whatever happened."""
    payment = await office.looked_up()
    office.billing.fail(mode)
    payment = await executed_by(office, other_client, payment)
    assert payment.state is state
    assert office.billing.payments_received("vps", 10101) <= 1
    (attempt,) = await ledger.attempts(payment.id)
    assert (attempt.verdict, attempt.finished_at) == (state.value, clock.now)
    assert payment.reason == attempt.evidence
    assert payment.due_at > clock.now or state in (State.PAID, State.DECLINED)


async def test_a_decline_says_why_and_frees_the_invoice(office: Office) -> None:
    """The API's own words, and another try is another request."""
    office.billing.fail("declined", times=1)
    payment = await office.pay()
    assert payment.status_text == "The Credit Card on file was declined."
    again = await office.pay()
    assert (again.id, again.state) == (payment.id + 1, State.PAID)


async def test_a_lost_answer_is_never_sent_again(office: Office, clock: Clock) -> None:
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


# -- not sent ---------------------------------------------------------------------------------------


async def test_what_was_not_sent_is_tried_again_later_and_later(
    office: Office, clock: Clock, other_client: BillingClient
) -> None:
    """With the waits that the timing gives, by itself."""
    payment = await office.looked_up()
    office.billing.fail("unpayable")
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
    office: Office, clock: Clock, other_client: BillingClient
) -> None:
    """After a bounded number of tries, as cancelled: nothing was paid."""
    payment = await office.looked_up()
    office.billing.fail("unpayable")
    payment = await executed_by(office, other_client, payment)
    for _ in range(5):
        clock.advance(minutes=5)
        await office.maintenance.poll_once()
        await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.tries) == (State.CANCELLED, 3)
    assert "nothing could be sent in 3 tries" in str(payment.reason)
    await office.request()


async def test_between_two_tries_it_can_be_taken_back(office: Office, other_client: BillingClient) -> None:
    """Nothing was sent, so its requester still decides."""
    payment = await office.looked_up()
    office.billing.fail("unpayable")
    payment = await executed_by(office, other_client, payment)
    await office.desk.cancel(ALICE, payment.id)
    assert (await office.now(payment)).state is State.CANCELLED


# -- checked again before the call ------------------------------------------------------------------


async def test_an_amount_that_changed_is_not_paid(office: Office) -> None:
    """What was approved is what is executed, to the cent."""
    payment = await approved(office)
    row = office.billing.row("vps", 10101)
    assert row is not None
    row["invoices_amount"] = 10.01
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert payment.reason == "the amount changed from 10.00 USD to 10.01 USD since it was requested"
    assert office.calls() == [UNPAID]


async def test_a_currency_that_changed_is_not_paid(office: Office) -> None:
    """The same number of something else is not the same."""
    payment = await approved(office)
    row = office.billing.row("vps", 10101)
    assert row is not None
    row["invoices_currency"] = "EUR"
    await office.execute()
    payment = await office.now(payment)
    assert payment.reason == "the amount changed from 10.00 USD to 10.00 EUR since it was requested"


async def test_what_was_paid_elsewhere_is_not_paid_again(office: Office) -> None:
    """It is gone from the list, so it is not sent."""
    payment = await approved(office)
    office.billing.add_invoice("vps", 10101, paid=True)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.CANCELLED, "the invoice is not unpaid any more")
    assert PAY not in office.calls()


async def test_a_requester_who_was_removed_pays_nothing(office: Office) -> None:
    """Authorization counts at the execution too."""
    payment = await approved(office)
    office.rules(policy(tiers=(Tier(None, 1),), requesters=frozenset({"U7"})))
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert "the requester may not ask for this any more" in str(payment.reason)
    assert office.calls() == []


async def test_an_approver_who_was_removed_does_not_count(office: Office) -> None:
    """Nor one who is not in the group any more."""
    payment = await approved(office)
    office.rules(policy(tiers=(Tier(None, 1),), approvers=frozenset({CAROL.id})))
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert payment.reason == "it needs 1 approvals by the rules as they are now, and has 0"
    assert office.calls() == []


async def test_a_rule_that_got_stricter_stops_it(office: Office) -> None:
    """Approved by one, and now two are asked for."""
    payment = await approved(office)
    office.rules(policy(tiers=(Tier(None, 2),)))
    await office.execute()
    assert (await office.now(payment)).state is State.CANCELLED


async def test_what_is_cancelled_says_so_in_the_trail(office: Office) -> None:
    """By the executor, with the reason."""
    payment = await approved(office)
    office.billing.add_invoice("vps", 10101, paid=True)
    await office.execute()
    event = await office.last(payment)
    assert (event.actor, event.action) == ("executor", "cancelled")
    assert stored(event) == {"reason": "the invoice is not unpaid any more"}


# -- held: what cannot be checked now ---------------------------------------------------------------


async def test_what_cannot_be_checked_waits(office: Office, clock: Clock) -> None:
    """The API does not answer: nothing is sent, it is told once, and goes on when it is back."""
    payment = await approved(office)
    office.billing.fail("down")
    for _ in range(3):
        await office.execute()
        clock.advance(seconds=30)
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.APPROVED, UNREACHABLE)
    assert (await office.actions(payment)).count("held") == 1
    assert payment.lease is None
    office.billing.heal()
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_a_silent_directory_holds_it(office: Office, clock: Clock) -> None:
    """Whether people may is not known, so nothing is sent."""
    office.register.groups["S1"] = {ALICE.id}
    payment = await approved(office)
    office.rules(policy(tiers=(Tier(None, 1),), requesters=frozenset({"S1"})))
    office.register.silent = True
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.APPROVED, "Slack does not say who may approve this")
    assert office.calls() == []
    office.register.silent = False
    clock.advance(seconds=30)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_an_account_that_may_not_read_any_more_holds_it(office: Office) -> None:
    """The amount was known when it was approved; without it nothing can be compared."""
    payment = await approved(office)
    office.billing.fail("unreadable")
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.APPROVED, "the invoice cannot be read any more")


async def test_what_is_held_too_long_is_cancelled(office: Office, clock: Clock) -> None:
    """When the request expires, it says why it could not be paid."""
    payment = await approved(office)
    office.billing.fail("down")
    clock.advance(days=3)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.CANCELLED, UNREACHABLE)


@pytest.mark.parametrize("mode", ["unreadable", "unlisted"])
async def test_an_account_that_never_could_read_pays(office: Office, mode: str) -> None:
    """There is nothing to compare; the API itself says whether it can be paid."""
    office.billing.fail(mode)
    payment = await approved(office)
    assert payment.invoice is None
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


# -- several hands ----------------------------------------------------------------------------------


async def test_two_instances_pay_it_once(
    office: Office, ledger_url: str, clock: Clock, billing: LocalBilling, client: BillingClient
) -> None:
    """Both look at the same moment; one of them gets it."""
    payments = [await office.looked_up(InvoiceRef("vps", number)) for number in (10101, 10102, 10103)]
    async with open_ledger(ledger_url, clock=clock, boot_clock=clock.boottime) as ledger:
        other = Office(ledger, clock, billing, client, office.register, instance="two")
        await asyncio.gather(office.execute(), other.execute())
    for payment in payments:
        assert (await office.now(payment)).state is State.PAID
        assert billing.payments_received("vps", payment.ref.number) == 1


async def test_what_is_cancelled_at_the_last_moment_is_not_sent(office: Office) -> None:
    """Between the check and the call nothing can get in: the move to SENDING finds out."""

    async def cancel_in_between(step: str, payment_id: int) -> None:
        if step == "checked":
            await office.desk.cancel(ALICE, payment_id)

    office.checkpoint = cancel_in_between
    office.rules(policy())
    payment = await office.pay()
    assert payment.state is State.CANCELLED
    assert office.billing.payments_received("vps", 10101) == 0


async def test_who_lost_the_lease_does_not_send(office: Office, clock: Clock) -> None:
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


async def test_an_answer_that_comes_late_still_settles_it(office: Office, clock: Clock) -> None:
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


async def test_an_answer_after_it_was_settled_is_kept_and_moves_nothing(office: Office, clock: Clock) -> None:
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
    (attempt,) = await office.ledger.attempts(payment.id)
    assert attempt.verdict == "PAID"


async def test_while_the_call_is_under_way_the_lease_is_kept(office: Office, clock: Clock) -> None:
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


async def test_an_answer_that_was_stored_already_is_not_booked_on_another_instances_call(
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
        answers = [one for one in await second.history(payment.id) if one.action == "answered"]
        assert [stored(answer)["try"] for answer in answers] == [1, 2]
