"""The client against every way in which the local billing API can fail."""

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
from bot.errors import BillingError
from bot.sandbox.local_billing import FAILURES, LocalBilling
from tests.billing.conftest import assert_nothing_leaked
from tests.billing.failure_modes import EXPECTED, NO_ANSWER

SHORT_S = 0.4
"""Seconds; the time-out where the API does not answer. A warm call takes a hundredth of it."""


@dataclass
class Bench:
    """One local API, and two clients with the WSDL loaded, for all tests of this module."""

    api: LocalBilling
    patient: BillingClient
    impatient: BillingClient
    used: int = 20000

    def client_for(self, mode: str) -> BillingClient:
        return self.impatient if EXPECTED[mode].hangs else self.patient

    def timeout(self, mode: str) -> float:
        return SHORT_S if EXPECTED[mode].hangs else 5.0

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
        for timeout in (5.0, SHORT_S)
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
    assert set(EXPECTED) == set(FAILURES)


def test_every_mode_that_is_not_of_payments_says_what_it_makes_of_a_first_call() -> None:
    """It concerns the WSDL, the login or the reads, so it can stop a payment before it is begun."""
    wide = {mode for mode, failure in FAILURES.items() if failure.on != "api_make_payment"}
    assert {mode for mode, expected in EXPECTED.items() if expected.first is not None} == wide


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
    expected = EXPECTED[mode]
    assert outcome.verdict is expected.payment, outcome
    unanswered = expected.hangs or mode in NO_ANSWER
    assert outcome.answered == (outcome.verdict is not Verdict.NOT_SENT and not unanswered), outcome
    assert bench.api.payments_made(ref.module, ref.number) == expected.made
    received = bench.api.payments_received(ref.module, ref.number)
    assert received == (0 if outcome.verdict is Verdict.NOT_SENT else 1)
    assert took < bench.timeout(mode) + 1.0
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
        found = await bench.patient.unpaid_invoices("backups", timeout=bench.timeout(mode) / 2)
        assert [invoice.ref.number for invoice in found.invoices] == [10201, 10202]
    except BillingError as error:
        raised = error
    expected = EXPECTED[mode].read
    assert (raised is None) if expected is None else isinstance(raised, expected), raised
    said = caplog.text
    if raised is not None:
        said += "".join(traceback.format_exception(raised))
    assert_nothing_leaked(bench.api, said)
