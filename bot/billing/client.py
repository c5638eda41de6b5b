"""The billing API for the rest of the bot: asynchronous, with outcomes in the words of the domain.

zeep's synchronous client does the work in a thread pool of its own, because its asynchronous one
loads the WSDL synchronously and ignores time-outs.

Cancellation: cancelling a task that waits here takes back a call that no thread has begun. One that
has begun goes on in its thread to its end, and its answer is lost to the caller: after a cancelled
`make_payment`, the payment is UNKNOWN.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr

from bot.billing import reading
from bot.billing.calls import BillingCalls
from bot.billing.transport import keep_envelopes_out_of_logs
from bot.clocks import BootClock, boottime
from bot.domain.login import Login
from bot.domain.payment import Invoice, InvoiceEvidence, InvoiceRef, Outcome, Verdict
from bot.domain.unpaid_list import UnpaidList
from bot.errors import AnswerLost, BillingError, NeverSent
from bot.metrics import BILLING_ANSWERED, BILLING_CALLS, timed
from bot.singleflight import FreshSingleflight, TooLong

log = structlog.get_logger()

LAST_WORD_S = 0.25
"""Seconds that a read whose time is over is given to say so itself."""

READING_SHARED_S = 2.0
"""Seconds after which a reading of a list is waited for no longer, and the next one begins beside it."""

LATELY = timedelta(seconds=10)
"""How long a reading is kept."""

T = TypeVar("T")


class BillingClient:
    """One account at one billing API, for any number of tasks of one event loop.

    timeout: seconds for one call. A read takes no longer (and `LAST_WORD_S`), its login and waiting for
        a free thread included. A payment may take it twice: once to get ready (thread, WSDL, login),
        so that a slow start leaves its one call the whole of it, and once to pay. Only a host name
        that resolves slowly, or to several dead addresses, can add to that.
    concurrency: calls at once; the rest wait. clock: what the age of a reading is told by.

    The texts of what it raises, and the evidence of its outcomes, hold no secret, no session id, no
    address and no body.
    """

    def __init__(
        self,
        *,
        wsdl_url: str,
        username: str,
        password: SecretStr,
        timeout: float = 60.0,
        concurrency: int = 8,
        clock: BootClock = boottime,
    ) -> None:
        keep_envelopes_out_of_logs()
        self._timeout = timeout
        self._clock = clock
        self._calls = BillingCalls(
            wsdl_url=wsdl_url, username=username, password=password, connections=concurrency, clock=clock
        )
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="billing")
        self._running: set[Future[Any]] = set()
        self._lately: dict[str, tuple[float, dict[InvoiceRef, Invoice]]] = {}
        self._unpaid: FreshSingleflight[str, UnpaidList] = FreshSingleflight(patience_s=READING_SHARED_S)

    @property
    def login(self) -> Login | None:
        """The last login that was answered; None where none was yet."""
        return self._calls.login

    async def prepare(self) -> None:
        """Have the WSDL and a proven session ready, so that `make_payment` has nothing left but to pay.

        Raises `BillingError`.
        """
        await self._read(self._calls.prepare, None)

    async def make_payment(self, ref: InvoiceRef, *, may_begin: Callable[[], bool] = lambda: True) -> Outcome:
        """Pay one invoice: one POST of api_make_payment at most, never repeated.

        may_begin: asked in the calling thread before the call is begun, and last of all before its first
            byte goes out; if it says no, nothing is sent. A process that was frozen, or whose machine
            slept, must not send what others took over.

        Raises nothing that the network or the API could cause. NOT_SENT is said only where nothing of
        the payment can have been received; every doubt is UNKNOWN.
        """
        try:
            ready_by = time.monotonic() + self._timeout
            job = self._submit(
                lambda: self._calls.pay(ref, ready_by=ready_by, timeout=self._timeout, may_begin=may_begin)
            )
            with timed(BILLING_CALLS, "make_payment"):
                if not await _finished(job, self._timeout) and not job.cancel():
                    await _finished(job, None)
            outcome = _result(job)
            BILLING_ANSWERED.set_to_current_time()
            return outcome
        except NeverSent as error:
            return Outcome(Verdict.NOT_SENT, None, None, str(error))
        except AnswerLost as error:
            return Outcome(Verdict.UNKNOWN, None, None, str(error))

    async def unpaid_invoices(self, module: str, *, timeout: float | None = None) -> UnpaidList:
        """What the list of a module's unpaid invoices says.

        Many may share one reading, which never begins before they asked: an invoice that is not in it was not
        unpaid then, and what was paid before is not in it.

        Raises `NeverSent`, `AnswerLost`, or `Unreadable` where the account or the installation cannot
        read them. A session that has died is replaced once.
        """

        async def read(deadline: float) -> UnpaidList:
            begun = self._clock()
            found = await self._read_until(lambda until: self._calls.unpaid_invoices(module, until), deadline)
            self._keep(module, begun, found.invoices)
            return found

        try:
            return await self._unpaid.get(module, read, self._deadline(timeout), grace_s=LAST_WORD_S)
        except TooLong as error:
            if error.begun:
                raise AnswerLost("the billing API did not answer in time") from None
            raise NeverSent("another reading was still under way at the deadline") from None

    def lately_unpaid(self, ref: InvoiceRef, within: timedelta) -> tuple[Invoice, timedelta] | None:
        """An invoice as the last reading of its module told it, and how long ago that reading began.

        None where no reading that began within that time holds it: that says nothing, and it must be read.
        """
        kept = self._lately.get(ref.module)
        if kept is None or (age := timedelta(seconds=self._clock() - kept[0])) >= min(within, LATELY):
            return None
        found = kept[1].get(ref)
        return None if found is None else (found, age)

    async def evidence_of(self, ref: InvoiceRef, *, decisive: bool = True) -> InvoiceEvidence:
        """What the list of unpaid invoices, and where it is needed that of all, say about one.

        decisive: whether an invoice that is still unpaid would be called not paid for that. Then the list
            of all is read as well, which may contradict; it can be as long as an account is old.

        Raises as `unpaid_invoices` does, of the first list. Without the second, the first tells what it can.
        """
        unpaid = await self._read(lambda deadline: self._calls.among_unpaid(ref, deadline), None)
        if unpaid.unpaid and not decisive:
            return reading.evidence(unpaid, None)
        try:
            everything = await self._read(lambda deadline: self._calls.among_all(ref, deadline), None)
        except BillingError as error:
            log.info("the list of all invoices was not read", error=str(error))
            return reading.evidence(unpaid, None)
        return reading.evidence(unpaid, everything)

    async def modules(self) -> tuple[str, ...]:
        """The modules that the API names. Raises `BillingError`."""
        return await self._read(self._calls.modules, None)

    async def close(self, grace: float) -> None:
        """Take no more calls, and wait up to `grace` seconds for those in flight.

        Calls that no thread has begun end as never sent.
        """
        self._threads.shutdown(wait=False, cancel_futures=True)
        running = [asyncio.wrap_future(job) for job in self._running.copy()]
        if running:
            _done, left = await asyncio.wait(running, timeout=grace)
            if left:
                log.warning("billing calls were still running at the end", calls=len(left))
        await self._unpaid.close()
        self._calls.close()

    def _keep(self, module: str, begun: float, found: Iterable[Invoice]) -> None:
        """Keep a reading for a while; one that began before the one that is kept says nothing new."""
        if (before := self._lately.get(module)) is not None and before[0] > begun:
            return
        kept = self._lately[module] = begun, {one.ref: one for one in found}
        asyncio.get_running_loop().call_later(LATELY.total_seconds(), self._forget, module, kept)

    def _forget(self, module: str, reading: object) -> None:
        if self._lately.get(module) is reading:
            del self._lately[module]

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self._timeout if timeout is None else timeout)

    async def _read(self, read: Callable[[float], T], timeout: float | None) -> T:
        return await self._read_until(read, self._deadline(timeout))

    async def _read_until(self, read: Callable[[float], T], deadline: float) -> T:
        with timed(BILLING_CALLS, "read"):
            return await self._awaited(read, deadline)

    async def _awaited(self, read: Callable[[float], T], deadline: float) -> T:
        job = self._submit(lambda: _error_as_value(read, deadline))
        if not await _finished(job, deadline - time.monotonic()) and not job.cancel():
            # The thread has the same deadline, and knows better what was sent and what was not.
            await _finished(job, LAST_WORD_S)
        if not job.done():
            raise AnswerLost("the billing API did not answer in time")
        answer = _result(job)
        if isinstance(answer, BillingError):
            raise answer
        BILLING_ANSWERED.set_to_current_time()
        return answer

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        """Hand work to a thread. Raises NeverSent where none will do it, AnswerLost where one may have."""
        taken = threading.Lock()

        def once() -> T:
            if not taken.acquire(blocking=False):
                raise NeverSent("no thread could be started")
            return work()

        try:
            job = self._threads.submit(once)
        except RuntimeError:
            # Closed, or the system gives no thread: then the work was queued all the same, and another
            # thread may take it, or have taken it.
            if taken.acquire(blocking=False):
                raise NeverSent("no thread of the billing client takes calls any more") from None
            raise AnswerLost("a thread took the call, and nobody hears its answer") from None
        self._running.add(job)
        job.add_done_callback(self._running.discard)
        return job


def _error_as_value(read: Callable[[float], T], deadline: float) -> T | BillingError:
    """Hand an error back as a value: asyncio complains of one that is raised when nobody waits."""
    try:
        return read(deadline)
    except BillingError as error:
        return error


async def _finished(job: Future[T], timeout: float | None) -> bool:
    """Wait until the job is done, at most `timeout` seconds; whether it is."""
    try:
        await asyncio.wait({asyncio.wrap_future(job)}, timeout=timeout)
    except asyncio.CancelledError:
        job.cancel()
        raise
    return job.done()


def _result(job: Future[T]) -> T:
    if job.cancelled():
        raise NeverSent("no thread of the billing client took up the call")
    return job.result()
