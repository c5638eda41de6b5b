"""Everything that the ledger promises, it promises on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.ledger import database
from bot.ledger.opening import open_ledger
from bot.ledger.store import Ledger
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.released import fill


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
    """A way to the tables past that ledger, on which what hangs together may be torn apart."""
    engine = database.engine_for(ledger_url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _without_foreign_keys)
    yield engine
    await engine.dispose()


def _without_foreign_keys(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()
