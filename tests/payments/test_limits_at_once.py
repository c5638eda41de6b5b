"""Two payments whose limits are asked for at the same moment, by two instances."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from sqlalchemy import text

from bot.domain.payment import Invoice, InvoiceRef, Payment
from bot.ledger.opening import open_ledger
from bot.ledger.rows import snapshot
from bot.ledger.store import Ledger
from bot.payments.limits import over_limit
from bot.payments.payable import Cancel
from tests.fixture_types import NewDatabase
from tests.ledger.making import request
from tests.payments.conftest import policy


async def test_two_requests_at_once_do_not_share_what_is_left_of_a_limit(new_postgresql: NewDatabase) -> None:
    """Each would fit alone: whoever asks second waits until the first one's amount can be seen."""
    url = new_postgresql(migrated=True)
    rules = policy(limit_per_rule_per_day=Decimal(50))
    async with open_ledger(url) as one, open_ledger(url) as two:
        payments = [await request(one, InvoiceRef("vps", number)) for number in (90001, 90002)]
        asked, go = (asyncio.Event(), asyncio.Event()), asyncio.Event()

        async def ask(ledger: Ledger, payment: Payment, done: asyncio.Event) -> Cancel | None:
            invoice = Invoice(payment.ref, "", Decimal(30), "USD", None)
            async with ledger.transaction() as transaction:
                payment = await transaction.change(payment, **snapshot(invoice))
                refusal = await over_limit(transaction, payment, rules.rules[0], rules)
                done.set()
                await go.wait()
                return refusal

        first = asyncio.create_task(ask(one, payments[0], asked[0]))
        await asked[0].wait()
        second = asyncio.create_task(ask(two, payments[1], asked[1]))
        await _waits_for_another(one, asked[1])
        go.set()
        assert await first is None
        refusal = await second
    assert refusal is not None
    assert "everybody's limit of 50.00 USD a day" in refusal.reason


async def _waits_for_another(ledger: Ledger, asked: asyncio.Event) -> None:
    """Until a transaction waits for what another one holds, or has asked without waiting."""
    blocked = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE NOT granted AND datname = current_database()"
    )
    async with asyncio.timeout(10), ledger._reads.connect() as connection:
        while not (asked.is_set() or (await connection.execute(blocked)).scalar_one()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
