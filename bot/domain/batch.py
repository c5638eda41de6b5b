"""A payment request with its payments: what people ask for, decide on and see as one card."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from bot.domain.payment import FINAL, MOVES, RELEASED, Invoice, Payment, PaymentRequest, State

MOST_LINES = 100
"""Invoices of one request."""

SENT = frozenset({State.SENDING}) | MOVES[State.SENDING] | MOVES[State.UNKNOWN]
"""States that only what was approved, and was tried to be paid, comes to."""

AT_REST = FINAL | {State.UNKNOWN}
"""States in which nobody works on a payment, but to find out what became of it."""

_MAY_YET_BE_SENT = frozenset({State.PENDING_APPROVAL, State.APPROVED, State.SENDING, State.NOT_SENT})
"""States of what may be sent once its request is approved."""

SHOWN_LINES = 10
"""Lines that a card shows; all of them stand in its thread where there are more."""

_UNKNOWN = "unknown"

_LONGEST_PRICE = 1_500
"""Characters."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A request with all of its payments, in the order of their lines. There is at least one."""

    payments: tuple[Payment, ...]

    @property
    def request(self) -> PaymentRequest:
        """The request."""
        return self.payments[0].request

    @property
    def number(self) -> str:
        """How people are told of it: #42."""
        return self.request.number

    @property
    def first(self) -> Payment:
        """The payment, where there is one only."""
        return self.payments[0]

    @property
    def several(self) -> bool:
        """Whether it was made with more than one payment."""
        return self.request.size > 1

    def of_line(self, line: int | None) -> Payment:
        """The payment of a line; None: the first."""
        return next((one for one in self.payments if one.line == line), self.first)

    def within(self, states: Iterable[State]) -> tuple[Payment, ...]:
        """Those in some states."""
        meant = frozenset(states)
        return tuple(one for one in self.payments if one.state in meant)

    @property
    def waiting(self) -> tuple[Payment, ...]:
        """What waits for approval."""
        return self.within((State.PENDING_APPROVAL,))

    @property
    def scheduled(self) -> tuple[Payment, ...]:
        """What is approved and waits for its day."""
        return tuple(one for one in self.payments if one.scheduled)

    @property
    def asked_about(self) -> tuple[Payment, ...]:
        """What an approval lets go, while there is something to decide on.

        That is what waits for it, and what was approved before, but was not sent when the others were asked
        about again: the new approval is one of that as well.
        """
        return self.within(_MAY_YET_BE_SENT) if self.waiting else ()

    @property
    def held(self) -> tuple[Payment, ...]:
        """What holds its invoice: is to be paid, may have been, or was."""
        return tuple(one for one in self.payments if one.state not in RELEASED)

    @property
    def ended_together(self) -> State | None:
        """The state that all came to at once by one decision, or by none in time; None where that is not so.

        What was left out before does not count.
        """
        states = {one.state for one in self.payments}
        for state in (State.DENIED, State.EXPIRED):
            if state in states and states <= {state, State.CANCELLED}:
                return state
        return State.CANCELLED if states == {State.CANCELLED} else None

    @property
    def under_way(self) -> bool:
        """Whether anything of it is not at its end."""
        return any(one.state not in FINAL for one in self.payments)

    @property
    def withdrawn(self) -> bool:
        """Whether its requester took all of it back that was left of it."""
        return self.ended_together is State.CANCELLED and any(one.withdrawn for one in self.payments)

    @property
    def price(self) -> str:
        """What it costs as far as that is known, in a form that a button can carry: what a click is about.

        Of what is to be decided on, while there is such; see `amounts_in`. Where that is too long, it is only
        told from another.
        """
        lines = self.asked_about or self.held or self.payments
        if not self.several:
            return self.first.price
        known = sums(one.invoice for one in lines)
        parts = [f"{known[currency]:f} {currency}" for currency in sorted(known)]
        if unknown := sum(one.invoice is None for one in lines):
            parts.append(f"{unknown} {_UNKNOWN}")
        whole = ", ".join(parts)
        if len(whole) > _LONGEST_PRICE:
            whole = hashlib.sha256(whole.encode()).hexdigest()
        return f"{whole}; {len(lines)} payments"

    def with_request(self, request: PaymentRequest) -> Batch:
        """The same with its request as it is now."""
        return Batch(tuple(replace(one, request=request) for one in self.payments))

    def with_payments(self, changed: Iterable[Payment]) -> Batch:
        """The same with some of its payments as they are now."""
        now = {one.line: one for one in changed}
        return Batch(tuple(now.get(one.line, one) for one in self.payments))


def sums(invoices: Iterable[Invoice | None]) -> dict[str, Decimal]:
    """What those add up to whose amount is known, by currency."""
    found: dict[str, Decimal] = {}
    for invoice in invoices:
        if invoice is not None:
            found[invoice.currency] = found.get(invoice.currency, Decimal(0)) + invoice.amount
    return found


def amounts_in(price: str | None) -> list[tuple[Decimal, str] | None]:
    """The amounts that a `price` tells, None for each that is not known."""
    amounts: list[tuple[Decimal, str] | None] = []
    for part in (price or _UNKNOWN).partition(";")[0].split(", "):
        figure, _, currency = part.partition(" ")
        if currency == _UNKNOWN and figure.isdecimal():
            amounts += [None] * int(figure)
            continue
        try:
            amounts.append((Decimal(figure), currency) if currency else None)
        except InvalidOperation:
            amounts.append(None)
    return amounts
