"""A consistent copy of a SQLite ledger, made while bots run on it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from bot.errors import LedgerUnavailable, LedgerUnfit
from bot.ledger import database


async def backup(url: str, target: Path) -> None:
    """Copy the ledger at LEDGER_URL, as it is at one moment, to a new file that only its user can read.

    Nothing of the ledger is changed. The file is there when all of it is, and on the disk.
    Raises LedgerUnfit (no SQLite; the file is there already), LedgerUnavailable.
    """
    if database.address(url).get_backend_name() != "sqlite":
        raise LedgerUnfit("only a SQLite ledger is copied by this; back up a PostgreSQL one with pg_dump")
    _must_be_new(target)
    database.must_be_there(url)
    # A folder of its own, so that nothing of others is in the way, or is deleted.
    try:
        made = Path(tempfile.mkdtemp(prefix=".backup-", dir=target.parent))
    except OSError as error:
        raise LedgerUnavailable(f"{target} cannot be written: {error.strerror}") from None
    unfinished = made / "ledger.db"
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        await _copy(url, unfinished)
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # Unlike a renaming, this does not replace a file that came to be meanwhile.
        os.link(unfinished, target)
    except OSError as error:
        raise LedgerUnavailable(f"{target} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _must_be_new(target: Path) -> None:
    if os.path.lexists(target):
        raise LedgerUnfit(f"{target} is there already; name a new file")


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
    finally:
        await engine.dispose()
