"""What somebody with the database's password might write into it. The audit trail gives each away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, ScalarSelect, Update, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.payment import State
from bot.ledger.schema import approvals, attempts, payments, requests
from bot.sandbox.local_slack.identifiers import BOB, CAROL
from tests.faults.installation import Installation

Statements = Callable[[int], list[Any]]
"""What writes it down for the payment with this id."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """of: the state that a payment must be in for it to be untrue."""

    name: str
    of: State
    statements: Statements

    async def write(self, connection: AsyncConnection, payment_id: int) -> None:
        """Write it down."""
        for statement in self.statements(payment_id):
            await connection.execute(statement)


_APPROVED = {"state": State.APPROVED.value, "due_at": payments.c.updated_at}


def _with(payment_id: int, **changes: Any) -> Update:
    return update(payments).where(payments.c.id == payment_id).values(**changes)


def _asked(payment_id: int, **changes: Any) -> Update:
    return update(requests).where(requests.c.id == _request_of(payment_id)).values(**changes)


def _request_of(payment_id: int) -> ScalarSelect[Any]:
    return select(payments.c.request_id).where(payments.c.id == payment_id).scalar_subquery()


def _changed(**changes: Any) -> Statements:
    return lambda payment_id: [_with(payment_id, **changes)]


def _asked_otherwise(**changes: Any) -> Statements:
    return lambda payment_id: [_asked(payment_id, **changes)]


def _approved_by_bob(payment_id: int) -> list[Any]:
    return [
        insert(approvals).values(
            request_id=_request_of(payment_id), approver=BOB, decision="approve", at=datetime.now(UTC)
        ),
        _with(payment_id, **_APPROVED),
    ]


def _attempt_never_made(payment_id: int) -> list[Any]:
    return [delete(attempts).where(attempts.c.payment_id == payment_id)]


def _attempt_never_sent(payment_id: int) -> list[Any]:
    return [update(attempts).where(attempts.c.payment_id == payment_id).values(verdict="NOT_SENT")]


def _approval_by_another(payment_id: int) -> list[Any]:
    return [update(approvals).where(approvals.c.request_id == _request_of(payment_id)).values(approver=CAROL)]


APPROVAL_FORGED = Forgery("an approval that nobody gave", State.PENDING_APPROVAL, _approved_by_bob)
NONE_NEEDED = Forgery(
    "no approval needed",
    State.PENDING_APPROVAL,
    lambda payment_id: [_asked(payment_id, approvals_required=0), _with(payment_id, **_APPROVED)],
)
ANOTHER_REQUESTER = Forgery("another requester", State.PENDING_APPROVAL, _asked_otherwise(requester=CAROL))
ANOTHER_AMOUNT = Forgery("another amount", State.PENDING_APPROVAL, _changed(amount=Decimal("1.00")))
ANOTHER_INVOICE = Forgery("another invoice", State.PENDING_APPROVAL, _changed(number=20999))
PAID_CANCELLED = Forgery("paid made cancelled", State.PAID, _changed(state=State.CANCELLED.value))

FORGERIES = (
    APPROVAL_FORGED,
    NONE_NEEDED,
    ANOTHER_REQUESTER,
    ANOTHER_AMOUNT,
    ANOTHER_INVOICE,
    PAID_CANCELLED,
    Forgery("fewer approvals needed", State.PENDING_APPROVAL, _asked_otherwise(approvals_required=0)),
    Forgery("an attempt taken away", State.PAID, _attempt_never_made),
    Forgery("an attempt that was not sent", State.PAID, _attempt_never_sent),
    Forgery("an approval of somebody else", State.PAID, _approval_by_another),
    Forgery("declined made paid", State.DECLINED, _changed(state=State.PAID.value)),
    Forgery("cancelled made approved", State.CANCELLED, _changed(**_APPROVED)),
)


async def audited(installation: Installation) -> tuple[int, str]:
    """What `python -m bot audit verify` says of the ledger: its exit code, and its words."""
    return await installation.command("audit", "verify")


async def undetected(installation: Installation, forgeries: Iterable[Forgery]) -> list[str]:
    """Write each of these for a payment of which it is untrue, and take it back.

    Those that `audit verify` does not give away; and what it says of the ledger before the first.
    """
    code, said = await audited(installation)
    wrong = [] if code == 0 else [f"audit verify of what nobody forged: exit code {code}: {said.strip()}"]
    for forgery in forgeries:
        async with installation.writing() as connection:
            before = await _snapshot(connection)
            written = await _written(connection, forgery, before)
        if not written:
            continue
        if (audit := await audited(installation))[0] != 1:
            wrong.append(f"audit verify of {forgery.name}: exit code {audit[0]}: {audit[1].strip()}")
        async with installation.writing() as connection:
            await _restore(connection, before)
    return wrong


async def _written(
    connection: AsyncConnection, forgery: Forgery, before: dict[Any, list[RowMapping]]
) -> bool:
    """Write it for the first payment of which it is untrue; whether there was one."""
    for row in before[payments]:
        if row["state"] == forgery.of:
            # Not even a forger gets past the tables' own constraints.
            with suppress(IntegrityError):
                async with connection.begin_nested():
                    await forgery.write(connection, row["id"])
                if await _snapshot(connection) != before:
                    return True
    return False


async def _snapshot(connection: AsyncConnection) -> dict[Any, list[RowMapping]]:
    """The rows that can be forged, to be put back."""
    return {
        table: list((await connection.execute(select(table).order_by(table.c.id))).mappings())
        for table in (requests, payments, approvals, attempts)
    }


async def _restore(connection: AsyncConnection, rows: dict[Any, list[RowMapping]]) -> None:
    """Put every row back as it was."""
    for row in rows[payments]:
        await connection.execute(_with(row["id"], **row))
    for row in rows[requests]:
        values = {column: row[column.name] for column in requests.c}
        await connection.execute(update(requests).where(requests.c.id == row["id"]).values(values))
    for table in (approvals, attempts):
        await connection.execute(delete(table))
        if rows[table]:
            await connection.execute(insert(table), [dict(row) for row in rows[table]])
