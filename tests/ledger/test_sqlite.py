"""What every connection to a SQLite ledger is asked for: a commit lasts, and nobody writes in between."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from bot.ledger.opening import open_ledger
from tests.fixture_types import NewDatabase

_FULL = 2


async def test_a_commit_waits_for_the_disk_on_sqlite(new_sqlite: NewDatabase) -> None:
    """An intent to pay that a power cut took back would be acted on a second time."""
    async with open_ledger(new_sqlite(migrated=True)) as ledger, ledger.transaction() as transaction:
        shown = await transaction._connection.execute(text("PRAGMA synchronous"))
        assert shown.scalar_one() == _FULL


async def test_a_write_takes_its_lock_before_it_reads(new_sqlite: NewDatabase) -> None:
    """What it decides on cannot change under it, nor can it find at its first write that it is too late."""
    url = new_sqlite(migrated=True)
    async with open_ledger(url) as ledger, ledger.transaction() as transaction:
        assert await transaction.by_trigger("nobody's") is None
        with (
            closing(
                sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)
            ) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")
