"""Before the call: what does not hold any more is cancelled, what cannot be checked waits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Tier
from tests.fixture_types import Clock
from tests.ledger.making import stored
from tests.payments.conftest import ALICE, CAROL, PAY, UNPAID, Office, policy

UNREACHABLE = "the billing API cannot be reached, or refuses the login"


class TestSomebodysReading:
    """One reading of a module's list serves all who check within ten seconds, for what it speaks for."""

    OTHER = InvoiceRef("vps", 10102)

    async def approved(self, office: Office, clock: Clock, later: float) -> Payment:
        """A payment whose own reading is too old; its module was read for another one since, `later` ago."""
        payment = await office.approved()
        await office.looked_up(self.OTHER)
        clock.advance(seconds=later)
        office.billing.log.clear()
        return payment

    async def test_it_serves_while_it_is_fresh(self, office: Office, clock: Clock) -> None:
        """Nothing is read again."""
        payment = await self.approved(office, clock, later=9)
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert UNPAID not in office.calls()

    async def test_it_serves_no_longer_than_a_look_up_does(self, office: Office, clock: Clock) -> None:
        """Its age is that of the reading, not of who asked for it last."""
        payment = await self.approved(office, clock, later=10)
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert office.calls()[0] == UNPAID

    @pytest.mark.parametrize("own", [True, False])
    async def test_a_call_that_a_failover_lost_is_not_made_again_by_what_was_read_before_it(
        self, office: Office, clock: Clock, own: bool
    ) -> None:
        """The payment is approved in the ledger and paid in truth; connections broke when another server took
        over. own: it was read for this payment."""
        payment = await (office.looked_up() if own else self.approved(office, clock, later=1))
        await office.client.make_payment(payment.ref)
        office.ledger.outage.broke()
        clock.advance(seconds=1)
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.CANCELLED, "the invoice is not unpaid any more")
        assert office.billing.payments_received("vps", 10101) == 1

    async def test_an_invoice_that_is_not_in_it_is_read_again(self, office: Office, clock: Clock) -> None:
        """What it lacks, it says nothing of."""
        row = office.billing.row("vps", 10101)
        assert row is not None
        payment = await office.approved()
        row["invoices_paid"] = 1
        await office.looked_up(self.OTHER)
        row["invoices_paid"] = 0
        office.billing.log.clear()
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert UNPAID in office.calls()

    async def test_another_amount_is_read_again(self, office: Office, clock: Clock) -> None:
        """It speaks against paying: what is believed then is read now."""
        row = office.billing.row("vps", 10101)
        assert row is not None
        payment = await office.approved()
        row["invoices_amount"] = 10.01
        await office.looked_up(self.OTHER)
        row["invoices_amount"] = 10.0
        office.billing.log.clear()
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
        assert UNPAID in office.calls()

    async def test_what_an_earlier_call_may_have_paid_is_read_again(
        self, office: Office, clock: Clock
    ) -> None:
        """It may have been carried out after that reading."""
        lost = await office.lost(paid=False)
        clock.advance(minutes=18)
        await office.reconcile()
        assert (await office.now(lost)).state is State.DECLINED
        again = await office.approved()
        await office.looked_up(self.OTHER)
        row = office.billing.row("vps", 10101)
        assert row is not None
        row["invoices_paid"] = 1
        await office.execute()
        assert (await office.now(again)).state is State.CANCELLED
        assert PAY not in [call.operation for call in office.billing.log if call.invoice == 10101]


class TestCheckedAgain:
    async def test_an_amount_that_changed_is_not_paid(self, office: Office) -> None:
        """What was approved is what is executed, to the cent."""
        payment = await office.approved()
        row = office.billing.row("vps", 10101)
        assert row is not None
        row["invoices_amount"] = 10.01
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.CANCELLED
        assert payment.reason == "the amount changed from 10.00 USD to 10.01 USD since it was requested"
        assert office.calls() == [UNPAID]

    async def test_a_currency_that_changed_is_not_paid(self, office: Office) -> None:
        """The same number of something else is not the same."""
        payment = await office.approved()
        row = office.billing.row("vps", 10101)
        assert row is not None
        row["invoices_currency"] = "EUR"
        await office.execute()
        payment = await office.now(payment)
        assert payment.reason == "the amount changed from 10.00 USD to 10.00 EUR since it was requested"

    async def test_what_was_paid_elsewhere_is_not_paid_again(self, office: Office) -> None:
        """It is gone from the list, so it is not sent."""
        payment = await office.approved()
        office.billing.add_invoice("vps", 10101, paid=True)
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.CANCELLED, "the invoice is not unpaid any more")
        assert PAY not in office.calls()

    async def test_a_requester_who_was_removed_pays_nothing(self, office: Office) -> None:
        """Authorization counts at the execution too."""
        payment = await office.approved()
        office.rules(policy(tiers=(Tier(None, 1),), requesters=frozenset({"U7"})))
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.CANCELLED
        assert "the requester may not ask for this any more" in str(payment.reason)
        assert office.calls() == []

    async def test_an_approver_who_was_removed_does_not_count(self, office: Office) -> None:
        """Nor one who is not in the group any more."""
        payment = await office.approved()
        office.rules(policy(tiers=(Tier(None, 1),), approvers=frozenset({CAROL.id})))
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.CANCELLED
        assert (
            payment.reason == "it has 0 of the approvals that the rules as they are now ask for, and needs 1"
        )
        assert office.calls() == []

    async def test_a_rule_that_got_stricter_stops_it(self, office: Office) -> None:
        """Approved by one, and now two are asked for."""
        payment = await office.approved()
        office.rules(policy(tiers=(Tier(None, 2),)))
        await office.execute()
        assert (await office.now(payment)).state is State.CANCELLED

    async def test_what_is_cancelled_says_so_in_the_trail(self, office: Office) -> None:
        """By the executor, with the reason."""
        payment = await office.approved()
        office.billing.add_invoice("vps", 10101, paid=True)
        await office.execute()
        event = await office.last(payment)
        assert (event.actor, event.action) == ("executor", "cancelled")
        assert stored(event) == {"reason": "the invoice is not unpaid any more"}


class TestHeld:
    async def test_what_cannot_be_checked_waits(self, office: Office, clock: Clock) -> None:
        """The API does not answer: nothing is sent, it is told once, and goes on when it is back."""
        payment = await office.approved()
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

    async def test_a_silent_directory_holds_it(self, office: Office, clock: Clock) -> None:
        """Whether people may is not known, so nothing is sent."""
        office.register.groups["S1"] = {ALICE.id}
        payment = await office.approved()
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

    async def test_an_account_that_may_not_read_any_more_holds_it(self, office: Office) -> None:
        """The amount was known when it was approved; without it nothing can be compared."""
        payment = await office.approved()
        office.billing.fail("unreadable")
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.APPROVED, "the invoice cannot be read any more")

    async def test_what_is_held_too_long_is_cancelled(self, office: Office, clock: Clock) -> None:
        """When the request expires, it says why it could not be paid."""
        payment = await office.approved()
        office.billing.fail("down")
        clock.advance(days=3)
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (State.CANCELLED, UNREACHABLE)

    @pytest.mark.parametrize(("before", "state"), [(1, State.APPROVED), (0, State.CANCELLED)])
    async def test_it_is_held_until_the_request_expires(
        self, office: Office, clock: Clock, before: int, state: State
    ) -> None:
        """To the second: the moment itself is too late. Until then it is tried again and again."""
        payment = await office.approved()
        office.billing.fail("unreadable")
        clock.until(payment.request.expires_at - timedelta(seconds=before))
        await office.execute()
        payment = await office.now(payment)
        assert (payment.state, payment.reason) == (state, "the invoice cannot be read any more")
        assert payment.lease is None
        event = await office.last(payment)
        assert (event.actor, event.action) == ("executor", "held" if before else "cancelled")
        if before:
            assert payment.due_at == clock.now + office.timing.hold

    @pytest.mark.parametrize("mode", ["unreadable", "unlisted"])
    async def test_an_account_that_never_could_read_pays(self, office: Office, mode: str) -> None:
        """There is nothing to compare; the API itself says whether it can be paid."""
        office.billing.fail(mode)
        payment = await office.approved()
        assert payment.invoice is None
        await office.execute()
        assert (await office.now(payment)).state is State.PAID
