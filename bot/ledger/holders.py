"""Who holds an invoice by the events of the audit trail, whatever the rows say."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import RELEASED, InvoiceRef
from bot.ledger.proof import told
from bot.ledger.schema import IS_REQUEST, InvoiceAsked, events, payments

_ASKED = InvoiceAsked().in_(bindparam("invoices", expanding=True))
ASKED_FOR = select(events.c.request_id).where(IS_REQUEST, _ASKED).distinct()
"""The requests that were asked for some invoices by their events."""


async def bear_on(connection: AsyncConnection, refs: Collection[InvoiceRef]) -> bool:
    """Whether any of these was ever asked for, by a row or by an event."""
    invoices = [(ref.module, ref.number) for ref in refs]
    named = select(payments.c.request_id).where(tuple_(payments.c.module, payments.c.number).in_(invoices))
    found = await connection.execute(
        named.union_all(ASKED_FOR).limit(1), {"invoices": [str(ref) for ref in refs]}
    )
    return found.first() is not None


async def holder(connection: AsyncConnection, ref: InvoiceRef) -> int | None:
    """The request that holds an invoice by its events, whatever its rows say."""
    asking = (await connection.execute(ASKED_FOR, {"invoices": [str(ref)]})).scalars().all()
    for request_id in asking:
        lines = (await told(connection, request_id)).replay.lines.values()
        if any(line.told["invoice"] == str(ref) and line.state not in RELEASED for line in lines):
            return int(request_id)
    return None
