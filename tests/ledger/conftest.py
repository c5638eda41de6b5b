"""Everything that the ledger promises, it promises on both databases."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.ledger import database
from bot.ledger.opening import open_ledger
from bot.ledger.store import Ledger
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.forging import past_the_ledger
from tests.ledger.released import fill
from tests.postgresql import Databases
from tests.sqlite_in_loop import sqlite_in_threads


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """SQLite as the bot has it."""
    with sqlite_in_threads():
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes databases of one kind, and then of the other."""
    return cast(NewDatabase, request.getfixturevalue(f"new_{request.param}"))


@pytest.fixture
async def released(ledger_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """A ledger of the first release, brought to this version."""
    await fill(ledger_url)
    clock.advance(days=60)
    async with open_ledger(ledger_url, clock=clock) as opened:
        yield opened


@pytest.fixture
async def engine(ledger_url: str, released: Ledger) -> AsyncIterator[AsyncEngine]:
    """A way to its tables past the ledger."""
    async with past_the_ledger(ledger_url) as engine:
        yield engine


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same ledger, made once for all who take back what they do to it."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("released") / "ledger.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        url = f"sqlite:///{file}"
    else:
        databases: Databases = request.getfixturevalue("databases")
        url = databases.address(databases.take_ledger())
    asyncio.run(fill(url))
    return url


@pytest.fixture
async def tables(shared_url: str) -> AsyncIterator[AsyncConnection]:
    """Its tables past the ledger, in a transaction that is undone at the end."""
    async with past_the_ledger(shared_url) as engine, database.writing(engine).connect() as connection:
        yield connection
        await connection.rollback()
