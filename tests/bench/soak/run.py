"""One soak from its beginning to its end: everything at rest, and compared row by row."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.ledger import database
from bot.ledger.schema import chain
from bot.ledger.store import Ledger, utc_now
from bot.payments.timing import CALLS
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.workspace import Execution
from tests.bench.soak.samples import Growth, Sample, Sampler, growths
from tests.bench.soak.traffic import Traffic
from tests.bench.soak.trouble import Trouble, draw
from tests.bench.world import Conditions, Side, World, meeting
from tests.faults.installation import unfinished
from tests.faults.invariants import Findings, PastTheBot, check_invariants

_LESS_PATIENT = """
import functools, sys
from datetime import timedelta
sys.modules["rich"] = sys.modules["pygments"] = None  # tests need them; structlog and Mako load what is there
from bot import app
from bot.__main__ import main
from bot.payments.timing import Timing
app.running = functools.partial(app.running, timing=Timing(
    settling=timedelta(seconds={settling}),
    not_sent=tuple(timedelta(seconds={settling}) * some for some in (0.5, 1, 2)),
    hold=timedelta(seconds={settling}),
    reconcile_first=timedelta(seconds={settling}) / 3,
    reconcile_most=timedelta(seconds={settling}),
))
main(["run"])
"""
"""As `python -m bot run` runs it, but it settles a lost answer in seconds, not in a quarter of an hour."""

POLICY = """
[[rule]]
name = "default"
requesters = ["U0ALICE001", "U0BOB00001", "U0CAROL001"]
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a soak is to be.

    seconds: how long people ask. rate: payments a second. every: seconds between two looks. trouble: seconds
    between two troubles, on the average. billing_s, slack_s: seconds that a call takes. settling: seconds
    until a lost answer is settled, beside twice `timeout`, which is how long a call may take. channels: in
    which people ask in turn. patience: seconds that it may take to come to rest.
    """

    seconds: float
    rate: float
    seed: int
    every: float = 5.0
    trouble: float = 10.0
    billing_s: float = 0.3
    slack_s: float = 0.1
    settling: float = 30.0
    timeout: float = 5.0
    channels: int = 60
    patience: float = 1200.0


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of it. at_rest_s: seconds from the last request until all was at rest; None: it never was.

    exit_code: the bot's, when it was told to stop. untaken: requests that nobody took.
    """

    samples: list[Sample]
    growths: list[Growth]
    trouble: dict[str, int]
    asked: int
    untaken: int
    at_rest_s: float | None
    left: list[str]
    findings: Findings | None
    exit_code: int

    @property
    def well(self) -> bool:
        """Whether nothing is wrong, and nothing grew that must not."""
        whole = self.findings is not None and not self.findings.wrong and not self.untaken
        return whole and self.exit_code == 0 and not any(one.grew for one in self.growths)


async def soak(plan: Plan) -> Soaked:
    """Run it. Raises RuntimeError where the bot dies on the way."""
    conditions = Conditions(slack_s=plan.slack_s, billing_s=plan.billing_s, unpaid=0, policy=POLICY)
    side = Side("soaked", ("-c", _LESS_PATIENT.format(settling=plan.settling)))
    settings = {"BILLING_TIMEOUT": f"{plan.timeout:g}"}
    async with meeting(side, conditions, settings=settings) as world:
        traffic = Traffic(world, random.Random(plan.seed), plan.channels)
        trouble, sampler = Trouble(world, conditions), Sampler(world, traffic, plan.every)
        events = draw(plan.seed, plan.seconds, plan.trouble)
        async with _compared(world, traffic, plan) as compared, _beside(sampler.run()):
            async with asyncio.TaskGroup() as both:
                both.create_task(traffic.ask_for(plan.seconds, plan.rate))
                both.create_task(trouble.run(events))
            steady = list(sampler.samples)
            trouble.end()
            ended = time.monotonic()
            left = await compared.rest(plan.patience)
            rested = None if left else time.monotonic() - ended
        async with _compared(world, traffic, plan) as compared:
            findings = None if left else await check_invariants(compared)
        return Soaked(
            samples=sampler.samples,
            growths=growths(steady),
            trouble=dict(trouble.happened),
            asked=traffic.asked,
            untaken=traffic.gave_up,
            at_rest_s=rested,
            left=left,
            findings=findings,
            exit_code=await world.stopped(),
        )


@asynccontextmanager
async def _beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Let that go on until the block ends; where it breaks, so does the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()


@dataclass(eq=False)
class _Compared:
    """What is compared at the end; see `tests.faults.invariants.Installation`."""

    slack: LocalSlack
    billing: LocalBilling
    acknowledged: list[tuple[str, int]]
    settled_after: float
    engine: AsyncEngine
    exact: bool = True
    past: PastTheBot = field(default_factory=PastTheBot)
    runs: tuple[Execution, ...] = ()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to the ledger's tables."""
        async with self.engine.connect() as connection:
            yield connection

    async def ledger(self) -> Ledger:
        """The ledger."""
        async with self.reading() as connection:
            identity = (await connection.execute(select(chain.c.ledger))).scalar_one()
        return Ledger(self.engine, identity, utc_now)

    async def rest(self, timeout: float) -> list[str]:
        """Wait until nothing is left, at most so many seconds; what is left."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while await self._left():  # noqa: ASYNC110 -- another process changes it
                    await asyncio.sleep(0.5)
        return await self._left()

    async def _left(self) -> list[str]:
        async with self.reading() as connection:
            return await unfinished(connection)


@asynccontextmanager
async def _compared(world: World, traffic: Traffic, plan: Plan) -> AsyncIterator[_Compared]:
    engine = database.engine_for(world.ledger_url)
    settled = plan.settling + CALLS * plan.timeout
    try:
        yield _Compared(world.slack, world.billing, traffic.taken, settled, engine)
    finally:
        await engine.dispose()
