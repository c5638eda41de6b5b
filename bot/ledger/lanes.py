"""Which deliveries are due, and which of them are the first of their lanes."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Integer, String, and_, bindparam, case, exists, func, or_, select

from bot.ledger.rows import Kind
from bot.ledger.schema import NOW, PENDING, deliveries, requests

_UNORDERED = tuple(kind.value for kind in (Kind.CARD, Kind.DIRECT, Kind.INVITATION, Kind.STEP))
"""What waits for no other message."""

_earlier = deliveries.alias("earlier")
_waits = exists().where(
    _earlier.c.request_id == deliveries.c.request_id,
    _earlier.c.kind == Kind.THREAD_REPLY.value,
    _earlier.c.id < deliveries.c.id,
    _earlier.c.done_revision < _earlier.c.revision,
)
_IN_TURN = or_(
    deliveries.c.kind.in_(_UNORDERED),
    and_(deliveries.c.kind == Kind.APPROVAL_CARD.value, requests.c.card_ts.is_not(None)),
    and_(deliveries.c.kind == Kind.THREAD_REPLY.value, requests.c.card_ts.is_not(None), ~_waits),
)
"""A reply waits for the card it stands under and for the replies before it."""


_DUE = and_(
    PENDING,
    deliveries.c.due_at <= NOW,
    or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= NOW),
)

READY = (
    select(deliveries.c.id)
    .join(requests, requests.c.id == deliveries.c.request_id)
    .where(_DUE, _IN_TURN)
    .order_by(deliveries.c.due_at, deliveries.c.id)
)
"""The ids of deliveries that are due, in turn, and held by nobody."""


_POST = deliveries.c.ts.is_(None)


def _among(name: str) -> ColumnElement[bool]:
    return deliveries.c.channel.in_(bindparam(name, expanding=True))


_READY = READY.order_by(None)
_OPEN = or_(and_(_POST, ~_among("not_posting")), and_(~_POST, ~_among("not_updating")))
_PLACE = func.row_number().over(
    partition_by=(deliveries.c.channel, _POST), order_by=(deliveries.c.due_at, deliveries.c.id)
)
_QUEUE = _READY.where(_OPEN).add_columns(_PLACE.label("place")).subquery()
_HOW_MANY = select(func.count()).select_from(deliveries).where(_DUE).correlate(None).scalar_subquery()

# The conditions stand here once more: PostgreSQL asks them again of a row that it had to wait for.
FIRST_OF_EACH = (
    _READY.where(_OPEN, deliveries.c.id.in_(select(_QUEUE.c.id).where(_QUEUE.c.place == 1)))
    .add_columns(
        _POST.label("is_post"),
        (requests.c.size == 1).label("is_alone"),
        deliveries.c.lease_owner.is_not(None).label("is_held"),
        _HOW_MANY.label("due"),
    )
    .order_by(
        ~_POST,
        case((and_(_POST, _among("lately")), 1), else_=0),
        deliveries.c.due_at,
        deliveries.c.id,
    )
    .limit(bindparam("limit", type_=Integer))
    .with_for_update(skip_locked=True, of=deliveries)
)
"""The first of each lane that is not closed: what had no message lately, then the longest due.

One a lane and no more, so that long queues in some channels hide none of the others. Posts come first: they
tell what nobody knows yet. due: how many there are in all, in their turn or not.
"""


_of_thread = and_(
    deliveries.c.request_id == bindparam("request", type_=Integer),
    deliveries.c.channel == bindparam("channel", type_=String),
    deliveries.c.kind == Kind.THREAD_REPLY.value,
    deliveries.c.given_up.is_(None),
)
_NEWEST = select(func.max(deliveries.c.ts)).where(_of_thread).scalar_subquery()
_UNDER_WAY = and_(PENDING, deliveries.c.lease_owner.is_not(None))

PERHAPS_UNSEEN = (
    select(deliveries.c.event_id)
    .where(_of_thread, or_(deliveries.c.ts == _NEWEST, _UNDER_WAY))
    .order_by(deliveries.c.id)
)
"""What a thread was told last, or is being told: the events. It takes the `request` and its card's `channel`.

Slack takes some replies to a message that is gone, and nobody ever sees them.
"""
