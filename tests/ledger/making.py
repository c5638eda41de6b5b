"""Payments in any state, made by the moves that the table allows."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from bot.domain.events import Approved, Unrecognized, encode
from bot.domain.payment import MOVES, InvoiceRef, Payment, State
from bot.ledger import schema
from bot.ledger.replay import asked
from bot.ledger.rows import Delivery, Event, Kind
from bot.ledger.store import Ledger

REF = InvoiceRef("vps", 10101)

_triggers = itertools.count(1)


async def request(
    ledger: Ledger,
    ref: InvoiceRef = REF,
    *,
    also: Sequence[InvoiceRef] = (),
    moved_to: State | None = None,
    **fields: Any,
) -> Payment:
    """A new payment request, not looked up yet; or one that came to another state at once, untold.

    also: what it is of besides; its first payment is returned.
    """
    async with ledger.transaction() as transaction:
        values: dict[str, Any] = {
            "team": "T1",
            "channel": "C1",
            "requester": "U1",
            "note": None,
            "trigger_id": f"trigger-{next(_triggers)}",
            "response_url": None,
            "rule": "default",
            "approvals_required": 0,
            "expires_at": transaction.now + timedelta(days=3),
        }
        of_payment = {name: fields.pop(name) for name in list(fields) if name not in schema.requests.c}
        batch = await transaction.insert([ref, *also], **(values | fields))
        assert batch is not None, "the invoice has a live payment"
        payment = batch.first
        for one in batch.payments:
            await transaction.record(asked(one), actor=one.request.requester, payment=one)
        if of_payment:
            payment = await transaction.change(payment, **of_payment)
        if moved_to is not None:
            payment = await transaction.move(
                payment, moved_to, happened("moved"), actor="test", announce=None
            )
    return payment


async def moved(ledger: Ledger, payment: Payment, to: State, **changes: Any) -> Payment:
    """The payment after one legal move."""
    async with ledger.transaction() as transaction:
        return await transaction.move(payment, to, happened("moved"), actor="test", **changes)


async def approved(ledger: Ledger, payment: Payment, approver: str) -> bool:
    """One person's approval, with its event; False if it was given before."""
    async with ledger.transaction() as transaction:
        fresh = await transaction.add_approval(payment.request, approver)
        if fresh:
            await transaction.record(Approved(1, 1), actor=approver, request=payment.request)
        return fresh


async def request_in(ledger: Ledger, state: State, ref: InvoiceRef = REF, **fields: Any) -> Payment:
    """A payment that came to this state by the shortest legal way, and is held there if `fields` say so."""
    payment = await request(ledger, ref, **fields)
    lease = {name: value for name, value in fields.items() if name.startswith("lease_")}
    for step in way_to(state):
        payment = await moved(ledger, payment, step, **lease)
    return payment


def way_to(state: State) -> list[State]:
    """The shortest legal way from REQUESTED, without that state itself."""
    ways: deque[list[State]] = deque([[State.REQUESTED]])
    while ways[0][-1] is not state:
        way = ways.popleft()
        ways.extend([*way, following] for following in sorted(MOVES[way[-1]]) if following not in way)
    return ways[0][1:]


async def with_card(ledger: Ledger, payment: Payment, ts: str = "1700000000.000001") -> Payment:
    """The payment, its card posted."""
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, Kind.CARD)
    (card,) = await claimed(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.mark_delivered(card, ts=ts)
    found = await ledger.payment(payment.id)
    assert found is not None
    return found


def happened(action: str, **detail: Any) -> Unrecognized:
    """An event of whatever kind, with whatever detail."""
    return Unrecognized(action, json.dumps(detail, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One wire call of api_make_payment. `verdict` is None while it is under way, or if its process died."""

    id: int
    payment_id: int
    instance: str
    started_at: datetime
    finished_at: datetime | None
    verdict: str | None
    status: str | None
    status_text: str | None
    evidence: str | None


async def attempts(ledger: Ledger, payment_id: int) -> list[Attempt]:
    """The wire calls made for a payment, in order."""
    written = schema.attempts
    of_payment = select(written).where(written.c.payment_id == payment_id).order_by(written.c.id)
    return [Attempt(**row) for row in await ledger._all(of_payment)]


async def trail(ledger: Ledger) -> list[Event]:
    """All of the audit trail."""
    return [await ledger.event(each) for each in range(1, await ledger.last_event() + 1)]


def stored(event: Event) -> dict[str, Any]:
    """What the trail holds of an event beside who, when and the move."""
    detail: dict[str, Any] = json.loads(encode(event.what))
    return detail


async def claimed(ledger: Ledger, owner: str = "announcer", **others: Any) -> list[Delivery]:
    """What an announcer gets when it asks for work, the oldest first."""
    values: dict[str, Any] = {"lease": timedelta(seconds=30), "busy": (), "limit": 10, "updates": 10}
    async with ledger.transaction() as transaction:
        found = await transaction.outbox.claim(owner=owner, **(values | others))
    return sorted(found, key=lambda delivery: delivery.id)
