"""The proof of a ledger: its chain is whole, and its other tables are what the events say, row by row.

It is read at one moment, a window of payments after the other, so that millions of them fit into memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    String,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.events import Approved, Requested
from bot.domain.payment import RELEASED, Payment, State
from bot.ledger.audit import LINES, OF_PAYMENT, as_given, check_chain, linked
from bot.ledger.replay import FACTS, TOLD_BY, Replay, facts
from bot.ledger.rows import Kind
from bot.ledger.schema import (
    IS_REQUEST,
    AsKept,
    Id,
    InvoiceAsked,
    approvals,
    attempts,
    deliveries,
    events,
    payments,
)

MOST_FLAWS = 50
"""Flaws that are put into words; one that is everywhere would fill the memory."""

_WINDOW = 1000
"""Payments that are held in memory."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole ledger found.

    broken_at: the first event that does not fit into the chain, or None. flaws: what else contradicts the
    events, in words, and at most `MOST_FLAWS` of `flaw_count`.
    """

    events: int
    last_hash: str
    broken_at: int | None
    flaws: tuple[str, ...] = ()
    flaw_count: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing was tampered with, as far as the ledger itself can show."""
        return self.broken_at is None and not self.flaw_count


class _Flaws:
    def __init__(self) -> None:
        self.count = 0
        self.words: list[str] = []

    def add(self, found: Iterable[str]) -> None:
        for flaw in found:
            self.count += 1
            if len(self.words) < MOST_FLAWS:
                self.words.append(flaw)


def verify(connection: Connection) -> Verification:
    """Check everything. The connection shows one moment: others may go on writing."""
    if connection.dialect.name != "sqlite":
        return _verify(connection)
    try:
        return _verify(connection)
    except OperationalError:
        # A forged text need not be one. Reading such costs time, so it is done only where it is needed.
        driver = connection.connection.driver_connection
        assert driver is not None, "bug: the connection is open"
        before, driver.text_factory = driver.text_factory, _any_text
        try:
            return _verify(connection)
        finally:
            driver.text_factory = before


def _any_text(kept: bytes) -> str:
    return kept.decode(errors="backslashreplace")


def _verify(connection: Connection) -> Verification:
    found = check_chain(connection)
    flaws = _Flaws()
    _check_payments(connection, flaws)
    _check_deliveries(connection, flaws)
    return Verification(found.events, found.last_hash, found.broken_at, tuple(flaws.words), flaws.count)


_INVOICE = func.coalesce(payments.c.module, "?") + literal(" ") + cast(payments.c.number, String)
_PAYMENTS = select(
    payments.c.id,
    *(_INVOICE if name == "invoice" else AsKept(payments.c[name]) for name in FACTS),
).order_by(payments.c.id)

_TOLD = (
    LINES.where(or_(events.c.to_state.is_not(None), events.c.action.in_(TOLD_BY)))
    .order_by(None)
    .order_by(events.c.payment_id, events.c.id)
)

Within = Callable[[Column[Any]], ColumnElement[bool]]
"""Which payments are meant, said of the column that holds their ids."""


def _belonging(within: Within) -> CompoundSelect[Any]:
    """The approvals (0) and attempts (1) of some payments, in one statement."""
    return union_all(
        select(
            literal(0).label("kind"),
            approvals.c.payment_id.label("payment_id"),
            approvals.c.id.label("id"),
            approvals.c.approver,
            approvals.c.decision,
            AsKept(approvals.c.at),
            *[null()] * 4,
        ).where(within(approvals.c.payment_id)),
        select(
            literal(1),
            attempts.c.payment_id,
            attempts.c.id,
            attempts.c.instance,
            AsKept(attempts.c.started_at),
            AsKept(attempts.c.finished_at),
            attempts.c.verdict,
            attempts.c.status,
            attempts.c.status_text,
            attempts.c.evidence,
        ).where(within(attempts.c.payment_id)),
    ).order_by("kind", "id")


class _Belongings:
    """Approvals and attempts by their payment."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self.approvals: defaultdict[Any, list[Sequence[Any]]] = defaultdict(list)
        self.attempts: defaultdict[Any, list[Sequence[Any]]] = defaultdict(list)
        for kind, payment_id, _, *values in rows:
            if kind == 0:
                self.approvals[payment_id].append(values[:3])
            else:
                self.attempts[payment_id].append(values)


def _check_payments(connection: Connection, flaws: _Flaws) -> None:
    after: int | None = None
    while True:
        part = _PAYMENTS if after is None else _PAYMENTS.where(payments.c.id > after)
        rows = {row[0]: row[1:] for row in as_given(connection, part.limit(_WINDOW))}
        up_to = max(rows) if len(rows) == _WINDOW else None
        _check_window(connection, rows, _window(after, up_to), flaws)
        if up_to is None:
            return
        after = up_to


def _window(after: int | None, up_to: int | None) -> Within:
    """The payments between two ids, and at both ends whatever lies beyond: also what is no payment's."""

    def within(payment_id: Column[Any]) -> ColumnElement[bool]:
        bounds: list[ColumnElement[bool]] = [true()]
        if after is not None:
            bounds.append(payment_id > after)
        if up_to is not None:
            bounds.append(payment_id <= up_to)
        return and_(*bounds)

    return within


def _check_window(
    connection: Connection, rows: Mapping[int, Sequence[Any]], within: Within, flaws: _Flaws
) -> None:
    replays = {payment_id: Replay(payment_id) for payment_id in rows}
    for row in as_given(connection, _TOLD.where(within(events.c.payment_id))):
        replay = replays.get(row[2])
        if replay is None:
            replay = replays[row[2]] = Replay(row[2])
        _add(replay, row)
    belonging = _Belongings(as_given(connection, _belonging(within)))
    for payment_id in belonging.approvals.keys() | belonging.attempts.keys():
        replays.setdefault(payment_id, Replay(payment_id))
    for payment_id, replay in replays.items():
        kept = rows.get(payment_id)
        flaws.add(
            replay.flaws(
                None if kept is None else dict(zip(FACTS, kept, strict=True)),
                belonging.approvals.get(payment_id, ()),
                belonging.attempts.get(payment_id, ()),
            )
        )


_STREAMED = {"stream_results": True}
_CARDS = {Kind.CARD: payments.c.card_ts, Kind.APPROVAL_CARD: payments.c.approval_ts}


def _check_deliveries(connection: Connection, flaws: _Flaws) -> None:
    """A card must have been posted where it is said to stand, and what is told must have happened."""
    for kind, ts in _CARDS.items():
        posted = exists().where(
            deliveries.c.payment_id == payments.c.id,
            deliveries.c.slot == kind.value,
            deliveries.c.kind == kind.value,
            deliveries.c.ts == ts,
        )
        lost = select(payments.c.id).where(ts.is_not(None), ~posted).order_by(payments.c.id)
        found = connection.execute(lost, execution_options=_STREAMED)
        flaws.add(f"#{payment_id}: its {kind.replace('_', ' ')} was never posted" for (payment_id,) in found)
    happened = exists().where(
        events.c.id == deliveries.c.event_id, events.c.payment_id == deliveries.c.payment_id
    )
    made_up = (
        select(deliveries.c.id, deliveries.c.payment_id)
        .where(deliveries.c.event_id.is_not(None), ~happened)
        .order_by(deliveries.c.id)
    )
    told = connection.execute(made_up, execution_options=_STREAMED)
    flaws.add(f"#{payment_id}: delivery {one} tells what is no event of it" for one, payment_id in told)


_TOLD_OF = exists().where(
    events.c.actor == approvals.c.approver,
    events.c.payment_id == approvals.c.payment_id,
    events.c.action == Approved.action,
)
"""An event tells of the approval; a row alone is nobody's word."""

APPROVERS = (
    select(approvals.c.approver)
    .where(approvals.c.payment_id == bindparam("payment", type_=Id), _TOLD_OF)
    .order_by(approvals.c.id)
)
"""Who approved one payment, as far as an event tells of it."""

APPROVED_BY = select(approvals.c.payment_id).where(
    approvals.c.approver == bindparam("approver", type_=String),
    _TOLD_OF,
    exists().where(payments.c.id == approvals.c.payment_id, payments.c.state == State.PENDING_APPROVAL.value),
)
"""What one person approved that still waits for approval."""


def _this(payment_id: Column[Any]) -> ColumnElement[bool]:
    return payment_id == bindparam("payment", type_=Id)


BELONGING_TO_ONE = _belonging(_this)


async def disproof(connection: AsyncConnection, payment: Payment) -> str | None:
    """What the events of one payment say against its row, or against themselves; None if they prove it."""
    replay = Replay(payment.id)
    for row in await connection.execute(OF_PAYMENT, {"payment": payment.id}):
        if not linked(row):
            return f"{payment.number}: event {row[0]} does not fit into the audit trail"
        _add(replay, row)
    belonging = _Belongings((await connection.execute(BELONGING_TO_ONE, {"payment": payment.id})).all())
    flaws = replay.flaws(
        facts(payment), belonging.approvals.get(payment.id, ()), belonging.attempts.get(payment.id, ())
    )
    return flaws[0] if flaws else None


async def beginning(connection: AsyncConnection, payment_id: int) -> str | None:
    """The state of a payment that has not moved, by its events; None if none asks for it."""
    replay = Replay(payment_id)
    for row in await connection.execute(OF_PAYMENT, {"payment": payment_id}):
        _add(replay, row)
    return replay.state


def _add(replay: Replay, row: Sequence[Any]) -> None:
    """row: as in `LINES`, or `OF_PAYMENT`."""
    event_id, at, _, actor, action, from_state, to_state, detail, *_ = row
    replay.add(event_id, at, actor, action, from_state, to_state, detail)


_held, _later = events.alias("held"), events.alias("later")
_LATER_MOVE = exists().where(
    _later.c.payment_id == _held.c.payment_id, _later.c.id > _held.c.id, _later.c.to_state.is_not(None)
)
HELD = (
    select(_held.c.payment_id)
    .where(
        _held.c.payment_id.in_(
            select(events.c.payment_id).where(IS_REQUEST, InvoiceAsked() == bindparam("invoice"))
        ),
        or_(_held.c.action == Requested.action, _held.c.to_state.not_in(sorted(RELEASED))),
        ~_LATER_MOVE,
    )
    .limit(1)
)
"""The payment that holds an invoice by its events, whatever its row says."""
