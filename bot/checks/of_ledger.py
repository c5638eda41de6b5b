"""Whether the record can be kept: it is there, of this version, takes writes, and what it took lasts.

A bot may be running on it. What is written to try it is taken back, and no file and no table is made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from sqlalchemy import Connection, false, insert, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from bot.checks.findings import Finding, note, of_problem, ok, wrong
from bot.errors import BotError, ConfigError
from bot.ledger import database, version
from bot.ledger.another_team import must_be_in
from bot.ledger.ledger_file import must_be_a_ledger, must_be_one_file
from bot.ledger.moved import must_not_have_moved
from bot.ledger.schema import chain, metadata
from bot.ledger.store import utc_now

_WHERE = "LEDGER_URL"
_BEGINS = "The first start of the bot makes it."

_DURABLE_SQLITE = {"journal_mode": "wal", "synchronous": "2", "encoding": "UTF-8"}


async def look(url: str, team: str | None = None) -> list[Finding]:
    """Look at the ledger. url: LEDGER_URL. team: whose it is to be, where that is known."""
    try:
        return list(_not_there(url)) or await _tried(url, team)
    except ConfigError as error:
        return list(map(of_problem, error.problems))
    except BotError as error:
        return [wrong(_WHERE, str(error))]
    except SQLAlchemyError as error:
        return [wrong(_WHERE, database.reason(error), "The database is there, and is not what the bot made.")]


def _not_there(url: str) -> Iterator[Finding]:
    """For a SQLite file that is not there. Raises LedgerError for one that is something else."""
    parsed = database.address(url)
    if parsed.get_backend_name() != "sqlite":
        return
    file = os.path.realpath(str(parsed.database))
    if must_be_one_file(file):
        must_be_a_ledger(file)
    elif os.access(os.path.dirname(file), os.W_OK | os.X_OK):
        yield note(_WHERE, f"there is no ledger at {parsed.database} yet", _BEGINS)
    else:
        what = f"there is no ledger at {parsed.database}, and none can be made there"
        yield wrong(_WHERE, what, "Name a folder that is there and that the bot's user may write to.")


async def _tried(url: str, team: str | None) -> list[Finding]:
    engine = database.engine_for(url)
    try:
        async with database.honest_errors(), database.writing(engine).connect() as connection:
            async with connection.begin() as transaction:
                finding = await connection.run_sync(_try, database.place(url), team)
                await transaction.rollback()
            return [finding]
    finally:
        await engine.dispose()


def _try(connection: Connection, place: str, team: str | None) -> Finding:
    """In a transaction that is taken back. Raises LedgerUnfit."""
    if not inspect(connection).has_table("alembic_version"):
        return note(_WHERE, f"there is no ledger in {place} yet", _BEGINS)
    heads = version.heads(connection)
    if len(heads) == 1 and heads[0].isdecimal() and heads[0] < version.newest():
        what = f"{place}: of an earlier version ({heads[0]})"
        return note(_WHERE, what, "The next start of the bot brings it up to date.")
    version.check(connection)
    for moved_to in connection.execute(select(chain.c.moved_to)).scalars():
        must_not_have_moved(moved_to)
    if team is not None:
        must_be_in(connection, team, utc_now())
    for table in metadata.sorted_tables:
        # No row is written, but the right to is asked for, and on SQLite the lock for it is taken.
        connection.execute(insert(table).from_select(list(table.c), select(table).where(false())))
    if flaw := _not_durable(connection):
        return wrong(_WHERE, flaw, "A crash could lose payments that were made.")
    return ok(_WHERE, f"{place}: of this version, takes writes, and keeps what it took")


def _not_durable(connection: Connection) -> str | None:
    """Why what was committed might not last; each connection is asked for the rest when it is made."""
    if connection.dialect.name == "sqlite":
        asked = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in _DURABLE_SQLITE}
        flaws = [f"{name} is {got}" for name, got in asked.items() if str(got) != _DURABLE_SQLITE[name]]
        return f"SQLite's {' and '.join(flaws)}" if flaws else None
    if connection.execute(text("SELECT current_setting('fsync')")).scalar() != "on":
        return "PostgreSQL's fsync is off"
    return None
