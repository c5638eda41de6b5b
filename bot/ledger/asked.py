"""The rows of new requests: of one, or of many whose invoices nobody ever asked for, by a few statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, union, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, State
from bot.ledger import holders
from bot.ledger.rows import payment_in, request_of
from bot.ledger.schema import events, payments, refused_triggers, requests

_LATEST = union_all(*(select(func.max(ids).label("id")) for ids in (requests.c.id, events.c.request_id)))
NEXT_NUMBER = select(func.coalesce(func.max(_LATEST.subquery().c.id), 0) + 1).scalar_subquery()
"""The number of the next request: none is left out, and none that the trail knows is given again."""

ADD_PAYMENTS = payments.insert().returning(payments)
_ADD_REQUESTS = requests.insert().returning(requests)

Asked = tuple[InvoiceRef, str, Mapping[str, Any]]
"""An invoice, the trigger of what Slack delivered, and what its request's row says of who asked."""


def of_request(now: datetime, size: int, **fields: Any) -> dict[str, Any]:
    """A new row of `requests`. size: its payments."""
    return {"size": size, "card_lost": False, "created_at": now, **fields}


def of_payment(now: datetime, request_id: int, line: int, ref: InvoiceRef) -> dict[str, Any]:
    """A new row of `payments`."""
    return {
        "request_id": request_id,
        "line": line,
        "module": ref.module,
        "number": ref.number,
        "state": State.REQUESTED.value,
        "version": 1,
        "tries": 0,
        "updated_at": now,
        "due_at": now,
    }


async def insert_fresh(
    connection: AsyncConnection, asked: Sequence[Asked], now: datetime
) -> list[Batch | None]:
    """Add a request for each. None where its invoice or command is known, or came before it here."""
    known = await holders.asked_for(connection, [ref for ref, _, _ in asked])
    triggers = await taken(connection, {one for _, by, row in asked for one in (by, row["trigger_id"])})
    fresh: list[int] = []
    for place, (ref, by, row) in enumerate(asked):
        if str(ref) not in known and triggers.isdisjoint((by, row["trigger_id"])):
            known.add(str(ref))
            triggers.add(row["trigger_id"])
            fresh.append(place)
    added: list[Batch | None] = [None] * len(asked)
    if not fresh:
        return added
    number: int = (await connection.execute(select(NEXT_NUMBER))).scalar_one()
    numbers = dict(enumerate(fresh, start=number))
    rows = [of_request(now, 1, id=one, **asked[place][2]) for one, place in numbers.items()]
    made = [request_of(row) for row in (await connection.execute(_ADD_REQUESTS, rows)).mappings()]
    by_number = {request.id: request for request in made}
    rows = [of_payment(now, one, 1, asked[place][0]) for one, place in numbers.items()]
    for row in (await connection.execute(ADD_PAYMENTS, rows)).mappings():
        number = row["request_id"]
        added[numbers[number]] = Batch((payment_in(by_number[number], row),))
    return added


async def taken(connection: AsyncConnection, triggers: Collection[str]) -> set[str]:
    """Those of the triggers that made a request already, or were refused."""
    found = (
        select(one).where(one.in_(triggers)) for one in (requests.c.trigger_id, refused_triggers.c.trigger_id)
    )
    return set((await connection.execute(union(*found))).scalars())
