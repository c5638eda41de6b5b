"""A whole installation: a local Slack, a local billing API, a ledger, and bots as processes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.payment import FINAL, State
from bot.ledger import database
from bot.ledger.schema import chain, deliveries, payments
from bot.ledger.store import Ledger, utc_now
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST, AppManifest
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.workspace import Execution
from bot.slack.workflow_step import STEP
from tests.faults.bot_process import BotOptions
from tests.faults.clocks import MachineClocks, ServerClock, server_clock
from tests.faults.invariants import PastTheBot
from tests.faults.process_pool import BotProcess, ProcessPool
from tests.optional_step import with_the_step

HISTORY = frozenset({"channels:history", "groups:history"})
"""The optional scopes: with them, a reply comes once; without, at least once."""

SCOPES = AppManifest(DEFAULT_MANIFEST).scopes
WITHOUT_HISTORY = SCOPES - HISTORY


class NotAtRest(AssertionError):
    """It did not come to rest in time; says what was left."""


async def unfinished(connection: AsyncConnection, waiting: Collection[State] = ()) -> list[str]:
    """What has not come to rest: payments neither settled nor in a state of `waiting`, and the untold."""
    settled = [state.value for state in FINAL | frozenset(waiting)]
    unsettled = select(payments.c.state).where(payments.c.state.not_in(settled))
    untold = select(deliveries.c.kind).where(deliveries.c.done_revision < deliveries.c.revision)
    return list((await connection.execute(union_all(unsettled, untold))).scalars())


class Installation:
    """One installation, and what happened on it.

    exact: whether the app may read the history, so that nothing may be told twice.
    server_clock: the database server's, where it can be set.
    acknowledged: the invoices of the requests that the bot took. runs: of workflows, each at its step.
    past: what happened past the bot.
    """

    def __init__(
        self,
        process_pool: ProcessPool,
        slack: LocalSlack,
        billing: LocalBilling,
        ledger_url: str,
        folder: Path,
        *,
        exact: bool,
    ) -> None:
        self._process_pool = process_pool
        self.slack = slack
        self.billing = billing
        self.ledger_url = ledger_url
        self.folder = folder
        self.exact = exact
        self.server_clock: ServerClock | None = None
        self.bots: list[BotProcess] = []
        self.acknowledged: list[tuple[str, int]] = []
        self.past = PastTheBot()
        self.runs: list[Execution] = []
        self._numbers = itertools.count(1)
        self._engine: AsyncEngine | None = None
        self._ledger: Ledger | None = None

    # Processes

    def clocks(self, machine: int = 0) -> MachineClocks:
        """The clocks that the bots of a machine read."""
        return MachineClocks(self.folder / f"{machine}.clocks")

    async def set_ledger_clock(self, ahead: float) -> None:
        """Set the clock that the ledger goes by, to so many seconds before what is right."""
        if self.server_clock is not None:
            await self.server_clock.set_wall(ahead)
        else:
            self.clocks().set_wall(ahead)

    def options(self, *, machine: int = 0, **changes: Any) -> BotOptions:
        """How a bot is run here; `settings` in the changes are added to what there is.

        machine: the one it runs on. `policy` in the changes: rules in TOML, in place of the PAY_ variables.
        """
        number = next(self._numbers)
        ids = {person.name: person.id for person in self.slack.world.people.values()}
        settings = {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "BILLING_WSDL_URL": self.billing.wsdl_url,
            "BILLING_USERNAME": self.billing.username,
            "BILLING_PASSWORD": self.billing.password,
            "BILLING_TIMEOUT": "1",
            "LEDGER_URL": self.ledger_url,
            "PAY_ALLOWED_USERS": ",".join(ids[name] for name in ("alice", "bob", "carol")),
        }
        settings |= changes.pop("settings", {})
        if (policy := changes.pop("policy", None)) is not None:
            file = self.folder / "policy.toml"
            file.write_text(policy, encoding="utf-8")
            plain = {name: value for name, value in settings.items() if not name.startswith("PAY_")}
            settings = plain | {"PAY_POLICY_FILE": str(file)}
        options = BotOptions(
            settings=settings,
            trace=str(self.folder / f"{number}.trace"),
            log=str(self.folder / f"{number}.log"),
            clocks=str(self.clocks(machine).file),
        )
        return dataclasses.replace(options, **changes)

    async def start(self, *, wait: bool = True, **changes: Any) -> BotProcess:
        """Start one more bot. wait: until it listens, or has died on the way."""
        before = self.slack.sockets.connections
        bot = await self._process_pool.start(self.options(**changes))
        self.bots.append(bot)
        if wait:
            await self.happens(
                lambda: self.slack.sockets.connections > before or not bot.running, "a bot comes up"
            )
        return bot

    async def command(self, *typed: str, until: str | None = None, **settings: str) -> tuple[int, str]:
        """Type a command after `python -m bot`, in an environment that holds LEDGER_URL and these alone.

        until: what it prints when nobody waits for it any longer. Its exit code, and what it printed.
        """
        options = self.options(command=typed)
        ran = await self._process_pool.start(
            dataclasses.replace(options, settings={"LEDGER_URL": self.ledger_url, **settings})
        )
        if until is not None:
            await ran.said(until)
            ran.terminate()
        return await ran.end(30), ran.log()

    @property
    def settled_after(self) -> float:
        """Seconds from when on a lost call will not be carried out any more; see `Timing.settled_after`."""
        options = self.bots[0].options
        return options.settling + 2 * float(options.settings["BILLING_TIMEOUT"])

    @property
    def running(self) -> list[BotProcess]:
        """The bots that have not ended."""
        return [bot for bot in self.bots if bot.running]

    async def kill_all(self) -> None:
        """End every bot at once."""
        for bot in self.running:
            bot.kill()
        for bot in self.bots:
            await bot.end(5)

    async def stop_all(self) -> None:
        """Stop every bot as an operator would, once it is up; all must go in good order."""
        running = self.running
        await self.happens(lambda: self.slack.sockets.connections >= len(running), "all bots are up")
        for bot in running:
            bot.terminate()
        for bot in running:
            code = await bot.end(15)
            assert code == 0, f"it ended with {code}:\n{bot.log()}"

    # People

    async def asks(self, person: str, channel: str, module: str, number: int) -> Result:
        """Ask for a payment; see `types`."""
        result = await self.types(person, channel, f"/pay {module} {number}")
        self.acknowledged.append((module, number))
        return result

    async def types(self, person: str, channel: str, command: str, *, times: int = 100) -> Result:
        """Type a command, and type it again as people do, as long as Slack says that it failed."""
        for _ in range(times):
            result = await self.slack.person(person).types(channel, command)
            if result.ok:
                return result
            await asyncio.sleep(0.2)
        raise AssertionError(f"nobody took {command} in {times} tries: {result.error}")

    async def runs_step(self, person: str, channel: str, module: str, number: int) -> Execution:
        """Run a workflow whose step asks for a payment, until Slack was told how the step ended."""
        place = self.slack.world.channel(channel).id
        inputs = {"module": module, "invoice": str(number), "channel": place}
        run = await self.slack.run_workflow_step(STEP, inputs, by=person)
        self.runs.append(run)
        await self.happens(lambda: run.status != "running", "the step ends", timeout=30)
        return run

    # The ledger

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to look at the ledger's tables with."""
        if self._engine is None:
            self._engine = database.engine_for(self.ledger_url)
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A connection that changes what the bots think is theirs alone."""
        async with self.reading() as connection:
            await connection.rollback()
            async with connection.begin():
                yield connection

    async def ledger(self) -> Ledger:
        """The ledger, to be read beside the bots."""
        if self._ledger is None:
            async with self.reading() as connection:
                identity = (await connection.execute(select(chain.c.ledger))).scalar_one()
            assert self._engine is not None
            self._ledger = Ledger(self._engine, identity, utc_now)
        return self._ledger

    async def left(self, waiting: Collection[State] = ()) -> list[str]:
        """What has not come to rest; see `unfinished`."""
        async with self.reading() as connection:
            return await unfinished(connection, waiting)

    async def rest(self, timeout: float = 20, *, waiting: Collection[State] = ()) -> None:
        """Wait until nothing is `left`, if that changes within so many seconds; ten times those at most."""
        time = asyncio.get_running_loop().time
        latest = time() + 10 * timeout
        deadline, before = 0.0, [""]
        while left := await self.left(waiting):
            if left != before:
                deadline, before = min(time() + timeout, latest), left
            if time() > deadline:
                raise NotAtRest(self._told(f"{timeout} s later there were left: {', '.join(left)}"))
            await asyncio.sleep(0.1)

    def _told(self, what: str) -> str:
        return "\n".join([what, *(f"-- {bot.options.log}\n{bot.log()[-3000:]}" for bot in self.bots)])

    async def happens(self, condition: Callable[[], object], what: str, timeout: float = 15) -> None:
        """Wait for something that is seen from outside."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(self._told(f"not within {timeout} s: {what}"))
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """End all bots, and let go of the ledger."""
        await self.kill_all()
        if self._engine is not None:
            await self._engine.dispose()


@asynccontextmanager
async def open_installation(
    process_pool: ProcessPool,
    ledger_url: str,
    folder: Path,
    *,
    exact: bool = True,
    ack_deadline: float = 3.0,
    channels: int = 1,
    settable: bool = False,
) -> AsyncIterator[Installation]:
    """Set it up. channels: #payments, and as many more (#payments-2, …) as this says.

    settable: the clock of the ledger's server can be set.
    """
    scopes = SCOPES if exact else WITHOUT_HISTORY
    slack = LocalSlack(
        manifest=with_the_step(),
        scopes=scopes,
        ack_deadline=ack_deadline,
        # Slack repeats an event after a minute and five more; a day is a few seconds here.
        event_retry_delays=(0.3,) * 40,
    )
    billing = LocalBilling()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(slack)
        await billing.start()
        stack.push_async_callback(billing.stop)
        bot_user = slack.world.channel("payments").members[-1]
        for number in range(2, channels + 1):
            slack.world.add_channel(f"payments-{number}", ["alice", "bob", "carol", bot_user])
        installation = Installation(process_pool, slack, billing, ledger_url, folder, exact=exact)
        stack.push_async_callback(installation.close)
        if settable and not ledger_url.startswith("sqlite"):
            engine = database.engine_for(ledger_url)
            stack.push_async_callback(engine.dispose)
            installation.server_clock = await stack.enter_async_context(server_clock(engine))
            # Before the clock goes away, whoever lives by it does.
            stack.push_async_callback(installation.kill_all)
        yield installation
