"""What is asked all the time, and at each start, is found by an index: it takes as long on an old ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from bot.domain.payment import State
from bot.ledger.store import Ledger
from tests.fixture_types import Clock

Asked = list[tuple[str, Any]]


pytestmark = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
"""How PostgreSQL reads depends on how much there is."""


@contextmanager
def heard(ledger: Ledger) -> Iterator[Asked]:
    """What the database is asked in the block."""
    asked: Asked = []

    def listen(*told: Any) -> None:
        asked.append((told[2], told[3]))

    engine = ledger._engine.sync_engine
    event.listen(engine, "before_cursor_execute", listen)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", listen)


async def steps(ledger: Ledger, asked: Asked) -> list[str]:
    """How SQLite goes about it, without what reads a single row or what another step has found."""
    found = []
    async with ledger._engine.connect() as connection:
        for sql, values in asked:
            if sql.split(maxsplit=1)[0] in ("SELECT", "UPDATE"):
                plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
                found += [str(step) for *_, step in plan]
    return [one for one in found if one.split()[0] in ("SCAN", "SEARCH")]


async def test_a_start_looks_at_what_waits_and_not_at_what_is_done(ledger: Ledger) -> None:
    """Where a table is read through, it is by an index of the few that are meant."""
    with heard(ledger) as asked:
        async with ledger.transaction() as transaction:
            await transaction.bring_forward()
            await transaction.free_leases(instead_of="me", visible_within=timedelta(0))
    few = {
        "deliveries_pending",
        "deliveries_ambiguous",
        "deliveries_leased",
        "payments_leased",
        "notices_to_tell",
    }
    found = [step for step in await steps(ledger, asked) if step.startswith("SCAN ") and "chain" not in step]
    assert found
    assert [step for step in found if step.split()[-1] not in few] == []


async def test_what_somebody_decided_is_not_looked_for_in_all_that_they_did(ledger: Ledger) -> None:
    """Who asks for payments every day has many events, and decided on few."""
    with heard(ledger) as asked:
        await ledger.concerning("U1", State)
    found = await steps(ledger, asked)
    assert {one for one in found if "events" in one} == {
        "SEARCH events USING INDEX events_of_decider (actor=?)",
    }


async def test_what_was_spent_today_is_not_looked_for_in_all_that_was_asked_for(
    ledger: Ledger, clock: Clock
) -> None:
    """Neither by anybody nor by one person."""
    with heard(ledger) as asked:
        async with ledger.transaction() as transaction:
            await transaction.requested_totals(
                since=clock.now,
                until=clock.now + timedelta(days=1),
                currency="USD",
                except_payment=1,
                rule="default",
                rules=["default", "other"],
                requester="U1",
            )
    found = await steps(ledger, asked)
    assert [one for one in found if "requests" in one] == [
        "SEARCH requests USING INDEX requests_of_day (created_at>? AND created_at<?)"
    ]


async def test_what_somebody_approved_and_still_waits_is_not_looked_for_in_all_approvals(
    ledger: Ledger,
) -> None:
    """Few wait; approvals are kept for ever, and everybody's Home tab asks."""
    with heard(ledger) as asked:
        await ledger.approved_by("U1")
    found = await steps(ledger, asked)
    assert [one for one in found if one.startswith("SCAN") or "approvals" in one] == [
        "SEARCH approvals USING COVERING INDEX sqlite_autoindex_approvals_1 (request_id=? AND approver=?)"
    ]
