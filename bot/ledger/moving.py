"""Moves a ledger to another database: a SQLite file to PostgreSQL, the other way round, or to a new server.

At every moment one of the two can be paid from at most, and neither while that is not certain:

    1. All is copied and proved in one transaction of the target, which says of itself that it is unfinished.
    2. The source says that it was moved.
    3. The target says no more that it is unfinished.

Whoever breaks off before 2 has the source as it was; after it, doing the same again does what is left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, delete, false, func, insert, inspect, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import LedgerContradicted, LedgerInUse, LedgerUnfit
from bot.ledger import database, proof, version
from bot.ledger.moved import UNFINISHED, must_not_have_moved
from bot.ledger.schema import chain, metadata

_ROWS = 1000
"""How many are held in memory."""

_TABLES = metadata.sorted_tables
_NUMBERED = [table for table in _TABLES if table.autoincrement_column is not None]

Told = Callable[[int, int], None]
"""Takes how many rows were read, and how many there are to read."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A ledger stands in a new place. place: for people. again: it stood there already."""

    place: str
    found: proof.Verification
    again: bool = False


async def move(source: str, target: str, told: Told) -> Moved:
    """Move the ledger at one LEDGER_URL to another, where there is none.

    Raises LedgerInUse (a bot runs on it), LedgerUnfit (it is of another version, or was moved elsewhere; the
    target is not empty, or is the same), LedgerContradicted (it is not whole), LedgerUnavailable.
    """
    place = database.place(target)
    if place == database.place(source):
        raise LedgerUnfit("both are the same place; name a new one")
    database.must_be_there(source)
    with ExitStack() as locks:
        for url in (source, target):
            locks.enter_context(database.one_process(url))
        async with _engine(source) as from_, _engine(target) as to, database.honest_errors():
            async with _held(from_) as original:
                was_moved = await _moved_to(original)
                if was_moved not in (None, place):
                    must_not_have_moved(was_moved)
                found = await original.run_sync(proof.verify)
                if not found.whole:
                    raise LedgerContradicted("it is not whole; run `python -m bot audit verify`")
                if not await _copied(original, to, found, told, copy=was_moved is None):
                    return Moved(place, found, again=True)
                await _say(original, place)
            await _finish(to)
    return Moved(place, found)


@asynccontextmanager
async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = database.engine_for(url)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _held(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction while which nobody else writes to the ledger. Raises LedgerInUse, LedgerUnfit."""
    async with database.writing(engine).begin() as connection:
        await connection.run_sync(version.check)
        if connection.dialect.name == "postgresql":
            if (await connection.execute(database.INSTANCES)).first() is not None:
                raise LedgerInUse("a bot runs on the ledger that is to be moved; stop it first")
            await connection.execute(database.PATIENT)
            names = ", ".join(table.name for table in _TABLES)
            await connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
        yield connection


async def _moved_to(connection: AsyncConnection) -> str | None:
    found: str | None = (await connection.execute(select(chain.c.moved_to))).scalar_one()
    return found


async def _say(connection: AsyncConnection, moved_to: str | None) -> None:
    await connection.execute(chain.update().values(moved_to=moved_to))


async def _copied(
    original: AsyncConnection, to: AsyncEngine, found: proof.Verification, told: Told, *, copy: bool
) -> bool:
    """Whether all of it is in the target now, unfinished; False where it is there and finished already.

    copy: the source was not moved yet, so what is unfinished there is made anew.
    """
    (identity,) = (await original.execute(select(chain.c.ledger))).scalars()
    async with database.writing(to).begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(database.PATIENT)
        there = await connection.run_sync(_there)
        if there == (identity, None) and not copy:
            return False
        if not copy and there != (identity, UNFINISHED):
            raise LedgerUnfit(
                "the ledger was moved to it before, and is not there any more; restore its backup there"
            )
        if there not in (None, (identity, UNFINISHED)):
            raise LedgerUnfit("there is something already where it is to be moved to; name a new place")
        if copy:
            await connection.run_sync(_make_tables)
            await connection.execute(delete(chain))
        await _same(original, connection, found, told, copy=copy)
        await _say(connection, UNFINISHED)
    return True


def _there(connection: Connection) -> tuple[str, str | None] | None:
    """Which ledger is in the target, and where that says it was moved to; None where there is nothing.

    Waits for whoever makes one there just now, and lets nobody else.
    """
    version.one_at_a_time(connection)
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if set(tables) < {"alembic_version", *metadata.tables} or version.heads(connection) != (
        version.newest(),
    ):
        return "", None
    rows = connection.execute(select(chain.c.ledger, chain.c.moved_to)).all()
    return (rows[0][0], rows[0][1]) if len(rows) == 1 else ("", None)


def _make_tables(connection: Connection) -> None:
    metadata.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP FUNCTION IF EXISTS refuse_change()"))
    version.make_newest(connection, None)


async def _same(
    one: AsyncConnection, other: AsyncConnection, found: proof.Verification, told: Told, *, copy: bool
) -> None:
    """See that both hold the same, row by row, and that the copy proves itself. Raises LedgerUnfit."""
    counts = [
        int((await one.execute(select(func.count()).select_from(table))).scalar_one()) for table in _TABLES
    ]
    read, total = 0, 2 * sum(counts)
    for table in _TABLES:
        hashes = []
        for connection in (one, other):
            digest = sha256()
            async for rows in _rows(connection, table):
                digest.update("\n".join(_plain(table, row) for row in rows).encode())
                if copy and connection is one:
                    await other.execute(
                        insert(table), [dict(zip(table.c.keys(), row, strict=True)) for row in rows]
                    )
                read += len(rows)
                told(read, total)
            hashes.append(digest.digest())
        if hashes[0] != hashes[1]:
            raise LedgerUnfit(f"the copy of {table.name} is not the same; nothing was moved")
    if other.dialect.name == "postgresql":
        for table in _NUMBERED:
            sequence = func.pg_get_serial_sequence(table.name, "id")
            following = select(func.coalesce(func.max(table.c.id), 0) + 1).scalar_subquery()
            await other.execute(select(func.setval(sequence, following, false())))
    if await other.run_sync(proof.verify) != found:
        raise LedgerUnfit("the copy does not prove itself; nothing was moved")


async def _rows(connection: AsyncConnection, table: Table) -> AsyncIterator[Sequence[Any]]:
    """Its rows, in the order of their numbers, some at a time. Raises LedgerUnfit for what no bot wrote."""
    part = select(table).order_by(table.c.id).limit(_ROWS)
    after: int | None = None
    while True:
        statement = part if after is None else part.where(table.c.id > after)
        try:
            rows = (await connection.execute(statement)).all()
        except (ArithmeticError, TypeError, ValueError, StatementError) as error:
            if isinstance(error, StatementError) and error.orig is not None:
                raise
            raise LedgerUnfit(
                f"a row of {table.name} cannot be read: somebody changed it past the bot"
            ) from None
        if not rows:
            return
        yield rows
        after = rows[-1].id


def _plain(table: Table, row: Sequence[Any]) -> str:
    """A row as a text that is the same on both databases, but for where the ledger was moved to."""
    named = zip(table.c, row, strict=True)
    return repr(
        [str(value) if value is not None else None for column, value in named if column is not _WHERE]
    )


_WHERE = chain.c.moved_to


async def _finish(to: AsyncEngine) -> None:
    async with database.writing(to).begin() as connection:
        await _say(connection, None)
