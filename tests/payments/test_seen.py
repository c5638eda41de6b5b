"""Who was shown a price asks for the invoice at that price: what costs something else is not paid."""

from __future__ import annotations

import pytest

from bot.domain.events import Requested
from bot.domain.payment import InvoiceRef, State
from bot.domain.policy import Tier
from tests.payments.conftest import PAY, VPS, Office, policy

SEEN = {VPS: "10.00 USD"}


def costs(office: Office, amount: float) -> None:
    row = office.billing.row(VPS.module, VPS.number)
    assert row is not None
    row["invoices_amount"] = amount


async def test_what_costs_what_was_seen_is_paid(office: Office) -> None:
    """And what was shown stands in the trail."""
    payment = await office.pay(seen=SEEN)
    assert payment.state is State.PAID
    asked = (await office.ledger.history(payment.request.id))[0].what
    assert isinstance(asked, Requested)
    assert asked.seen == "10.00 USD"
    assert (await office.ledger.verify()).whole


@pytest.mark.parametrize("approvals", [0, 1])
async def test_what_costs_something_else_when_it_is_read_is_cancelled(office: Office, approvals: int) -> None:
    """Both amounts are said, and how to go on."""
    office.rules(policy(tiers=(Tier(None, approvals),)))
    costs(office, 9000.0)
    payment = await office.looked_up(seen=SEEN)
    assert payment.state is State.CANCELLED
    assert payment.reason == "it was asked for at 10.00 USD and costs 9,000.00 USD now"
    assert PAY not in office.calls()
    assert (await office.ledger.verify()).whole


async def test_what_nobody_could_read_at_first_is_compared_when_it_is_read(office: Office) -> None:
    """The API was away right after it was asked for; it must not be paid at whatever it costs then."""
    office.patience(seconds=1)
    office.billing.fail("unreadable")
    payment = await office.looked_up(seen=SEEN)
    assert (payment.state, payment.invoice) == (State.APPROVED, None)
    office.billing.heal()
    costs(office, 9000.0)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (
        State.CANCELLED,
        "it was asked for at 10.00 USD and costs 9,000.00 USD now",
    )
    assert PAY not in office.calls()
    assert (await office.ledger.verify()).whole


async def test_what_was_seen_is_not_paid_unread(office: Office) -> None:
    """An account that reads nothing pays unknown amounts; not so one that was shown this one a moment ago."""
    office.patience(seconds=1)
    office.billing.fail("unreadable")
    payment = await office.looked_up(seen=SEEN)
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.APPROVED, "the invoice cannot be read any more")
    office.billing.heal()
    office.clock.advance(minutes=1)
    await office.execute()
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_of_another_nothing_was_seen(office: Office) -> None:
    """A number that was typed beside what was picked is asked for at whatever it costs, as by a command."""
    costs(office, 9000.0)
    payment = await office.pay(seen={InvoiceRef("vps", 10102): "49.99 USD"})
    assert payment.state is State.PAID
