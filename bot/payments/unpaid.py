"""The unpaid invoices, for people to look at. Reading them never stands in the way of paying.

A few modules are read at once and no more, so that threads are left for payments; people who ask at the
same time share one reading, and what was read serves for some seconds. Nothing is decided on it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from bot.domain.payment import Invoice, InvoiceRef, Payment
from bot.domain.unpaid_list import UnpaidList
from bot.errors import BillingError
from bot.ledger.store import Ledger
from bot.payments.billing_api import BillingApi
from bot.singleflight import Singleflight

log = structlog.get_logger()

READ_AT_ONCE = 2
"""Modules read at the same time."""

READING_TIMEOUT_S = 20.0
"""Seconds that people are let wait; Slack takes the answer for half an hour."""

READING_SERVES_S = 5.0
"""Seconds that a reading serves, also one that failed."""

RECENT_S = 300.0
"""Seconds that a reading serves who goes on with what they began with it."""


@dataclass(frozen=True, slots=True)
class Unpaid:
    """An unpaid invoice. requested: the payment request that holds it, if there is one."""

    invoice: Invoice
    requested: Payment | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What could be read, the longest due first, and the modules that could not.

    unclear: what is in the lists as well, and its amount cannot be read.
    """

    invoices: tuple[Unpaid, ...]
    unread: tuple[str, ...]
    unclear: tuple[InvoiceRef, ...] = ()

    def tells_nothing_of(self, ref: InvoiceRef) -> bool:
        """Whether it cannot be read what this costs, if it is unpaid."""
        return ref.module in self.unread or ref in self.unclear


class UnpaidInvoices:
    """Reads them."""

    def __init__(self, billing: BillingApi, ledger: Ledger) -> None:
        self._billing = billing
        self._ledger = ledger
        self._places = asyncio.Semaphore(READ_AT_ONCE)
        self._readings: Singleflight[str, UnpaidList | None] = Singleflight(keep_s=READING_SERVES_S)
        self._recent: dict[str, tuple[float, UnpaidList]] = {}

    async def of(self, modules: Sequence[str]) -> Listing:
        """Those of some modules. Raises LedgerUnavailable."""
        return await self._listing(modules, await asyncio.gather(*map(self._reading, modules)))

    async def recent(self, modules: Sequence[str]) -> Listing | None:
        """Those that were read of some modules a short while ago, None where one was not.

        Whether they are requested is as it is now. Raises LedgerUnavailable.
        """
        oldest = time.monotonic() - RECENT_S
        found = [self._recent.get(module, (-math.inf, UnpaidList())) for module in modules]
        if any(at < oldest for at, _ in found):
            return None
        return await self._listing(modules, [read for _, read in found])

    async def _listing(self, modules: Sequence[str], readings: Sequence[UnpaidList | None]) -> Listing:
        found: list[Unpaid] = []
        unread: list[str] = []
        unclear: list[InvoiceRef] = []
        for module, read in zip(modules, readings, strict=True):
            if read is None:
                unread.append(module)
                continue
            live = await self._ledger.live(module, [one.ref.number for one in read.invoices])
            found += [Unpaid(one, live.get(one.ref.number)) for one in read.invoices]
            unclear += read.unclear
        found.sort(key=lambda one: (one.invoice.due or date.max, one.invoice.ref.module))
        return Listing(tuple(found), tuple(unread), tuple(unclear))

    async def close(self) -> None:
        """Wait for no reading any more."""
        await self._readings.close()

    async def _reading(self, module: str) -> UnpaidList | None:
        """The unpaid invoices of a module; None where they cannot be read in time."""
        deadline = time.monotonic() + READING_TIMEOUT_S
        try:
            async with asyncio.timeout(READING_TIMEOUT_S):
                return await self._readings.get(module, lambda: self._read(module, deadline))
        except TimeoutError:
            return None

    async def _read(self, module: str, deadline: float) -> UnpaidList | None:
        async with self._places:
            left = deadline - time.monotonic()
            try:
                read = await self._billing.unpaid_invoices(module, timeout=left) if left > 0 else None
            except BillingError as error:
                log.info("unpaid invoices not readable", module=module, error=str(error))
                return None
            if read is not None:
                self._recent[module] = time.monotonic(), read
            return read
