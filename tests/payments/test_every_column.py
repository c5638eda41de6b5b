"""Whatever somebody writes over in the rows of a payment, the proof names it, or it stands here that not."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Boolean, Column, Date, Integer, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import State
from bot.domain.schedule import PayOn
from bot.ledger import database, proof
from bot.ledger.column_types import ExactDecimal, PaidOn, UtcDateTime
from bot.ledger.schema import approvals, attempts, payments, requests
from tests.ledger.forging import forge_in, past_the_ledger
from tests.payments.conftest import BOB, CAROL, TWO, Office

UNPROVED = {
    "requests": {"trigger_id", "response_url", "card_lost", "approval_channel"},
    "payments": {"version", "looked_up_at", "due_at", "lease_owner", "lease_until"},
    "approvals": {"id", "reason"},
    "attempts": {"id"},
}
"""Where Slack was asked and is told, when a row is looked at next and by whom, in which order: nothing is
paid by it, and no report tells it. Nobody ever gave a reason for an approval."""


def other(column: Column[object]) -> str:
    """Another value that the column takes, in SQL."""
    match column.type:
        case UtcDateTime():
            return "'2026-01-01 00:00:00.000000'"
        case Date():
            return "'2026-01-01'"
        case Boolean():
            return f"NOT {column.name}"
        case Integer():
            return f"{column.name} + 7"
        case ExactDecimal():
            return "'7.77'"
        case PaidOn():
            return "'due'"
        case _:
            return "'forged'"


async def unnoticed(connection: AsyncConnection, table: Table) -> set[str]:
    """The columns in which the proof takes another value for what it was."""
    found = set()
    for column in table.c:
        written = f"UPDATE {table.name} SET {column.name} = {other(column)}"
        async with connection.begin_nested() as forging:
            await forge_in(connection, f"{written} WHERE id = (SELECT min(id) FROM {table.name})")
            if (await connection.run_sync(proof.verify)).whole:
                found.add(column.name)
            await forging.rollback()
    return found


async def test_every_column_of_a_payment_is_proved_or_stands_here(office: Office, ledger_url: str) -> None:
    """Asked for on a day with a note, approved by two, and paid: what auditors read of it is in an event."""
    office.rules(TWO)
    day = (office.clock.now + timedelta(days=2)).date()
    payment = await office.looked_up(note="why", pay_on=PayOn(day), response_url="https://hooks.slack.com/x")
    for person in (BOB, CAROL):
        await office.desk.approve(person, payment.request.id, seen=payment.price)
    office.clock.advance(days=2)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID
    async with past_the_ledger(ledger_url) as engine, database.writing(engine).connect() as connection:
        tables = (requests, payments, approvals, attempts)
        assert {table.name: await unnoticed(connection, table) for table in tables} == UNPROVED
        await connection.rollback()
