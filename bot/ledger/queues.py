"""Which payments a part of the bot takes up: what is due, what died, what got stuck.

Each is one question, asked by whoever claims it and by whoever looks whether there is any.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, and_, bindparam, literal, or_, select, union_all

from bot.domain.payment import State
from bot.ledger.outbox import DELIVERIES, READY
from bot.ledger.schema import NOW, payments

OVERDUE = "overdue"
"""What time brings, beside what the states that payments come to and the outbox bring."""

WAITING = (State.REQUESTED, State.APPROVED, State.NOT_SENT, State.UNKNOWN)
"""States in which a payment waits for the bot to look at it again, and for no people."""


@cache
def due(state: State, **where: bool) -> Select[Any]:
    """The ids of payments in a state that are due and held by nobody; it takes `now` and a `limit`.

    where: `card` says whether the card stands in Slack.
    """
    given = {"card": payments.c.card_ts}
    conditions: list[ColumnElement[bool]] = [
        given[name].is_not(None) if wanted else given[name].is_(None) for name, wanted in where.items()
    ]
    return (
        select(payments.c.id)
        .where(
            payments.c.state == state.value,
            payments.c.due_at <= NOW,
            or_(payments.c.lease_until.is_(None), payments.c.lease_until <= NOW),
            *conditions,
        )
        .order_by(payments.c.due_at, payments.c.id)
        .limit(bindparam("limit", type_=Integer))
    )


STRANDED = select(payments).where(
    payments.c.expires_at <= NOW,
    or_(payments.c.lease_until.is_(None), payments.c.lease_until <= NOW),
    or_(
        payments.c.state == State.REQUESTED.value,
        and_(payments.c.state == State.APPROVED.value, payments.c.card_ts.is_(None)),
    ),
)
"""Payments past their time that never got as far as a card: nobody can decide or cancel them."""

RAN_OUT = payments.c.lease_until <= NOW
SENDING = select(payments).where(payments.c.state == State.SENDING.value)
ORPHANED = SENDING.where(RAN_OUT)
"""Payments in SENDING whose lease ran out."""

_WORK = (
    (State.REQUESTED, due(State.REQUESTED)),
    (State.APPROVED, due(State.APPROVED, card=True)),
    (State.UNKNOWN, due(State.UNKNOWN)),
    (DELIVERIES, READY),
    (OVERDUE, ORPHANED),
    (OVERDUE, STRANDED),
    (OVERDUE, due(State.NOT_SENT)),
    (OVERDUE, due(State.PENDING_APPROVAL)),
)
TOPICS = union_all(
    *(
        select(literal(str(topic)).label("topic")).where(one.limit(None).order_by(None).exists())
        for topic, one in _WORK
    )
)
"""The topics in which something is due."""
