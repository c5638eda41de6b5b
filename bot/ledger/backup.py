"""A consistent copy of a SQLite ledger, made while bots run on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bot.errors import LedgerUnavailable, LedgerUnfit
from bot.ledger import database
from bot.ledger.new_file import new_file


async def backup(url: str, target: Path) -> None:
    """Copy the ledger at LEDGER_URL, as it is at one moment, to a new file that only its user can read.

    Nothing of the ledger is changed. The file is there when all of it is, and on the disk.
    Raises LedgerUnfit (no SQLite; the file is there already), LedgerUnavailable.
    """
    if database.address(url).get_backend_name() != "sqlite":
        raise LedgerUnfit("only a SQLite ledger is copied by this; back up a PostgreSQL one with pg_dump")
    database.must_be_there(url)
    with new_file(target) as unfinished:
        await _copy(url, unfinished)


async def _copy(url: str, target: Path) -> None:
    engine = database.engine_to_read(url)
    try:
        async with database.honest_errors(), engine.connect() as connection:
            source = (await connection.get_raw_connection()).driver_connection
            assert source is not None, "bug: the connection is open"
            with closing(sqlite3.connect(target, check_same_thread=False)) as copy:
                await source.backup(copy)
                # It is one file then, with nothing beside it.
                copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:  # of the driver itself, such as a full disk
        raise LedgerUnavailable(f"it cannot be copied: {database.reason(error)}") from None
    finally:
        await engine.dispose()
