"""SQLite in the test's own loop: what aiosqlite hands to a thread is done where it is asked for.

Files in memory answer in microseconds, and to hand a statement over and back took a third of what a test
does. Others have their turn before each statement, as they have with threads. Bots that are processes of
their own have the threads, and so has whoever asks for them; see `sqlite_in_threads`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiosqlite.core
from aiosqlite import Connection

BUSY_S, BUSY_AGAIN_S = 5.0, 0.005
"""For how long another's lock is waited for, as the bot asks for, and how often it is tried, in seconds."""

_AT_ONCE = ("cursor", "fetchall", "close")
"""What leaves the database as it is: nobody can tell whether it took time."""

_TO_WAIT = "PRAGMA busy_timeout="


class InLoop(Connection):
    """aiosqlite's connection without its thread."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        super().__init__(connector, iter_chunk_size)
        self._tx: Any = SimpleNamespace(put_nowait=_do)
        self._thread: Any = SimpleNamespace(start=lambda: None)

    async def _connect(self) -> Connection:
        await super()._connect()
        # To wait within SQLite would keep the loop from whoever has the lock.
        self._conn.execute(f"{_TO_WAIT}0")
        return self

    async def _execute(self, fn: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        if fn.__name__ in _AT_ONCE:
            return fn(*args, **named)
        await asyncio.sleep(0)
        if args and str(args[0]).startswith(_TO_WAIT):
            args = (f"{_TO_WAIT}0",)
        until = time.monotonic() + BUSY_S
        while True:
            try:
                return fn(*args, **named)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
            await asyncio.sleep(BUSY_AGAIN_S)


def _do(task: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
    """Do what a thread would take from its queue."""
    future, function = task
    try:
        result = function()
    except Exception as error:  # noqa: BLE001 -- told to whoever waits, as the thread does
        if future is not None:
            future.set_exception(error)
    else:
        if future is not None:
            future.set_result(result)


_in_loop = True


def install() -> None:
    """From now on connections of this process have no threads."""
    setattr(aiosqlite.core, "Connection", _Either)  # noqa: B010 -- another class in its place


class _EitherKind(type):
    """aiosqlite makes connections, and asks whether something is one."""

    def __call__(cls, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> Connection:
        return (InLoop if _in_loop else Connection)(connector, iter_chunk_size)

    def __instancecheck__(cls, what: object) -> bool:
        return isinstance(what, Connection)


class _Either(metaclass=_EitherKind):
    """A connection of the kind that is meant at the time."""


@contextmanager
def sqlite_in_threads() -> Iterator[None]:
    """Connections that are made meanwhile have a thread each."""
    global _in_loop  # noqa: PLW0603
    _in_loop = False
    try:
        yield
    finally:
        _in_loop = True
