"""What goes wrong before the one call of a payment, and what an account may lack."""

from __future__ import annotations

import pytest

from bot.domain.payment import InvoiceRef, Verdict
from bot.errors import Unreadable
from bot.sandbox.local_billing import LocalBilling
from tests.billing.conftest import VPS, NewClient, assert_nothing_leaked
from tests.billing.failure_modes import EXPECTED

FIRST = {mode: expected for mode, expected in EXPECTED.items() if expected.first is not None}


@pytest.mark.parametrize("mode", FIRST)
async def test_what_goes_wrong_before_the_payment_is_not_sent(
    mode: str, api: LocalBilling, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever stops the WSDL or the login, the payment is NOT_SENT and none is received."""
    caplog.set_level("DEBUG")
    client = new_client(timeout=0.4 if FIRST[mode].hangs else 5.0)
    api.fail(mode)
    outcome = await client.make_payment(VPS)
    assert outcome.verdict is FIRST[mode].first, outcome
    made = outcome.verdict is Verdict.PAID
    assert api.payments_received("vps", 10101) == api.payments_made("vps", 10101) == made
    assert_nothing_leaked(api, f"{caplog.text} {outcome!r}")


@pytest.mark.parametrize("mode", ["unreadable", "unlisted"])
async def test_an_account_that_cannot_read_invoices_can_still_pay(
    mode: str, api: LocalBilling, new_client: NewClient
) -> None:
    """Unreadable invoices are told as such, by reads of either kind, and a payment goes through."""
    client = new_client()
    api.fail(mode)
    with pytest.raises(Unreadable):
        await client.unpaid_invoices("vps")
    with pytest.raises(Unreadable):
        await client.evidence_of(VPS)
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID


async def test_the_status_is_kept_verbatim(api: LocalBilling, new_client: NewClient) -> None:
    """status and status_text are handed on as the API wrote them, whatever they mean."""
    client = new_client()
    api.fail("odd-status-after")
    outcome = await client.make_payment(VPS)
    assert (outcome.verdict, outcome.status) == (Verdict.UNKNOWN, "pending")
    assert outcome.status_text == "Payment of 10.00 USD for Invoice 10101 Successful."
    api.fail("shouted-ok")
    outcome = await client.make_payment(InvoiceRef("vps", 10102))
    assert (outcome.verdict, outcome.status) == (Verdict.PAID, "  OK ")
    api.heal()
    outcome = await client.make_payment(VPS)
    assert (outcome.verdict, outcome.status) == (Verdict.DECLINED, "error")
    assert outcome.status_text == "Invalid Invoice Number Passed or missing Module information."


async def test_a_failure_to_load_the_wsdl_is_not_for_ever(api: LocalBilling, new_client: NewClient) -> None:
    """The WSDL is asked for again by the call after one that could not load it."""
    client = new_client()
    api.fail("no-wsdl", times=1)
    assert (await client.make_payment(VPS)).verdict is Verdict.NOT_SENT
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
