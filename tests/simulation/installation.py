"""Slack, the billing API, a ledger, and the bot of `bot.app.running` on a machine of its own."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot import app, config
from bot.config import Settings
from bot.domain.payment import FINAL, STEP_TRIGGER, State
from bot.errors import BotError
from bot.ledger import database
from bot.ledger.schema import chain
from bot.ledger.store import Ledger, utc_now
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.service import Call
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.workspace import Execution
from tests.faults.installation import SCOPES, WITHOUT_HISTORY
from tests.optional_step import with_the_step
from tests.simulation import notices, shared
from tests.simulation.calls import at_call
from tests.simulation.machine import Machine
from tests.simulation.outside import EVERYBODY_GROUP, GROUPS, Outside
from tests.simulation.rules import environment_of
from tests.simulation.stored import stored_time
from tests.simulation.system import BEGINNING, Loop, context_of

TIMING = replace(
    Timing(),
    poll=120.0,
    hold=timedelta(minutes=5),
    reconcile_first=timedelta(minutes=2),
    forget=3600.0,
    digest=300.0,
    watch=300.0,
)
"""The bot's own patience; only that it looks less often at what waits, so that idling costs less."""

PING_S = 60.0
"""Seconds between two pings over a connection: of Slack, and of the bot in a silence."""

CALL_TIMEOUT = 60
"""BILLING_TIMEOUT, in seconds."""

STARTED_AGAIN_S = 5.0
"""Seconds after which a supervisor starts a process again that ended by itself."""

DAY_S = 86400.0

CHANNELS = ("payments", "payments-2", "payments-3")


Acts = dict[str, Callable[..., Coroutine[Any, Any, None]]]
"""What can happen, by its name."""


class Process:
    """A process of the bot on its machine. number: of the machine."""

    def __init__(self, number: int, machine: Machine) -> None:
        self.number = number
        self.machine = machine
        self.told_to_stop = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.machine.alive


class Installation:
    """One installation, and what happened on it.

    processes: of the bot, one on each machine. exact: whether the app may read the history, so that nothing
    may be told twice. acknowledged: the invoices of the requests that the bot took. all_runs: of workflows.
    ended: why the bot's processes ended by themselves. wrong: what must not have been, in words.
    errors: what a bot logged with a traceback. tell: is told what happens. ledger_ahead: by how many seconds
    the clock of a ledger is wrong that several instances share. told_beside: see `drawing`. last_day: until
    when, by the ledger's clock, the days come that are waited for; None for the next day.
    """

    def __init__(
        self,
        loop: Loop,
        slack: LocalSlack,
        billing: LocalBilling,
        file: Path,
        seed: int,
        *,
        exact: bool,
        instances: int,
    ) -> None:
        self.loop = loop
        self.slack = slack
        self.billing = billing
        self.ledger_url = f"sqlite:///{file}"
        self._policy_file = file.with_suffix(".toml")
        self.exact = exact
        self.ledger_ahead = 0.0
        self.settings: dict[str, str] = {}
        self.told_beside: dict[str, str] = {}
        self.last_day: datetime | None = None
        self.acknowledged: list[tuple[str, int]] = []
        self.all_runs: list[Execution] = []
        self.ended: list[BotError] = []
        self.tell: Callable[[str], None] = lambda _: None
        self.wrong: list[str] = []
        self.errors: list[str] = []
        self.past = Outside()
        self.settled_after = TIMING.settled_after(CALL_TIMEOUT).total_seconds()
        self.processes = [Process(number, Machine(f"bot {number}", seed)) for number in range(instances)]
        for process in self.processes:
            process.machine.crash()
        self._seed = seed
        self._engine: AsyncEngine | None = None
        self._starts = itertools.count(1)
        self._rows = sqlite3.connect(file)
        billing.on_call = self._checked

    def _checked(self, call: Call) -> None:
        """A check that cannot be made is a finding, and no answer of the billing API."""
        try:
            self.wrong.extend(at_call(self, call))
        except Exception as error:  # noqa: BLE001 -- whatever it is
            self.wrong.append(f"bug of the check of a call: {error!r}")

    # The bot

    def start(self, number: int) -> None:
        """Start a process of the bot on that machine."""
        old = self.processes[number].machine
        old.crash()
        name = f"bot {number}.{next(self._starts)}"
        machine = Machine(name, self._seed, booted=old.booted, slept=old.slept, ahead=old.ahead)
        process = self.processes[number] = Process(number, machine)
        self.loop.create_task(self._run(process), context=context_of(machine))

    async def _run(self, process: Process) -> None:
        """What `python -m bot run` does, and a supervisor."""
        self.past.started(process.machine, self.settings)
        settings = config.load(Path("no.env"), self._environment())
        try:
            async with self._bot(settings, process) as running:
                await running.run_until(process.told_to_stop)
            if running.broken.is_set():
                self.wrong.append("a part of the bot ended that must not")
        except BotError as error:
            self.ended.append(error)
            self.tell(f"    {self.loop.now:.3f} {process.machine.name} ended: {error!r}")
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a finding
            self.wrong.append(f"the bot ended with {error!r}")
        process.machine.crash()
        if not process.told_to_stop.is_set():
            at = self.loop.now + STARTED_AGAIN_S
            self.loop.at(at, self._again, process, context=context_of(None))

    def _bot(self, settings: Settings, process: Process) -> AbstractAsyncContextManager[app.Bot]:
        if len(self.processes) == 1:
            return app.running(settings, timing=TIMING)
        return shared.running(
            settings,
            instance=process.machine.name,
            timing=TIMING,
            clock=self._ledger_clock,
            count=lambda: sum(one.running for one in self.processes),
        )

    def _ledger_clock(self) -> datetime:
        """The database server's."""
        return datetime.fromtimestamp(BEGINNING + self.loop.now + self.ledger_ahead, UTC)

    def ledger_now(self, machine: Machine) -> datetime:
        """What the ledger's clock shows there: the server's, or where it has a file of its own, its own."""
        if len(self.processes) > 1:
            return self._ledger_clock()
        return datetime.fromtimestamp(BEGINNING + self.loop.now + machine.ahead, UTC)

    def _again(self, ended: Process) -> None:
        """What a supervisor does with a process that ended by itself."""
        if self.processes[ended.number] is ended:
            self.start(ended.number)

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
            **environment_of(self.settings, self._policy_file),
            **self.told_beside,
        }

    @property
    def running(self) -> list[Process]:
        """The processes that have not ended."""
        return [process for process in self.processes if process.running]

    def tell_to_stop(self) -> None:
        """SIGTERM, to all."""
        for process in self.running:
            process.told_to_stop.set()

    def port_of(self, service: str) -> int:
        """Slack's or the billing API's."""
        port = urlsplit(self.slack.address if service == "Slack" else self.billing.wsdl_url).port
        assert port is not None
        return port

    # The ledger

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What the tables hold now, asked past the bot and in no time."""
        return self._rows.execute(query, values).fetchall()

    @property
    def runs(self) -> list[Execution]:
        """The workflows whose step must have ended: all but those that wait for people."""
        return self._runs_but({State.PENDING_APPROVAL})

    def _runs_but(self, waiting: Collection[State]) -> list[Execution]:
        found = self.rows(
            "SELECT requests.id, trigger_id, state FROM payments JOIN requests ON requests.id = request_id"
        )
        wait = {row[1] for row in found if row[2] in waiting or row[0] in self.past.forged}
        return [run for run in self.all_runs if STEP_TRIGGER + run.id not in wait]

    def steps_taken_up(self) -> set[str]:
        """The runs of workflows that the ledger knows of."""
        found = self.rows("SELECT trigger_id FROM requests WHERE trigger_id LIKE ?", f"{STEP_TRIGGER}%")
        return {trigger.removeprefix(STEP_TRIGGER) for (trigger,) in found}

    def runs_under_way(self, waiting: Collection[State] = ()) -> list[Execution]:
        """Those that must end yet. waiting: states of a payment that its step may wait for."""
        states = {State.PENDING_APPROVAL, *waiting}
        return [run for run in self._runs_but(states) if run.status == "running"]

    def left(self, waiting: Collection[State] = ()) -> list[str]:
        """What has not come to rest: payments neither settled nor in a state of `waiting`, and the untold.

        What waits for a day beyond `last_day` need not come there.
        """
        settled = FINAL | frozenset(waiting)
        far = self.last_day or self.ledger_now(self.processes[0].machine) + timedelta(seconds=DAY_S)
        found = self.rows("SELECT request_id, module, number, state, not_before FROM payments ORDER BY id")
        left = [
            state
            for number, *ref, state, day in found
            if state not in settled
            and not (state == State.APPROVED and day is not None and stored_time(day) > far)
            and not self.past.stands_still(number, (ref[0], ref[1]), state)
        ]
        untold = self.rows("SELECT kind FROM deliveries WHERE done_revision < revision ORDER BY id")
        return left + [row[0] for row in untold] + notices.untold(self)

    def waits_for_days(self) -> list[float]:
        """Seconds until each day comes, within the next one, for which an approved payment waits."""
        now = self.ledger_now(self.processes[0].machine)
        found = self.rows("SELECT not_before FROM payments WHERE state = ?", State.APPROVED)
        waits = [(stored_time(day) - now).total_seconds() for (day,) in found if day is not None]
        return [one for one in waits if 0 < one <= DAY_S]

    def backed_up(self) -> sqlite3.Connection:
        """A backup of the ledger as it is now."""
        backup = sqlite3.connect(":memory:")
        self._rows.backup(backup)
        return backup

    def set_back(self, to: sqlite3.Connection) -> None:
        """Restore a backup. Nobody is in a transaction."""
        to.backup(self._rows)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to look at the ledger's tables with."""
        if self._engine is None:
            self._engine = database.engine_for(self.ledger_url)
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A connection with which somebody writes past the bot."""
        async with self.reading() as connection, connection.begin():
            yield connection

    async def ledger(self) -> Ledger:
        """The ledger, to be read beside the bot."""
        async with self.reading() as connection:
            identity = (await connection.execute(select(chain.c.ledger))).scalar_one()
        assert self._engine is not None
        return Ledger(self._engine, identity, utc_now)

    async def happens(
        self, condition: Callable[[], object], what: str, timeout: float = 60, *, every: float = 0.25
    ) -> None:
        """Wait for something that is seen from outside. every: seconds until it is looked for again."""
        deadline = self.loop.now + timeout
        while not condition():
            assert self.loop.now < deadline, f"not within {timeout} s: {what}"
            await asyncio.sleep(every)


@asynccontextmanager
async def open_installation(
    loop: Loop, file: Path, seed: int, *, exact: bool, instances: int
) -> AsyncIterator[Installation]:
    """Set it up, without a bot yet. file: a ledger without a row."""
    slack = LocalSlack(
        manifest=with_the_step(),
        scopes=SCOPES if exact else WITHOUT_HISTORY,
        # Slack itself gives up after three, and a workflow would stand still for good.
        ping_interval=PING_S,
        event_retry_delays=(0.0, 60.0, 300.0, *(600.0,) * 1000),
    )
    billing = LocalBilling()
    await slack.start()
    await billing.start()
    bot_user = slack.world.channel("payments").members[-1]
    slack.world.add_group("everybody", GROUPS[EVERYBODY_GROUP], id=EVERYBODY_GROUP)
    for name in CHANNELS[1:]:
        slack.world.add_channel(name, ["alice", "bob", "carol", bot_user])
    yield Installation(loop, slack, billing, file, seed, exact=exact, instances=instances)
