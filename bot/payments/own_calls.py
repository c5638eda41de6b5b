"""The calls that this process made, for a ledger that was set back: it may know nothing of one.

A failover to a replica that lags loses the last commits, a call's intent and its answer among them, and the
payment waits to be sent once more. Where the list of unpaid invoices can be read, the invoice is gone from
it, and nothing tells why; where it cannot, or lags as well, nothing else keeps it from being paid twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from bot.domain.payment import InvoiceRef, Outcome, Verdict

_MOST = 1_000
"""Calls that are remembered; what a failover loses is of the last seconds."""

_LACKED = "the ledger was set back, and lacked this call"


@dataclass(frozen=True, slots=True)
class OwnCall:
    """attempt: the row's id. at: when that began, by the ledger's clock. outcome: None: none is known yet."""

    attempt: int
    at: datetime
    outcome: Outcome | None = None

    @property
    def told(self) -> Outcome:
        """What became of it, for a ledger that lacks it."""
        known = self.outcome or Outcome(Verdict.UNKNOWN, None, None, "no answer is known")
        return replace(known, evidence=f"{known.evidence}; {_LACKED}")


@dataclass(slots=True)
class OwnCalls:
    """The last call for each invoice."""

    _made: dict[InvoiceRef, OwnCall] = field(default_factory=dict, init=False)

    def begin(self, ref: InvoiceRef, attempt: int, at: datetime) -> None:
        """It is about to be made."""
        self._made.pop(ref, None)
        self._made[ref] = OwnCall(attempt, at)
        if len(self._made) > _MOST:
            del self._made[next(iter(self._made))]

    def end(self, ref: InvoiceRef, outcome: Outcome) -> None:
        """This became of it; where nothing was sent, it was none."""
        made = self._made.pop(ref, None)
        if made is not None and outcome.verdict is not Verdict.NOT_SENT:
            self._made[ref] = replace(made, outcome=outcome)

    def of(self, ref: InvoiceRef) -> OwnCall | None:
        """The one for this invoice; None where none is remembered."""
        return self._made.get(ref)
