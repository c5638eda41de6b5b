"""An invoice that is asked for once more after an attempt in doubt: paid only where it is seen unpaid."""

from __future__ import annotations

import pytest

from bot.domain import events
from bot.domain.events import DomainEvent
from bot.domain.payment import InvoiceRef, Outcome, Payment, State, Verdict
from bot.payments.answers import Done
from tests.fixture_types import Clock
from tests.ledger.making import request_in, stored
from tests.payments.conftest import BOB, PAY, SETTLED, VPS, Office, policy

MAY_BE_PAID = "an earlier call may have paid this invoice, and it cannot be read whether it did"
ANY_UNPAID = "api_*_get_client_unpaid_invoices"
IN_DOUBT = "an earlier payment of this invoice may have been carried out late: it is not unpaid any more"
NOT_LISTED = "{} is not in the list of unpaid invoices, or not with an amount that can be read"


async def declined_after(office: Office, verdict: Verdict | None, ref: InvoiceRef = VPS) -> Payment:
    """A request that was released, and whose one attempt ended like this; None: nobody heard."""
    payment = await request_in(office.ledger, State.APPROVED, ref)

    async def move(payment: Payment, to: State, what: DomainEvent, why: str = "as it was") -> Payment:
        return await transaction.move(payment, to, what, actor="test", reason=why)

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
            payment = await move(payment, State.DECLINED, events.Reconciled("as it was", "now"))
        elif payment.state is State.NOT_SENT:
            payment = await move(payment, State.CANCELLED, events.Cancelled("as it was"))
        if verdict is Verdict.PAID:
            await transaction.finish_attempt(attempt, Outcome(verdict, None, None, "as it was"))
            late = events.AnsweredLate(verdict.value, None, None, "as it was", 1)
            await transaction.record(late, actor="executor", payment=payment)
    return payment


class TestAfterAnAttemptInDoubt:
    @pytest.mark.parametrize("verdict", [None, Verdict.UNKNOWN])
    async def test_what_left_the_list_after_an_attempt_in_doubt_is_not_sent_again(
        self, office: Office, verdict: Verdict | None
    ) -> None:
        """The first call may have been carried out late: it is cancelled, and says where to look."""
        await declined_after(office, verdict)
        office.billing.add_invoice("vps", VPS.number, paid=True)
        payment = await office.looked_up()
        assert (payment.listed, payment.state, payment.reason) == (False, State.CANCELLED, IN_DOUBT)
        event = await office.last(payment)
        assert event.action == "cancelled"
        assert stored(event) == {
            "reason": IN_DOUBT,
            "remedy": "Do not pay it again; MyAdmin shows what became of it.",
        }
        await office.execute()
        assert PAY not in office.calls()

    async def test_a_slow_server_that_carries_the_call_out_after_all_is_not_asked_twice(
        self, office: Office, clock: Clock
    ) -> None:
        """The whole way: lost, found unpaid for as long as it takes, carried out after that, asked for
        again."""
        payment = await office.lost(paid=False)
        clock.advance(seconds=SETTLED.total_seconds())
        await office.reconcile()
        assert (await office.now(payment)).state is State.DECLINED
        office.billing.add_invoice("vps", VPS.number, paid=True)
        again = await office.pay()
        assert (again.state, again.reason) == (State.CANCELLED, IN_DOUBT)
        assert office.billing.payments_received("vps", VPS.number) == 1

    async def test_what_is_still_listed_is_paid(self, office: Office, clock: Clock) -> None:
        """The list says that the first call did nothing, so asking again is what it is for."""
        await declined_after(office, Verdict.UNKNOWN)
        assert (await office.pay()).state is State.PAID

    @pytest.mark.parametrize("verdict", [Verdict.DECLINED, Verdict.NOT_SENT])
    async def test_an_attempt_that_is_known_to_have_paid_nothing_is_no_doubt(
        self, office: Office, verdict: Verdict
    ) -> None:
        """An account that cannot read its invoices goes on as if there had been none."""
        office.billing.fail("unreadable")
        await declined_after(office, verdict)
        assert (await office.pay()).state is State.PAID

    async def test_what_a_call_was_answered_as_paid_for_is_never_sent_again(self, office: Office) -> None:
        """Whatever the list says: the API took money for it."""
        await declined_after(office, Verdict.PAID)
        payment = await office.looked_up()
        assert (payment.listed, payment.state) == (True, State.CANCELLED)
        assert payment.reason == "the billing API said of an earlier call that this invoice is paid"

    @pytest.mark.parametrize("verdict", [None, Verdict.UNKNOWN])
    async def test_what_is_in_doubt_waits_while_the_list_cannot_be_read(
        self, office: Office, clock: Clock, verdict: Verdict | None
    ) -> None:
        """A list that is slow at the look-up is no word; the thread says what is waited for."""
        await declined_after(office, verdict)
        office.patience(seconds=1)
        office.billing.fail("stall", operation=ANY_UNPAID)
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
        self, office: Office, clock: Clock
    ) -> None:
        """An account that cannot read its invoices proves nothing: until it expires, nothing is sent."""
        office.billing.fail("unreadable")
        await declined_after(office, Verdict.UNKNOWN)
        payment = await office.pay()
        assert payment.state is State.APPROVED
        assert payment.reason == MAY_BE_PAID
        clock.advance(days=3)
        await office.execute()
        assert (await office.now(payment)).state is State.CANCELLED
        assert PAY not in office.calls()

    async def test_a_persons_word_that_it_was_not_paid_ends_the_doubt(
        self, office: Office, clock: Clock
    ) -> None:
        """Somebody looked where the bot cannot."""
        payment = await office.lost_unread()
        clock.advance(minutes=17)
        office.billing.fail("unreadable")
        answer = await office.desk.resolve(BOB, payment.request.id, paid=False, note="not in MyAdmin")
        assert isinstance(answer, Done)
        assert (await office.pay()).state is State.PAID

    async def test_a_doubt_that_came_up_after_the_check_stops_the_intent(self, office: Office) -> None:
        """Asked again in the transaction that writes the intent: what came in between counts."""
        office.billing.fail("unreadable", operation=ANY_UNPAID)

        async def come_up(step: str, payment_id: int) -> None:
            if step == "checked":
                await declined_after(office, Verdict.UNKNOWN, InvoiceRef("domains", VPS.number))

        payment = await office.looked_up()
        office.checkpoint = come_up
        office.rules(policy())
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.APPROVED
        assert payment.reason == MAY_BE_PAID
        assert PAY not in office.calls()


def empty_floating_ips(office: Office) -> None:
    """There is no unpaid invoice in that module any more."""
    row = office.billing.row("floating_ips", 10601)
    assert row is not None
    row["invoices_paid"] = 1


class TestNotListed:
    async def test_an_invoice_that_is_not_among_the_unpaid_ones_is_not_sent(self, office: Office) -> None:
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

    async def test_an_account_that_sees_empty_lists_only_pays(self, office: Office) -> None:
        """Nothing was ever listed, so an empty list says nothing: the API's words say what it is."""
        empty_floating_ips(office)
        payment = await office.pay(InvoiceRef("floating_ips", 4711))
        assert payment.listed is False
        assert office.calls()[-1] == PAY
        assert payment.state is State.DECLINED
        assert payment.status_text

    async def test_an_empty_list_where_there_were_invoices_before_is_believed(self, office: Office) -> None:
        """It could be read before, so it can be read now."""
        assert (await office.pay(InvoiceRef("floating_ips", 10601))).state is State.PAID
        payment = await office.pay(InvoiceRef("floating_ips", 4712))
        assert (payment.state, payment.reason) == (
            State.CANCELLED,
            NOT_LISTED.format("floating_ips 4712"),
        )


SAME_NUMBER = InvoiceRef("domains", VPS.number)


class TestTheSameNumberInAnotherModule:
    @pytest.mark.parametrize("state", [State.PENDING_APPROVAL, State.SENDING, State.UNKNOWN, State.PAID])
    async def test_a_number_that_another_module_holds_is_refused_with_a_link(
        self, office: Office, state: State
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
            first.request.channel,
            first.request.cards.ts,
        )
        assert PAY not in office.calls()

    async def test_a_number_that_its_own_module_lists_as_unpaid_is_another_invoice(
        self, office: Office
    ) -> None:
        """Read now, so it is there to be paid."""
        await request_in(office.ledger, State.PAID, VPS)
        office.billing.add_invoice(SAME_NUMBER.module, SAME_NUMBER.number)
        assert (await office.pay(SAME_NUMBER)).state is State.PAID

    async def test_a_number_that_was_in_doubt_in_another_module_is_read_before_it_is_sent(
        self,
        office: Office,
    ) -> None:
        """The call for the other may have paid this one."""
        await declined_after(office, Verdict.UNKNOWN)
        office.billing.fail("unreadable", operation="api_domains_get_client_unpaid_invoices")
        payment = await office.pay(SAME_NUMBER)
        assert payment.state is State.APPROVED
        assert PAY not in office.calls()
