"""The proof of a ledger: its chain is whole, and its other tables are what the events say, row by row.

It is read at one moment, a window of requests after the other, so that millions of them fit into memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

from bot.domain.events import Approved, Paused, Resumed, decode
from bot.domain.payment import PaymentRequest, State
from bot.ledger.audit import LINES, OF_ONE_REQUEST, as_given, check_chain, fitting
from bot.ledger.column_types import AsKept
from bot.ledger.misfits import misfits
from bot.ledger.replay import OF_PAYMENT, OF_REQUEST, TOLD_BY, Replay, facts_of_request
from bot.ledger.rows import Kind
from bot.ledger.schema import (
    Id,
    approvals,
    attempts,
    chain,
    deliveries,
    events,
    payments,
    requests,
)

MOST_FLAWS = 50
"""Flaws that are put into words; one that is everywhere would fill the memory."""

_WINDOW = 1000
"""Requests that are held in memory."""


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


class Flaws:
    """What was found, in words as far as they are kept."""

    def __init__(self) -> None:
        self.count = 0
        self.words: list[str] = []

    def add(self, found: Iterable[str]) -> None:
        """Further ones."""
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
    flaws = Flaws()
    check_requests(connection, flaws)
    check_rest(connection, flaws)
    return Verification(found.events, found.last_hash, found.broken_at, tuple(flaws.words), flaws.count)


def check_rest(connection: Connection, flaws: Flaws) -> None:
    """Whatever is neither the chain nor what the events of a request say."""
    _check_attempts(connection, flaws)
    _check_deliveries(connection, flaws)
    _check_pause(connection, flaws)
    flaws.add(misfits(connection))


_INVOICE = func.coalesce(payments.c.module, "?") + literal(" ") + cast(payments.c.number, String)
_REQUESTS = select(requests.c.id, *(AsKept(requests.c[name]) for name in OF_REQUEST)).order_by(requests.c.id)
_PAYMENTS = select(
    payments.c.request_id,
    payments.c.line,
    *(_INVOICE if name == "invoice" else AsKept(payments.c[name]) for name in OF_PAYMENT),
)

_TOLD = (
    LINES.where(or_(events.c.to_state.is_not(None), events.c.action.in_(TOLD_BY)))
    .order_by(None)
    .order_by(events.c.request_id, events.c.id)
)

Within = Callable[[Column[Any]], ColumnElement[bool]]
"""Which requests are meant, said of the column that holds their ids."""


def _belonging(within: Within) -> CompoundSelect[Any]:
    """The approvals (0) and attempts (1) of some requests, in one statement."""
    return union_all(
        select(
            literal(0).label("kind"),
            approvals.c.request_id.label("request_id"),
            literal(0).label("line"),
            approvals.c.id.label("id"),
            approvals.c.approver,
            approvals.c.decision,
            AsKept(approvals.c.at),
            *[null()] * 4,
        ).where(within(approvals.c.request_id)),
        select(
            literal(1),
            payments.c.request_id,
            payments.c.line,
            attempts.c.id,
            attempts.c.instance,
            AsKept(attempts.c.started_at),
            AsKept(attempts.c.finished_at),
            attempts.c.verdict,
            attempts.c.status,
            attempts.c.status_text,
            attempts.c.evidence,
        )
        .select_from(attempts.join(payments))
        .where(within(payments.c.request_id)),
    ).order_by("kind", "id")


class _Belongings:
    """Payments, approvals and attempts by their request."""

    def __init__(self, rows: Iterable[Sequence[Any]], lines: Iterable[Sequence[Any]]) -> None:
        self.payments: defaultdict[Any, dict[Any, Mapping[str, Any]]] = defaultdict(dict)
        self.approvals: defaultdict[Any, list[Sequence[Any]]] = defaultdict(list)
        self.attempts: defaultdict[Any, defaultdict[Any, list[Sequence[Any]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for request_id, line, *values in lines:
            self.payments[request_id][line] = dict(zip(OF_PAYMENT, values, strict=True))
        for kind, request_id, line, _, *values in rows:
            if kind == 0:
                self.approvals[request_id].append(values[:3])
            else:
                self.attempts[request_id][line].append(values)

    @property
    def requests(self) -> set[Any]:
        """Those that something belongs to."""
        return self.payments.keys() | self.approvals.keys() | self.attempts.keys()

    def flaws(self, request_id: Any, replay: Replay, row: Mapping[str, Any] | None) -> list[str]:
        """What the events of a request say against its row and what belongs to it."""
        return replay.flaws(
            row,
            self.payments.get(request_id, {}),
            self.approvals.get(request_id, ()),
            self.attempts.get(request_id, {}),
        )


def check_requests(
    connection: Connection, flaws: Flaws, after: int | None = None, up_to: int | None = None
) -> None:
    """Compare what belongs to requests with their events: all of them, or those between two ids."""
    while True:
        part = _REQUESTS.where(_window(after, up_to)(requests.c.id)).limit(_WINDOW)
        rows = {row[0]: row[1:] for row in as_given(connection, part)}
        last = max(rows) if len(rows) == _WINDOW else up_to
        _check_window(connection, rows, _window(after, last), flaws)
        if last == up_to:
            return
        after = last


def _window(after: int | None, up_to: int | None) -> Within:
    """The requests between two ids, and at both ends whatever lies beyond: also what is no request's."""

    def within(request_id: Column[Any]) -> ColumnElement[bool]:
        bounds: list[ColumnElement[bool]] = [true()]
        if after is not None:
            bounds.append(request_id > after)
        if up_to is not None:
            bounds.append(request_id <= up_to)
        return and_(*bounds)

    return within


def _check_window(
    connection: Connection, rows: Mapping[int, Sequence[Any]], within: Within, flaws: Flaws
) -> None:
    replays = {request_id: Replay(request_id) for request_id in rows}
    told = as_given(connection, _TOLD.where(within(events.c.request_id)))
    for event_id, at, request_id, actor, action, from_state, to_state, detail in told:
        replay = replays.get(request_id)
        if replay is None:
            replay = replays[request_id] = Replay(request_id)
        replay.add(event_id, at, actor, action, from_state, to_state, detail)
    belonging = _Belongings(
        as_given(connection, _belonging(within)),
        as_given(connection, _PAYMENTS.where(within(payments.c.request_id))),
    )
    for request_id in belonging.requests:
        replays.setdefault(request_id, Replay(request_id))
    for request_id, replay in replays.items():
        kept = rows.get(request_id)
        facts = None if kept is None else dict(zip(OF_REQUEST, kept, strict=True))
        flaws.add(belonging.flaws(request_id, replay, facts))


def _check_attempts(connection: Connection, flaws: Flaws) -> None:
    """A call must have been made for a payment that is there."""
    known = exists().where(payments.c.id == attempts.c.payment_id)
    for one, payment_id in connection.execute(select(attempts.c.id, attempts.c.payment_id).where(~known)):
        flaws.add([f"attempt {one} is of payment {payment_id}, whose row is missing"])


def _check_pause(connection: Connection, flaws: Flaws) -> None:
    """Whether sending is paused, by whom and why, is what the last event about that says."""
    about = events.c.action.in_((Paused.action, Resumed.action))
    told = select(AsKept(events.c.at), events.c.actor, events.c.action, events.c.detail).where(about)
    last = connection.execute(told.order_by(events.c.id.desc()).limit(1)).one_or_none()
    what = decode(last.action, last.detail) if last else None
    expected = (last[0], last[1], what.reason) if last and isinstance(what, Paused) else (None, None, None)
    kept = select(AsKept(chain.c.paused_at), chain.c.paused_by, chain.c.paused_reason)
    for pause in connection.execute(kept):
        if tuple(pause) != expected:
            flaws.add(
                [f"sending is {'' if pause[1] else 'not '}paused, and no event says so, by whom and why"]
            )


_STREAMED = {"stream_results": True}
_CARDS = {Kind.CARD: requests.c.card_ts, Kind.APPROVAL_CARD: requests.c.approval_ts}


def _check_deliveries(connection: Connection, flaws: Flaws) -> None:
    """A card must have been posted where it is said to stand, and what is told must have happened."""
    for kind, ts in _CARDS.items():
        posted = exists().where(
            deliveries.c.request_id == requests.c.id,
            deliveries.c.slot == kind.value,
            deliveries.c.kind == kind.value,
            deliveries.c.ts == ts,
        )
        lost = select(requests.c.id).where(ts.is_not(None), ~posted).order_by(requests.c.id)
        found = connection.execute(lost, execution_options=_STREAMED)
        flaws.add(f"#{request_id}: its {kind.replace('_', ' ')} was never posted" for (request_id,) in found)
    happened = exists().where(
        events.c.id == deliveries.c.event_id, events.c.request_id == deliveries.c.request_id
    )
    made_up = (
        select(deliveries.c.id, deliveries.c.request_id)
        .where(deliveries.c.event_id.is_not(None), ~happened)
        .order_by(deliveries.c.id)
    )
    told = connection.execute(made_up, execution_options=_STREAMED)
    flaws.add(f"#{request_id}: delivery {one} tells what is no event of it" for one, request_id in told)


_THIS = bindparam("request", type_=Id)

TOLD_OF = exists().where(
    events.c.actor == approvals.c.approver,
    events.c.request_id == approvals.c.request_id,
    events.c.action == Approved.action,
)
"""An event tells of the approval; a row alone is nobody's word."""

APPROVERS = (
    select(approvals.c.approver).where(approvals.c.request_id == _THIS, TOLD_OF).order_by(approvals.c.id)
)
"""Who approved one request, as far as an event tells of it."""

APPROVED_BY = select(approvals.c.request_id).where(
    approvals.c.approver == bindparam("approver", type_=String),
    TOLD_OF,
    approvals.c.request_id.in_(
        select(payments.c.request_id).where(payments.c.state == State.PENDING_APPROVAL.value)
    ),
)
"""The requests that one person approved and that still wait for approval: of the few that wait."""


def _this(request_id: Column[Any]) -> ColumnElement[bool]:
    return request_id == _THIS


BELONGING_TO_ONE = _belonging(_this)
PAYMENTS_OF_ONE = _PAYMENTS.where(_this(payments.c.request_id))


@dataclass(slots=True)
class Told:
    """What the events of one request say. misfit: the first that does not fit into the trail."""

    replay: Replay
    misfit: int | None = None
    _fitting: set[int | None] = field(default_factory=lambda: {None})

    def add(self, event: Sequence[Any], *, fits: bool) -> None:
        """The next of them. event: as in `LINES`."""
        if fits:
            self._fitting.add(event[0])
        elif self.misfit is None:
            self.misfit = event[0]
        _add(self.replay, event)

    def state_of(self, number: int) -> str | None:
        """The state of one payment by its events; None where its last move does not fit into the trail."""
        line = self.replay.lines.get(number)
        return line.state if line is not None and line.last_move in self._fitting else None

    def answered(self, number: int, call: int) -> bool:
        """Whether they tell what became of a call for one payment, counted from 1, and all fit."""
        return self.misfit is None and self.replay.lines[number].answered(call)

    def lines_in(self, state: str) -> set[int]:
        """The payments that are in a state by their events."""
        return {number for number in self.replay.lines if self.state_of(number) == state}


async def told(connection: AsyncConnection, request_id: int) -> Told:
    """Read the events of one request, and whether each fits between its neighbours."""
    found = Told(Replay(request_id))
    rows = (await connection.execute(OF_ONE_REQUEST, {"request": request_id})).all()
    proved = fitting(rows)
    for row in rows:
        found.add(row, fits=row[0] in proved)
    return found


async def disproof(connection: AsyncConnection, request: PaymentRequest, told: Told) -> str | None:
    """What the events of one request say against its rows, or against themselves; None if they prove it."""
    if told.misfit is not None:
        return f"{request.number}: event {told.misfit} does not fit into the audit trail"
    this = {"request": request.id}
    belonging = _Belongings(
        (await connection.execute(BELONGING_TO_ONE, this)).all(),
        (await connection.execute(PAYMENTS_OF_ONE, this)).all(),
    )
    flaws = belonging.flaws(request.id, told.replay, facts_of_request(request))
    return flaws[0] if flaws else None


def _add(replay: Replay, row: Sequence[Any]) -> None:
    """row: as in `LINES`, or `OF_ONE_REQUEST`."""
    event_id, at, _, actor, action, from_state, to_state, detail, *_ = row
    replay.add(event_id, at, actor, action, from_state, to_state, detail)
