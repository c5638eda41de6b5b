"""What the events of one request say of it, replayed one after the other, and where its rows say otherwise.

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

from bot.domain.batch import AT_REST
from bot.domain.erasure import ERASED
from bot.domain.events import (
    Answered,
    AnsweredLate,
    Approved,
    AskedAgain,
    Cancelled,
    Corrected,
    Denied,
    LeftOut,
    LookedUp,
    NoCard,
    Reconciled,
    Requested,
    Resolved,
    Sending,
    line_of,
)
from bot.domain.payment import (
    BY_ITS_REQUESTER,
    CORRECTIONS,
    MOVES,
    WITHDRAWN_WORDS,
    Invoice,
    Payment,
    PaymentRequest,
    State,
)

_ASKED = tuple(field.name for field in fields(Requested) if field.name != "seen")
_FROZEN = tuple(field.name for field in fields(LookedUp))

TOLD_BY = tuple(
    what.action for what in (Requested, LookedUp, Approved, AskedAgain, Sending, Answered, AnsweredLate)
)
"""The actions that tell something beside the move of a state."""

_TELLING = frozenset(TOLD_BY)

_read_json = json.JSONDecoder().raw_decode

_PLAIN = re.compile(r"[A-Za-z0-9_.:-][A-Za-z0-9_.: -]*", re.ASCII)

_FOLLOWING = {state.value: frozenset(to.value for to in following) for state, following in MOVES.items()}
_CORRECTED = {state.value: frozenset({to.value}) for state, to in CORRECTIONS.items()}


def asked(payment: Payment, seen: str | None = None) -> Requested:
    """Somebody asks for this payment. seen: its price as they were shown it, which no row keeps."""
    told = facts(payment)
    return Requested(**{name: told[name] for name in _ASKED}, seen=seen)


def frozen(payment: Payment) -> LookedUp:
    """This was frozen of a payment: what people approve, and how many must."""
    told = facts(payment)
    return LookedUp(**{name: told[name] for name in _FROZEN})


def facts(payment: Payment) -> dict[str, Any]:
    """What is compared of a payment and of its request, in the form in which their rows are read for that."""
    return facts_of_request(payment.request) | facts_of_payment(payment)


def facts_of_request(request: PaymentRequest) -> dict[str, Any]:
    """Of a request alone."""
    return {name: read(request) for name, read in OF_REQUEST.items()}


def facts_of_payment(payment: Payment) -> dict[str, Any]:
    """Of a payment alone."""
    return {name: read(payment, payment.invoice) for name, read in OF_PAYMENT.items()}


OF_REQUEST: Mapping[str, Callable[[PaymentRequest], Any]] = {
    "team": lambda request: request.team,
    "channel": lambda request: request.channel,
    "requester": lambda request: request.requester,
    "rule": lambda request: request.rule,
    "note": lambda request: request.note,
    "approvals_required": lambda request: request.approvals_required,
    "created_at": lambda request: stamp(request.created_at),
    "expires_at": lambda request: stamp(request.expires_at),
    "pay_on": lambda request: str(request.pay_on) if request.pay_on else None,
    "size": lambda request: request.size,
}
"""What is compared of a request, by the name of its column."""

OF_PAYMENT: Mapping[str, Callable[[Payment, Invoice | None], Any]] = {
    "invoice": lambda payment, _: str(payment.ref),
    "state": lambda payment, _: payment.state.value,
    "listed": lambda payment, _: payment.listed,
    "amount": lambda _, invoice: format(invoice.amount, "f") if invoice else None,
    "currency": lambda _, invoice: invoice.currency if invoice else None,
    "description": lambda _, invoice: invoice.description if invoice else None,
    "due_date": lambda _, invoice: invoice.due.isoformat() if invoice and invoice.due else None,
    "tries": lambda payment, _: payment.tries,
    "status": lambda payment, _: payment.status,
    "status_text": lambda payment, _: payment.status_text,
    "not_before": lambda payment, _: stamp(payment.not_before) if payment.not_before else None,
    "reason": lambda payment, _: payment.reason,
    "updated_at": lambda payment, _: stamp(payment.updated_at),
}
"""What is compared of a payment, by the name of its column; the invoice has two."""


def stamp(time: datetime) -> str:
    """A time as SQLite keeps it, and as `column_types.AsKept` reads it on both databases."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", timespec="microseconds")


_AT_REST = frozenset(state.value for state in AT_REST)

_WHY = {
    **{what.action: "reason" for what in (Denied, Cancelled, LeftOut, NoCard)},
    **{what.action: "note" for what in (Resolved, Corrected)},
    **{what.action: "evidence" for what in (Reconciled, Answered)},
}
"""The field that says why, of what brings a payment to rest. The other events have no words of their own."""

_REQUESTED, _CANCELLED = State.REQUESTED.value, State.CANCELLED.value
_ASKED_OF_REQUEST = tuple(name for name in _ASKED if name in OF_REQUEST)
_FROZEN_OF_REQUEST = tuple(name for name in _FROZEN if name in OF_REQUEST)
_FROZEN_OF_PAYMENT = tuple(name for name in _FROZEN if name in OF_PAYMENT)

Row = Mapping[str, Any]
"""By the names of `OF_REQUEST`, or of `OF_PAYMENT`."""


class Line:
    """What the events of a request say of one of its payments.

    last_move: the event that brought it to its state; None where it is in the one that it began in. moved:
        that event, when, its action and its detail. evidence: what its last answer rests on. seen: what it
        cost when it was asked for, as that was shown; None where it was not.
    """

    __slots__ = ("attempts", "called", "evidence", "last_move", "moved", "seen", "told", "undivided")

    def __init__(self, state: str) -> None:
        self.called = state
        # Where the first versions did not say so, this is where every payment began.
        self.undivided = state == State.PENDING_APPROVAL
        self.last_move: int | None = None
        self.moved = (0, "", "", "")
        self.evidence: Any = None
        self.seen: Any = None
        self.told: dict[str, Any] = {"status": None, "status_text": None, "not_before": None}
        self.attempts: list[list[Any]] = []

    @property
    def state(self) -> str:
        """The state that it is in.

        Up to version 0004 of the tables REQUESTED had no name of its own: it was called PENDING_APPROVAL too.
        """
        return _REQUESTED if self.undivided else self.called

    def answered(self, call: int) -> bool:
        """Whether it is told what became of a call, counted from 1."""
        return call <= len(self.attempts) and self.attempts[call - 1][2] is not None


class Replay:
    """The events of one request, added in their order. lines: its payments, by their place in it."""

    __slots__ = ("_approved", "_flaws", "_name", "_told", "lines")

    def __init__(self, request_id: object) -> None:
        self._name = f"#{_shown(request_id)}"
        self.lines: dict[int, Line] = {}
        self._told: dict[str, Any] = {}
        self._approved: dict[str, str] = {}
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
        place, lines = line_of(detail), self.lines
        concerned = [*lines.values()] if place is None else [lines[place]] if place in lines else []
        moved = []
        if to_state is not None:
            # Before it is told, because what is told may give the state where it begins another name.
            moved = [line for line in concerned if from_state in (line.called, line.state)]
        if action in _TELLING:
            self._tell(event_id, at, actor, action, detail, place)
        if to_state is not None:
            following = _CORRECTED if action == Corrected.action else _FOLLOWING
            if not moved or to_state not in following.get(str(from_state), ()):
                was = concerned[0].state if concerned else None
                self._flaw(
                    f"event {event_id} moves it from {_shown(from_state)} to {_shown(to_state)},"
                    f" and it was {_shown(was)}"
                )
                moved = concerned
            for line in moved:
                line.called, line.undivided, line.last_move = to_state, False, event_id
                line.moved = (event_id, at, action, detail)

    def _tell(self, event_id: int, at: str, actor: str, action: str, detail: str, place: int | None) -> None:
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
            self._ask(event_id, at, actor, told, place or 1)
            return
        line = self.lines.get(place or 1)
        if line is None:
            self._flaw(f"event {event_id} is about a payment that no event asks for")
        elif action == LookedUp.action:
            line.undivided = False
            # The first versions did not tell the rule, which may have been another one by then.
            self._told.pop("rule", None)
            self._told |= {name: told[name] for name in _FROZEN_OF_REQUEST if name in told}
            line.told |= {name: told[name] for name in _FROZEN_OF_PAYMENT if name in told}
            # Where it does not say so it is sent at once, in every version.
            line.told["not_before"] = told.get("not_before")
        elif action == Sending.action:
            line.attempts.append([told.get("instance"), at, *[None] * 5])
            if told.get("try") != len(line.attempts):
                self._flaw(f"event {event_id} is try {_shown(told.get('try'))} of {len(line.attempts)}")
        # The first versions did not tell whose answer it is; it was taken for the last call's.
        elif (number := told.get("try", len(line.attempts))) not in range(1, len(line.attempts) + 1):
            self._flaw(f"event {event_id} is the answer to no call")
        else:
            answer = [told.get(name) for name in ("verdict", "status", "status_text", "evidence")]
            line.attempts[int(number) - 1][2:] = [at, *answer]
            if action == Answered.action:
                line.told |= {"status": answer[1], "status_text": answer[2]}
                line.evidence = answer[3]

    def _ask(self, event_id: int, at: str, actor: str, told: Mapping[str, Any], place: int) -> None:
        """Somebody asks for one payment of the request; the same person, at the same moment, for each."""
        if place in self.lines:
            self._flaw(f"event {event_id} asks for it again")
        self.lines[place] = line = Line(told.get("state", State.PENDING_APPROVAL.value))
        line.told |= {"invoice": told.get("invoice")}
        line.seen = told.get("seen")
        # Where it does not say so it is sent at once, in every version.
        asked = {"requester": actor, "created_at": at, "pay_on": None}
        asked |= {name: told[name] for name in _ASKED_OF_REQUEST if name in told}
        if self._told and asked != self._told:
            self._flaw(f"event {event_id} asks for it in another way than the one before")
        self._told |= asked

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
        row: Row | None,
        payments: Mapping[Any, Row],
        approvals: Sequence[Sequence[Any]],
        attempts: Mapping[Any, Sequence[Sequence[Any]]],
    ) -> list[str]:
        """Where the events contradict each other, the row of `requests`, or those that belong to it.

        row: None where there is none. payments, attempts: by line. approvals: approver, decision, time.
        attempts: instance, start, end, verdict, status, status text, evidence; the oldest first.
        """
        if row is None or not payments:
            return [*self._flaws, f"{self._name}: its row is missing"]
        if not self.lines:
            return [*self._flaws, f"{self._name}: no event asks for it"]
        found = list(self._differing(row, self._told | {"size": len(self.lines)}))
        alone = self.lines.keys() == payments.keys() == {1}
        for place in (1,) if alone else sorted(self.lines.keys() | payments.keys(), key=str):
            line, kept = self.lines.get(place), payments.get(place)
            if line is None:
                found.append(f"no event asks for payment {_shown(place)} of it")
            elif kept is None:
                found.append(f"the row of payment {place} of it is missing")
            else:
                which = f"payment {place}: " if len(self.lines) > 1 else ""
                flaws = [*self._of_line(line, kept), *self._of_attempts(line, attempts.get(place, ()))]
                found += [which + flaw for flaw in flaws]
        found += self._of_approvals(approvals)
        return self._flaws + [f"{self._name}: {flaw}" for flaw in found]

    def _of_line(self, line: Line, row: Row) -> Iterator[str]:
        yield from self._differing(row, line.told | {"state": line.state, "tries": len(line.attempts)})
        # A look-up that ends in a refusal leaves what it read, and an event that tells the refusal alone.
        unread = "amount" not in line.told and line.state != _CANCELLED
        if unread and row["amount"] is not None:
            yield f"its amount is {_shown(row['amount'])}, and no event tells it"
        if line.last_move is not None and line.state in _AT_REST:
            yield from self._of_end(line, row)

    def _of_end(self, line: Line, row: Row) -> Iterator[str]:
        """When it came to rest, and why: nothing changes that any more but an erasing."""
        event_id, at, action, detail = line.moved
        if row["updated_at"] != at:
            yield f"its updated_at is {_shown(row['updated_at'])}, its events say {_shown(at)}"
        if action not in _WHY or row["reason"] == ERASED:
            return
        # Most are answered, and what that says was read already.
        answered = action == Answered.action
        said = line.evidence if answered else self._read(event_id, detail).get(_WHY[action])
        if row["reason"] != said and row["reason"] not in _as_kept(said):
            yield f"its reason is {_shown(row['reason'])}, its events say {_shown(said)}"

    def _differing(self, row: Row, told: Mapping[str, Any]) -> Iterator[str]:
        if told.items() <= row.items():
            return
        for name, value in told.items():
            if row[name] != value and not (name == "amount" and _equal(row[name], value)):
                yield f"its {name} is {_shown(row[name])}, its events say {_shown(value)}"

    def _of_approvals(self, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
        if not rows and not self._approved:
            return
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

    def _of_attempts(self, line: Line, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
        if len(rows) != len(line.attempts):
            yield f"it has {len(rows)} attempts, its events tell of {len(line.attempts)}"
            return
        for number, (row, told) in enumerate(zip(rows, line.attempts, strict=True), start=1):
            if list(row) != told:
                yield f"attempt {number} is {_shown(list(row))}, its events say {_shown(told)}"


def _as_kept(said: object) -> tuple[str, ...]:
    """The other forms in which what an event says became a payment's reason, in every version."""
    withdrawn = WITHDRAWN_WORDS if said == BY_ITS_REQUESTER else ()
    return (f"{said}; nothing was paid", f"left out: {said}", *withdrawn)


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
