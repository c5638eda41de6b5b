"""Slack, the billing API, a ledger, and the bot of `bot.app.running` on a machine of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import app, config
from bot.errors import BotError
from bot.ledger import database
from bot.ledger.schema import chain
from bot.ledger.store import Ledger, utc_now
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.workspace import Execution
from tests.faults.installation import SCOPES, WITHOUT_HISTORY
from tests.optional_step import with_the_step
from tests.simulation.machine import Machine
from tests.simulation.system import Loop, context_of

TIMING = replace(Timing(), poll=5.0)
"""The bot's own patience; only that it is asked less often what has become due."""

CALL_TIMEOUT = 60
"""BILLING_TIMEOUT, in seconds."""

CHANNELS = ("payments", "payments-2", "payments-3")


class Installation:
    """One installation, and what happened on it.

    machine: the one that the bot runs on. exact: whether the app may read the history, so that nothing may
    be told twice. acknowledged: the invoices of the requests that the bot took. runs: of workflows.
    ended: what the bot's processes ended with, where none was crashed or told to stop.
    """

    def __init__(
        self, loop: Loop, slack: LocalSlack, billing: LocalBilling, file: Path, seed: int, *, exact: bool
    ) -> None:
        self.loop = loop
        self.slack = slack
        self.billing = billing
        self.ledger_url = f"sqlite:///{file}"
        self.exact = exact
        self.settings: dict[str, str] = {}
        self.acknowledged: list[tuple[str, int]] = []
        self.runs: list[Execution] = []
        self.ended: list[BaseException] = []
        self.settled_after = TIMING.settled_after(CALL_TIMEOUT).total_seconds()
        self.machine = Machine("bot", seed)
        self._seed = seed
        self._stop = asyncio.Event()
        self._process: asyncio.Task[None] | None = None
        self._engine: AsyncEngine | None = None
        self._graveyard: list[Machine] = []

    # The bot

    def start(self) -> None:
        """Start a process of the bot on its machine."""
        old = self.machine
        old.crash()
        self._graveyard.append(old)
        number = len(self._graveyard)
        self.machine = Machine(
            f"bot {number}", self._seed, booted=old.booted, slept=old.slept, ahead=old.ahead
        )
        self._stop = asyncio.Event()
        self._process = self.loop.create_task(
            self._run(self.machine, self._stop), context=context_of(self.machine)
        )

    async def _run(self, machine: Machine, stop: asyncio.Event) -> None:
        """What `python -m bot run` does."""
        try:
            settings = config.load(Path("no.env"), self._environment())
            async with app.running(settings, timing=TIMING) as running:
                await running.run_until(stop)
            if running.broken.is_set():
                self.ended.append(AssertionError("a part of it broke"))
        except BotError as error:
            self.ended.append(error)
        machine.crash()

    def _environment(self) -> dict[str, str]:
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "BILLING_WSDL_URL": self.billing.wsdl_url,
            "BILLING_USERNAME": self.billing.username,
            "BILLING_PASSWORD": self.billing.password,
            "BILLING_TIMEOUT": str(CALL_TIMEOUT),
            "LEDGER_URL": self.ledger_url,
            **self.settings,
        }

    def tell_to_stop(self) -> None:
        """SIGTERM."""
        self._stop.set()

    # The ledger

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to look at the ledger's tables with."""
        if self._engine is None:
            self._engine = database.engine_for(self.ledger_url)
        async with self._engine.connect() as connection:
            yield connection

    async def ledger(self) -> Ledger:
        """The ledger, to be read beside the bot."""
        async with self.reading() as connection:
            identity = (await connection.execute(select(chain.c.ledger))).scalar_one()
        assert self._engine is not None
        return Ledger(self._engine, identity, utc_now)

    async def happens(self, condition: Callable[[], object], what: str, timeout: float = 60) -> None:
        """Wait for something that is seen from outside."""
        deadline = self.loop.now + timeout
        while not condition():
            assert self.loop.now < deadline, f"not within {timeout} s: {what}"
            await asyncio.sleep(0.05)


@asynccontextmanager
async def open_installation(loop: Loop, file: Path, seed: int, *, exact: bool) -> AsyncIterator[Installation]:
    """Set it up, without a bot yet. file: a ledger without a row."""
    slack = LocalSlack(manifest=with_the_step(), scopes=SCOPES if exact else WITHOUT_HISTORY)
    billing = LocalBilling()
    await slack.start()
    await billing.start()
    bot_user = slack.world.channel("payments").members[-1]
    for name in CHANNELS[1:]:
        slack.world.add_channel(name, ["alice", "bob", "carol", bot_user])
    yield Installation(loop, slack, billing, file, seed, exact=exact)
