"""What goes wrong before the one call of a payment, and what an account may lack."""

from __future__ import annotations

import pytest

from bot.domain.payment import InvoiceRef, Verdict
from bot.errors import Unreadable
from bot.sandbox.local_billing import FAILURES, LocalBilling
from tests.billing.conftest import VPS, NewClient, assert_nothing_leaked

PAID, DECLINED = Verdict.PAID, Verdict.DECLINED
NOT_SENT, UNKNOWN = Verdict.NOT_SENT, Verdict.UNKNOWN

# mode: what the very first call of a client becomes, and how often the payment was really made
FIRST_PAYMENT: dict[str, tuple[Verdict, int]] = {
    "login-blank": (NOT_SENT, 0),
    "login-false": (NOT_SENT, 0),
    "login-odd": (NOT_SENT, 0),
    "login-fault": (NOT_SENT, 0),
    "session-expired": (PAID, 1),
    "unreadable": (PAID, 1),
    "unlisted": (PAID, 1),
    "unpayable": (NOT_SENT, 0),
    "elsewhere": (NOT_SENT, 0),
    "no-wsdl": (NOT_SENT, 0),
    "down": (NOT_SENT, 0),
    "slow": (NOT_SENT, 0),
    "stall": (NOT_SENT, 0),
}


def test_every_mode_that_is_not_of_payments_is_expected() -> None:
    """A mode that concerns the WSDL, the login or the reads cannot be added without a word here."""
    concerning_more = {mode for mode, failure in FAILURES.items() if failure.on != "api_make_payment"}
    assert set(FIRST_PAYMENT) == concerning_more


@pytest.mark.parametrize("mode", FIRST_PAYMENT)
async def test_what_goes_wrong_before_the_payment_is_not_sent(
    mode: str, api: LocalBilling, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever stops the WSDL or the login, the payment is NOT_SENT and none is received."""
    caplog.set_level("DEBUG")
    client = new_client(timeout=0.4 if mode in {"slow", "stall"} else 5.0)
    api.fail(mode)
    outcome = await client.make_payment(VPS)
    verdict, made = FIRST_PAYMENT[mode]
    assert outcome.verdict is verdict, outcome
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
    assert (await client.make_payment(VPS)).verdict is PAID


async def test_the_status_is_kept_verbatim(api: LocalBilling, new_client: NewClient) -> None:
    """status and status_text are handed on as the API wrote them, whatever they mean."""
    client = new_client()
    api.fail("odd-status-after")
    outcome = await client.make_payment(VPS)
    assert (outcome.verdict, outcome.status) == (UNKNOWN, "pending")
    assert outcome.status_text == "Payment of 10.00 USD for Invoice 10101 Successful."
    api.fail("shouted-ok")
    outcome = await client.make_payment(InvoiceRef("vps", 10102))
    assert (outcome.verdict, outcome.status) == (PAID, "  OK ")
    api.heal()
    outcome = await client.make_payment(VPS)
    assert (outcome.verdict, outcome.status) == (DECLINED, "error")
    assert outcome.status_text == "Invalid Invoice Number Passed or missing Module information."


async def test_a_failure_to_load_the_wsdl_is_not_for_ever(api: LocalBilling, new_client: NewClient) -> None:
    """The WSDL is asked for again by the call after one that could not load it."""
    client = new_client()
    api.fail("no-wsdl", times=1)
    assert (await client.make_payment(VPS)).verdict is NOT_SENT
    assert (await client.make_payment(VPS)).verdict is PAID
