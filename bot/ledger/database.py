"""Opening the database: SQLite or PostgreSQL, how each is made durable, and one writer per SQLite file.

What a database is tuned to, or a pooler before it lets through, must not decide whether a commit lasts: each
connection is asked what it got, and refused where that is not what was asked for.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, column, event, func, select, table, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.domain.problem import Problem
from bot.errors import ConfigError, LedgerInUse, LedgerUnavailable, LedgerUnfit
from bot.ledger.given_session import first_answer, with_remedy
from bot.ledger.ledger_file import must_be_a_ledger, must_be_one_file
from bot.ledger.one_errand import one_errand_each
from bot.ledger.open_files import OpenFiles

_SESSION = {
    # A commit that is acknowledged must survive a crash, whatever the server is tuned to.
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "5s",
    # A frozen instance that holds the end of the audit trail is let go of before others give up waiting.
    "idle_in_transaction_session_timeout": "3s",
    "TimeZone": "UTC",
    # The driver can read no other.
    "DateStyle": "ISO, MDY",
}
_TO_READ = {"default_transaction_read_only": "on", "DateStyle": _SESSION["DateStyle"]}

PATIENT = text(
    "SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN "
    "('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')"
)
"""Lets one transaction on PostgreSQL last as long as it takes."""

_OLDEST_SQLITE = (3, 35)
"""The first that has RETURNING."""


def address(url: str) -> URL:
    """The driver's address for LEDGER_URL; a file is named from the root on."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(drivername="sqlite+aiosqlite", database=os.path.abspath(parsed.database or ""))
    return parsed.set(drivername="postgresql+psycopg")


def place(url: str) -> str:
    """Where the ledger is, for people and logs: without the user and the password."""
    parsed = address(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    server = parsed.host or parsed.query.get("host", "localhost")
    return f"PostgreSQL at {server}{f':{parsed.port}' if parsed.port else ''}, database {parsed.database}"


INSTANCE = "invoice-payment-bot "
"""What the name of an instance's connections begins with, as PostgreSQL lists them."""

_SESSIONS = table("pg_stat_activity", column("datname"), column("application_name"))

INSTANCES = (
    select(_SESSIONS.c.application_name)
    .distinct()
    .where(
        _SESSIONS.c.datname == func.current_database(),
        _SESSIONS.c.application_name.startswith(INSTANCE),
    )
)
"""The names of the running bots that have a PostgreSQL ledger open."""


def engine_for(url: str, instance: str | None = None) -> AsyncEngine:
    """Make the engine; nothing is opened yet. Raises ConfigError where the driver is missing or too old.

    instance: the running bot that the connections are for; None for anybody else.
    """
    parsed = address(url)
    if parsed.get_backend_name() == "sqlite":
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            needs = f"needs SQLite 3.35 or later, and this Python has {sqlite3.sqlite_version}"
            raise ConfigError(Problem("LEDGER_URL", needs, "Use a newer Python, or PostgreSQL."))
        engine = create_async_engine(parsed, pool_size=4, max_overflow=0, hide_parameters=True)
        files = OpenFiles(str(parsed.database))
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "connect", files.note)
        event.listen(engine.sync_engine, "begin", files.must_be_there)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    engine = _postgresql(parsed, _SESSION, instance)
    event.listen(engine.sync_engine, "connect", _check_postgresql, insert=True)
    return engine


def engine_to_read(url: str) -> AsyncEngine:
    """The same for somebody who reads: neither a row nor a file is made or changed."""
    parsed = address(url)
    if parsed.get_backend_name() != "sqlite":
        engine = _postgresql(parsed, _TO_READ, None)
        event.listen(engine.sync_engine, "connect", _await_session, insert=True)
        return engine.execution_options(postgresql_readonly=True)
    file = f"file:{quote(str(parsed.database))}"
    # Where no bot has it open, SQLite would leave the files of one behind.
    query = {"uri": "true", "mode": "ro"} | ({} if _in_use(url) else {"immutable": "1"})
    engine = create_async_engine(parsed.set(database=file, query=query), hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _wait_for_sqlite)
    return engine


def _in_use(url: str) -> bool:
    """Whether a bot has the SQLite file open, or died with it."""
    return os.path.exists(f"{os.path.realpath(str(address(url).database))}-wal")


def must_be_there(url: str) -> None:
    """Raises LedgerUnfit where there is no SQLite file, or another is by its name.

    Whether there is a ledger in it, its version says.
    """
    file = address(url).database
    if address(url).get_backend_name() != "sqlite":
        return
    if not must_be_one_file(os.path.realpath(str(file))):
        raise LedgerUnfit(
            f"there is no ledger at {file}; check LEDGER_URL, or start the bot once, which makes it"
        )


def footprint(url: str) -> object:
    """What becomes another as soon as somebody writes to a SQLite file that nobody had open."""
    if address(url).get_backend_name() != "sqlite" or _in_use(url):
        return None
    found = os.stat(str(address(url).database))
    return found.st_ino, found.st_size, found.st_mtime_ns


def must_be_unchanged(url: str, before: object) -> None:
    """Raises LedgerUnfit for a SQLite file that was written to since that footprint was taken."""
    if before is not None and footprint(url) != before:
        raise LedgerUnfit("it was written to while it was read, because the bot was started; run this again")


def _postgresql(parsed: URL, session: Mapping[str, str], instance: str | None) -> AsyncEngine:
    escaped = {name: value.replace(" ", "\\ ") for name, value in session.items()}
    # What was said besides, of the schema for one, comes before: of two that contradict, the last counts.
    options = [*_told(parsed), *(f"-c {name}={value}" for name, value in escaped.items())]
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
                "client_encoding": "UTF8",
                "options": " ".join(options),
                **({} if instance is None else {"application_name": INSTANCE + instance}),
            },
        )
    except ModuleNotFoundError:
        remedy = "Install it: pip install 'invoice-payment-bot[postgres]'."
        raise ConfigError(Problem("LEDGER_URL", "needs PostgreSQL's driver", remedy)) from None


def _told(parsed: URL) -> Sequence[str]:
    """The session's options in the address or, as the driver has it, in the environment where it has none."""
    return parsed.normalized_query.get("options") or [os.environ.get("PGOPTIONS", "")]


def _check_postgresql(connection: Any, _record: object) -> None:
    """Ask a new connection what it got. Raises LedgerUnavailable: the next one may be another server's."""
    names = ("server_encoding", "client_encoding", "default_transaction_read_only", *_SESSION)
    asked = ", ".join(f"current_setting('{name}')" for name in names)
    question = f"SELECT pg_backend_pid(), pg_is_in_recovery(), {asked}"
    session, replica, *values = first_answer(connection, question)
    flaw = _unsafe(replica, dict(zip(names, values, strict=True)))
    if flaw is not None:
        connection.close()
        raise LedgerUnavailable(flaw)
    driver = connection.driver_connection
    if session != driver.info.backend_pid:
        # A pooler, which may give each transaction another session. Others have statements there by the names
        # that ours were given, and theirs would be carried out.
        driver.prepare_threshold = None


def _await_session(connection: Any, _record: object) -> None:
    first_answer(connection, "SELECT 1")


def _unsafe(replica: bool, got: Mapping[str, str]) -> str | None:
    """Why no payment may be written down over such a connection, and the remedy."""
    for name in ("server_encoding", "client_encoding"):
        if got[name] != "UTF8":
            return (
                f"PostgreSQL's {name} is {got[name]}, which cannot hold every name and note;"
                " make a database with ENCODING 'UTF8' for the ledger"
            )
    if replica or got["default_transaction_read_only"] == "on":
        return "this PostgreSQL takes no writes; let LEDGER_URL name the primary, and a user who may write"
    for name, value in _SESSION.items():
        if got[name] != value:
            return (
                f"PostgreSQL's {name} is {got[name]} for this session, although the bot asked for {value};"
                " let LEDGER_URL name the server itself, or a pooler that passes `options` on"
            )
    return None


def _wait_for_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver would begin too late
    one_errand_each(connection.driver_connection)
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


def snapshot(engine: AsyncEngine) -> AsyncEngine:
    """For reading much at one moment; on SQLite every transaction is so."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _begin_sqlite(connection: Connection) -> None:
    if (begin := connection.get_execution_options().get("begin", "BEGIN")) is not None:
        connection.exec_driver_sql(begin)


_OURS = 0o600


@contextmanager
def one_process(url: str) -> Iterator[None]:
    """Hold the SQLite file for this process alone; PostgreSQL needs no such thing.

    Enter it before the engine is made, and leave it when that is disposed of: closing the file gives up
    SQLite's own locks on it. The locks are the kernel's and go with the process, however it dies.
    Raises LedgerInUse, LedgerUnavailable, LedgerUnfit.
    """
    parsed = address(url)
    if parsed.get_backend_name() != "sqlite":
        yield
        return
    file = _seen(parsed)
    with ExitStack() as locks:
        try:
            lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OURS)
            locks.callback(os.close, lock)
            os.fchmod(lock, _OURS)
        except OSError as error:
            raise LedgerUnavailable(
                f"cannot write beside the ledger {parsed.database}: {error.strerror}"
            ) from None
        _take(lock, parsed)
        _make(file)
        # A lock by name says nothing of a file that has another name, or is mounted elsewhere.
        try:
            itself = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise LedgerUnavailable(f"the ledger {file} cannot be opened: {error.strerror}") from None
        locks.callback(os.close, itself)
        _take(itself, parsed)
        yield


def _take(descriptor: int, parsed: URL) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LedgerInUse(
            f"another process runs on the ledger {parsed.database}; stop it first,"
            " or use PostgreSQL for several instances"
        ) from None
    except OSError as error:
        raise LedgerUnavailable(
            f"the ledger {parsed.database} cannot be locked: {error.strerror};"
            " keep it on a disk of this machine"
        ) from None


def _seen(parsed: URL) -> str:
    """The file's real name: a link to it is no other ledger. Raises LedgerUnfit where it may not be ours."""
    file = os.path.realpath(str(parsed.database))
    if must_be_one_file(file):
        must_be_a_ledger(file)
    return file


def make_private(url: str) -> bool:
    """See that a SQLite ledger's files are for the bot's user alone: they hold addresses that are secret.

    SQLite makes the files beside the ledger with the ledger's own mode, whatever the umask. Returns whether
    others could read them before. Raises LedgerUnavailable, LedgerUnfit.
    """
    parsed = address(url)
    if parsed.get_backend_name() != "sqlite":
        return False
    file = _seen(parsed)
    _make(file)
    return any([_tighten(f"{file}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")])


def _make(file: str) -> None:
    """Make it. One that is there is never opened: closing it gives up SQLite's own locks."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OURS)
    except FileExistsError:
        return
    except OSError as error:
        raise LedgerUnavailable(f"the ledger {file} cannot be made: {error.strerror}") from None
    os.fchmod(descriptor, _OURS)
    os.close(descriptor)


def _tighten(file: str) -> bool:
    try:
        mode = stat.S_IMODE(os.stat(file).st_mode)
        if not mode & ~_OURS:
            return False
        os.chmod(file, mode & _OURS)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerUnfit(
            f"others can read {file}, and that cannot be mended ({error.strerror});"
            " give it to the user who runs the bot, with mode 600"
        ) from None
    return True


def reason(error: Exception) -> str:
    """Say a database error in one line, without statement, parameters or address."""
    original = getattr(error, "orig", None) or error
    said = str(original).splitlines()[0] if str(original) else "no text"
    return f"{type(original).__name__}: {with_remedy(said)}"


_NO_PRIVILEGE = "42501"


@asynccontextmanager
async def honest_errors() -> AsyncIterator[None]:
    """What goes wrong with the database, as LedgerUnavailable; what is wrong with the code, as it is."""
    try:
        yield
    except (DataError, IntegrityError, NotSupportedError, ProgrammingError) as error:
        if getattr(error.orig, "sqlstate", None) == _NO_PRIVILEGE:
            raise LedgerUnavailable(reason(error)) from None
        raise  # a bug: trying again does not mend it
    except (DBAPIError, PoolTimeout, OSError) as error:
        raise LedgerUnavailable(reason(error)) from None
