"""The calls that this process made, for a ledger that was set back: it may know nothing of one.

A failover to a replica that lags loses the last commits, a call's intent among them, and the payment waits to
be sent once more. Where the list of unpaid invoices can be read, that shows it; where it cannot, or lags as
well, nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.payment import InvoiceRef

_MOST = 10_000
"""Calls that are remembered; what a failover loses is of the last seconds."""


@dataclass(slots=True)
class OwnCalls:
    """The last call for each invoice: its attempt's id and when that began, by the ledger's clock."""

    _made: dict[InvoiceRef, tuple[int, datetime]] = field(default_factory=dict, init=False)

    def begin(self, ref: InvoiceRef, attempt: int, at: datetime) -> None:
        """It is about to be made."""
        self._made.pop(ref, None)
        self._made[ref] = attempt, at
        if len(self._made) > _MOST:
            del self._made[next(iter(self._made))]

    def forget(self, ref: InvoiceRef) -> None:
        """Nothing was sent."""
        self._made.pop(ref, None)

    def of(self, ref: InvoiceRef) -> tuple[int, datetime] | None:
        """The one for this invoice; None where none is remembered."""
        return self._made.get(ref)
