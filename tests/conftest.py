"""What the tests stand on: a local Slack, a local billing API, a ledger on real databases, and the bot."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import hypothesis
import pytest
import pytest_asyncio
import structlog

from bot import app, config
from bot.config import Settings
from bot.ledger.opening import open_ledger
from bot.ledger.store import Ledger
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack.pace import Pace
from tests import sqlite_in_loop
from tests.command_line import CommandLine, CommandServer, command_server_running
from tests.effort import drawn
from tests.fixture_types import QUICK, Clock, NewDatabase, NewSettings, StartBot, environment_of
from tests.loading import begin_with_own_part
from tests.postgresql import Databases, running_postgresql
from tests.statements import share_statements

if TYPE_CHECKING:
    from playwright.async_api import Browser

COSTLY = {"browser", "outcomes", "drawn", "scenes"}
"""Fixtures of a session or of a module that take seconds."""

pytest_plugins = ["tests.faults.counts"]

HOOKS = ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook"))
"""What Python asks to tell of an error that nobody caught."""

MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory."""
ROOM = 2 * 1024**3
"""Bytes that must be free there: more than a run needs."""


def pytest_configure() -> None:
    """Keep all temporary files in memory, as nothing here cuts the power: a process that is killed loses
    nothing that it wrote, and a commit need not wait for a disk. Do what is costly once for all tests."""
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
    share_statements()
    sqlite_in_loop.install()
    signal.signal(signal.SIGINT, _interrupt)
    _log_plainly()


def _interrupt(*_: object) -> NoReturn:
    """Ctrl-C, as Python has it. asyncio lets this one be: in place of Python's own it sets another whenever a
    loop runs, and describes whatever the loop's task returned to do so."""
    raise KeyboardInterrupt


# A busy machine is slow, and that proves nothing about what hypothesis tries.
hypothesis.settings.register_profile(
    "no deadline",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    max_examples=drawn(50, 100),
)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """A command line that runs in the test's own process sets the logging of all that follow."""
    root = logging.getLogger()
    handlers, level, hooks = root.handlers[:], root.level, [getattr(*hook) for hook in HOOKS]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for hook, before in zip(HOOKS, hooks, strict=True):
        setattr(*hook, before)
    _log_plainly()


def _log_plainly() -> None:
    """As structlog does by itself, but for its tracebacks: to draw one takes longer than most tests."""
    structlog.reset_defaults()
    console = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], console])


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Next to nothing that is loaded goes: the collector need not look for it."""
    gc.disable()
    begin_with_own_part(session.config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what is costly to make stand together, first: one of several processes runs them all,
    and makes it once."""
    items.sort(key=lambda item: not COSTLY.isdisjoint(getattr(item, "fixturenames", ())), reverse=True)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not look at it again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def plain_network() -> Iterator[None]:
    """No proxy and no certificates of the machine that the tests run on."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
            environment.delenv(name, raising=False)
            environment.delenv(name.lower(), raising=False)
        yield


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without a row, to be copied: migrating takes longer than most tests."""
    file = tmp_path_factory.mktemp("sqlite") / "ledger.db"
    asyncio.run(_migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture
def new_sqlite(migrated_sqlite: Path, tmp_path: Path) -> NewDatabase:
    numbers = itertools.count(1)

    def make(*, migrated: bool) -> str:
        file = tmp_path / f"ledger{next(numbers)}.db"
        if migrated:
            shutil.copy(migrated_sqlite, file)
        return f"sqlite:///{file}"

    return make


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """A real PostgreSQL for the whole session."""
    # Not in pytest's folder, which every session that starts closes to other users than root.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder, running_postgresql(Path(folder)) as server:
        databases = Databases(server, Path(folder))
        asyncio.run(_migrate(databases.address(databases.template)))
        yield databases


@pytest.fixture
def new_postgresql(databases: Databases) -> Iterator[NewDatabase]:
    given: list[str] = []

    def make(*, migrated: bool) -> str:
        given.append(databases.take_ledger() if migrated else databases.create())
        return databases.address(given[-1])

    yield make
    for name in given:
        databases.give_back(name)


async def _migrate(url: str) -> None:
    async with open_ledger(url):
        pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_database(new_sqlite: NewDatabase) -> NewDatabase:
    """SQLite, where a folder's conftest does not ask for both databases."""
    return new_sqlite


@pytest.fixture
def ledger_url(new_database: NewDatabase) -> str:
    """The LEDGER_URL of a ledger without a row."""
    return new_database(migrated=True)


@pytest.fixture
async def ledger(ledger_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """A ledger without a row, whose clock is moved by hand."""
    async with open_ledger(ledger_url, clock=clock, boot_clock=clock.boottime) as opened:
        yield opened


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A local Slack with the app of manifest.yml installed."""
    async with LocalSlack() as running:
        yield running


@pytest.fixture
async def billing() -> AsyncIterator[LocalBilling]:
    """A local billing API with its sample invoices; vps 10101 is unpaid."""
    api = LocalBilling()
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
def environment(slack: LocalSlack, billing: LocalBilling, ledger_url: str) -> dict[str, str]:
    """The environment of a bot between the two."""
    return environment_of(slack, billing, ledger_url)


@pytest.fixture
def settings(environment: dict[str, str], tmp_path: Path) -> NewSettings:
    """Settings made of that environment."""

    def make(**variables: str) -> Settings:
        # A policy file stands alone.
        alone = {"PAY_APPROVALS_REQUIRED": ""} if variables.get("PAY_POLICY_FILE") else {}
        return config.load(tmp_path / "no.env", environment | alone | variables)

    return make


@pytest.fixture
async def start_bot(
    settings: NewSettings, slack: LocalSlack, billing: LocalBilling
) -> AsyncIterator[StartBot]:
    """Starts bots; at the end what hangs is let go, and they stop."""
    async with AsyncExitStack() as stack:

        async def start(*, timing: Timing = QUICK, pace: Pace | None = None, **variables: str) -> app.Bot:
            quick_pace = pace or Pace(posts=1000, updates=1000, burst=1000)
            running = app.running(settings(**variables), timing=timing, pace=quick_pace)
            return await stack.enter_async_context(running)

        yield start
        slack.heal()
        billing.heal()


@pytest.fixture
async def bot(start_bot: StartBot) -> app.Bot:
    """The bot, running against the local Slack and the local billing API."""
    return await start_bot()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One for all who look at pages; they live on the session's loop with it."""
    from tests.browser import chromium

    async with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def command_server() -> Iterator[CommandServer]:
    """Where the processes of commands come from."""
    with command_server_running() as running:
        yield running


@pytest.fixture
async def command(tmp_path: Path, command_server: CommandServer) -> AsyncIterator[CommandLine]:
    """Runs `python -m bot`; what still runs at the end of the test is ended."""
    line = CommandLine(tmp_path, command_server)
    yield line
    await line.end_all()
