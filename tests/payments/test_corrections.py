"""What a person may not set right: what rests on a proof."""

from __future__ import annotations

import pytest

from bot.domain.payment import State
from bot.payments.answers import AlreadyDecided
from tests.payments.conftest import BOB, Office
from tests.payments.test_reconciler import lost, row_of, settled


@pytest.mark.parametrize("proof", ["payment row", "paid flag"])
async def test_what_a_payment_row_proves_is_not_corrected(office: Office, proof: str) -> None:
    """The billing API itself shows that it was paid; "not paid" would let the invoice be paid again."""
    payment = await lost(office, paid=proof == "payment row")
    if proof == "paid flag":
        row_of(office)["invoices_paid"] = 1
    assert (await settled(office, payment))[0] is State.PAID
    office.clock.advance(hours=1)
    answer = await office.desk.resolve(BOB, payment.id, paid=False, note="I do not see it")
    assert answer == AlreadyDecided(await office.now(payment))
    assert answer.payment.state is State.PAID
