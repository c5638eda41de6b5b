"""What the events of one payment say of it, replayed one after the other, and where its rows say otherwise.

The rows are what the bot works with, and whoever can write to the database can change them. The events are
chained, so they prove the rows: whatever decides whether money moves is told in one of them.

A row's values are compared as the database keeps them, because a forged one may be of any kind. Ledgers of
earlier versions must hold as well: what an event of theirs does not tell is not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.domain.events import (
    Answered,
    AnsweredLate,
    Approved,
    AskedAgain,
    Corrected,
    LookedUp,
    Requested,
    Sending,
)
from bot.domain.payment import CORRECTIONS, MOVES, Invoice, Payment, State

_ASKED = tuple(field.name for field in fields(Requested))
_FROZEN = tuple(field.name for field in fields(LookedUp))
_ANSWERS = (Answered.action, AnsweredLate.action)

TOLD_BY = tuple(
    what.action for what in (Requested, LookedUp, Approved, AskedAgain, Sending, Answered, AnsweredLate)
)
"""The actions that tell something beside the move of a state."""

_read_json = json.JSONDecoder().raw_decode

_PLAIN = re.compile(r"[A-Za-z0-9_.:-][A-Za-z0-9_.: -]*", re.ASCII)

_FOLLOWING = {state.value: frozenset(to.value for to in following) for state, following in MOVES.items()}
_CORRECTED = {state.value: frozenset({to.value}) for state, to in CORRECTIONS.items()}


def asked(payment: Payment) -> Requested:
    """Somebody asks for this payment."""
    told = facts(payment)
    return Requested(**{name: told[name] for name in _ASKED})


def frozen(payment: Payment) -> LookedUp:
    """This was frozen of a payment: what people approve, and how many must."""
    told = facts(payment)
    return LookedUp(**{name: told[name] for name in _FROZEN})


def facts(payment: Payment) -> dict[str, Any]:
    """What is compared of a payment, in the form in which its row is read for that."""
    return {name: read(payment, payment.invoice) for name, read in FACTS.items()}


FACTS: Mapping[str, Callable[[Payment, Invoice | None], Any]] = {
    "invoice": lambda payment, _: str(payment.ref),
    "team": lambda payment, _: payment.team,
    "channel": lambda payment, _: payment.channel,
    "requester": lambda payment, _: payment.requester,
    "rule": lambda payment, _: payment.rule,
    "note": lambda payment, _: payment.note,
    "state": lambda payment, _: payment.state.value,
    "approvals_required": lambda payment, _: payment.approvals_required,
    "created_at": lambda payment, _: stamp(payment.created_at),
    "expires_at": lambda payment, _: stamp(payment.expires_at),
    "listed": lambda payment, _: payment.listed,
    "amount": lambda _, invoice: format(invoice.amount, "f") if invoice else None,
    "currency": lambda _, invoice: invoice.currency if invoice else None,
    "description": lambda _, invoice: invoice.description if invoice else None,
    "due_date": lambda _, invoice: invoice.due.isoformat() if invoice and invoice.due else None,
    "tries": lambda payment, _: payment.tries,
    "status": lambda payment, _: payment.status,
    "status_text": lambda payment, _: payment.status_text,
}
"""What is compared, by the name of its column; the invoice has two."""


def stamp(time: datetime) -> str:
    """A time as SQLite keeps it, and as `schema.AsKept` reads it on both databases."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec="microseconds")


class Replay:
    """The events of one payment, added in their order."""

    __slots__ = ("_approved", "_attempts", "_flaws", "_name", "_state", "_told", "_undivided")

    def __init__(self, payment_id: object) -> None:
        self._name = f"#{_shown(payment_id)}"
        self._state: str | None = None
        self._undivided = False
        self._told: dict[str, Any] = {}
        self._approved: dict[str, str] = {}
        self._attempts: list[list[Any]] = []
        self._flaws: list[str] = []

    def add(
        self,
        event_id: int,
        at: str,
        actor: str,
        action: str,
        from_state: str | None,
        to_state: str | None,
        detail: str,
    ) -> None:
        """The next event."""
        was, called = self.state, self._state
        if action in TOLD_BY:
            self._tell(event_id, at, actor, action, detail)
        if to_state is not None:
            following = _CORRECTED if action == Corrected.action else _FOLLOWING
            if from_state not in (was, called) or to_state not in following.get(str(from_state), ()):
                self._flaw(
                    f"event {event_id} moves it from {_shown(from_state)} to {_shown(to_state)},"
                    f" and it was {_shown(was)}"
                )
            self._state, self._undivided = to_state, False

    @property
    def state(self) -> str | None:
        """The state that it is in by its events; None before the one that asks for it.

        Up to version 0004 of the tables REQUESTED had no name of its own: it was called PENDING_APPROVAL too.
        """
        return State.REQUESTED.value if self._undivided else self._state

    def _tell(self, event_id: int, at: str, actor: str, action: str, detail: str) -> None:
        if action == Approved.action:
            if actor in self._approved:
                self._flaw(f"event {event_id} counts the approval of {_shown(actor)} again")
            self._approved[actor] = at
            return
        if action == AskedAgain.action:
            self._approved.clear()
            return
        told = self._read(event_id, detail)
        if action == Requested.action:
            if self._state is not None:
                self._flaw(f"event {event_id} asks for it again")
            self._told = {"requester": actor, "created_at": at, "status": None, "status_text": None}
            self._told |= {name: told[name] for name in _ASKED if name in told}
            # Where the first versions did not say so, this is where every payment began.
            self._state = self._told.pop("state", State.PENDING_APPROVAL.value)
            self._undivided = self._state == State.PENDING_APPROVAL
        elif action == "looked_up":
            self._undivided = False
            # The first versions did not tell the rule, which may have been another one by then.
            self._told.pop("rule", None)
            self._told |= {name: told[name] for name in _FROZEN if name in told}
        elif action == "sending":
            self._attempts.append([told.get("instance"), at, *[None] * 5])
            if told.get("try") != len(self._attempts):
                self._flaw(f"event {event_id} is try {_shown(told.get('try'))} of {len(self._attempts)}")
        # The first versions did not tell whose answer it is; it was taken for the last call's.
        elif (number := told.get("try", len(self._attempts))) not in range(1, len(self._attempts) + 1):
            self._flaw(f"event {event_id} is the answer to no call")
        else:
            answer = [told.get(name) for name in ("verdict", "status", "status_text", "evidence")]
            self._attempts[int(number) - 1][2:] = [at, *answer]
            if action == "answered":
                self._told |= {"status": answer[1], "status_text": answer[2]}

    def _read(self, event_id: int, detail: str) -> Mapping[str, Any]:
        try:
            told, end = _read_json(detail)
        except (TypeError, ValueError, RecursionError):
            told, end = None, -1
        if type(told) is dict and end == len(detail):
            return told
        self._flaw(f"the detail of event {event_id} cannot be read")
        return {}

    def _flaw(self, text: str) -> None:
        self._flaws.append(f"{self._name}: {text}")

    def flaws(
        self,
        row: Mapping[str, Any] | None,
        approvals: Sequence[Sequence[Any]],
        attempts: Sequence[Sequence[Any]],
    ) -> list[str]:
        """Where the events contradict each other, the row of `payments`, or those that belong to it.

        row: by the names of `facts`; None where there is none. approvals: approver, decision, time.
        attempts: instance, start, end, verdict, status, status text, evidence; the oldest first.
        """
        if row is None:
            return [*self._flaws, f"{self._name}: its row is missing"]
        if self._state is None:
            return [*self._flaws, f"{self._name}: no event asks for it"]
        found = [*self._of_row(row), *self._of_approvals(approvals), *self._of_attempts(attempts)]
        return self._flaws + [f"{self._name}: {flaw}" for flaw in found]

    def _of_row(self, row: Mapping[str, Any]) -> Iterator[str]:
        told = self._told | {"state": self.state, "tries": len(self._attempts)}
        for name, value in told.items():
            if row[name] != value and not (name == "amount" and _equal(row[name], value)):
                yield f"its {name} is {_shown(row[name])}, its events say {_shown(value)}"
        # A look-up that ends in a refusal leaves what it read, and an event that tells the refusal alone.
        unread = "amount" not in told and self.state != State.CANCELLED
        if unread and row["amount"] is not None:
            yield f"its amount is {_shown(row['amount'])}, and no event tells it"

    def _of_approvals(self, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
        given = {approver: at for approver, decision, at in rows if decision == "approve"}
        if len(given) != len(rows):
            yield "an approval is no approval"
        for approver in sorted(given.keys() | self._approved.keys(), key=str):
            if approver not in self._approved:
                yield f"an approval by {_shown(approver)} is in no event"
            elif approver not in given:
                yield f"the approval by {_shown(approver)} is missing"
            elif given[approver] != self._approved[approver]:
                yield f"the approval by {_shown(approver)} has another time than its event"

    def _of_attempts(self, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
        if len(rows) != len(self._attempts):
            yield f"it has {len(rows)} attempts, its events tell of {len(self._attempts)}"
            return
        for number, (row, told) in enumerate(zip(rows, self._attempts, strict=True), start=1):
            if list(row) != told:
                yield f"attempt {number} is {_shown(list(row))}, its events say {_shown(told)}"


def _equal(one: object, other: object) -> bool:
    """Whether two texts are the same number: the first versions told an amount in other digits."""
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return False


def _shown(value: object) -> str:
    """A value that may hold anything, in a line for people."""
    plain = isinstance(value, str) and _PLAIN.fullmatch(value)
    text = str(value) if plain else ascii(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
