"""Which version a ledger's tables have: brought to this one, or refused with what to do."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import LedgerContradicted, LedgerUnavailable, LedgerUnfit
from bot.ledger.database import PATIENT, reason, writing
from bot.ledger.schema import chain

_MIGRATION_LOCK = 0x70617931
"""Any number will do, as long as every instance takes the same one (pg_advisory_xact_lock)."""


async def migrate(engine: AsyncEngine) -> bool:
    """Bring the tables to this version; whether there were none. Safe when several instances start at once.

    Raises LedgerUnavailable, LedgerUnfit.
    """

    def upgrade(connection: Connection) -> bool:
        if connection.dialect.name == "postgresql":
            # Another instance may be bringing a large ledger up to date: that takes minutes.
            connection.execute(PATIENT)
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
        found = _version(connection)
        if found is None and connection.dialect.name == "sqlite" and inspect(connection).get_table_names():
            raise LedgerUnfit(
                "the file is the database of another program; let LEDGER_URL name a file of its own"
            )
        if found != newest():
            if connection.dialect.name == "sqlite":
                _must_hang_together(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        return found is None

    try:
        async with writing(engine).begin() as connection:
            return await connection.run_sync(upgrade)
    except (DBAPIError, OSError) as error:
        raise LedgerUnavailable(f"the ledger cannot be opened: {reason(error)}") from None


def _must_hang_together(connection: Connection) -> None:
    """Others may have deleted in a SQLite file what a row refers to: it has no place. Raises LedgerUnfit."""
    torn = connection.execute(text("PRAGMA foreign_key_check")).first()
    if torn is not None:
        table, row, missing, _ = torn
        raise LedgerUnfit(
            f"it cannot be brought up to date: row {row} of {table} refers to a row of {missing} that is"
            " missing, because somebody changed the file past the bot; restore a backup, or run"
            " `python -m bot audit verify` of the version before, which names all such rows"
        )


def check(connection: Connection) -> None:
    """Only see that it has this version. Raises LedgerUnfit."""
    found = _version(connection)
    if found is None:
        raise LedgerUnfit("there is no ledger yet; check LEDGER_URL, or start the bot once, which makes it")
    if found != newest():
        raise LedgerUnfit(
            f"the ledger is of an earlier version ({found}); start this bot once, which brings it up to date"
        )


async def identity_of(connection: AsyncConnection) -> str:
    """Which ledger it is. Raises LedgerContradicted where the end of its trail is not one row."""
    found = (await connection.execute(select(chain.c.ledger))).scalars().all()
    if len(found) != 1:
        raise LedgerContradicted(
            "the end of its audit trail is not one row; run `python -m bot audit verify`"
        )
    return str(found[0])


def _version(connection: Connection) -> str | None:
    """The version of the tables; None where there are none. Raises LedgerUnfit for one not known here."""
    found = MigrationContext.configure(connection).get_current_heads()
    if unknown := sorted(map(ascii, set(found) - set(_known()))):
        raise LedgerUnfit(
            f"the ledger is of a later version than this bot ({', '.join(unknown)}); upgrade the bot"
        )
    return found[0] if found else None


def newest() -> str:
    """The version of this code's tables."""
    return _known()[0]


@cache
def _known() -> tuple[str, ...]:
    """The versions that this code knows, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "bot.ledger:migrations")
    return config
