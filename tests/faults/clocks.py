"""Clocks that are set while bots run: what NTP, an operator, a failover and a machine that sleeps do to time.

A real step would move the clock of every process here, so a bot's own are moved where Python reads them:
a file that it has mapped says by how much, and so a bot that is stopped finds them moved when it goes on.
PostgreSQL's are moved by a function that comes before its own.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_SHARED = struct.Struct("=dd")
"""Seconds by which the wall clock is wrong, and for which the machine slept."""


class MachineClocks:
    """The clocks of one machine, from the test's side. file: mapped by its bots; made if it is not there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        if not file.exists():
            file.write_bytes(_SHARED.pack(0, 0))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 0)

    def set_wall(self, ahead: float) -> None:
        """Set the wall clock to so many seconds before (negative: behind) what is right."""
        _SHARED.pack_into(self._shared, 0, ahead, self._slept)

    def has_slept(self, seconds: float) -> None:
        """It slept: CLOCK_MONOTONIC knows nothing of it, CLOCK_BOOTTIME and the wall clock do.

        Its bots must have been stopped for so long, or time would go backwards for them.
        """
        ahead, _ = _SHARED.unpack_from(self._shared)
        _SHARED.pack_into(self._shared, 0, ahead, self._slept + seconds)

    @property
    def _slept(self) -> float:
        slept: float = _SHARED.unpack_from(self._shared)[1]
        return slept


_CLOCKS = ("time", "monotonic", "clock_gettime", "time_ns", "monotonic_ns", "clock_gettime_ns")


def use_clocks(file: str) -> None:
    """Read time by these clocks from now on, in this whole process."""
    with Path(file).open("r+b") as opened:
        shared = mmap.mmap(opened.fileno(), 0)
    wall, monotonic, read = time.time, time.monotonic, time.clock_gettime

    def ahead() -> float:
        wrong: float = _SHARED.unpack_from(shared)[0]
        return wrong

    def slept() -> float:
        seconds: float = _SHARED.unpack_from(shared)[1]
        return seconds

    def read_moved(clock: int) -> float:
        if clock == time.CLOCK_REALTIME:
            return read(clock) + ahead()
        return read(clock) - slept() if clock == time.CLOCK_MONOTONIC else read(clock)

    moved: dict[int, Callable[..., Any]] = {
        id(time.time): lambda: wall() + ahead(),
        id(time.monotonic): lambda: monotonic() - slept(),
        id(time.clock_gettime): read_moved,
        id(time.time_ns): lambda: int((wall() + ahead()) * 1e9),
        id(time.monotonic_ns): lambda: int((monotonic() - slept()) * 1e9),
        id(time.clock_gettime_ns): lambda clock: int(read_moved(clock) * 1e9),
        id(datetime): _datetime_by(ahead),
    }
    for module, name, value in clocks_read():
        setattr(module, name, moved[id(value)])


@cache
def clocks_read() -> list[tuple[ModuleType, str, Any]]:
    """Where Python, and what is loaded of the bot by now, read a clock: the module, the name, the clock."""
    clocks = {id(clock) for clock in (*(getattr(time, name) for name in _CLOCKS), datetime)}
    modules = [time, *(one for name, one in sys.modules.items() if name.partition(".")[0] == "bot")]
    return [
        (module, name, value)
        for module in modules
        for name, value in vars(module).items()
        if id(value) in clocks
    ]


def _datetime_by(ahead: Callable[[], float]) -> type[datetime]:
    class AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Moved(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=ahead())

    return Moved


class ServerClock:
    """The clock of a PostgreSQL server, as one database sees it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def set_wall(self, ahead: float) -> None:
        """Set it to so many seconds before (negative: behind) what is right."""
        await self._execute(f"UPDATE clocks.wall SET ahead = make_interval(secs => {ahead})")

    async def _execute(self, *statements: str) -> None:
        async with self._engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    async def _install(self) -> None:
        name = self._engine.url.database
        own = [f"SELECT pg_catalog.{one}() + ahead FROM clocks.wall" for one in _SERVER_TIMES]
        await self._execute(
            "CREATE SCHEMA clocks",
            "CREATE TABLE clocks.wall AS SELECT make_interval() AS ahead",
            *(
                f"CREATE FUNCTION public.{one}() RETURNS timestamptz LANGUAGE sql AS '{body}'"
                for one, body in zip(_SERVER_TIMES, own, strict=True)
            ),
            f"ALTER DATABASE {name} SET search_path = public, pg_catalog",
        )

    async def _remove(self) -> None:
        await self._execute(
            f"ALTER DATABASE {self._engine.url.database} RESET search_path",
            *(f"DROP FUNCTION public.{one}()" for one in _SERVER_TIMES),
            "DROP SCHEMA clocks CASCADE",
        )


_SERVER_TIMES = ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "now")


@asynccontextmanager
async def server_clock(engine: AsyncEngine) -> AsyncIterator[ServerClock]:
    """Have the clock of this database at hand; who connects within the block lives by it."""
    clock = ServerClock(engine)
    await clock._install()
    try:
        yield clock
    finally:
        await clock._remove()
