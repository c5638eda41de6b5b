"""The unpaid invoices, for people to look at. Reading them never stands in the way of paying.

A few modules are read at once and no more, so that threads are left for payments; people who ask at the
same time share one reading, and what was read serves for some seconds. Nothing is decided on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from bot.domain.payment import Invoice, Payment
from bot.errors import BillingError
from bot.ledger.store import Ledger
from bot.payments.billing_api import BillingApi

log = structlog.get_logger()

AT_ONCE = 2
"""Modules read at the same time."""

PATIENCE = 20.0
"""Seconds that people are let wait; Slack takes the answer for half an hour."""

KEEP = 5.0
"""Seconds that a reading serves."""


@dataclass(frozen=True, slots=True)
class Unpaid:
    """An unpaid invoice. requested: the payment request that holds it, if there is one."""

    invoice: Invoice
    requested: Payment | None


@dataclass(frozen=True, slots=True)
class Listing:
    """What could be read, the longest due first, and the modules that could not."""

    invoices: tuple[Unpaid, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    """What one reading gave, and until when it serves; invoices is None where they could not be read."""

    invoices: list[Invoice] | None
    until: float


class UnpaidInvoices:
    """Reads them."""

    def __init__(self, billing: BillingApi, ledger: Ledger) -> None:
        self._billing = billing
        self._ledger = ledger
        self._places = asyncio.Semaphore(AT_ONCE)
        self._readings: dict[str, asyncio.Task[_Read]] = {}

    async def of(self, modules: Sequence[str]) -> Listing:
        """Those of some modules. Raises LedgerUnavailable."""
        readings = {module: self._reading(module) for module in modules}
        done, _ = await asyncio.wait(readings.values(), timeout=PATIENCE)
        found: list[Unpaid] = []
        unread: list[str] = []
        for module, reading in readings.items():
            invoices = reading.result().invoices if reading in done else None
            if invoices is None:
                unread.append(module)
                continue
            live = await self._ledger.live(module, [one.ref.number for one in invoices])
            found += [Unpaid(one, live.get(one.ref.number)) for one in invoices]
        found.sort(key=lambda one: (one.invoice.due or date.max, one.invoice.ref.module))
        return Listing(tuple(found), tuple(unread))

    def _reading(self, module: str) -> asyncio.Task[_Read]:
        kept = self._readings.get(module)
        if kept is not None and not (kept.done() and kept.result().until <= time.monotonic()):
            return kept
        reading = asyncio.create_task(self._read(module, time.monotonic() + PATIENCE))
        self._readings[module] = reading
        return reading

    async def _read(self, module: str, deadline: float) -> _Read:
        async with self._places:
            left = deadline - time.monotonic()
            try:
                invoices = await self._billing.unpaid_invoices(module, timeout=left) if left > 0 else None
            except BillingError as error:
                log.info("unpaid invoices not readable", module=module, error=str(error))
                invoices = None
        return _Read(invoices, time.monotonic() + KEEP)

    async def close(self) -> None:
        """Wait for no reading any more."""
        for reading in self._readings.values():
            reading.cancel()
        await asyncio.gather(*self._readings.values(), return_exceptions=True)
