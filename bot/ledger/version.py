"""Which version a ledger's tables have: brought to this one, or refused with what to do."""

from __future__ import annotations

import pkgutil
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import LedgerUnavailable, LedgerUnfit
from bot.ledger.database import PATIENT, reason, writing
from bot.ledger.migrations import versions
from bot.ledger.moved import must_not_have_moved
from bot.ledger.rows import END, end_in
from bot.ledger.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

_ANOTHERS = "the database is that of another program; let LEDGER_URL name one of its own"

_MIGRATION_LOCK = 0x70617931
"""Any number will do, as long as every instance takes the same one (pg_advisory_xact_lock)."""


async def migrate(engine: AsyncEngine) -> bool:
    """Bring the tables to this version; whether there were none. Safe when several instances start at once.

    Raises LedgerUnavailable, LedgerUnfit.
    """

    def upgrade(connection: Connection) -> bool:
        one_at_a_time(connection)
        found = _version(connection)
        if found is None:
            _must_have_room(connection)
        if found != newest():
            make_newest(connection, found)
        return found is None

    try:
        async with writing(engine).begin() as connection:
            return await connection.run_sync(upgrade)
    except (DBAPIError, OSError) as error:
        raise LedgerUnavailable(f"the ledger cannot be opened: {reason(error)}") from None


def _must_have_room(connection: Connection) -> None:
    """A file is for a ledger alone; on a server others may have tables of other names. Raises LedgerUnfit."""
    taken = set(inspect(connection).get_table_names())
    if connection.dialect.name == "sqlite" and taken:
        raise LedgerUnfit(
            "the file is the database of another program; let LEDGER_URL name a file of its own"
        )
    if taken & {"alembic_version", *metadata.tables}:
        raise LedgerUnfit(_ANOTHERS)


def one_at_a_time(connection: Connection) -> None:
    """Let no other instance make or change tables until the transaction ends. On SQLite that is so anyway."""
    if connection.dialect.name == "postgresql":
        # Another instance may be bringing a large ledger up to date: that takes minutes.
        connection.execute(PATIENT)
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(text("SET LOCAL lock_timeout TO DEFAULT"))


def make_newest(connection: Connection, found: str | None) -> None:
    """Bring the tables to this version. found: that which they have; None where there are none."""
    if connection.dialect.name == "sqlite":
        _must_hang_together(connection)
    elif found is not None:
        # Who asked before which version it is has written by then, or asks again: see `fence`.
        connection.execute(text("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE"))
    _bring_up_to_date(connection)


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
    """Which ledger it is. Raises LedgerContradicted where the end of its trail cannot be read.

    Raises LedgerUnfit where it was moved elsewhere.
    """
    end = end_in((await connection.execute(END)).mappings())
    must_not_have_moved(end["moved_to"])
    return str(end["ledger"])


async def fence(connection: AsyncConnection) -> datetime:
    """Let a transaction on PostgreSQL write only to a ledger of this version; the server's time.

    Another instance may have brought it to a later one meanwhile, or somebody moved it elsewhere. Both is
    done only when every transaction that asked before is over. Raises LedgerUnfit.
    """
    now, found, moved_to = (await connection.execute(_FENCE)).one()
    must_not_have_moved(moved_to)
    if found != newest():
        raise LedgerUnfit(
            f"a later version of the bot has taken the ledger over ({found}), so this one stops; upgrade it"
        )
    return cast(datetime, now).astimezone(UTC)


_FENCE = text(
    "SELECT clock_timestamp(), (SELECT max(version_num) FROM alembic_version),"
    " (SELECT max(moved_to) FROM chain)"
)


def _version(connection: Connection) -> str | None:
    """The version of the tables; None where there are none. Raises LedgerUnfit for one not known here."""
    found = heads(connection)
    if unknown := sorted(map(ascii, set(found) - set(_known()))):
        if not {"payments", "events"} <= set(inspect(connection).get_table_names()):
            raise LedgerUnfit(_ANOTHERS)
        raise LedgerUnfit(
            f"the ledger is of a later version than this bot ({', '.join(unknown)}); upgrade the bot"
        )
    return found[0] if found else None


def heads(connection: Connection) -> tuple[str, ...]:
    """What the tables say of their version: one, or none where there are no tables; forged, anything."""
    if not inspect(connection).has_table("alembic_version"):
        return ()
    return tuple(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def newest() -> str:
    """The version of this code's tables."""
    return _known()[0]


@cache
def _known() -> tuple[str, ...]:
    """The versions that this code knows, the newest first: by their files, as in `v0005_requested`."""
    names = (module.name for module in pkgutil.iter_modules(versions.__path__))
    return tuple(sorted((name[1:5] for name in names), reverse=True))


def _bring_up_to_date(connection: Connection) -> None:
    # Most starts find the tables as they should be: then nothing of this is loaded.
    from alembic import command  # noqa: PLC0415

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "bot.ledger:migrations")
    return config
