"""An invoice that is listed at an amount that cannot be read is neither paid, nor away, nor left untold."""

from __future__ import annotations

from typing import cast

import pytest

from bot.domain.payment import InvoiceRef, State
from bot.domain.policy import Tier
from bot.payments.payable import found_in
from bot.payments.unpaid import UnpaidInvoices
from tests.payments.conftest import BOB, PAY, VPS, Office, policy

UNREADABLE = [("invoices_currency", ""), ("invoices_currency", "US$"), ("invoices_amount", "1,234.56")]
NOT_LISTED = "vps 10101 is not in the list of unpaid invoices, or not with an amount that can be read"


def row_of(office: Office, number: int) -> dict[str, object]:
    """What the billing API has of an invoice, to be changed."""
    return cast(dict[str, object], office.billing.row("vps", number))


def unreadable(office: Office, *numbers: int, column: str = "invoices_currency", value: object = "") -> None:
    """From now on the amounts of these cannot be read."""
    for number in numbers:
        row_of(office, number)[column] = value


EVERY = (10101, 10102, 10103, 10104)
"""All that is unpaid of vps."""


@pytest.mark.parametrize(("column", "value"), UNREADABLE)
async def test_what_is_not_in_a_list_is_not_sent_though_no_amount_in_it_can_be_read(
    office: Office, column: str, value: object
) -> None:
    """The list was read, and says what is unpaid: it is no empty one."""
    unreadable(office, *EVERY, column=column, value=value)
    office.billing.add_invoice("vps", VPS.number, paid=True)
    payment = await office.pay()
    assert (payment.state, payment.reason) == (State.CANCELLED, NOT_LISTED)
    assert PAY not in office.calls()


async def test_what_is_not_in_a_list_of_other_things_is_not_sent(office: Office) -> None:
    """All that the list holds is of other modules: it was read, so it is no empty one."""
    office.billing.mix_modules()
    for number in EVERY:
        office.billing.add_invoice("vps", number, paid=True)
    payment = await office.pay()
    assert (payment.state, payment.reason) == (State.CANCELLED, NOT_LISTED)
    assert PAY not in office.calls()


async def test_what_is_in_such_a_list_is_paid_by_those_whom_an_unknown_amount_takes(office: Office) -> None:
    """Where no amount could ever be read, as of an account that may not read its invoices."""
    office.rules(policy(tiers=(Tier(None, 1),)))
    unreadable(office, *EVERY)
    payment = await office.looked_up()
    assert (payment.state, payment.invoice, payment.listed) == (State.PENDING_APPROVAL, None, None)
    await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


@pytest.mark.parametrize("others", [(), EVERY], ids=["one", "all"])
@pytest.mark.parametrize(("column", "value"), UNREADABLE)
async def test_what_was_approved_waits_while_its_amount_cannot_be_read(
    office: Office, others: tuple[int, ...], column: str, value: object
) -> None:
    """That it is paid already, or not unpaid any more, would not be so; it is paid once it can be read."""
    office.rules(policy(tiers=(Tier(None, 1),)))
    payment = await office.looked_up()
    right = row_of(office, VPS.number)[column]
    unreadable(office, VPS.number, *others, column=column, value=value)
    office.clock.advance(minutes=1)
    await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.APPROVED
    assert str(payment.reason).startswith("its amount cannot be read any more")
    assert PAY not in office.calls()
    unreadable(office, VPS.number, column=column, value=right)
    office.clock.advance(minutes=1)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_among_others_that_can_be_read_it_is_not_paid_at_any_amount(office: Office) -> None:
    """Nothing says that it is not in the list."""
    unreadable(office, VPS.number)
    payment = await office.pay()
    assert (payment.state, payment.listed, payment.reason) == (State.CANCELLED, None, NOT_LISTED)
    assert PAY not in office.calls()


async def test_it_is_told_beside_what_can_be_read(office: Office) -> None:
    """To who looks at the list, and to who asks for it with others."""
    unreadable(office, VPS.number)
    listing = await UnpaidInvoices(office.client, office.ledger).of(["vps"])
    assert listing.unclear == (VPS,)
    assert VPS not in [one.invoice.ref for one in listing.invoices]
    read = await office.client.unpaid_invoices("vps")
    assert found_in(read, VPS).unpaid is None
    assert found_in(read, InvoiceRef("vps", 10102)).unpaid is True
    assert found_in(read, InvoiceRef("vps", 999)).unpaid is False
