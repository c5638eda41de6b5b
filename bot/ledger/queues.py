"""The work queues: one row a queue, read by claim, by wake-up and by at_rest."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    literal,
    or_,
    select,
    union_all,
)

from bot.domain.payment import State
from bot.ledger.lanes import READY
from bot.ledger.outbox import CARD_POSTED, DELIVERIES
from bot.ledger.schema import NOW, PAYMENTS, PENDING, payments, requests


@dataclass(frozen=True, eq=False)
class Queue:
    """Work of one kind.

    due: the ids of what can be taken up now, in turn; it takes `now`. woken_by: the topics of commits that
    may leave work here; what time or another instance brings is found by asking for what is due.
    unfinished: what keeps the bot from being at rest; it takes `now`.
    """

    name: str
    due: Select[Any]
    woken_by: AbstractSet[str] = frozenset()
    unfinished: ColumnElement[bool] | None = None

    @cached_property
    def some(self) -> Select[Any]:
        """The ids of the first that are due; it takes `now` and a `limit`."""
        return self.due.limit(bindparam("limit", type_=Integer))

    @cached_property
    def rows(self) -> Select[Any]:
        """The same, with all that is read of a payment."""
        return self.some.with_only_columns(*PAYMENTS.selected_columns)


def _of_payments(
    name: str,
    condition: ColumnElement[bool],
    since: Column[Any],
    *,
    woken_by: AbstractSet[str] = frozenset(),
    awaited: bool = False,
) -> Queue:
    """Payments that fulfil a condition, each due from the time in `since` on while nobody holds it.

    awaited: the bot is not at rest while one is due or held.
    """
    free = or_(payments.c.lease_until.is_(None), payments.c.lease_until <= NOW)
    both = requests.join(payments)
    due = select(payments.c.id).select_from(both).where(condition, since <= NOW, free)
    held = or_(since <= NOW, payments.c.lease_until.is_not(None))
    busy = select(literal(1)).select_from(both).where(condition, held).exists()
    due = due.order_by(since, payments.c.id)
    return Queue(name, due, woken_by, busy if awaited else None)


def _in(state: State) -> ColumnElement[bool]:
    return payments.c.state == state.value


_earlier = payments.alias("earlier")


def _first_in(state: State) -> ColumnElement[bool]:
    """The first line of its request that is in a state; it stands for all of them, which move together."""
    before = _earlier.c.request_id == payments.c.request_id, _earlier.c.line < payments.c.line
    return and_(_in(state), ~exists().where(*before, _earlier.c.state == state.value))


_DUE, _EXPIRY = payments.c.due_at, requests.c.expires_at
_HAS_CARD = requests.c.card_ts.is_not(None)
_DAY_HAS_COME = or_(payments.c.not_before.is_(None), payments.c.not_before <= NOW)

LOOK_UP = _of_payments("look-up", _first_in(State.REQUESTED), _DUE, woken_by={State.REQUESTED}, awaited=True)
EXECUTOR = _of_payments(
    "executor",
    and_(_in(State.APPROVED), _HAS_CARD, _DAY_HAS_COME),
    _DUE,
    woken_by={State.APPROVED, CARD_POSTED},
    awaited=True,
)
"""No card, no payment; and none before its day, whatever brought it forward."""
RECONCILER = _of_payments("reconciler", _in(State.UNKNOWN), _DUE, woken_by={State.UNKNOWN})

RESCUE = _of_payments("rescue", _in(State.SENDING), payments.c.lease_until, awaited=True)
"""Payments whose executor died, or lost the ledger, while the call was under way."""
STRANDED = _of_payments(
    "stranded", or_(_first_in(State.REQUESTED), and_(_first_in(State.APPROVED), ~_HAS_CARD)), _EXPIRY
)
"""Requests past their time that were never looked up, or have no card: nobody can decide on them."""
RETRY = _of_payments("retry", _in(State.NOT_SENT), _DUE)
EXPIRE = _of_payments("expire", _first_in(State.PENDING_APPROVAL), _EXPIRY)
REMIND = _of_payments("remind", and_(_first_in(State.PENDING_APPROVAL), _EXPIRY > NOW), _DUE)

OUTBOX = Queue("outbox", READY, {DELIVERIES}, exists().where(PENDING))
"""Deliveries that are due. Whoever claims them also looks at which lanes are busy: see `Outbox.claim`."""

QUEUES = (LOOK_UP, EXECUTOR, RECONCILER, RESCUE, STRANDED, RETRY, EXPIRE, REMIND, OUTBOX)

WITH_WORK = union_all(
    *(select(literal(one.name).label("name")).where(one.due.order_by(None).exists()) for one in QUEUES)
)
"""The names of the queues in which something is due; it takes `now`."""

UNFINISHED = select(literal(1)).where(or_(*(one.unfinished for one in QUEUES if one.unfinished is not None)))
"""A row where anything is left to do but wait for people or for time; it takes `now`."""
