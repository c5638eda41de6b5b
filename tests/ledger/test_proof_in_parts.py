"""A large ledger is proved by several processes: they find whatever one finds, and say it in its words."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.ledger import audit, proof, proof_in_parts
from bot.ledger.proof_in_parts import parts, rest_is_clean
from bot.ledger.store import Ledger
from tests.ledger.forging import OF_OTHERS, OF_PAYMENTS, forge, forge_in

OF_THE_TRAIL = (
    "DELETE FROM chain",
    "UPDATE chain SET last_hash = 'a'",
    "UPDATE chain SET last_event = last_event - 1",
    "UPDATE events SET id = -3 WHERE id = 5",
    "UPDATE events SET detail = '[]' WHERE id = 1",
    "UPDATE events SET hash = 'a' WHERE id = 56",
    "UPDATE events SET hash = 'a' WHERE id = 170",
    "DELETE FROM events WHERE id = 56",
    "DELETE FROM events WHERE id = 57",
    "DELETE FROM events WHERE id BETWEEN 50 AND 120",
    "DELETE FROM events WHERE id > 160",
    "DELETE FROM events",
    "UPDATE events SET detail = '{}', erased_by = 160 WHERE id = 5",
    "DELETE FROM payments WHERE id = 1",
    "DELETE FROM requests WHERE id = 33",
    "UPDATE chain SET paused_at = '2026-03-02', paused_by = 'U1'",
)
"""The parts of three meet behind the events 56 and 113."""


def clean(connection: Connection) -> bool:
    """Whether all parts of three are, and the rest."""
    return all([part.is_clean(connection) for part in parts(connection, 3)]) and rest_is_clean(connection)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small ledger is large, and read in many windows."""
    monkeypatch.setattr(proof_in_parts, "MANY", 1)
    monkeypatch.setattr(proof, "_WINDOW", 3)
    monkeypatch.setattr(audit, "_EVENTS_IN_MEMORY", 7)


async def test_what_is_whole_is_clean_in_all_parts(tables: AsyncConnection) -> None:
    """However many there are."""
    for count in (1, 2, 3):
        await all_are_clean(tables, count)
    assert await tables.run_sync(rest_is_clean)


@pytest.mark.parametrize("shared_url", ["sqlite"], indirect=True)
async def test_there_may_be_more_parts_than_events(tables: AsyncConnection) -> None:
    """Some of them are empty, and clean as well."""
    await all_are_clean(tables, 200)


async def all_are_clean(tables: AsyncConnection, count: int) -> None:
    for part in await tables.run_sync(parts, count):
        assert await tables.run_sync(part.is_clean), part


@pytest.mark.parametrize("statement", OF_THE_TRAIL)
async def test_where_the_trail_was_forged_a_part_is_unclean(tables: AsyncConnection, statement: str) -> None:
    """Also where parts meet, and beyond both ends."""
    await forge_in(tables, statement)
    assert not await tables.run_sync(clean)


@pytest.mark.parametrize("shared_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("statement", [each for each, _ in OF_PAYMENTS + OF_OTHERS])
async def test_whatever_was_forged_makes_a_part_unclean(tables: AsyncConnection, statement: str) -> None:
    """That the proof sees each on both databases, tests/ledger/test_proof.py shows."""
    await forge_in(tables, statement)
    assert not await tables.run_sync(clean)


async def test_several_processes_prove_what_one_proves(released: Ledger, ledger_url: str) -> None:
    """With the same result."""
    whole = await released.verify()
    assert await proof_in_parts._proved(released, ledger_url, 2) == whole
    assert whole.whole


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
async def test_what_they_find_is_said_as_by_one(
    released: Ledger, ledger_url: str, engine: AsyncEngine
) -> None:
    """In its words, and in its order."""
    await forge(
        engine,
        "UPDATE payments SET tries = tries + 1",
        "UPDATE events SET detail = '[]' WHERE id = 100",
    )
    assert await proof_in_parts._proved(released, ledger_url, 2) is None
    said = await released.verify()
    assert await proof_in_parts.verify(released, ledger_url) == said
    assert (said.broken_at, said.flaw_count > 30) == (100, True)


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
async def test_they_begin_anew_until_they_see_the_same_end(
    released: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot may be adding to the trail."""
    real, ends = proof_in_parts._end, []

    def moving(connection: Connection) -> list[tuple[Any, ...]]:
        ends.append(real(connection))
        return [(1, 0, "")] if len(ends) < 3 else ends[-1]

    monkeypatch.setattr(proof_in_parts, "_end", moving)
    assert await proof_in_parts._proved(released, ledger_url, 2) == await released.verify()
    assert len(ends) == 3
