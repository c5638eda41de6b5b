"""The look-up: what the API says once is frozen, and decides what the rule asks for."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from bot.domain.payment import Invoice, InvoiceRef, State
from bot.domain.policy import Tier
from bot.domain.unpaid_list import UnpaidList
from bot.ledger.rows import Kind
from tests.fixture_types import Clock
from tests.ledger.making import claimed
from tests.payments.conftest import ALICE, BOB, VPS, Office, policy

EURO = InvoiceRef("domains", 10002)
TIERS = (Tier(Decimal(5), 0), Tier(Decimal(50), 1), Tier(None, 2))


async def test_what_the_api_tells_is_frozen(office: Office, clock: Clock) -> None:
    """Amount, currency, description and due date stay as they were when it was asked for."""
    row = office.billing.row("vps", 10101)
    assert row is not None
    payment = await office.looked_up()
    assert payment.invoice == Invoice(
        VPS,
        str(row["invoices_description"]),
        Decimal("10.00"),
        "USD",
        date.fromisoformat(str(row["invoices_due_date"])[:10]),
    )
    assert (payment.listed, payment.looked_up_at) == (True, clock.now)
    row["invoices_amount"] = 99.0
    await office.look()
    assert (await office.now(payment)).invoice == payment.invoice
    assert office.calls() == ["api_vps_get_client_unpaid_invoices"]


async def test_without_approvals_it_is_approved_at_once(office: Office) -> None:
    """By the policy, in the trail."""
    payment = await office.looked_up()
    assert payment.state is State.APPROVED
    assert await office.actions(payment) == ["requested", "looked_up", "approval_complete"]
    assert (await office.last(payment)).actor == "policy"


async def test_what_is_not_listed_has_no_amount(office: Office) -> None:
    """A paid, foreign or mistyped number: the amount is not told, nobody is asked, and the card says so."""
    payment = await office.looked_up(InvoiceRef("vps", 10105))
    assert (payment.listed, payment.invoice, payment.state) == (False, None, State.CANCELLED)


@pytest.mark.parametrize("mode", ["unreadable", "unlisted", "down", "stall", "login-fault", "no-wsdl"])
async def test_what_cannot_be_read_is_not_told(office: Office, mode: str) -> None:
    """The request goes on with no amount, within the time that the card may wait for it."""
    office.patience(seconds=1)
    office.billing.fail(mode)
    payment = await office.looked_up()
    assert (payment.listed, payment.invoice) == (None, None)
    assert payment.looked_up_at is not None
    assert payment.state is State.APPROVED


@pytest.mark.parametrize(
    ("ref", "required"),
    [
        (InvoiceRef("mail", 10301), 0),  # 1.00 USD
        (VPS, 1),  # 10.00 USD
        (InvoiceRef("vps", 10103), 2),  # 120.00 USD
        (InvoiceRef("floating_ips", 4711), 2),  # not told
    ],
)
async def test_the_amount_decides_how_many_must_approve(
    office: Office, ref: InvoiceRef, required: int
) -> None:
    """An unknown amount counts as above every threshold."""
    office.rules(policy(tiers=TIERS))
    row = office.billing.row("floating_ips", 10601)
    assert row is not None
    row["invoices_paid"] = 1  # so that this account never saw an invoice of the module
    payment = await office.looked_up(ref)
    assert payment.request.approvals_required == required
    assert payment.state is (State.PENDING_APPROVAL if required else State.APPROVED)


async def test_what_cannot_be_read_needs_the_most_approvals(office: Office) -> None:
    """An API that does not answer is no way around the policy."""
    office.rules(policy(tiers=TIERS))
    office.billing.fail("unreadable")
    payment = await office.looked_up(InvoiceRef("mail", 10301))
    assert (payment.request.approvals_required, payment.state) == (2, State.PENDING_APPROVAL)


async def test_over_a_limit_it_is_cancelled_and_its_card_says_why(office: Office) -> None:
    """Nothing is sent; the reason is in the payment and in the trail."""
    office.rules(policy(limit_per_payment=Decimal(9)))
    payment = await office.request()
    await office.look_up_worker.poll_once()
    await office.look_up_worker.pool.drain(10)
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert (
        payment.reason == "10.00 USD is above the limit of 9.00 USD for one payment; waiting will not help."
    )
    kinds = [delivery.kind for delivery in await claimed(office.ledger)]
    assert kinds == [Kind.CARD]


async def test_an_amount_that_is_not_told_is_over_every_limit(office: Office) -> None:
    """What cannot be compared with the limit is not paid under it."""
    office.rules(policy(limit_per_payment=Decimal(1000)))
    office.billing.fail("unreadable")
    payment = await office.looked_up()
    assert payment.state is State.CANCELLED
    assert payment.reason == "The amount of this invoice is not known, and a limit applies to it."


async def test_a_currency_that_the_rule_does_not_name_is_refused(office: Office) -> None:
    """A limit in USD says nothing of euros."""
    office.rules(policy(limit_per_payment=Decimal(1000)))
    payment = await office.looked_up(EURO)
    assert payment.state is State.CANCELLED
    assert payment.reason == "This invoice is in EUR; only USD may be paid here."


async def test_a_days_limit_counts_what_was_requested_that_day(office: Office, clock: Clock) -> None:
    """In UTC, by person and by rule; what came to nothing is not counted."""
    office.rules(
        policy(
            requesters=frozenset({ALICE.id, BOB.id}),
            limit_per_person_per_day=Decimal(60),
            limit_per_rule_per_day=Decimal(70),
        )
    )
    assert (await office.looked_up(VPS)).state is State.APPROVED
    assert (await office.looked_up(InvoiceRef("vps", 10102))).state is State.APPROVED  # 49.99
    one_more = InvoiceRef("vps", 10106)
    office.billing.add_invoice("vps", 10106, amount=5.0)
    refused = await office.looked_up(one_more)
    assert refused.state is State.CANCELLED
    assert "your limit of 60.00 USD a day" in str(refused.reason)
    assert (await office.looked_up(one_more, person=BOB)).state is State.APPROVED
    office.billing.add_invoice("vps", 10107, amount=5.02)
    refused = await office.looked_up(InvoiceRef("vps", 10107), person=BOB)
    assert "everybody's limit of 70.00 USD a day" in str(refused.reason)
    clock.advance(hours=15)
    assert clock.now.hour == 0
    assert (await office.looked_up(InvoiceRef("vps", 10107))).state is State.APPROVED


async def test_a_requester_who_was_removed_meanwhile_gets_nothing(office: Office) -> None:
    """Between the command and the look-up the policy changed."""
    payment = await office.request()
    office.rules(policy(requesters=frozenset({BOB.id})))
    await office.look()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert (await office.last(payment)).actor == "policy"


async def test_a_silent_directory_puts_it_off(office: Office, clock: Clock) -> None:
    """Nothing is decided on what Slack did not say; it is tried again after a while."""
    office.rules(policy(requesters=frozenset({"S1"})))
    office.register.groups["S1"] = {ALICE.id}
    payment = await office.request()
    office.register.silent = True
    await office.look()
    assert (await office.now(payment)).looked_up_at is None
    office.register.silent = False
    await office.look()
    assert (await office.now(payment)).looked_up_at is None, "not yet"
    clock.advance(seconds=30)
    await office.look()
    assert (await office.now(payment)).state is State.APPROVED


async def test_what_was_cancelled_meanwhile_stays_cancelled(office: Office) -> None:
    """The answer of the API comes too late for it."""
    office.billing.fail("slow", operation="api_vps_*")
    payment = await office.request()
    await office.look_up_worker.poll_once()
    await office.desk.withdraw(ALICE, payment.request.id)
    office.billing.heal()
    await office.look_up_worker.pool.drain(10)
    assert (await office.now(payment)).state is State.CANCELLED
    assert await office.actions(payment) == ["requested", "cancelled"]


async def test_an_approval_channel_gets_a_card_of_its_own(office: Office) -> None:
    """Where the rule names one, and approvals are needed at all."""
    office.rules(policy(tiers=TIERS, approval_channel="C2"))
    payment = await office.looked_up()
    assert payment.request.cards.approval_channel == "C2"
    assert payment.request.cards.approval_ts is not None
    free = await office.looked_up(InvoiceRef("mail", 10301))
    assert (free.request.cards.approval_channel, free.request.cards.approval_ts) == (None, None)


async def test_a_reminder_comes_before_the_end(office: Office, clock: Clock) -> None:
    """It is due when the rule says, or when half of the time is over."""
    office.rules(policy(tiers=(Tier(None, 1),), remind_every=timedelta(hours=4)))
    payment = await office.looked_up()
    assert payment.due_at == clock.now + timedelta(hours=4)
    office.rules(policy(tiers=(Tier(None, 1),)))
    payment = await office.looked_up(InvoiceRef("vps", 10102))
    assert payment.due_at == clock.now + timedelta(hours=36)


async def test_what_another_instance_decided_meanwhile_is_not_undone(office: Office) -> None:
    """It was taken over while we read: the approvals it asks for stay asked for, whatever we have read."""
    taken = await office.request()
    office.rules(policy(tiers=(Tier(None, 1),)))
    await office.look()
    decided = await office.now(taken)
    assert decided.state is State.PENDING_APPROVAL
    office.rules(policy())
    await office.look_up.handle(taken)
    assert await office.now(taken) == decided


async def test_what_was_withdrawn_while_it_was_read_stays_so(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is, and its card is all that is to be posted."""
    taken = await office.request()
    read = office.client.unpaid_invoices

    async def withdrawn_meanwhile(module: str, *, timeout: float) -> UnpaidList:
        await office.desk.withdraw(ALICE, taken.request.id)
        return await read(module, timeout=timeout)

    monkeypatch.setattr(office.client, "unpaid_invoices", withdrawn_meanwhile)
    await office.look_up.handle(taken)
    assert await office.actions(taken) == ["requested", "cancelled"]
    assert [one.kind for one in await claimed(office.ledger)] == [Kind.CARD]
