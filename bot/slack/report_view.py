"""`/pay report`: a month in a few lines, for those who may see payments. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from bot.domain.payment import Payment, State
from bot.domain.wording import money
from bot.slack.blocks import Message
from bot.slack.listing import listing
from bot.slack.text import escape, month_of, state_line

_MODULES = 20
"""Modules that are told one by one."""


@dataclass(slots=True)
class _Count:
    """How many, what those add up to whose amount is known, by currency, and of how many it is not."""

    payments: int = 0
    unknown: int = 0
    totals: dict[str, Decimal] = field(default_factory=dict)

    def add(self, payment: Payment) -> None:
        """One more."""
        self.payments += 1
        if (invoice := payment.invoice) is not None:
            self.totals[invoice.currency] = self.totals.get(invoice.currency, Decimal(0)) + invoice.amount
        else:
            self.unknown += 1

    def __str__(self) -> str:
        sums = [money(total, escape(currency)).strip() for currency, total in sorted(self.totals.items())]
        if self.unknown:
            sums.append(f"{self.unknown:,} of unknown amount")
        return " · ".join([f"{self.payments:,}", *sums])


@dataclass(slots=True)
class Summary:
    """What became of a month's payments; only sums are kept of them.

    scheduled: of those that are approved, what waits for its day. unread: how many cannot be read.
    """

    every: _Count = field(default_factory=_Count)
    scheduled: _Count = field(default_factory=_Count)
    by_state: dict[State, _Count] = field(default_factory=dict)
    paid_by_module: dict[str, _Count] = field(default_factory=dict)
    unread: int = 0

    def add(self, payment: Payment) -> None:
        """One more."""
        self.every.add(payment)
        outcome = self.scheduled if payment.scheduled else self.by_state.setdefault(payment.state, _Count())
        outcome.add(payment)
        if payment.state is State.PAID:
            self.paid_by_module.setdefault(payment.ref.module, _Count()).add(payment)


def month_in_words(summary: Summary, month: date) -> Message:
    """The sums, by outcome and by module."""
    if not summary.every.payments and not summary.unread:
        return listing(f"Nothing was asked for in {month_of(month)}.", [])
    heading = f"*Asked for in {month_of(month)} (UTC): {summary.every}*"
    endings = [f"`python -m bot audit export --format html --month {month:%Y-%m} FILE` prints every payment."]
    return listing(heading, list(_lines(summary)), endings=endings)


def _lines(summary: Summary) -> Iterator[str]:
    if summary.unread:
        yield f":warning: {summary.unread:,} more cannot be read: whoever runs this bot runs audit verify."
    if summary.scheduled.payments:
        yield f":calendar: *Approved, to be sent on its day*: {summary.scheduled}"
    for state in State:
        if (count := summary.by_state.get(state)) is not None:
            yield f"{state_line(state)}: {count}"
    modules = sorted(summary.paid_by_module.items(), key=lambda one: (-one[1].payments, one[0]))
    if modules:
        yield "*Paid, by module*"
    for module, count in modules[:_MODULES]:
        yield f"{module}: {count}"
    if len(modules) > _MODULES:
        yield f"… and {len(modules) - _MODULES} more modules"
