"""A ledger with everything in it that is personal, and how that is erased."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.events import (
    ApprovalComplete,
    Cancelled,
    Denied,
    Held,
    NotTold,
    Refused,
)
from bot.domain.payment import InvoiceRef, State
from bot.ledger import database
from bot.ledger.notices import Topic
from bot.ledger.pruning import Meant
from bot.ledger.rows import Kind
from bot.ledger.schema import chain, metadata
from bot.ledger.store import Ledger
from tests.fixture_types import Clock
from tests.ledger.making import approved, request, request_in

EXPORT = "e" * 64


async def pruned(ledger: Ledger, before: datetime, *, export: str = EXPORT) -> int:
    """Erase everything from before this; how many requests."""
    meant = Meant(before, await ledger.last_event(), export, "operator:root")
    after, count = 0, 0
    while True:
        async with ledger.transaction() as transaction:
            ids = await transaction.prune_requests(meant, after=after)
        if not ids:
            break
        after, count = ids[-1], count + len(ids)
    last: int | None = 0
    while last is not None:
        async with ledger.transaction() as transaction:
            last = await transaction.prune_others(meant, after=last)
    return count


async def all_text(engine: AsyncEngine) -> str:
    """Every value of every row, in one text."""
    found: list[str] = []
    async with engine.connect() as connection:
        for table in ("requests", "payments", "approvals", "events", "deliveries", "notices"):
            rows = (await connection.execute(text(f"SELECT * FROM {table}"))).mappings()
            found += [json.dumps(dict(row), default=str, ensure_ascii=False) for row in rows]
    return "\n".join(found)


async def busy(ledger: Ledger, clock: Clock) -> None:
    """A request of several with everything that is personal, refusals, a pause, and one that is open."""
    also = (InvoiceRef("vps", 10102), InvoiceRef("domains", 10103))
    one = await request(ledger, note="for Zoë", requester="UALICE00", also=also, approvals_required=2)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(one.request, Kind.DIRECT)
        await transaction.outbox.add(one.request, Kind.INVITATION, channel="UCAROL00")
    batch = await ledger.of_request(one.request.id)
    assert batch is not None
    async with ledger.transaction() as transaction:
        await transaction.move_together(
            batch.payments, State.PENDING_APPROVAL, Refused("x", "y"), actor="look-up"
        )
    for person in ("UBOB0000", "UCAROL00"):
        assert await approved(ledger, one, person)
    clock.advance(seconds=1)
    batch = await ledger.of_request(one.request.id)
    assert batch is not None
    complete = ApprovalComplete("default", "UBOB0000, UCAROL00")
    async with ledger.transaction() as transaction:
        lines = await transaction.move_together(batch.payments, State.APPROVED, complete, actor="policy")
    first, second, third = lines
    async with ledger.transaction() as transaction:
        cancelled = Cancelled("not wanted by UDAVE000", ask="UALICE00, UDAVE000")
        await transaction.move(second, State.CANCELLED, cancelled, actor="UALICE00", reason=cancelled.reason)
        await transaction.move(
            third, State.CANCELLED, Denied("fie, Bob"), actor="UERIN000", reason="fie, Bob"
        )
    for state in (State.SENDING, State.PAID):
        async with ledger.transaction() as transaction:
            first = await transaction.move(first, state, Held("soon"), actor="executor")
    async with ledger.transaction() as transaction:
        await transaction.record(
            NotTold("direct", "UALICE00", "gone"), actor="announcer", request=one.request
        )
        await transaction.record(Refused("pay", "none"), actor="UMALLORY")
        await transaction.record(NotTold("card", "C1", "gone"), actor="announcer")
        await transaction.pause("Zoë is ill", actor="UBOB0000")
        await transaction.resume(actor="UBOB0000")
        await transaction.pause("again", actor="operator:root")
        await transaction.notices.begin_day(Topic.DIGEST, clock.now.date(), ["UBOB0000", "C1"], ended="told")
        await transaction.notices.alert(Topic.NOT_TOLD, "UERIN000 2026-03-02", "7")
        await transaction._connection.execute(text("UPDATE notices SET ended = 'told'"))
    await settle_deliveries(ledger)
    await request_in(ledger, State.UNKNOWN, InvoiceRef("vps", 20000), requester="UALICE00", note="open")
    await settle_deliveries(ledger)


_Rows = list[tuple[Table, list[dict[str, Any]]]]

_made: dict[str, _Rows] = {}
"""What `busy` writes, by the kind of database: no row of it is ever changed."""


async def busy_again(ledger: Ledger, clock: Clock) -> None:
    """Leave in an empty ledger the very rows that `busy` leaves; it makes them once for each kind."""
    kind = ledger._engine.dialect.name
    if kind not in _made:
        await busy(ledger, clock)
        _made[kind] = await _rows(ledger._engine)
        return
    clock.advance(seconds=1)
    async with database.writing(ledger._engine).begin() as connection:
        await connection.execute(delete(chain))
        for table, rows in _made[kind]:
            columns, values = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
            await connection.execute(text(f"INSERT INTO {table.name} ({columns}) VALUES ({values})"), rows)
            if kind == "postgresql" and table.autoincrement_column is not None:
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                await connection.execute(text(f"SELECT setval({sequence}, max(id)) FROM {table.name}"))


async def _rows(engine: AsyncEngine) -> _Rows:
    """All of them, as they stand there, in the order in which they refer to each other."""
    found: _Rows = []
    async with engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = (await connection.execute(text(f"SELECT * FROM {table.name}"))).mappings()
            found.append((table, [dict(row) for row in rows]))
    return [(table, rows) for table, rows in found if rows]


async def settle_deliveries(ledger: Ledger) -> None:
    async with ledger.transaction() as transaction:
        await transaction._connection.execute(text("UPDATE deliveries SET done_revision = revision"))
