"""What the fault tests share: a nursery of bots, a PostgreSQL server, and the tally at the end."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.faults.installation import Stage, open_stage
from tests.faults.process_pool import Nursery, open_nursery
from tests.postgresql import Databases

HERE = Path(__file__).parent

DATABASES = ("sqlite", "postgres")

LedgerOn = Callable[[str], AbstractContextManager[str]]
"""Has an empty ledger on a kind of database, by its address."""

StageOn = Callable[..., AbstractAsyncContextManager[Stage]]
"""Sets a stage on a kind of database; further arguments are those of `open_stage`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The nursery lives for a whole session, and its tests with it in one event loop."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            # Who connects to a server just as it closes is let in by asyncio and then forgotten.
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nursery() -> AsyncIterator[Nursery]:
    """Where bots come from."""
    async with open_nursery() as opened:
        yield opened


@pytest.fixture
def ledger_on(databases: Databases, migrated_sqlite: Path, tmp_path: Path) -> LedgerOn:
    """A maker of ledgers without a row."""
    numbers = itertools.count(1)

    @contextmanager
    def open_(database: str) -> Iterator[str]:
        if database == "sqlite":
            file = tmp_path / f"{next(numbers)}.db"
            shutil.copy(migrated_sqlite, file)
            yield f"sqlite:///{file}"
            return
        name = databases.take_ledger()
        yield databases.address(name)
        databases.give_back(name)

    return open_


@pytest.fixture
def stage_on(nursery: Nursery, ledger_on: LedgerOn, tmp_path: Path) -> StageOn:
    """A maker of stages."""
    numbers = itertools.count(1)

    @asynccontextmanager
    async def open_(database: str, **options: Any) -> AsyncIterator[Stage]:
        folder = tmp_path / f"stage-{next(numbers)}"
        folder.mkdir()
        with ledger_on(database) as address:
            async with open_stage(nursery, address, folder, **options) as stage:
                yield stage

    return open_
