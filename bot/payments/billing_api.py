"""What payments/ asks of a billing API; `bot.billing.client` is the one that keeps it, over SOAP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from bot.domain.login import Login
from bot.domain.payment import Invoice, InvoiceEvidence, InvoiceRef, Outcome
from bot.domain.unpaid_list import UnpaidList


class BillingApi(Protocol):
    """One account at one billing API. What reads raises `BillingError`; no text of it holds a secret."""

    @property
    def login(self) -> Login | None:
        """The last login; None where none was answered yet."""

    async def prepare(self) -> None:
        """Do now what a payment needs before it can be sent, a login above all."""

    async def make_payment(self, ref: InvoiceRef, *, may_begin: Callable[[], bool]) -> Outcome:
        """Pay one invoice, with one call at most, and never a second one. Raises nothing.

        may_begin: asked last of all before the call's first byte goes out; if it says no, nothing is sent.
        NOT_SENT is said only where nothing of it can have been received; every doubt is UNKNOWN.
        """

    async def unpaid_invoices(self, module: str, *, timeout: float | None = None) -> UnpaidList:
        """What the list of a module's unpaid invoices says. timeout: seconds; None for the usual ones."""

    def lately_unpaid(self, ref: InvoiceRef, within: timedelta) -> tuple[Invoice, timedelta] | None:
        """An invoice as the last reading of its module told it, and how long ago that reading began.

        None where no reading that began within that time holds it: that says nothing, and it must be read.
        """

    async def evidence_of(self, ref: InvoiceRef, *, decisive: bool) -> InvoiceEvidence:
        """What the API's lists say about one invoice.

        decisive: an invoice that is still unpaid would be called not paid for it, so read all there is.
        """

    async def modules(self) -> tuple[str, ...]:
        """The names of the modules, at least one, asked for anew each time."""
