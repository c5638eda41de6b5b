"""What a module's list of unpaid invoices says, read whole."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.payment import Invoice, InvoiceRef


@dataclass(frozen=True, slots=True)
class UnpaidList:
    """The invoices in it, in the API's order.

    unclear: what stands in it as well, and its amount or currency cannot be read, or its rows contradict each
        other. That is unpaid, as far as anybody knows, and nobody knows what it costs.
    others: rows that are no unpaid invoices of the module stand in it too: it was to be read.
    """

    invoices: tuple[Invoice, ...] = ()
    unclear: tuple[InvoiceRef, ...] = ()
    others: bool = False
