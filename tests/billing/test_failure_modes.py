"""The client against every way in which the local billing API can fail.

A mode that is added to the registry without an expectation here fails `test_every_mode_is_expected`.
"""

from __future__ import annotations

import re
import time
import traceback

import pytest

from bot.domain.payment import Verdict
from bot.errors import AnswerLost, BillingError, NeverSent, Unreadable
from bot.sandbox.billing import FAILURES, LocalBilling
from tests.billing.conftest import VPS, NewClient

PAID, DECLINED = Verdict.PAID, Verdict.DECLINED
NOT_SENT, UNKNOWN = Verdict.NOT_SENT, Verdict.UNKNOWN

IMPATIENT = 0.6
"""Seconds; the time-out where the API does not answer. A warm call takes a hundredth of it."""

SESSION_ID = re.compile(r"[0-9a-f]{32}")

# mode: what a payment over an open session becomes, and how often it was really made
PAYMENT: dict[str, tuple[Verdict, int]] = {
    "declined": (DECLINED, 0),
    "timeout-before": (UNKNOWN, 0),
    "timeout-after": (UNKNOWN, 1),
    "reset-before": (UNKNOWN, 0),
    "reset-after": (UNKNOWN, 1),
    "truncated-after": (UNKNOWN, 1),
    "bad-xml-after": (UNKNOWN, 1),
    "html-after": (UNKNOWN, 1),
    "http-500-before": (UNKNOWN, 0),
    "http-500-after": (UNKNOWN, 1),
    "http-503-before": (UNKNOWN, 0),
    "redirect-before": (UNKNOWN, 0),
    "redirect-after": (UNKNOWN, 1),
    "fault-before": (UNKNOWN, 0),
    "fault-after": (UNKNOWN, 1),
    "empty-answer-after": (UNKNOWN, 1),
    "empty-body-after": (UNKNOWN, 1),
    "missing-status-after": (UNKNOWN, 1),
    "odd-status-after": (UNKNOWN, 1),
    "shouted-ok": (PAID, 1),
    "unknown-type-after": (UNKNOWN, 1),
    "huge-after": (UNKNOWN, 1),
    "huge-compressed-after": (UNKNOWN, 1),
    "dtd-after": (UNKNOWN, 1),
    "drip-after": (UNKNOWN, 1),
    "drip-head-after": (UNKNOWN, 1),
    "login-blank": (PAID, 1),
    "login-false": (PAID, 1),
    "login-odd": (PAID, 1),
    "login-fault": (PAID, 1),
    "session-expired": (UNKNOWN, 0),
    "unreadable": (PAID, 1),
    "unlisted": (PAID, 1),
    "unpayable": (PAID, 1),
    "elsewhere": (PAID, 1),
    "no-wsdl": (PAID, 1),
    "down": (NOT_SENT, 0),
    "slow": (UNKNOWN, 1),
    "stall": (UNKNOWN, 0),
}

# mode: what the very first call of a client becomes, where that is another matter
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

# mode, of the lists of invoices: what reading them raises
READ: dict[str, type[Exception] | tuple[type[Exception], ...] | None] = {
    "declined": AnswerLost,
    "timeout-before": AnswerLost,
    "timeout-after": AnswerLost,
    "reset-before": AnswerLost,
    "reset-after": AnswerLost,
    "truncated-after": AnswerLost,
    "bad-xml-after": AnswerLost,
    "html-after": AnswerLost,
    "http-500-before": AnswerLost,
    "http-500-after": AnswerLost,
    "http-503-before": AnswerLost,
    "redirect-before": AnswerLost,
    "redirect-after": AnswerLost,
    "fault-before": Unreadable,
    "fault-after": Unreadable,
    "empty-answer-after": AnswerLost,
    "empty-body-after": AnswerLost,
    "missing-status-after": None,
    "odd-status-after": None,
    "shouted-ok": None,
    "unknown-type-after": None,
    "huge-after": AnswerLost,
    "huge-compressed-after": AnswerLost,
    "dtd-after": AnswerLost,
    "drip-after": AnswerLost,
    "drip-head-after": AnswerLost,
    "login-blank": None,
    "login-false": None,
    "login-odd": None,
    "login-fault": None,
    "session-expired": None,
    "unreadable": Unreadable,
    "unlisted": None,
    "unpayable": None,
    "elsewhere": None,
    "no-wsdl": None,
    # A kept connection may be found closed before the call, or by it.
    "down": (NeverSent, AnswerLost),
    "slow": AnswerLost,
    "stall": AnswerLost,
}

HANGING = {"timeout-before", "timeout-after", "drip-after", "drip-head-after", "slow", "stall"}


def patience(mode: str) -> float:
    return IMPATIENT if mode in HANGING else 5.0


def test_every_mode_is_expected() -> None:
    """A failure mode cannot be added without saying what the client makes of it."""
    assert set(PAYMENT) == set(READ) == set(FAILURES)
    concerning_more = {mode for mode, failure in FAILURES.items() if failure.on != "api_make_payment"}
    assert set(FIRST_PAYMENT) == concerning_more


@pytest.mark.parametrize("mode", FAILURES)
async def test_a_payment_is_sent_once_and_read_truthfully(
    mode: str, api: LocalBilling, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Over an open session, each mode leads to its verdict, with at most one payment received."""
    caplog.set_level("DEBUG")
    client = new_client(timeout=patience(mode))
    await client.unpaid_invoices("vps")
    api.fail(mode)
    started = time.monotonic()
    outcome = await client.make_payment(VPS)
    took = time.monotonic() - started
    verdict, made = PAYMENT[mode]
    assert outcome.verdict is verdict, outcome
    assert api.payments_made("vps", 10101) == made
    assert api.payments_received("vps", 10101) == (0 if verdict is NOT_SENT else 1)
    assert took < patience(mode) + 1.0
    said = f"{caplog.text} {outcome!r} {client!r}"
    assert api.password not in said
    assert not SESSION_ID.search(said)
    assert "Envelope" not in said
    assert "\n" not in outcome.evidence


@pytest.mark.parametrize("mode", FIRST_PAYMENT)
async def test_what_goes_wrong_before_the_payment_is_not_sent(
    mode: str, api: LocalBilling, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever stops the WSDL or the login, the payment is NOT_SENT and none is received."""
    caplog.set_level("DEBUG")
    client = new_client(timeout=patience(mode))
    api.fail(mode)
    outcome = await client.make_payment(VPS)
    verdict, made = FIRST_PAYMENT[mode]
    assert outcome.verdict is verdict, outcome
    assert api.payments_received("vps", 10101) == api.payments_made("vps", 10101) == made
    said = f"{caplog.text} {outcome!r}"
    assert api.password not in said
    assert not SESSION_ID.search(said)


@pytest.mark.parametrize("mode", FAILURES)
async def test_reading_invoices_says_what_went_wrong(
    mode: str, api: LocalBilling, new_client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Each mode, applied to the lists of invoices, gives the right list or its own kind of error."""
    caplog.set_level("DEBUG")
    client = new_client()
    await client.unpaid_invoices("mail")
    concerns_payments = FAILURES[mode].on == "api_make_payment"
    api.fail(mode, operation="api_*_invoices" if concerns_payments else None)
    raised: Exception | None = None
    try:
        found = await client.unpaid_invoices("vps", timeout=patience(mode))
        assert [invoice.ref.number for invoice in found] == [10101, 10102, 10103, 10104]
    except BillingError as error:
        raised = error
    expected = READ[mode]
    assert (raised is None) if expected is None else isinstance(raised, expected), raised
    said = caplog.text
    if raised is not None:
        said += "".join(traceback.format_exception(raised))
    assert api.password not in said
    assert not SESSION_ID.search(said)
    assert "Envelope" not in said


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
        await client.standing(VPS)
    assert (await client.make_payment(VPS)).verdict is PAID


async def test_the_status_is_kept_verbatim(api: LocalBilling, new_client: NewClient) -> None:
    """status and status_text are handed on as the API wrote them, whatever they mean."""
    client = new_client()
    api.fail("odd-status-after")
    outcome = await client.make_payment(VPS)
    assert (outcome.verdict, outcome.status) == (UNKNOWN, "pending")
    assert outcome.status_text == "Payment of 10.00 USD for Invoice 10101 Successful."
    api.fail("shouted-ok")
    outcome = await client.make_payment(type(VPS)("vps", 10102))
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
