"""What the fault tests share: a nursery of bots, a PostgreSQL server, and the tally at the end."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
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

NewLedger = Callable[[str], str]
"""Makes an empty ledger of a kind of database, and returns its address."""

Open = Callable[..., AbstractAsyncContextManager[Stage]]
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
def new_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> NewLedger:
    """A maker of empty ledgers."""
    numbers = itertools.count(1)

    def make(database: str) -> str:
        if database == "sqlite":
            return f"sqlite:///{tmp_path}/{next(numbers)}.db"
        server: Postgres = request.getfixturevalue("postgres")
        return server.new_database()

    return make


@pytest.fixture
def stage_on(nursery: Nursery, new_ledger: NewLedger, tmp_path: Path) -> Open:
    """A maker of stages."""
    numbers = itertools.count(1)

    def open_(database: str, **options: Any) -> AbstractAsyncContextManager[Stage]:
        folder = tmp_path / f"stage-{next(numbers)}"
        folder.mkdir()
        return open_stage(nursery, new_ledger(database), folder, **options)

    return open_
