"""Who holds an invoice by the events of the audit trail, whatever the rows say."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import String, bindparam, cast, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import RELEASED, InvoiceRef
from bot.ledger.proof import told
from bot.ledger.schema import IS_REQUEST, InvoiceAsked, events, payments

_ASKED = InvoiceAsked().in_(bindparam("invoices", expanding=True))
ASKED_FOR = select(events.c.request_id).where(IS_REQUEST, _ASKED).distinct()
"""The requests that were asked for some invoices by their events."""


_OF_ROW = payments.c.module.concat(" ").concat(cast(payments.c.number, String))
KNOWN = union_all(
    # By the numbers alone, which few others have: of pairs, SQLite looks through all that a module has.
    select(_OF_ROW).where(payments.c.number.in_(bindparam("numbers", expanding=True))),
    select(InvoiceAsked()).where(IS_REQUEST, _ASKED),
)
"""The invoices that a row with one of some numbers is of, or an event with one of some invoices."""


async def asked_for(connection: AsyncConnection, refs: Collection[InvoiceRef]) -> set[str]:
    """Those of these that were ever asked for, by a row or by an event."""
    invoices = {str(ref) for ref in refs}
    given = {"numbers": sorted({ref.number for ref in refs}), "invoices": sorted(invoices)}
    return invoices & set((await connection.execute(KNOWN, given)).scalars())


async def holder(connection: AsyncConnection, ref: InvoiceRef) -> int | None:
    """The request that holds an invoice by its events, whatever its rows say."""
    asking = (await connection.execute(ASKED_FOR, {"invoices": [str(ref)]})).scalars().all()
    for request_id in asking:
        lines = (await told(connection, request_id)).replay.lines.values()
        if any(line.told["invoice"] == str(ref) and line.state not in RELEASED for line in lines):
            return int(request_id)
    return None
