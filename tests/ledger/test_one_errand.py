"""How SQLite is asked: a statement is one errand to its thread, and an answer is whole however long it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.ledger.database import engine_for, writing
from bot.ledger.one_errand import Cursor
from bot.ledger.schema import chain, metadata

MANY = 1234


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = engine_for(f"sqlite:///{tmp_path}/rows.db")
    async with writing(engine).begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(chain), rows(MANY))
    yield engine
    await engine.dispose()


def rows(count: int, first: int = 1) -> list[dict[str, Any]]:
    numbers = range(first, first + count)
    return [{"id": each, "ledger": "x", "last_event": each, "last_hash": f"h{each}"} for each in numbers]


async def errands(connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is handed to the thread from now on."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    handed: list[str] = []
    hand_over = driver._execute

    async def noted(function: Any, *given: Any) -> Any:
        handed.append(function.__name__)
        return await hand_over(function, *given)

    monkeypatch.setattr(driver, "_execute", noted)
    return handed


async def test_a_statement_is_one_errand(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its answer, or without one; BEGIN and COMMIT are one each."""
    async with engine.connect() as connection:
        handed = await errands(connection, monkeypatch)
        async with connection.begin():
            some = select(chain.c.id).where(chain.c.id < 50)
            assert len((await connection.execute(some)).all()) == 49
            await connection.execute(update(chain).where(chain.c.id == 1).values(last_event=7))
            await connection.execute(insert(chain), rows(3, first=5000))
        assert len(handed) == 5, handed


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 400, MANY])
async def test_an_answer_is_whole(engine: AsyncEngine, count: int) -> None:
    """In order, whether it is read at once or bit by bit."""
    asked = select(chain.c.id).where(chain.c.id <= count).order_by(chain.c.id)
    expected = list(range(1, count + 1))
    async with engine.connect() as connection:
        assert list((await connection.execute(asked)).scalars()) == expected
        assert [row.id async for row in await connection.stream(asked)] == expected
        streamed = await connection.stream(asked)
        begun = [row.id for row in await streamed.fetchmany(150)]
        one = await streamed.fetchone()
        rest = [row.id for row in await streamed.fetchall()]
        assert [*begun, *([one.id] if one is not None else []), *rest] == expected


async def test_what_is_returned_by_a_change_is_whole(engine: AsyncEngine) -> None:
    """More rows than come with a statement; and it is known how many were changed."""
    async with writing(engine).begin() as connection:
        raised = update(chain).values(last_event=chain.c.last_event + 1)
        assert (await connection.execute(raised)).rowcount == MANY
        found = await connection.execute(raised.returning(chain.c.id, chain.c.last_event))
        assert sorted(found.all()) == [(each, each + 2) for each in range(1, MANY + 1)]


async def test_who_reads_no_further_leaves_nothing_open(engine: AsyncEngine) -> None:
    """What is open keeps the ledger's log from being taken into its file."""
    asked = select(chain.c.id).order_by(chain.c.id)
    async with engine.connect() as connection:
        streamed = await connection.stream(asked)
        assert len(await streamed.fetchmany(3)) == 3
        await streamed.close()
        await connection.rollback()
        async with writing(engine).begin() as other:
            await other.execute(insert(chain), rows(1, first=9000))
        done = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
    assert done[0] == 0


async def test_a_statement_that_fails_leaves_the_connection_as_it_was(engine: AsyncEngine) -> None:
    """It is told as what it is, and the next one is carried out."""
    async with engine.connect() as connection:
        with pytest.raises(OperationalError, match="no such table"):
            await connection.execute(text("SELECT * FROM nowhere"))
        assert (await connection.execute(select(chain.c.id).limit(1))).scalar_one() == 1
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        cursor = Cursor(driver)
        with pytest.raises(Exception, match="syntax error"):
            await cursor.execute("SELEC")
        await cursor.close()
