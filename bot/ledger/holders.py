"""Who holds an invoice by the events of the audit trail, whatever the rows say."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import String, bindparam, cast, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import RELEASED, InvoiceRef
from bot.ledger.proof import told
from bot.ledger.schema import IS_REQUEST, InvoiceAsked, events, payments

_ASKED = InvoiceAsked().in_(bindparam("invoices", expanding=True))
ASKED_FOR = select(events.c.request_id).where(IS_REQUEST, _ASKED).distinct()
"""The requests that were asked for some invoices by their events."""


_NAMED = payments.c.module.concat(" ").concat(cast(payments.c.number, String))
_OF_ROW = tuple_(payments.c.module, payments.c.number).in_(bindparam("named", expanding=True))
KNOWN = union_all(select(_NAMED).where(_OF_ROW), select(InvoiceAsked()).where(IS_REQUEST, _ASKED))
"""Those of some invoices that a row is of, or an event."""


async def asked_for(connection: AsyncConnection, refs: Collection[InvoiceRef]) -> set[str]:
    """Those of these that were ever asked for, by a row or by an event."""
    given = {"named": [(ref.module, ref.number) for ref in refs], "invoices": [str(ref) for ref in refs]}
    return set((await connection.execute(KNOWN, given)).scalars())


async def holder(connection: AsyncConnection, ref: InvoiceRef) -> int | None:
    """The request that holds an invoice by its events, whatever its rows say."""
    asking = (await connection.execute(ASKED_FOR, {"invoices": [str(ref)]})).scalars().all()
    for request_id in asking:
        lines = (await told(connection, request_id)).replay.lines.values()
        if any(line.told["invoice"] == str(ref) and line.state not in RELEASED for line in lines):
            return int(request_id)
    return None
