"""Writing past the ledger, and what the proof must then say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.payment import Payment, State
from bot.ledger import database
from bot.ledger.store import Ledger, utc_now
from bot.ledger.transaction import Transaction


@asynccontextmanager
async def past_the_ledger(url: str) -> AsyncIterator[AsyncEngine]:
    """A way to its tables on which what hangs together may be torn apart."""
    engine = database.engine_for(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    yield engine
    await engine.dispose()


def _without_foreign_keys(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


async def forge(engine: AsyncEngine, *statements: str) -> None:
    """Write past the ledger, as somebody could who may do everything with the tables."""
    async with database.writing(engine).begin() as connection:
        await forge_in(connection, *statements)


async def forge_in(connection: AsyncConnection, *statements: str) -> None:
    """The same in a transaction, which may be undone."""
    if connection.dialect.name == "sqlite":
        await connection.execute(text("DROP TRIGGER IF EXISTS events_no_update"))
        await connection.execute(text("DROP TRIGGER IF EXISTS events_no_delete"))
    else:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in statements:
        await connection.execute(text(statement))


async def all_of(ledger: Ledger) -> list[Payment]:
    found = await ledger.recent(limit=1000)
    return sorted((one.first for one in found), key=lambda payment: payment.id)


async def in_state(ledger: Ledger, state: State) -> Payment:
    """The first payment in this state."""
    return next(payment for payment in await all_of(ledger) if payment.state is state)


async def disproved(ledger: Ledger, request_id: int) -> str | None:
    async with ledger.transaction() as transaction:
        return await disproved_by(transaction, request_id)


async def disproved_in(connection: AsyncConnection, request_id: int) -> str | None:
    return await disproved_by(Transaction(connection, utc_now()), request_id)


async def disproved_by(transaction: Transaction, request_id: int) -> str | None:
    payment = await transaction.of_request(request_id)
    assert payment is not None
    return await transaction.disproved(payment.first)


OF_PAYMENTS = [
    (
        "UPDATE payments SET state = 'CANCELLED' WHERE id = 1",
        "#1: its state is CANCELLED, its events say PAID",
    ),
    ("UPDATE payments SET state = 'PAID' WHERE id = 3", "#3: its state is PAID, its events say DENIED"),
    (
        "UPDATE payments SET state = 'PENDING_APPROVAL' WHERE id = 34",
        "#34: its state is PENDING_APPROVAL, its events say REQUESTED",
    ),
    ("UPDATE payments SET state = 'BLAH' WHERE id = 3", "#3: its state is BLAH, its events say DENIED"),
    ("UPDATE payments SET number = 7 WHERE id = 1", "#1: its invoice is vps 7, its events say vps 10101"),
    ("UPDATE payments SET module = 'mail' WHERE id = 1", "#1: its invoice is mail 10101, its events"),
    ("UPDATE payments SET amount = '49.98' WHERE id = 2", "#2: its amount is 49.98, its events say 49.99"),
    ("UPDATE payments SET amount = NULL WHERE id = 2", "#2: its amount is None, its events say 49.99"),
    ("UPDATE payments SET amount = 'much' WHERE id = 2", "#2: its amount is much, its events say 49.99"),
    ("UPDATE payments SET amount = '1' WHERE id = 34", "#34: its amount is 1, and no event tells it"),
    ("UPDATE payments SET currency = 'EUR' WHERE id = 2", "#2: its currency is EUR, its events say USD"),
    ("UPDATE payments SET listed = NULL WHERE id = 2", "#2: its listed is None, its events say True"),
    (
        "UPDATE requests SET approvals_required = 0 WHERE id = 2",
        "#2: its approvals_required is 0, its events",
    ),
    ("UPDATE requests SET requester = 'U9' WHERE id = 2", "#2: its requester is U9, its events say U1"),
    ("UPDATE requests SET channel = 'C9' WHERE id = 2", "#2: its channel is C9, its events say C1"),
    ("UPDATE requests SET rule = 'other' WHERE id = 34", "#34: its rule is other, its events say default"),
    ("UPDATE requests SET note = 'hello' WHERE id = 3", "#3: its note is hello, its events say None"),
    ("UPDATE payments SET tries = 0 WHERE id = 1", "#1: its tries is 0, its events say 1"),
    ("UPDATE payments SET status_text = 'x' WHERE id = 1", "#1: its status_text is x, its events say"),
    ("UPDATE payments SET reason = 'gift' WHERE id = 3", "#3: its reason is gift, its events say too much"),
    ("UPDATE payments SET reason = NULL WHERE id = 1", "#1: its reason is None, its events say answered"),
    ("UPDATE payments SET updated_at = '2026-01-01' WHERE id = 1", "#1: its updated_at is"),
    ("UPDATE requests SET created_at = '2026-01-01' WHERE id = 1", "#1: its created_at is"),
    ("UPDATE requests SET card_ts = '1.1' WHERE id = 1", "#1: its card was never posted"),
    ("UPDATE requests SET card_ts = '1.1' WHERE id = 33", "#33: its card was never posted"),
    ("UPDATE requests SET approval_ts = '1.1' WHERE id = 33", "#33: its approval card was never posted"),
]


OF_OTHERS = [
    (
        "INSERT INTO approvals (request_id, approver, decision, at) "
        "VALUES (6, 'U3', 'approve', '2026-03-02')",
        "#6: an approval by U3 is in no event",
    ),
    ("DELETE FROM approvals WHERE request_id = 2 AND approver = 'U2'", "#2: the approval by U2 is missing"),
    ("UPDATE approvals SET approver = 'U0' WHERE id = 1", "#2: an approval by U0 is in no event"),
    ("UPDATE approvals SET request_id = 1 WHERE id = 1", "#1: an approval by U2 is in no event"),
    ("UPDATE approvals SET decision = 'deny' WHERE id = 1", "#2: an approval is no approval"),
    ("UPDATE approvals SET at = '2026-03-02' WHERE id = 1", "#2: the approval by U2 has another time"),
    ("DELETE FROM attempts WHERE payment_id = 1", "#1: it has 0 attempts, its events tell of 1"),
    (
        "INSERT INTO attempts (payment_id, instance, started_at) VALUES (3, 'one', '2026-03-02')",
        "#3: it has 1 attempts, its events tell of 0",
    ),
    ("UPDATE attempts SET verdict = 'NOT_SENT' WHERE payment_id = 1", "#1: attempt 1 is"),
    ("UPDATE attempts SET verdict = NULL, finished_at = NULL WHERE payment_id = 1", "#1: attempt 1 is"),
    ("UPDATE attempts SET instance = 'two' WHERE payment_id = 1", "#1: attempt 1 is"),
    ("UPDATE deliveries SET event_id = 1 WHERE event_id = 9 OR event_id = 8", "#2: delivery"),
]
