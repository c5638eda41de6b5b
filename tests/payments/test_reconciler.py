"""The reconciler: a lost answer is settled by evidence, never by waiting long enough to guess."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceEvidence, InvoiceRef, Payment, State
from bot.payments import reconciler
from bot.sandbox.local_billing import Call
from bot.sandbox.local_billing.books import InvoiceRow
from tests.fixture_types import Clock
from tests.ledger.making import stored
from tests.payments.conftest import BOB, SETTLED, VPS, Office

ALL = "api_vps_get_client_invoices"


async def lost(office: Office, ref: InvoiceRef = VPS, *, paid: bool) -> Payment:
    """A payment whose answer was lost; the first reading is due."""
    payment = await office.lost(ref, paid=paid)
    office.clock.advance(seconds=10)
    return payment


def row_of(office: Office, number: int = 10101) -> InvoiceRow:
    row = office.billing.row("vps", number)
    assert row is not None
    return row


async def settled(office: Office, payment: Payment) -> tuple[State, str | None]:
    await office.reconcile()
    payment = await office.now(payment)
    return payment.state, payment.reason


class TestEvidenceThatItWasPaid:
    async def test_a_payment_row_that_names_the_invoice_proves_it(self, office: Office) -> None:
        """At once; the trail says what was read, and when."""
        payment = await lost(office, paid=True)
        state, reason = await settled(office, payment)
        assert state is State.PAID
        assert reason is not None
        assert reason.startswith("the billing API lists payment 9")
        event = await office.last(payment)
        assert (event.actor, event.action) == ("reconciler", "reconciled")
        assert stored(event)["evidence"] == reason
        assert stored(event)["rests_on"] == "payment_row"
        assert "read_at" in stored(event)
        assert office.billing.payments_received("vps", 10101) == 1

    async def test_its_own_row_proves_it(self, office: Office) -> None:
        """The invoice is marked as paid, although no payment row names it."""
        payment = await lost(office, paid=False)
        row_of(office)["invoices_paid"] = 1
        assert await settled(office, payment) == (
            State.PAID,
            "the billing API says that this invoice is paid",
        )
        assert stored(await office.last(payment))["rests_on"] == "paid_flag"

    async def test_an_invoice_that_left_the_list_proves_it(self, office: Office) -> None:
        """It was unpaid before the call, and is in no list of unpaid ones now."""
        payment = await lost(office, paid=False)
        row_of(office)["invoices_type"] = 2
        assert await settled(office, payment) == (
            State.PAID,
            "the invoice is gone from the list of unpaid ones",
        )
        assert stored(await office.last(payment))["rests_on"] == "absence"

    @pytest.mark.parametrize(("then", "state"), [("theirs", State.UNKNOWN), ("ours", State.PAID)])
    async def test_what_is_in_no_list_of_another_account_was_not_paid_for_that(
        self, office: Office, then: str, state: State
    ) -> None:
        """Whoever has another login put into the settings meanwhile reads the lists of somebody else."""
        office.account = "ours"
        office.rules(office.authority.policy)
        payment = await lost(office, paid=False)
        row_of(office)["invoices_type"] = 2
        office.account = then
        office.rules(office.authority.policy)
        assert (await settled(office, payment))[0] is state

    async def test_two_empty_lists_settle_nothing(self, office: Office, clock: Clock) -> None:
        """However long they stay so: that is what an API says that has lost its rows."""
        payment = await lost(office, paid=False)
        for number in (10101, 10102, 10103, 10104, 10105):
            row_of(office, number)["invoices_type"] = 2
        for _ in range(4):
            assert (await settled(office, payment))[0] is State.UNKNOWN
            clock.advance(days=1)
        assert stored(await office.last(payment)) == {
            "reading": "the invoice is not unpaid any more, but nothing shows that it was paid"
        }

    async def test_who_paid_their_only_invoice_is_told_so(self, office: Office) -> None:
        """The list of unpaid ones is empty then, and its own row says it."""
        payment = await lost(office, paid=True)
        for number in (10102, 10103, 10104):
            row_of(office, number)["invoices_paid"] = 1
        assert (await settled(office, payment))[0] is State.PAID

    @pytest.mark.parametrize("module", ["mail", "", None])
    async def test_a_paid_row_that_does_not_name_its_module_settles_nothing(
        self, office: Office, clock: Clock, module: str
    ) -> None:
        """The number is paid, in another module or in none."""
        payment = await lost(office, paid=True)
        for row in office.billing._service.books.invoices("vps"):
            if 10101 in (row["invoices_id"], row["invoices_extra"]):
                row["invoices_module"] = module
            elif not row["invoices_paid"]:
                row["invoices_paid"] = 1
        for _ in range(4):
            assert (await settled(office, payment))[0] is State.UNKNOWN
            clock.advance(days=1)

    async def test_an_invoice_that_was_in_no_list_proves_nothing_by_not_being_there(
        self, office: Office, clock: Clock
    ) -> None:
        """What could not be read before it was sent says nothing of a payment, however long one waits."""
        payment = await office.lost_unread(InvoiceRef("vps", 4711))
        office.billing.heal()
        await settled(office, payment)
        clock.advance(days=1)
        state, _ = await settled(office, payment)
        assert state is State.UNKNOWN

    async def test_an_invoice_that_was_deleted_is_not_called_paid(self, office: Office, clock: Clock) -> None:
        """It left the list of unpaid ones for another reason: a person has to look."""
        payment = await lost(office, paid=False)
        row_of(office)["invoices_deleted"] = 1
        await settled(office, payment)
        clock.advance(days=1)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        event = await office.last(payment)
        assert event.action == "unsettled"
        assert stored(event) == {
            "reading": "the invoice is neither unpaid nor paid; it may have been deleted"
        }


class TestContradictoryEvidence:
    async def test_a_payment_row_of_an_invoice_that_is_still_unpaid_settles_nothing(
        self, office: Office, clock: Clock
    ) -> None:
        """It may have been refunded, or be of another time: a person has to look, however long it takes."""
        payment = await lost(office, paid=True)
        row_of(office)["invoices_paid"] = 0
        assert (await settled(office, payment))[0] is State.UNKNOWN
        clock.advance(days=1)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        assert stored(await office.last(payment)) == {
            "reading": "the invoice is in the list of unpaid ones, and also shown as paid"
        }

    async def test_an_invoice_that_is_marked_as_paid_and_listed_as_unpaid_settles_nothing(
        self, office: Office, clock: Clock
    ) -> None:
        """Neither paid nor declined: the two lists contradict each other."""
        payment = await lost(office, paid=False)
        row = row_of(office)

        def mark_as_paid(call: Call) -> None:
            # Called before the next list is read.
            if call.operation.endswith("invoices"):
                row["invoices_paid"] = int(call.operation != ALL)

        office.billing.on_call = mark_as_paid
        clock.advance(days=1)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        clock.advance(days=1)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        assert stored(await office.last(payment)) == {
            "reading": "the invoice is in the list of unpaid ones, and also shown as paid"
        }


class TestEvidenceThatItWasNotPaid:
    async def test_still_unpaid_counts_only_after_the_settling_time(
        self, office: Office, clock: Clock
    ) -> None:
        """A slow server may yet carry the call out; after that it is declined, and free to be asked again."""
        payment = await lost(office, paid=False)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        waiting = await office.now(payment)
        assert clock.now < waiting.due_at <= waiting.updated_at + SETTLED
        while clock.now - payment.request.created_at < SETTLED - timedelta(seconds=1):
            assert (await settled(office, payment))[0] is State.UNKNOWN
            clock.until((await office.now(payment)).due_at)
        state, reason = await settled(office, payment)
        assert (state, reason) == (
            State.DECLINED,
            "the invoice is still unpaid 17 minutes after the call",
        )
        assert stored(await office.last(payment))["rests_on"] == "still_unpaid"
        await office.request()

    async def test_the_list_of_all_invoices_is_read_only_to_settle(
        self, office: Office, clock: Clock
    ) -> None:
        """While an unpaid one waits for the settling time, the short list says all there is to know."""
        payment = await lost(office, paid=False)
        office.billing.log.clear()
        assert (await settled(office, payment))[0] is State.UNKNOWN
        assert office.calls().count(ALL) == 0
        clock.advance(minutes=17)
        assert (await settled(office, payment))[0] is State.DECLINED
        assert office.calls().count(ALL) == 1

    @pytest.mark.parametrize("mode", ["unreadable", "truncated-after", "http-503-before"])
    async def test_without_the_list_of_all_what_is_unpaid_is_believed_a_settling_time_later(
        self, office: Office, clock: Clock, mode: str
    ) -> None:
        """It would show a payment that is not marked yet; but there are accounts that can never read it."""
        payment = await lost(office, paid=False)
        office.billing.fail(mode, operation=ALL)
        lost_at = payment.updated_at
        while clock.now < lost_at + 2 * SETTLED - timedelta(seconds=1):
            assert (await settled(office, payment))[0] is State.UNKNOWN
            clock.until(min((await office.now(payment)).due_at, lost_at + 2 * SETTLED - timedelta(seconds=1)))
        assert (await settled(office, payment))[0] is State.UNKNOWN
        clock.until((await office.now(payment)).due_at)
        assert (await settled(office, payment))[0] is State.DECLINED
        assert stored(await office.last(payment))["rests_on"] == "still_unpaid"

    async def test_without_the_list_of_all_what_is_gone_is_believed_after_the_settling_time(
        self, office: Office, clock: Clock
    ) -> None:
        """It may have been deleted, which only that list would say; until then it is asked for."""
        payment = await lost(office, paid=True)
        office.billing.fail("unreadable", operation=ALL)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        clock.advance(minutes=17)
        assert (await settled(office, payment))[0] is State.PAID
        assert stored(await office.last(payment))["rests_on"] == "absence"

    async def test_it_is_looked_at_right_when_the_settling_time_is_over(
        self, office: Office, clock: Clock
    ) -> None:
        """Not half as long again later: people wait for it."""
        payment = await lost(office, paid=False)
        called_at = payment.request.created_at
        looks = 0
        while (await settled(office, payment))[0] is State.UNKNOWN:
            clock.until((await office.now(payment)).due_at)
            looks += 1
            assert looks < 30
        assert clock.now - called_at == SETTLED

    async def test_a_payment_that_shows_late_is_still_found(self, office: Office, clock: Clock) -> None:
        """The server carried the call out after ten minutes."""
        payment = await lost(office, paid=False)
        assert (await settled(office, payment))[0] is State.UNKNOWN
        clock.advance(minutes=10)
        row_of(office)["invoices_paid"] = 1
        assert (await settled(office, payment))[0] is State.PAID


class TestNoEvidence:
    @pytest.mark.parametrize("mode", ["unreadable", "down", "http-503-before", "truncated-after"])
    async def test_what_cannot_be_read_stays_unknown(self, office: Office, clock: Clock, mode: str) -> None:
        """However long it lasts: not being able to look is no evidence."""
        payment = await lost(office, paid=False)
        office.billing.fail(mode, operation="api_*_invoices")
        for _ in range(4):
            await office.reconcile()
            clock.advance(hours=12)
        payment = await office.now(payment)
        assert (payment.state, payment.lease) == (State.UNKNOWN, None)

    async def test_looking_gets_rarer_with_time(self, office: Office, clock: Clock) -> None:
        """From seconds to half a day, and no further."""
        payment = await lost(office, paid=False)
        office.billing.fail("unreadable")
        waits: list[float] = []
        for _ in range(24):
            await office.reconcile()
            due = (await office.now(payment)).due_at
            waits.append((due - clock.now).total_seconds())
            clock.until(due)
        after = [wait for wait in waits if wait > 600]
        assert waits[0] == 10
        assert after == sorted(after)
        assert waits[-1] == 12 * 3600

    async def test_people_are_asked_and_not_for_ever(self, office: Office, clock: Clock) -> None:
        """When an answer was to be expected, and once a day from then on; seven times at most."""
        payment = await lost(office, paid=False)
        office.billing.fail("unreadable")
        for _ in range(60):
            await office.reconcile()
            clock.until(max((await office.now(payment)).due_at, clock.now + timedelta(seconds=1)))
        asked = [
            event for event in await office.ledger.history(payment.request.id) if event.action == "unsettled"
        ]
        assert len(asked) == 7
        gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(asked)]
        assert all(gap >= timedelta(hours=11) for gap in gaps)
        assert asked[0].at - payment.updated_at == SETTLED
        assert stored(asked[0]) == {"reading": "the invoice cannot be read"}

    async def test_who_can_never_read_it_asks_people_at_once(
        self, office: Office, other_client: BillingClient
    ) -> None:
        """The API's description has no operation for it: waiting does not help."""
        payment = await lost(office, paid=False)
        office.billing.fail("unlisted")
        office.client = other_client
        office.rules(office.authority.policy)
        await office.reconcile()
        assert (await office.actions(payment))[-1] == "unsettled"

    async def test_who_was_faster_wins(self, office: Office) -> None:
        """A person settled it while the reading was under way: the reading moves nothing."""
        payment = await lost(office, paid=True)
        office.billing.fail("slow", operation="api_*_invoices")
        await office.reconciler_worker.poll_once()
        await office.desk.resolve(BOB, payment.request.id, paid=False, note="I know")
        office.billing.heal()
        await office.reconciler_worker.pool.drain(10)
        assert (await office.now(payment)).state is State.DECLINED
        assert (await office.actions(payment))[-1] == "resolved"

    async def test_only_the_unknown_is_read(self, office: Office) -> None:
        """What is known, or under way, is left alone."""
        await office.pay()
        office.billing.log.clear()
        office.clock.advance(days=1)
        await office.reconcile()
        assert office.billing.log == []


@pytest.mark.parametrize(
    ("found", "listed", "settled", "why"),
    [
        (
            InvoiceEvidence(False, None, None, unclear=True),
            True,
            True,
            "contradict each other",
        ),
        (InvoiceEvidence(True, None, 7), True, True, "in the list of unpaid ones, and also shown as paid"),
        (InvoiceEvidence(True, True, None), True, True, "in the list of unpaid ones, and also shown as paid"),
        (InvoiceEvidence(True, None, None), True, False, "still unpaid, but the call may yet be carried out"),
        (
            InvoiceEvidence(True, None, None),
            True,
            True,
            "still unpaid, but the list of all invoices cannot be read",
        ),
        (
            InvoiceEvidence(False, False, None),
            True,
            True,
            "neither unpaid nor paid",
        ),
        (InvoiceEvidence(False, None, None, gone=True), False, True, "in no list, and was not before"),
        (InvoiceEvidence(False, None, None, gone=True), True, True, "gone from the list of unpaid ones"),
        (InvoiceEvidence(False, None, None), True, True, "but nothing shows that it was paid"),
    ],
)
def test_whoever_has_to_settle_it_hears_why_a_reading_proves_nothing(
    found: InvoiceEvidence, listed: bool, settled: bool, why: str
) -> None:
    """They look for themselves, and this is where to begin."""
    assert why in reconciler._why_not(found, listed=listed, settled=settled)
