"""The ledger's own engine on a database in the loop: what was committed stays, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.ledger.database import engine_for, writing
from tests.simulation.disk import Disk, FileLocks, LoopConnection, Trouble
from tests.simulation.machine import Machine, on
from tests.simulation.system import context_of
from tests.simulation.test_loop import play

Work = Callable[[AsyncEngine, Disk], Coroutine[Any, Any, None]]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with one table and no row."""
    made = tmp_path / "ledger.db"
    with sqlite3.connect(made) as connection:
        connection.execute("CREATE TABLE rows (number INTEGER)")
    connection.close()
    monkeypatch.setattr(aiosqlite, "connect", lambda *_, **__: pytest.fail("a real connection"))
    return made


@pytest.fixture
def played(file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Work], list[int]]:
    """Plays something on an engine of the ledger's; returns what is in the table in the end."""

    def play_on(work: Work) -> list[int]:
        disk = Disk()

        def connect(database: str, **given: Any) -> LoopConnection:
            return LoopConnection(lambda: sqlite3.connect(database, **given), disk)

        monkeypatch.setattr(aiosqlite, "connect", connect)

        async def on_engine() -> None:
            engine = engine_for(f"sqlite:///{file}")
            await work(engine, disk)
            await engine.dispose()

        play(on_engine())
        connection = sqlite3.connect(file)
        rows = [row[0] for row in connection.execute("SELECT number FROM rows ORDER BY number")]
        connection.close()
        return rows

    return play_on


async def insert(engine: AsyncEngine, number: int) -> None:
    """Write a row, in a transaction of its own."""
    async with writing(engine).begin() as connection:
        await connection.execute(text("INSERT INTO rows VALUES (:number)"), {"number": number})


def test_transactions_that_meet_wait_for_each_other(played: Callable[[Work], list[int]]) -> None:
    """SQLite's lock is waited for in virtual time, and all of them count."""

    async def work(engine: AsyncEngine, _disk: Disk) -> None:
        await asyncio.gather(*(insert(engine, number) for number in range(20)))

    assert played(work) == list(range(20))


@pytest.mark.parametrize(
    ("trouble", "counts"),
    [
        (Trouble.LOST_BEFORE, False),
        (Trouble.LOST_AFTER, True),
        (Trouble.FULL, False),
    ],
)
def test_a_commit_without_an_answer_counts_or_does_not(
    played: Callable[[Work], list[int]], trouble: Trouble, counts: bool
) -> None:
    """Whoever committed sees an error either way; what comes later is well."""

    async def work(engine: AsyncEngine, disk: Disk) -> None:
        disk.begin(trouble)
        with pytest.raises(OperationalError):
            await insert(engine, 1)
        disk.heal()
        await insert(engine, 2)

    assert played(work) == ([1, 2] if counts else [2])


def test_of_a_crashed_process_only_what_was_committed_stays(played: Callable[[Work], list[int]]) -> None:
    """Its open transaction is gone, and with it its lock."""

    async def work(engine: AsyncEngine, _disk: Disk) -> None:
        machine = Machine("one", 1)

        async def half_way() -> None:
            await insert(own, 1)
            async with writing(own).begin() as connection:
                await connection.execute(text("INSERT INTO rows VALUES (2)"))
                await asyncio.sleep(60)

        with on(machine):
            own = engine_for(str(engine.url.render_as_string(hide_password=False)).replace("+aiosqlite", ""))
        asyncio.get_running_loop().create_task(half_way(), context=context_of(machine))
        await asyncio.sleep(30)
        machine.crash()
        await insert(engine, 3)

    assert played(work) == [1, 3]


def test_a_lock_of_a_file_goes_with_its_process(file: Path) -> None:
    """Another process gets it then, and not before."""
    locks, first, second = FileLocks(), Machine("first", 1), Machine("second", 1)
    with file.open("rb") as opened:
        with on(first):
            locks.flock(opened.fileno(), 0)
        with on(second), pytest.raises(BlockingIOError):
            locks.flock(opened.fileno(), 0)
        first.crash()
        with on(second):
            locks.flock(opened.fileno(), 0)


def test_who_stands_still_in_a_transaction_is_ended_once_others_wait(
    played: Callable[[Work], list[int]],
) -> None:
    """As PostgreSQL does it: the others go on, and nothing of the transaction counts, nor does its commit."""

    async def work(engine: AsyncEngine, _disk: Disk) -> None:
        async def stand_still() -> None:
            async with writing(engine).begin() as connection:
                await connection.execute(text("INSERT INTO rows VALUES (1)"))
                await asyncio.sleep(60)

        still = asyncio.create_task(stand_still())
        await asyncio.sleep(1)
        await insert(engine, 2)
        with pytest.raises(OperationalError):
            await still

    assert played(work) == [2]


def test_who_was_ended_and_only_gives_up_goes_on(played: Callable[[Work], list[int]]) -> None:
    """Its rollback is told that the connection is closed, as by a thread: nothing waits for ever."""

    async def work(engine: AsyncEngine, _disk: Disk) -> None:
        async def stand_still() -> None:
            with contextlib.suppress(OperationalError):
                async with writing(engine).connect() as connection:
                    await connection.execute(text("INSERT INTO rows VALUES (1)"))
                    await asyncio.sleep(60)

        still = asyncio.create_task(stand_still())
        await asyncio.sleep(1)
        await insert(engine, 2)
        await still
        await insert(engine, 3)

    assert played(work) == [2, 3]
