"""SQLite executed in the loop, with all that can go wrong with a database; and locks of files.

Of each operation it is drawn how long it takes. What was committed is in the file, and nothing else is.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

from aiosqlite import Connection

from tests.simulation.loop import SimulatedLoop
from tests.simulation.machine import CURRENT, Machine

BUSY_S, BUSY_AGAIN_S = 5.0, 0.05
"""For how long the lock of another connection is waited for, and how often it is tried, in seconds."""

IDLE_S = 3.0
"""After how long a connection is ended that holds a lock and does nothing, as PostgreSQL does."""


class Trouble(StrEnum):
    """What can be wrong with a disk. The first two befall one COMMIT."""

    LOST_BEFORE = "lost before the commit"
    LOST_AFTER = "lost after the commit"
    FULL = "full"
    READ_ONLY = "read only"
    AWAY = "away"


_SAID = {
    Trouble.LOST_BEFORE: "disk I/O error",
    Trouble.LOST_AFTER: "disk I/O error",
    Trouble.FULL: "database or disk is full",
    Trouble.READ_ONLY: "attempt to write a readonly database",
    Trouble.AWAY: "unable to open database file",
}


@dataclass(slots=True)
class Disk:
    """How the disk is now. trouble: what is wrong. times: how many commits it will befall yet.

    connections: that are open. failed: how many operations failed so far.
    least, most: seconds that an operation takes.
    """

    trouble: Trouble | None = None
    times: int = 0
    failed: int = 0
    least: float = 0.00002
    most: float = 0.0004
    connections: dict[LoopConnection, None] = field(default_factory=dict)

    def begin(self, trouble: Trouble, times: int = 1) -> None:
        """Let something be wrong. times: only of commits."""
        self.trouble, self.times = trouble, times

    def end_idle(self, now: float) -> None:
        """End the connections of whoever stands still in the middle of a transaction that others wait for."""
        for connection in list(self.connections):
            if connection.idle_since < now - IDLE_S:
                connection.end_transaction()

    def end_all(self) -> None:
        """End the connections that are in a transaction, as a database server that goes down does."""
        for connection in list(self.connections):
            connection.end_transaction()

    def heal(self) -> None:
        """Nothing is wrong."""
        self.trouble = None

    def error(self, trouble: Trouble) -> sqlite3.OperationalError:
        """What SQLite says of it."""
        self.failed += 1
        return sqlite3.OperationalError(_SAID[trouble])

    def befalls_commit(self) -> Trouble | None:
        """What becomes of a commit."""
        if self.trouble in (Trouble.LOST_BEFORE, Trouble.LOST_AFTER):
            trouble, self.times = self.trouble, self.times - 1
            if self.times <= 0:
                self.heal()
            return trouble
        return None


class LoopConnection(Connection):
    """aiosqlite's connection; what it hands to its thread is done in the loop instead."""

    def __init__(self, connector: Callable[[], sqlite3.Connection], disk: Disk) -> None:
        super().__init__(connector, 64)
        self._tx: Any = SimpleNamespace(put_nowait=self._put)
        self._thread: Any = SimpleNamespace(start=lambda: None)
        self._disk = disk
        self._queue: deque[tuple[asyncio.Future[Any] | None, Callable[[], Any]]] = deque()
        self._locked_since: float | None = None
        self._ended = False
        self._loop = _the_loop()
        self.idle_since = self._loop.now
        disk.connections[self] = None
        self._machine = CURRENT.get()
        if self._machine is not None:
            self._machine.at_crash[self._crashed] = None

    def __del__(self) -> None:
        """Nothing runs beside the loop that could be left behind."""

    def _put(self, task: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        self._queue.append(task)
        if len(self._queue) > 1:
            return
        if self._takes_no_time(task[1]):
            self._do()
        else:
            self._next()

    def _takes_no_time(self, function: Callable[[], Any]) -> bool:
        """Whether the database has nothing to do with it: nobody can tell whether that took any."""
        name = _name(function)
        if name == "rollback":
            # One that was ended cannot be asked; who rolls it back is told when its turn comes.
            return self._connection is not None and not self._ended and not self._connection.in_transaction
        return name in ("cursor", "fetchall", "close")

    def _next(self) -> None:
        loop = self._loop
        loop.call_later(loop.random.uniform(self._disk.least, self._disk.most), self._do)

    def _do(self) -> None:
        """Do what has waited longest, as the thread of a connection does: one after the other."""
        future, function = self._queue[0]
        loop = self._loop
        try:
            result = self._done(function, loop)
        except sqlite3.OperationalError as error:
            since = self._locked_since = loop.now if self._locked_since is None else self._locked_since
            if "locked" in str(error) and loop.now - since < BUSY_S:
                self._disk.end_idle(loop.now)
                loop.call_later(BUSY_AGAIN_S, self._do)
                return
            _tell(future, error)
        except Exception as error:  # noqa: BLE001 -- told to whoever waits, as the thread does
            _tell(future, error)
        else:
            if future is not None and not future.done():
                future.set_result(result)
        self._locked_since = None
        self.idle_since = loop.now
        self._queue.popleft()
        if self._queue:
            self._next()

    def _done(self, function: Callable[[], Any], loop: SimulatedLoop) -> Any:
        name = _name(function)
        statement = next((one for one in getattr(function, "args", ()) if isinstance(one, str)), "")
        loop.note(f"{name} {statement}")
        if self._ended and name != "close":
            raise sqlite3.OperationalError("connection closed")
        if statement.startswith("PRAGMA busy_timeout"):
            statement_free: Callable[[], Any] = function.func  # type: ignore[attr-defined]
            return statement_free("PRAGMA busy_timeout=0")  # type: ignore[call-arg]
        trouble = self._disk.trouble
        if trouble is Trouble.AWAY and (function is self._connector or statement):
            raise self._disk.error(trouble)
        if trouble in (Trouble.FULL, Trouble.READ_ONLY) and _writes(statement):
            raise self._disk.error(trouble)
        if name != "commit" or self._connection is None or not self._connection.in_transaction:
            return function()
        befalls = self._disk.befalls_commit()
        result = None if befalls is Trouble.LOST_BEFORE else function()
        if befalls is not None:
            raise self._disk.error(befalls)
        return result

    def end_transaction(self) -> None:
        """End the connection, if it is in one; whoever has it finds that out."""
        if not self._ended and self._connection is not None and self._connection.in_transaction:
            self._ended = True
            self._connection.rollback()
            self._connection.close()

    def _crashed(self) -> None:
        """What the kernel does with the files of a process that is gone: nothing of a transaction stays."""
        if self._connection is not None and not self._ended:
            # A statement that has not given all its rows would keep it open, and its lock.
            self._connection.rollback()
            self._connection.close()
            self._connection = None
        self._disk.connections.pop(self, None)

    async def close(self) -> None:
        """Close it; it is no process's any more."""
        if self._machine is not None:
            self._machine.at_crash.pop(self._crashed, None)
        self._disk.connections.pop(self, None)
        await super().close()


def _the_loop() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop), "bug: this database is one of a history"
    return loop


def _name(function: Callable[[], Any]) -> str:
    return getattr(getattr(function, "func", function), "__name__", "")


def _tell(future: asyncio.Future[Any] | None, error: Exception) -> None:
    if future is not None and not future.done():
        future.set_exception(error)


def _writes(statement: str) -> bool:
    return statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE", "BEGIN IMMEDIATE"))


class FileLocks:
    """What takes the place of `fcntl.flock`: a lock is its process's, and goes with it."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], Machine | None] = {}

    def flock(self, descriptor: int, _operation: int) -> None:
        """Take the lock. Raises BlockingIOError where another process has it."""
        found = os.fstat(descriptor)
        file, machine = (found.st_dev, found.st_ino), CURRENT.get()
        if file in self._held and self._held[file] is not machine:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        self._held[file] = machine
        if machine is not None:
            machine.at_crash[lambda: self._let_go(file, machine)] = None

    def _let_go(self, file: tuple[int, int], machine: Machine) -> None:
        if self._held.get(file) is machine:
            del self._held[file]
