"""What the fault tests share: a nursery of bots, a PostgreSQL server, and the tally at the end."""

from __future__ import annotations

import itertools
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

from tests.faults.postgres import Postgres, open_postgres
from tests.faults.processes import Nursery, open_nursery
from tests.faults.stage import Stage, open_stage
from tests.faults.tally import Tally

HERE = Path(__file__).parent
TALLY = pytest.StashKey[Tally]()

DATABASES = ("sqlite", "postgres")

LedgerOn = Callable[[str], AbstractContextManager[str]]
"""Has an empty ledger on a kind of database, by its address."""

StageOn = Callable[..., AbstractAsyncContextManager[Stage]]
"""Sets a stage on a kind of database; further arguments are those of `open_stage`."""


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[TALLY] = Tally()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The nursery lives for a whole session, and its tests with it in one event loop."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was tried, and what was found."""
    tally = config.stash[TALLY]
    if tally.chains:
        terminalreporter.section("faults")
        for line in tally.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """The counts of this session."""
    return pytestconfig.stash[TALLY]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server."""
    with open_postgres() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nursery() -> AsyncIterator[Nursery]:
    """Where bots come from."""
    async with open_nursery() as opened:
        yield opened


@pytest.fixture
def ledger_on(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerOn:
    """A maker of empty ledgers."""
    numbers = itertools.count(1)

    @contextmanager
    def open_(database: str) -> Iterator[str]:
        if database == "sqlite":
            yield f"sqlite:///{tmp_path}/{next(numbers)}.db"
            return
        server: Postgres = request.getfixturevalue("postgres")
        with server.empty_database() as address:
            yield address

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
