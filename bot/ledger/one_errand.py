"""A statement of SQLite's is one errand to aiosqlite's thread, and not four.

To make a cursor, ask by it, read the answer and close it were an errand each, and to hand one over and wake
the loop again takes longer than most statements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any

from aiosqlite import Connection

_AT_ONCE = 200
"""Rows that come with the statement; longer answers are read on as they are asked for."""


def one_errand_each(connection: Connection) -> None:
    """From now on the statements of this connection are so."""
    setattr(connection, "cursor", partial(Cursor, connection))  # noqa: B010 -- it has no setting for it


class Cursor:
    """As much of aiosqlite's as SQLAlchemy asks for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._unread: sqlite3.Cursor | None = None
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Cursor:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> Cursor:
        """Carry a statement out, and read the beginning of its answer."""
        await self._connection._execute(self._carry_out, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Any) -> Cursor:
        """The same for each of several parameters, of a statement that answers nothing."""
        await self._connection._execute(self._carry_out_many, sql, parameters)
        return self

    async def fetchone(self) -> Any:
        """The next row; None where there is none."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """The next rows, so many at most."""
        wanted = size or self.arraysize
        if len(self._rows) < wanted and self._unread is not None:
            await self._connection._execute(self._read_on, wanted)
        rows, self._rows = self._rows[:wanted], self._rows[wanted:]
        return rows

    async def fetchall(self) -> Sequence[Any]:
        """The rows that are left."""
        if self._unread is not None:
            await self._connection._execute(self._read_on, None)
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Read no more."""
        self._rows = []
        if self._unread is not None:
            unread, self._unread = self._unread, None
            await self._connection._execute(unread.close)

    # What follows is done in the connection's thread.

    def _carry_out(self, sql: str, parameters: Any = ()) -> None:
        cursor = self._unread = self._connection._conn.cursor()
        try:
            cursor.execute(sql, parameters)
            self.description = cursor.description
            self._read_on(_AT_ONCE)
        except BaseException:
            self._unread = None
            cursor.close()
            raise

    def _carry_out_many(self, sql: str, parameters: Any) -> None:
        cursor = self._connection._conn.cursor()
        try:
            cursor.executemany(sql, parameters)
            self._told(cursor)
        finally:
            cursor.close()

    def _read_on(self, count: int | None) -> None:
        """So many more, or all; whoever has read all of it closes it, for it would hold its snapshot."""
        cursor = self._unread
        assert cursor is not None, "bug: there is nothing to read"
        rows = cursor.fetchall() if count is None else cursor.fetchmany(count)
        self._rows += rows
        self._told(cursor)
        if count is None or len(rows) < count:
            self._unread = None
            cursor.close()

    def _told(self, cursor: sqlite3.Cursor) -> None:
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
