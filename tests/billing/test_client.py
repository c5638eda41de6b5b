"""The asynchronous side: waiting, giving up, cancelling, closing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bot.billing.client import BillingClient
from bot.domain.payment import DOCUMENTED_MODULES, InvoiceEvidence, InvoiceRef, Verdict
from bot.domain.unpaid_list import UnpaidList
from bot.errors import AnswerLost, BillingError, NeverSent, Unreadable
from bot.sandbox.local_billing import Failure, LocalBilling
from bot.sandbox.local_billing.failures import Exchange, plain
from tests.billing.conftest import VPS, NewClient
from tests.fixture_types import Clock


async def _after_a_while(exchange: Exchange) -> web.StreamResponse:
    await asyncio.sleep(0.3)
    return await plain(exchange)


SLOW = Failure("the answer was right a while ago", _after_a_while, carried_out=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; five seconds at most."""
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110 -- the condition belongs to the server under test
            await asyncio.sleep(0.005)


async def test_invoices_are_told_with_amount_currency_and_day(client: BillingClient) -> None:
    """What the API knows of an unpaid invoice arrives unharmed, odd characters included."""
    invoices = {invoice.ref.number: invoice for invoice in (await client.unpaid_invoices("domains")).invoices}
    renewal = invoices[10002]
    assert (renewal.amount, renewal.currency) == (Decimal("17.50"), "EUR")
    assert renewal.description.endswith("café & <b> <!channel>")
    assert renewal.due is not None
    assert 10003 not in invoices


async def test_a_module_without_unpaid_invoices_gives_an_empty_list(client: BillingClient) -> None:
    """Nothing to pay is an answer, not an error."""
    assert await client.unpaid_invoices("ssl") == UnpaidList()


async def test_the_evidence_follows_the_payment(client: BillingClient) -> None:
    """Before and after a payment, both lists are told as they are."""
    assert await client.evidence_of(VPS) == InvoiceEvidence(unpaid=True, paid_flag=False, payment=None)
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
    after = await client.evidence_of(VPS)
    assert (after.unpaid, after.paid_flag) == (False, True)
    assert after.payment is not None
    assert await client.evidence_of(InvoiceRef("vps", 999)) == InvoiceEvidence(False, None, None, gone=True)


async def test_the_modules_need_no_login(api: LocalBilling, client: BillingClient) -> None:
    """They are asked for anew each time: who wants them seldom keeps them."""
    assert await client.modules() == DOCUMENTED_MODULES
    assert await client.modules() == DOCUMENTED_MODULES
    assert [call.operation for call in api.log] == ["get_modules", "get_modules"]


@pytest.mark.parametrize("mode", ["fault-before", "declined", "html-after", "login-blank"])
async def test_modules_that_cannot_be_asked_for_are_an_error(
    mode: str, api: LocalBilling, client: BillingClient
) -> None:
    """The caller is told, so that it can fall back to the documented ones; the next call asks again."""
    api.fail(mode, operation="get_modules", times=1)
    with pytest.raises(BillingError):
        await client.modules()
    assert await client.modules() == DOCUMENTED_MODULES


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/api.php?wsdl",
        "ftp://127.0.0.1/api.php?wsdl",
        "file:///etc/hostname",
        "/etc/hostname",
        "http://",
        "http://[::1/api.php",
        "http://127.0.0.1:99999/",
        "nonsense",
        "",
    ],
)
async def test_an_address_that_cannot_work_is_told_by_the_first_call(url: str, new_client: NewClient) -> None:
    """Building a client calls nothing and never fails; its first payment is NOT_SENT."""
    client = new_client(wsdl_url=url)
    outcome = await client.make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert outcome.evidence.startswith("the WSDL could not be used: ")
    with pytest.raises(NeverSent):
        await client.unpaid_invoices("vps")


async def test_a_read_gives_up_in_time(api: LocalBilling, client: BillingClient) -> None:
    """A read's own time-out holds, also where the login hangs."""
    api.fail("stall")
    started = time.monotonic()
    with pytest.raises((AnswerLost, NeverSent)):
        await client.unpaid_invoices("vps", timeout=0.3)
    assert time.monotonic() - started < 0.8


async def test_who_asks_for_the_same_list_meanwhile_shares_the_next_reading(
    api: LocalBilling, client: BillingClient
) -> None:
    """Fifty ask one after the other while the first reading is under way; each has a list of its own."""
    all_have_asked = asyncio.Event()

    async def then(exchange: Exchange) -> web.StreamResponse:
        await all_have_asked.wait()
        return await plain(exchange)

    await client.prepare()
    api.fail(Failure("when all have asked", then, carried_out=True), operation="api_vps_*")
    asking = [asyncio.create_task(client.unpaid_invoices("vps"))]
    await until(lambda: any("unpaid" in call.operation for call in api.log))
    for _ in range(50):
        await asyncio.sleep(0)
        asking.append(asyncio.create_task(client.unpaid_invoices("vps")))
    await asyncio.sleep(0)
    all_have_asked.set()
    lists = await asyncio.gather(*asking)
    assert [call.operation for call in api.log].count("api_vps_get_client_unpaid_invoices") == 2
    assert lists[0].invoices
    assert all(one == lists[0] for one in lists)


async def test_a_reading_never_serves_who_asked_after_it_began(
    api: LocalBilling, client: BillingClient
) -> None:
    """An invoice that was paid before the question is not in the answer."""
    await client.prepare()
    api.fail(SLOW, operation="api_vps_*")
    before = asyncio.create_task(client.unpaid_invoices("vps"))
    await until(lambda: any("unpaid" in call.operation for call in api.log))
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
    after = await client.unpaid_invoices("vps")
    assert VPS in [one.ref for one in (await before).invoices]
    assert VPS not in [one.ref for one in after.invoices]


async def test_an_invoice_is_told_from_a_reading_that_began_lately(
    new_client: NewClient, clock: Clock
) -> None:
    """With the reading's age; what is not in it, or too old, is not known."""
    client = new_client(clock=clock.boottime)
    within = timedelta(seconds=10)
    assert client.lately_unpaid(VPS, within) is None
    [read, *_] = [one for one in (await client.unpaid_invoices("vps")).invoices if one.ref == VPS]
    clock.advance(seconds=4)
    assert client.lately_unpaid(VPS, within) == (read, timedelta(seconds=4))
    assert client.lately_unpaid(InvoiceRef("vps", 999), within) is None
    clock.advance(seconds=7)
    assert client.lately_unpaid(VPS, within) is None


async def test_a_reading_that_came_late_does_not_take_the_place_of_one_that_began_after_it(
    api: LocalBilling, client: BillingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The invoice was paid by hand between the two: what the later one lacks is not told by the earlier."""
    monkeypatch.setattr(client._unpaid, "_patience_s", 0.1)
    await client.prepare()
    api.fail(SLOW, operation="api_vps_*", times=1)
    before = asyncio.create_task(client.unpaid_invoices("vps"))
    await until(lambda: any("unpaid" in call.operation for call in api.log))
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
    assert VPS not in [one.ref for one in (await client.unpaid_invoices("vps")).invoices]
    assert not before.done()
    assert VPS in [one.ref for one in (await before).invoices]
    assert client.lately_unpaid(VPS, timedelta(seconds=10)) is None


async def test_a_reading_that_failed_is_not_kept(api: LocalBilling, client: BillingClient) -> None:
    """The one before serves on for its time; its place is taken by the next that succeeds."""
    api.fail("fault-before", operation="api_*_invoices")
    with pytest.raises(Unreadable):
        await client.unpaid_invoices("vps")
    assert client.lately_unpaid(VPS, timedelta(seconds=10)) is None


async def test_who_waits_for_a_reading_behind_another_gives_up_in_time(
    api: LocalBilling, client: BillingClient
) -> None:
    """And is told what is true: its own was never sent."""
    await client.prepare()
    api.fail("stall")
    first = asyncio.create_task(client.unpaid_invoices("vps", timeout=1.0))
    await until(lambda: any("unpaid" in call.operation for call in api.log))
    started = time.monotonic()
    with pytest.raises(NeverSent, match="another reading"):
        await client.unpaid_invoices("vps", timeout=0.1)
    assert time.monotonic() - started < 0.8
    with pytest.raises(AnswerLost):
        await first


async def test_a_payment_that_gets_no_thread_in_time_is_never_sent(
    api: LocalBilling, new_client: NewClient
) -> None:
    """Behind a call that hangs, a payment waits its time, is taken back, and is not sent later."""
    client = new_client(timeout=0.5, concurrency=1)
    await client.unpaid_invoices("vps", timeout=5.0)
    api.fail("stall")
    first = asyncio.create_task(client.make_payment(VPS))
    await until(lambda: api.payments_received("vps", 10101) == 1)
    second = InvoiceRef("vps", 10102)
    waiting = asyncio.create_task(client.make_payment(second))
    reading = asyncio.create_task(client.unpaid_invoices("vps", timeout=0.05))
    with pytest.raises(NeverSent, match="no thread"):
        await reading
    assert (await first).verdict is Verdict.UNKNOWN
    api.heal()
    outcome = await waiting
    # The thread comes free at about the same moment; either way, the outcome is the truth.
    received = api.payments_received("vps", 10102)
    assert (outcome.verdict, received) in {(Verdict.NOT_SENT, 0), (Verdict.PAID, 1)}


async def test_a_payment_that_no_thread_took_up_in_time_is_not_taken_up_later(
    api: LocalBilling, new_client: NewClient
) -> None:
    """It was called never sent, and may be sent again by others: it must have left the queue."""
    client = new_client(timeout=1.0, concurrency=1)
    await client.prepare()
    begun, go = threading.Event(), threading.Event()

    def hold() -> bool:
        begun.set()
        return go.wait(10)

    holding = asyncio.create_task(client.make_payment(VPS, may_begin=hold))
    await until(begun.is_set)
    second = InvoiceRef("vps", 10102)
    try:
        outcome = await client.make_payment(second)
        assert (outcome.verdict, holding.done()) == (Verdict.NOT_SENT, False)
    finally:
        go.set()
    await holding
    await client.unpaid_invoices("vps", timeout=5.0)
    assert api.payments_received("vps", 10102) == 0


@contextlib.contextmanager
def no_new_threads() -> Iterator[None]:
    """The system starts no thread, as at its limits: a stack that large fits into no address space."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


async def test_a_payment_for_which_no_thread_can_be_started_is_never_sent(
    api: LocalBilling, client: BillingClient
) -> None:
    """It was queued all the same: the thread that comes free later does not send what may be retried."""
    api.fail("stall", operation="api_login")
    busy = asyncio.create_task(client.unpaid_invoices("mail"))
    await until(lambda: bool(api.log))
    with no_new_threads():
        outcome = await client.make_payment(VPS)
    assert outcome.verdict is Verdict.NOT_SENT
    assert outcome.evidence == "no thread of the billing client takes calls any more"
    api.heal()
    await asyncio.wait([busy])
    with contextlib.suppress(BillingError):
        await busy
    assert (await client.make_payment(VPS)).verdict is Verdict.PAID
    await client.close(grace=5.0)
    assert api.payments_received("vps", 10101) == 1


async def test_a_read_for_which_no_thread_can_be_started_is_an_error(client: BillingClient) -> None:
    """And the client goes on as soon as there are threads again."""
    with no_new_threads(), pytest.raises(NeverSent):
        await client.unpaid_invoices("vps")
    assert (await client.unpaid_invoices("vps")).invoices


async def test_a_payment_that_another_thread_took_meanwhile_is_unknown(
    api: LocalBilling, client: BillingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was queued, a thread took it, and then the next one could not be started: it may be paid."""
    await client.unpaid_invoices("vps")
    begun = threading.Event()
    submit = client._threads.submit

    def submit_and_fail(work: Callable[[], Any]) -> Future[Any]:
        submit(work)
        assert begun.wait(5)
        raise RuntimeError("can't start new thread")

    def begins() -> bool:
        begun.set()
        return True

    monkeypatch.setattr(client._threads, "submit", submit_and_fail)
    outcome = await client.make_payment(VPS, may_begin=begins)
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.evidence == "a thread took the call, and nobody hears its answer"
    await until(lambda: api.payments_made("vps", 10101) == 1)


async def test_a_cancelled_payment_that_waits_for_a_thread_is_never_sent(
    api: LocalBilling, new_client: NewClient
) -> None:
    """Cancelling takes back what no thread has begun."""
    client = new_client(concurrency=1)
    await client.unpaid_invoices("vps")
    api.fail("timeout-before", times=1)
    first = asyncio.create_task(client.make_payment(VPS))
    await until(lambda: api.payments_received("vps", 10101) == 1)
    waiting = asyncio.create_task(client.make_payment(InvoiceRef("vps", 10102)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    api.heal()
    assert (await first).verdict is Verdict.UNKNOWN
    assert (await client.make_payment(InvoiceRef("vps", 10103))).verdict is Verdict.PAID
    assert api.payments_received("vps", 10102) == 0


async def test_a_cancelled_payment_that_was_begun_goes_on(api: LocalBilling, client: BillingClient) -> None:
    """The call in its thread is not disturbed, and is received once."""
    await client.unpaid_invoices("vps")
    api.fail("timeout-after")
    paying = asyncio.create_task(client.make_payment(VPS))
    await until(lambda: api.payments_made("vps", 10101) == 1)
    paying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await paying
    api.heal()
    await client.close(grace=5.0)
    assert api.payments_received("vps", 10101) == 1


async def test_closing_waits_for_what_is_in_flight(api: LocalBilling, client: BillingClient) -> None:
    """A payment that has begun is answered, and one that comes later is never sent."""
    await client.unpaid_invoices("vps")
    api.fail("timeout-after")
    paying = asyncio.create_task(client.make_payment(VPS))
    await until(lambda: api.payments_made("vps", 10101) == 1)
    closing = asyncio.create_task(client.close(grace=5.0))
    await asyncio.sleep(0.05)
    assert not closing.done()
    api.heal()
    await closing
    assert paying.done()
    assert (await client.make_payment(VPS)).verdict is Verdict.NOT_SENT
    with pytest.raises(NeverSent):
        await client.unpaid_invoices("vps")


async def test_closing_does_not_wait_beyond_its_grace(api: LocalBilling, client: BillingClient) -> None:
    """What still runs after the grace is left to itself, and is said in the log."""
    await client.unpaid_invoices("vps")
    api.fail("timeout-after")
    paying = asyncio.create_task(client.make_payment(VPS))
    await until(lambda: api.payments_made("vps", 10101) == 1)
    started = time.monotonic()
    with capture_logs() as logged:
        await client.close(grace=0.1)
    assert time.monotonic() - started < 1.0
    (said,) = logged
    assert (said["event"], said["calls"]) == ("billing calls were still running at the end", 1)
    api.heal()
    assert (await paying).verdict is Verdict.UNKNOWN
