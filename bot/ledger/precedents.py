"""What the ledger knows of an invoice beside the payment at hand: what may have paid it before.

MyAdmin seems to keep the invoices of all modules in one table, so a number counts in whichever module it
was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, exists, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.events import Corrected, Resolved
from bot.domain.payment import Payment, State
from bot.ledger.rows import payment_of
from bot.ledger.schema import (
    IS_REQUEST,
    LIVE,
    PAYMENTS,
    Id,
    InvoiceAsked,
    attempts,
    concerns,
    events,
    payments,
)


@dataclass(frozen=True, slots=True)
class Precedents:
    """What speaks against a payment.

    paid: a call for this very invoice was answered as paid.
    in_doubt: a call for its number may have paid it; nobody has said that it did not.
    elsewhere: the live or paid request for the same number in another module; the oldest, if several.
    """

    paid: bool
    in_doubt: bool
    elsewhere: Payment | None

    @property
    def any(self) -> bool:
        """Whether only an invoice that is read as unpaid now may be paid."""
        return self.paid or self.in_doubt or self.elsewhere is not None


_SAID_NOT_PAID = exists().where(
    events.c.request_id == payments.c.request_id,
    concerns(payments.c.line),
    events.c.action.in_((Resolved.action, Corrected.action)),
    events.c.to_state == State.DECLINED.value,
)
"""A person looked, and said that the call paid nothing. Believed only where `BESIDE` is proved as well."""


async def precedents(connection: AsyncConnection, payment: Payment) -> Precedents:
    """Those of one payment."""
    number, module = payments.c.number == payment.ref.number, payments.c.module == payment.ref.module
    answered_paid = attempts.c.verdict == State.PAID.value
    unanswered = or_(attempts.c.verdict.is_(None), attempts.c.verdict == State.UNKNOWN.value)
    first = select(func.min(payments.c.id)).where(number, ~module, LIVE).correlate(None).scalar_subquery()
    paid, doubtful, other_id = (
        await connection.execute(
            select(
                func.count().filter(and_(module, answered_paid)),
                func.count().filter(or_(answered_paid, and_(unanswered, ~_SAID_NOT_PAID))),
                first,
            )
            .select_from(attempts)
            .join(payments, payments.c.id == attempts.c.payment_id)
            .where(number)
        )
    ).one()
    row = None
    if other_id is not None:
        row = (await connection.execute(PAYMENTS.where(payments.c.id == other_id))).mappings().one_or_none()
    return Precedents(bool(paid), bool(doubtful), None if row is None else payment_of(row))


BESIDE = union(
    select(payments.c.request_id).where(
        payments.c.number == bindparam("number", type_=Id),
        payments.c.request_id != bindparam("request", type_=Id),
    ),
    select(events.c.request_id).where(
        IS_REQUEST,
        InvoiceAsked() == bindparam("invoice"),
        events.c.request_id != bindparam("request", type_=Id),
    ),
)
"""The other requests whose rows name a number, or that were asked for an invoice by their events."""


async def has_listed(connection: AsyncConnection, module: str | None = None) -> bool:
    """Whether a list of unpaid invoices was ever seen to hold an invoice; that of one module, or any."""
    found = select(payments.c.id).where(payments.c.listed).limit(1)
    if module is not None:
        found = found.where(payments.c.module == module)
    return (await connection.execute(found)).first() is not None
