"""Opening the database: SQLite or PostgreSQL, how each is made durable, and one writer per SQLite file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.errors import ConfigError, LedgerInUse, LedgerUnavailable

_SESSION = " ".join(
    f"-c {setting}"
    for setting in (
        "timezone=UTC",
        # A commit that is acknowledged must survive a crash, whatever the server is tuned to.
        "synchronous_commit=on",
        "lock_timeout=5s",
        "idle_in_transaction_session_timeout=30s",
    )
)

_MIGRATION_LOCK = 0x70617931
"""Any number will do, as long as every instance takes the same one (pg_advisory_xact_lock)."""


def address(url: str) -> URL:
    """The driver's address for LEDGER_URL."""
    parsed = make_url(url)
    driver = "sqlite+aiosqlite" if parsed.get_backend_name() == "sqlite" else "postgresql+psycopg"
    return parsed.set(drivername=driver)


INSTANCE = "invoice-payment-bot "
"""What the name of an instance's connections begins with, as PostgreSQL lists them."""


def engine_for(url: str, instance: str | None = None) -> AsyncEngine:
    """Make the engine; nothing is opened yet. Raises ConfigError where PostgreSQL's driver is missing.

    instance: the running bot that the connections are for; None for anybody else.
    """
    parsed = address(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_async_engine(parsed, pool_size=4, max_overflow=0, hide_parameters=True)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    try:
        return create_async_engine(
            parsed,
            # No more for a while than for good: making a connection costs more than what it is made for.
            pool_size=10,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 5,
                # A server that vanished is noticed in seconds, not after the kernel's two hours.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
                "options": _SESSION,
                **({} if instance is None else {"application_name": INSTANCE + instance}),
            },
        )
    except ModuleNotFoundError:
        raise ConfigError(
            [("LEDGER_URL", "needs PostgreSQL's driver: pip install 'invoice-payment-bot[postgres]'")]
        ) from None


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver would begin too late
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def reading(engine: AsyncEngine) -> AsyncEngine:
    """For single statements: a transaction around one would cost as much as the statement."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(begin=None)
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def writing(engine: AsyncEngine) -> AsyncEngine:
    """For write transactions: they take SQLite's write lock at once; taking it later could fail half way."""
    return engine.execution_options(begin="BEGIN IMMEDIATE")


def _begin_sqlite(connection: Connection) -> None:
    if (begin := connection.get_execution_options().get("begin", "BEGIN")) is not None:
        connection.exec_driver_sql(begin)


@contextmanager
def one_process(url: str) -> Iterator[None]:
    """Hold the SQLite file for this process alone; PostgreSQL needs no such thing.

    The lock is the kernel's and goes with the process, however it dies. Raises LedgerInUse.
    """
    parsed = address(url)
    if parsed.get_backend_name() != "sqlite":
        yield
        return
    # By its real name: a link to the file is no other ledger.
    lock = Path(f"{os.path.realpath(parsed.database or '')}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(
            f"cannot write beside the ledger {parsed.database}: {error.strerror}"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise LedgerInUse(
            f"another process runs on the ledger {parsed.database}; stop it first,"
            " or use PostgreSQL for several instances"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables to this version. Safe when several instances start at once."""

    def upgrade(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config = Config()
        config.set_main_option("script_location", "bot.ledger:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    try:
        async with writing(engine).begin() as connection:
            await connection.run_sync(upgrade)
    except (DBAPIError, OSError) as error:
        raise LedgerUnavailable(f"the ledger cannot be opened: {reason(error)}") from None


def reason(error: Exception) -> str:
    """Say a database error in one line, without statement, parameters or address."""
    original = getattr(error, "orig", None) or error
    return f"{type(original).__name__}: {str(original).splitlines()[0] if str(original) else 'no text'}"
