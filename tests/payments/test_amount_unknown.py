"""An amount that nobody could read is no blank cheque: it is read before it is paid, and decided on anew."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bot.domain.batch import Batch
from bot.domain.events import Approved
from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Tier
from bot.payments.answers import Outdated
from tests.payments.conftest import ALICE, BOB, CAROL, PAY, UNPAID, VPS, Office, policy

CURRENCY_UNKNOWN = "The currency of this invoice is not known, and not every one may be paid here."


async def unread(office: Office, approvers: tuple[Any, ...] = (BOB,), **rule: Any) -> Payment:
    """A payment whose look-up failed, approved all the same; the list can be read again."""
    office.rules(policy(**({"tiers": (Tier(None, len(approvers)),)} | rule)))
    office.billing.fail("reset-before", operation=UNPAID)
    payment = await office.looked_up()
    assert payment.invoice is None
    for approver in approvers:
        await office.desk.approve(approver, payment.request.id)
    office.billing.heal()
    office.billing.log.clear()
    payment = await office.now(payment)
    assert payment.state is State.APPROVED
    return payment


async def test_it_is_read_right_before_it_is_sent(office: Office) -> None:
    """A look-up that failed a moment ago checks nothing."""
    payment = await unread(office, approvers=())
    office.clock.advance(minutes=1)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.listed) == (State.APPROVED, True)
    assert payment.looked_up_at == office.clock.now
    assert payment.invoice is not None
    assert payment.invoice.amount == Decimal(10)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID
    assert office.calls() == [UNPAID, PAY], "and what was read serves for the payment"


async def test_another_currency_than_the_rule_allows_is_not_paid(office: Office) -> None:
    """A rule for USD paid 90,000 EUR after one failed reading."""
    office.billing.add_invoice("vps", VPS.number, amount=90_000.0, currency="EUR")
    payment = await unread(office)
    office.rules(policy(tiers=(Tier(None, 1),), currencies=frozenset({"USD"})))
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert payment.reason == "This invoice is in EUR; only USD may be paid here."
    assert PAY not in office.calls()


async def test_who_approved_an_unknown_amount_is_asked_again_with_the_amount(office: Office) -> None:
    """Nobody approved 90,000 USD; what was approved before does not count."""
    office.billing.add_invoice("vps", VPS.number, amount=90_000.0)
    payment = await unread(office)
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.PENDING_APPROVAL
    assert payment.invoice is not None
    assert payment.invoice.amount == Decimal(90_000)
    assert await office.ledger.approvers(payment.request.id) == []
    assert (await office.actions(payment))[-2:] == ["looked_up", "asked_again"]
    assert PAY not in office.calls()
    await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


@pytest.mark.parametrize("seen", ["unknown", "10.00 USD", None], ids=str)
async def test_a_click_on_what_did_not_show_the_amount_approves_nothing(
    office: Office, seen: str | None
) -> None:
    """The same click delivered twice, a second click on the old card, a card of an older version."""
    office.billing.add_invoice("vps", VPS.number, amount=90_000.0)
    payment = await unread(office)
    await office.execute()
    answer = await office.desk.approve(BOB, payment.request.id, seen=seen)
    assert answer == Outdated(Batch((await office.now(payment),)))
    assert await office.ledger.approvers(payment.request.id) == []
    await office.execute()
    assert PAY not in office.calls()


async def test_the_amount_decides_anew_how_many_must_approve(office: Office) -> None:
    """Two were asked as it might have been much; it is little, and one is enough: that one is asked."""
    tiers = (Tier(Decimal(5), 0), Tier(Decimal(100), 1), Tier(None, 2))
    payment = await unread(office, approvers=(BOB, CAROL), tiers=tiers)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.request.approvals_required) == (State.PENDING_APPROVAL, 1)
    await office.desk.approve(CAROL, payment.request.id, seen=payment.price)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_whoever_is_asked_again_counts_once(office: Office) -> None:
    """What they approved before stands in the trail still, and is no second person's word."""
    payment = await unread(office, approvers=(BOB, CAROL))
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.request.approvals_required) == (State.PENDING_APPROVAL, 2)
    await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    assert (await office.now(payment)).state is State.PENDING_APPROVAL
    approved = (await office.last(payment)).what
    assert approved == Approved(1, 2, payment.price)
    await office.desk.approve(CAROL, payment.request.id, seen=payment.price)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_what_needs_nobody_now_that_it_is_known_is_paid(office: Office) -> None:
    """It was approved as if it were much, and is so little that nobody need be asked."""
    tiers = (Tier(Decimal(50), 0), Tier(None, 1))
    payment = await unread(office, tiers=tiers)
    await office.execute()
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.request.approvals_required) == (State.PAID, 0)


async def test_no_rule_counts_an_approval_of_what_nobody_knew_for_what_is_known_now(office: Office) -> None:
    """Nobody had to be asked again; by stricter rules, such as another instance has, somebody would."""
    payment = await unread(office, tiers=(Tier(Decimal(50), 0), Tier(None, 1)))
    await office.execute()
    assert (await office.now(payment)).state is State.APPROVED
    assert await office.ledger.approvers(payment.request.id) == []
    assert (await office.actions(payment))[-2:] == ["looked_up", "asked_again"]
    office.rules(policy(tiers=(Tier(None, 1),)))
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert payment.reason == "it has 0 of the approvals that the rules as they are now ask for, and needs 1"
    assert PAY not in office.calls()


async def test_a_limit_that_came_up_since_counts_on_the_amount(office: Office) -> None:
    """The rule as it is now, on what the invoice says now."""
    payment = await unread(office)
    office.rules(policy(tiers=(Tier(None, 1),), limit_per_payment=Decimal(5)))
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.CANCELLED
    assert "above the limit of 5.00 USD" in str(payment.reason)
    event = await office.last(payment)
    assert (event.actor, event.action) == ("executor", "cancelled")


async def test_an_invoice_that_turns_out_not_to_be_listed_is_not_paid(office: Office) -> None:
    """It could not be read when it was asked for; now that it can, it is not there."""
    office.billing.add_invoice("vps", VPS.number, paid=True)
    payment = await unread(office)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (
        State.CANCELLED,
        "vps 10101 is not in the list of unpaid invoices, or not with an amount that can be read",
    )


@pytest.mark.parametrize("mode", ["reset-before", "down", "stall", "html-after", "truncated-after"])
async def test_while_it_cannot_be_read_it_waits(office: Office, mode: str) -> None:
    """That the API does not answer is no word on the amount; it is asked again until it is."""
    payment = await unread(office)
    office.billing.fail(mode, operation=UNPAID)
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.APPROVED
    assert str(payment.reason).startswith("the billing API ")
    office.billing.heal()
    office.clock.advance(seconds=30)
    await office.execute()
    assert (await office.now(payment)).state is State.PENDING_APPROVAL


async def test_a_fault_where_invoices_were_read_before_is_no_account_without_a_right(office: Office) -> None:
    """An account that ever saw an invoice of the module can read it; a fault is an ailing server's."""
    assert (await office.pay(InvoiceRef("vps", 10102))).state is State.PAID
    payment = await unread(office)
    office.billing.fail("unreadable")
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.APPROVED, "the invoice cannot be read any more")


@pytest.mark.parametrize("mode", ["unreadable", "fault-before"])
async def test_a_fault_in_one_module_is_no_account_without_a_right_where_another_was_read(
    office: Office, mode: str
) -> None:
    """A rule for USD paid 90,000 EUR in a module that had never been read."""
    assert (await office.pay(InvoiceRef("vps", 10102))).listed
    office.billing.add_invoice("domains", 777, amount=90_000.0, currency="EUR")
    office.billing.fail(mode, operation="api_domains_get_client_unpaid_invoices")
    payment = await office.pay(InvoiceRef("domains", 777))
    assert (payment.state, payment.reason) == (State.APPROVED, "the invoice cannot be read any more")
    assert office.billing.payments_received("domains", 777) == 0


async def test_a_currency_that_is_unknown_is_none_of_those_that_a_rule_names(office: Office) -> None:
    """Whatever the account may read."""
    office.rules(policy(currencies=frozenset({"USD"})))
    office.billing.fail("unreadable")
    payment = await office.looked_up()
    assert payment.state is State.CANCELLED
    assert payment.reason == CURRENCY_UNKNOWN


async def test_an_account_that_can_never_read_pays_only_where_the_rule_allows_it(office: Office) -> None:
    """A rule with a limit does not."""
    office.rules(policy(limit_per_payment=Decimal(1000)))
    office.billing.fail("unreadable")
    payment = await office.looked_up(person=ALICE)
    assert (payment.state, payment.reason) == (
        State.CANCELLED,
        "The amount of this invoice is not known, and a limit applies to it.",
    )
