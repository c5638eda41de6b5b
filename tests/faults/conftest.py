"""What the fault tests share: a pool of processes, ledgers, and whole installations."""

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

from tests.faults.installation import Installation, open_installation
from tests.faults.process_pool import ProcessPool, open_process_pool
from tests.postgresql import Databases

HERE = Path(__file__).parent

DATABASES = ("sqlite", "postgres")

LedgerOn = Callable[[str], AbstractContextManager[str]]
"""Has an empty ledger on a kind of database, by its address."""

InstallationOn = Callable[..., AbstractAsyncContextManager[Installation]]
"""Sets an installation up on a kind of database; further arguments are those of `open_installation`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pool lives for a whole session, and its tests with it in one event loop."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            # Who connects to a server just as it closes is let in by asyncio and then forgotten.
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def process_pool(databases: Databases) -> AsyncIterator[ProcessPool]:
    """Where bots come from."""
    async with open_process_pool(databases.address(databases.take_ledger())) as opened:
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
def installation_on(process_pool: ProcessPool, ledger_on: LedgerOn, tmp_path: Path) -> InstallationOn:
    """A maker of installations."""
    numbers = itertools.count(1)

    @asynccontextmanager
    async def open_(database: str, **options: Any) -> AsyncIterator[Installation]:
        folder = tmp_path / f"installation-{next(numbers)}"
        folder.mkdir()
        with ledger_on(database) as address:
            async with open_installation(process_pool, address, folder, **options) as installation:
                yield installation

    return open_
