"""The outbox: what Slack still has to be told, written in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from bot.domain.payment import PaymentRequest
from bot.ledger.lanes import FIRST_OF_EACH, PERHAPS_UNSEEN
from bot.ledger.rows import Delivery, Kind, delivery_of, readable
from bot.ledger.schema import FREE, PENDING, deliveries, requests

_CARD_COLUMNS = {Kind.CARD: requests.c.card_ts, Kind.APPROVAL_CARD: requests.c.approval_ts}
_CARDS = tuple(kind.value for kind in _CARD_COLUMNS)

Lane = tuple[str, bool]
"""A channel, and whether messages in it are changed (True) or posted (False): Slack's limits differ."""

Busy = Collection[Lane]
"""The lanes that take nothing more just now."""

TOGETHER = timedelta(seconds=3)
"""So long the outcome of one of several payments waits at first to be told together with the next."""

_FEW = 3
"""Replies in a thread after which each further one waits three times as long, up to five minutes."""

DELIVERIES = "deliveries"
"""The topic of commits that may leave something new to deliver."""

CARD_POSTED = "card posted"
"""The topic of commits by which a request's card stands in Slack."""


class Outbox:
    """The deliveries, inside one transaction.

    left: whether the last claim left anything that is due. taken_over: what was claimed although somebody had
    not given it back.
    """

    def __init__(self, connection: AsyncConnection, now: datetime, changed_topics: set[str]) -> None:
        self._connection = connection
        self._sqlite = connection.dialect.name == "sqlite"
        self._now = now
        self._changed_topics = changed_topics
        self._new_cards: set[int] = set()
        self._to_refresh: dict[int, timedelta] = {}
        self._alone: set[int] = set()
        self.left = True
        self.taken_over: set[int] = set()

    async def add(
        self,
        request: PaymentRequest,
        kind: Kind,
        *,
        event_id: int | None = None,
        channel: str | None = None,
        gather: bool = False,
    ) -> None:
        """Something to tell; telling the same thing in the same place twice is one delivery.

        channel: the request's own, or for a direct message its requester, unless told otherwise. gather: it
        may wait for what else comes up in its thread; what may not takes with it what waits there.
        """
        if not gather:
            self._changed_topics.add(DELIVERIES)
            if kind is Kind.THREAD_REPLY and request.size > 1:
                await self._hasten(request)
        where = channel or (request.requester if kind is Kind.DIRECT else request.channel)
        told = [kind.value, *([str(event_id)] if event_id is not None else [])]
        slot = kind.value if kind in _CARD_COLUMNS else ":".join([*told, where])
        dialect = sqlite if self._sqlite else postgresql
        wait = await self._wait_for_company(request) if gather else timedelta(0)
        added = await self._connection.execute(
            dialect.insert(deliveries)
            .values(**self._new(request, kind, slot, where), event_id=event_id, due_at=self._now + wait)
            .on_conflict_do_nothing()
            .returning(deliveries.c.id)
        )
        if added.one_or_none() is not None and kind is Kind.CARD:
            self._new_cards.add(request.id)

    async def add_cards(self, of: Collection[PaymentRequest]) -> None:
        """The cards of requests that this transaction has made."""
        if not of:
            return
        self._changed_topics.add(DELIVERIES)
        slot = Kind.CARD.value
        cards = [self._new(one, Kind.CARD, slot, one.channel) | {"due_at": self._now} for one in of]
        await self._connection.execute(deliveries.insert(), cards)
        self._new_cards.update(one.id for one in of)

    def _new(self, request: PaymentRequest, kind: Kind, slot: str, where: str) -> dict[str, Any]:
        return {
            "request_id": request.id,
            "slot": slot,
            "kind": kind.value,
            "channel": where,
            "revision": 1,
            "done_revision": 0,
            "tries": 0,
            "ambiguous": False,
            "created_at": self._now,
        }

    async def _wait_for_company(self, request: PaymentRequest) -> timedelta:
        """Longer, the more messages its thread has: a slow billing API shall not make many of one request."""
        there = select(func.count(deliveries.c.ts.distinct())).where(
            deliveries.c.request_id == request.id, deliveries.c.kind == Kind.THREAD_REPLY.value
        )
        count: int = (await self._connection.execute(there)).scalar_one()
        return min(TOGETHER * int(3 ** max(count - _FEW, 0)), TOGETHER * 100)

    async def _hasten(self, request: PaymentRequest) -> None:
        """What waits for company in the thread goes now."""
        await self._connection.execute(
            update(deliveries)
            .where(
                deliveries.c.request_id == request.id,
                deliveries.c.kind == Kind.THREAD_REPLY.value,
                deliveries.c.tries == 0,
                deliveries.c.due_at > self._now,
                PENDING,
            )
            .values(due_at=self._now)
        )

    def refresh_cards(self, request_id: int, *, after: timedelta = timedelta(0)) -> None:
        """The cards have something new to show; `after`: it may be outdated by then."""
        if not after:
            self._changed_topics.add(DELIVERIES)
        self._to_refresh[request_id] = min(after, self._to_refresh.get(request_id, after))

    async def finish(self) -> None:
        """Whatever happened to a request, its cards are shown once, unless they have not been posted yet."""
        for request_id, after in self._to_refresh.items():
            if request_id not in self._new_cards:
                await self._show(request_id, _CARDS, after=after)

    async def repair_cards(self, request_id: int) -> None:
        """Show the cards again: somebody acted on an outdated one. Those about to be shown are left.

        One that was given up stands there all the same, as can be seen.
        """
        # PostgreSQL locks it anyway where a delivery is changed twice.
        await self._lock_request(request_id)
        stands = deliveries.c.ts.is_not(None)
        await self._connection.execute(
            update(deliveries)
            .where(deliveries.c.request_id == request_id, deliveries.c.kind.in_(_CARDS), stands)
            .values(given_up=None)
        )
        await self._show(request_id, _CARDS, deliveries.c.done_revision == deliveries.c.revision)

    async def _show(
        self,
        request_id: int,
        kinds: Collection[str],
        *where: ColumnElement[bool],
        after: timedelta = timedelta(0),
    ) -> None:
        due_at: Any = self._now + after
        if after:
            # One that nobody has begun to post shows it anyway, in its turn.
            to_post = and_(deliveries.c.ts.is_(None), deliveries.c.lease_owner.is_(None))
            due_at = case((to_post, deliveries.c.due_at), else_=due_at)
        else:
            self._changed_topics.add(DELIVERIES)
        await self._connection.execute(
            update(deliveries)
            .where(
                deliveries.c.request_id == request_id,
                deliveries.c.kind.in_(kinds),
                deliveries.c.given_up.is_(None),
                *where,
            )
            .values(revision=deliveries.c.revision + 1, due_at=due_at)
        )

    async def claim(
        self,
        *,
        owner: str,
        lease: timedelta,
        busy: Busy,
        limit: int,
        updates: int,
        lately: Collection[str] = (),
    ) -> list[Delivery]:
        """Take what is due: the first of each lane, and within a thread in the order it happened.

        updates: how many messages may be changed now. Posts come first: they tell what nobody knows yet.
        lately: the channels that had a message lately; the others come before them.
        """
        given = {
            "now": self._now,
            "limit": limit,
            "not_posting": sorted(channel for channel, updating in busy if not updating),
            "not_updating": sorted(channel for channel, updating in busy if updating),
            "lately": sorted(lately),
        }
        rows = (await self._connection.execute(FIRST_OF_EACH, given)).all()
        posts = [row for row in rows if row.is_post]
        taking = [*posts, *(row for row in rows if not row.is_post)][: len(posts) + max(updates, 0)]
        ids = [row.id for row in taking]
        self.left = not rows or rows[0].due > len(ids)
        self._alone = {row.id for row in taking if row.is_alone}
        self.taken_over = {row.id for row in taking if row.is_held}
        if not ids:
            return []
        taken = self._taking(ids, owner, lease)
        return readable((await self._connection.execute(taken)).mappings(), delivery_of)

    async def claim_with(
        self, first: Delivery, *, owner: str, lease: timedelta, limit: int
    ) -> Sequence[Delivery]:
        """Take also the replies that follow one about several payments, whether or not they are due.

        Up to `limit`. Those that may stand there already are taken with one that may as well, and with no
        other: they are looked for together.
        """
        if first.kind is not Kind.THREAD_REPLY or first.id in self._alone or limit <= 0:
            return ()
        tried = or_(deliveries.c.ambiguous, deliveries.c.lease_owner.is_not(None))
        behind = and_(
            deliveries.c.request_id == first.request_id,
            deliveries.c.kind == Kind.THREAD_REPLY.value,
            deliveries.c.id > first.id,
            PENDING,
        )
        place = func.row_number().over(order_by=deliveries.c.id).label("place")
        queue = select(deliveries.c.id, place).where(behind).order_by(place).limit(limit).subquery()
        following = (
            select(queue.c.place, deliveries.c.id, tried.label("tried"), deliveries.c.tries)
            .add_columns(deliveries.c.lease_until, deliveries.c.lease_owner, deliveries.c.channel)
            .join(queue, queue.c.id == deliveries.c.id)
            .join(requests)
            .where(requests.c.size > 1, behind)
            .order_by(deliveries.c.id)
            # Whoever has the request goes for its other deliveries: to wait would be to wait for each other.
            .with_for_update(skip_locked=True, of=deliveries)
        )
        rows = (await self._connection.execute(following)).all()

        def like_it(placed: tuple[int, Any]) -> bool:
            """And none is missing before it, because somebody has that one."""
            place, row = placed
            free = row.lease_until is None or row.lease_until <= self._now
            alike = row.tried if first.ambiguous else not (row.tried or row.tries)
            return bool(alike) and free and row.place == place and row.channel == first.channel

        alike = [row for _, row in takewhile(like_it, enumerate(rows, start=1))]
        if not (ids := [row.id for row in alike]):
            return ()
        self.taken_over |= {row.id for row in alike if row.lease_owner is not None}
        taken = self._taking(ids, owner, lease)
        found = readable((await self._connection.execute(taken)).mappings(), delivery_of)
        return sorted(found, key=lambda one: one.id)

    def _taking(self, ids: Sequence[int], owner: str, lease: timedelta) -> ReturningUpdate[Any]:
        return (
            update(deliveries)
            .where(deliveries.c.id.in_(ids))
            .values(
                # Who held it and did not give it back has died: its post may have arrived.
                ambiguous=or_(deliveries.c.ambiguous, deliveries.c.lease_owner.is_not(None)),
                lease_owner=owner,
                lease_until=self._now + lease,
                tries=deliveries.c.tries + 1,
            )
            .returning(deliveries)
        )

    async def renew(self, delivery: Delivery, *, lease: timedelta) -> bool:
        """Prolong a lease; False if another instance has it now."""
        return await self._set(delivery, lease_until=self._now + lease)

    async def redirect_replies(self, request: PaymentRequest, why: str) -> bool:
        """Tell the requester directly what still waits to be told in a thread; whether there was any."""
        waiting = and_(
            deliveries.c.request_id == request.id,
            deliveries.c.kind == Kind.THREAD_REPLY.value,
            PENDING,
        )
        statement = (
            update(deliveries)
            .where(waiting)
            .values(done_revision=deliveries.c.revision, given_up=why, **FREE)
            .returning(deliveries.c.event_id)
        )
        told = sorted((await self._connection.execute(statement)).scalars())
        for event_id in told:
            await self.add(request, Kind.DIRECT, event_id=event_id)
        return bool(told)

    async def mark_delivered(self, delivery: Delivery, *, ts: str, late: timedelta = timedelta(0)) -> bool:
        """Slack's ts is stored, so it was told. A card may have something newer to show already.

        Whether it was still ours to tell, as for `mark_found`; otherwise another instance tells it.
        late: so long an earlier change may take yet whose answer was lost; then the card is shown once more.
        """
        return await self._mark_posted(delivery, ts, late, done_revision=delivery.revision)

    async def mark_found(self, delivery: Delivery, *, ts: str) -> bool:
        """It stands in Slack since an earlier try. A card shows what was true then, so it is shown anew."""
        shown = {} if delivery.kind in _CARD_COLUMNS else {"done_revision": delivery.revision}
        return await self._mark_posted(delivery, ts, timedelta(0), **shown)

    async def _mark_posted(self, delivery: Delivery, ts: str, late: timedelta, **shown: int) -> bool:
        new_card = delivery.kind in _CARD_COLUMNS and delivery.ts is None
        changes: dict[Any, Any] = {_CARD_COLUMNS[delivery.kind]: ts} if new_card else {}
        if delivery.kind is Kind.DIRECT or (new_card and delivery.kind is Kind.CARD):
            # The requester was told, or the card tells: nothing is answered any more where it was typed.
            changes[requests.c.response_url] = None
        if changes:
            await self._lock_request(delivery.request_id)
        comes_late = bool(late) and delivery.ambiguous and delivery.ts is not None
        # It may come over what is shown next, too.
        ambiguous = deliveries.c.revision > delivery.revision if comes_late else False
        ours = await self._set(delivery, ts=ts, ambiguous=ambiguous, tries=0, **shown, **FREE)
        if not ours:
            await self._show_anew(delivery)
        elif comes_late:
            await self._show_anew(delivery, deliveries.c.done_revision == deliveries.c.revision, after=late)
        if not (ours and changes):
            return ours
        await self._connection.execute(
            update(requests).where(requests.c.id == delivery.request_id).values(changes)
        )
        if delivery.kind is Kind.CARD and new_card:
            self._changed_topics.add(CARD_POSTED)
        if delivery.kind is Kind.APPROVAL_CARD and new_card:
            # It stands now, so the request's own card can lead to it.
            await self._show(delivery.request_id, [Kind.CARD.value])
        return True

    async def retry_at(
        self, delivery: Delivery, *, due_at: datetime, ambiguous: bool, counted: bool = True
    ) -> None:
        """Not told yet; try again then. ambiguous: it may have arrived all the same. counted: as a try."""
        tries = delivery.tries if counted else delivery.tries - 1
        ours = await self._set(delivery, due_at=due_at, ambiguous=ambiguous, tries=tries, **FREE)
        if ambiguous and not ours:
            await self._show_anew(delivery)

    async def _show_anew(self, delivery: Delivery, *where: ColumnElement[bool], **after: timedelta) -> None:
        """A card may show what was true before: by our call, where another has it, or by an earlier one."""
        if delivery.kind in _CARD_COLUMNS and delivery.ts is not None:
            await self._show(delivery.request_id, [delivery.kind.value], *where, **after)

    async def card_lost(self, request: PaymentRequest) -> None:
        """The card was deleted in Slack; who asked is told directly from now on, also what nobody may see."""
        gone = update(requests).where(requests.c.id == request.id).values(card_lost=True)
        await self._connection.execute(gone)
        thread = {"request": request.id, "channel": request.channel}
        unseen = await self._connection.execute(PERHAPS_UNSEEN, thread)
        for event_id in unseen.scalars().all():
            await self.add(request, Kind.DIRECT, event_id=event_id)

    async def give_up(self, delivery: Delivery, reason: str) -> bool:
        """It cannot be told there; `reason` is Slack's word for it. False if another instance has it now."""
        # Not only what was tried: what came up since will not be told there either.
        latest = deliveries.c.revision
        return await self._set(
            delivery, done_revision=latest, given_up=reason, ambiguous=False, tries=0, **FREE
        )

    async def forget_response_urls(self, *, asked_before: datetime) -> None:
        """Forget the addresses of answers that Slack takes no more: whoever has one may write there."""
        await self._connection.execute(
            update(requests)
            .where(requests.c.response_url.is_not(None), requests.c.created_at <= asked_before)
            .values(response_url=None)
        )

    async def _lock_request(self, request_id: int) -> None:
        """Everybody locks a request before its deliveries, so that no two wait for each other."""
        if self._sqlite:
            return
        await self._connection.execute(
            select(requests.c.id).where(requests.c.id == request_id).with_for_update()
        )

    async def _set(self, delivery: Delivery, **values: Any) -> bool:
        """Change a delivery that its taker still has; False if another took it when the lease ran out.

        Another may have posted it since, and the same instance have it again to change what stands now.
        """
        theirs = (deliveries.c.lease_owner == delivery.lease_owner, deliveries.c.ts == delivery.ts)
        changing = update(deliveries).where(deliveries.c.id == delivery.id, *theirs)
        return bool((await self._connection.execute(changing.values(**values))).rowcount)
