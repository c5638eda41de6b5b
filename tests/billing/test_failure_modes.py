"""The client against every way in which the local billing API can fail.

A mode that is added to the registry without an expectation here fails `test_every_mode_is_expected`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef, Verdict
from bot.errors import AnswerLost, BillingError, NeverSent, Unreadable
from bot.sandbox.local_billing import FAILURES, LocalBilling
from tests.billing.conftest import assert_nothing_leaked

PAID, DECLINED = Verdict.PAID, Verdict.DECLINED
NOT_SENT, UNKNOWN = Verdict.NOT_SENT, Verdict.UNKNOWN

IMPATIENT = 0.4
"""Seconds; the time-out where the API does not answer. A warm call takes a hundredth of it."""

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
    "expanding-after": (UNKNOWN, 1),
    "echo-after": (PAID, 1),
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
    # A list is read row by row, so 5 MiB are not too long.
    "huge-after": None,
    "huge-compressed-after": None,
    "dtd-after": AnswerLost,
    # References beside a list are not followed: nothing in the list refers to them.
    "expanding-after": None,
    "echo-after": None,
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
    # A call that was given up may end, and take the session with it, just before this one.
    "stall": (NeverSent, AnswerLost),
}

HANGING = {"timeout-before", "timeout-after", "drip-after", "drip-head-after", "slow", "stall"}


@dataclass
class Bench:
    """One local API, and two clients with the WSDL loaded, for all tests of this module."""

    api: LocalBilling
    patient: BillingClient
    impatient: BillingClient
    used: int = 20000

    def client_for(self, mode: str) -> BillingClient:
        return self.impatient if mode in HANGING else self.patient

    def patience(self, mode: str) -> float:
        return IMPATIENT if mode in HANGING else 5.0

    def new_invoice(self) -> InvoiceRef:
        self.used += 1
        self.api.add_invoice("vps", self.used)
        return InvoiceRef("vps", self.used)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm_bench() -> AsyncIterator[Bench]:
    api = LocalBilling()
    await api.start()
    patient, impatient = (
        BillingClient(
            wsdl_url=api.wsdl_url,
            username=api.username,
            password=SecretStr(api.password),
            timeout=timeout,
        )
        for timeout in (5.0, IMPATIENT)
    )
    # A read has a time-out of its own, so that loading the WSDL is no race against the short one.
    await patient.unpaid_invoices("mail", timeout=5.0)
    await impatient.unpaid_invoices("mail", timeout=5.0)
    yield Bench(api, patient, impatient)
    api.heal()
    await patient.close(grace=5.0)
    await impatient.close(grace=5.0)
    await api.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def bench(warm_bench: Bench) -> Bench:
    """The bench with its API in good health, and an open session for both clients."""
    warm_bench.api.heal()
    await warm_bench.patient.unpaid_invoices("mail", timeout=5.0)
    await warm_bench.impatient.unpaid_invoices("mail", timeout=5.0)
    return warm_bench


def test_every_mode_is_expected() -> None:
    """A failure mode cannot be added without saying what the client makes of it."""
    assert set(PAYMENT) == set(READ) == set(FAILURES)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mode", FAILURES)
async def test_a_payment_is_sent_once_and_read_truthfully(
    mode: str, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Over an open session, each mode leads to its verdict, with at most one payment received."""
    caplog.set_level("DEBUG")
    ref = bench.new_invoice()
    client = bench.client_for(mode)
    bench.api.fail(mode)
    started = time.monotonic()
    outcome = await client.make_payment(ref)
    took = time.monotonic() - started
    verdict, made = PAYMENT[mode]
    assert outcome.verdict is verdict, outcome
    assert bench.api.payments_made(ref.module, ref.number) == made
    received = bench.api.payments_received(ref.module, ref.number)
    assert received == (0 if verdict is NOT_SENT else 1)
    assert took < bench.patience(mode) + 1.0
    assert "\n" not in outcome.evidence
    assert_nothing_leaked(bench.api, f"{caplog.text} {outcome!r} {client!r}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mode", FAILURES)
async def test_reading_invoices_says_what_went_wrong(
    mode: str, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Each mode, applied to the lists of invoices, gives the right list or its own kind of error."""
    caplog.set_level("DEBUG")
    concerns_payments = FAILURES[mode].on == "api_make_payment"
    bench.api.fail(mode, operation="api_*_invoices" if concerns_payments else None)
    raised: Exception | None = None
    try:
        found = await bench.patient.unpaid_invoices("backups", timeout=bench.patience(mode) / 2)
        assert [invoice.ref.number for invoice in found] == [10201, 10202]
    except BillingError as error:
        raised = error
    expected = READ[mode]
    assert (raised is None) if expected is None else isinstance(raised, expected), raised
    said = caplog.text
    if raised is not None:
        said += "".join(traceback.format_exception(raised))
    assert_nothing_leaked(bench.api, said)
