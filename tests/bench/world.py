"""The Slack and the billing API that both sides meet, and the sides themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from bot.sandbox.local_billing import Call, Failure, LocalBilling
from bot.sandbox.local_billing.failures import Exchange, plain
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.sandbox.local_slack.interactions import Result
from tests.fixture_types import environment_of

CHANNEL = "#payments"
MODULE = "vps"
FIRST = 50_000
"""The number of the first invoice that is there to be paid; the others follow."""

BURST = 25
"""Messages that Slack takes at once in a channel, as people measured it; then one a second."""

QUIET_S = 6.0
"""Seconds in which nothing happens after which nothing more is waited for."""

PATIENCE_S = 180.0
"""Seconds after which nothing more is waited for, whatever happens."""

ROOT = Path(__file__).parents[2]

_ANSWER = re.compile(r"Invoice (\d+) Successful")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared. arguments: of the interpreter."""

    name: str
    arguments: Sequence[str]


_AS_INSTALLED = """
import sys
sys.modules["rich"] = sys.modules["pygments"] = None  # tests need them; structlog and Mako load what is there
from bot.__main__ import main
main(["run"])
"""

OURS = Side("ours", ("-c", _AS_INSTALLED))
PLAIN = Side("plain", ("-m", "tests.bench.plain_bot"))
SIDES = (OURS, PLAIN)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Seconds that Slack and the billing API take for a call, what Slack takes at once, unpaid invoices.

    policy: a policy file's text, in place of the settings.
    """

    slack_s: float = 0.0
    billing_s: float = 0.0
    burst: int = BURST
    unpaid: int = 100
    policy: str = ""


@dataclass(eq=False)
class World:
    """A running side among those whom it serves.

    ledger_url: where ours keeps its ledger. policy: its policy file. settings: what else is set.
    answered: when the API's words for an invoice stood in the thread. processes: the side's, one an instance.
    connected_s: seconds from its last start to its connection.
    """

    side: Side
    folder: Path
    slack: LocalSlack
    billing: LocalBilling
    ledger_url: str
    policy: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    connected_s: float = 0.0
    answered: dict[int, float] = field(default_factory=dict)
    _happened: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.slack.on_change(self._notice)
        self.billing.on_call = self._called

    @property
    def pid(self) -> int:
        """Of the side's process that was started last."""
        return self.processes[-1].pid

    async def start(self) -> None:
        """Start the side, or one more instance of it, on the ledger that is there or a new one.

        Returns when it is connected.
        """
        environment = environment_of(self.slack, self.billing, self.ledger_url)
        environment |= {"BILLING_TIMEOUT": "60", "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        environment |= self.settings
        if self.policy is not None:
            environment = {name: value for name, value in environment.items() if not name.startswith("PAY_")}
            environment["PAY_POLICY_FILE"] = str(self.policy)
        log = self.folder / "log"
        started, before = time.perf_counter(), self.slack.sockets.connections
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self.side.arguments),
                env=environment,
                cwd=self.folder,
                stdout=out,
                stderr=out,
            )
        self.processes.append(process)
        while self.slack.sockets.connections <= before:
            if process.returncode is not None or time.perf_counter() - started > 60:
                raise RuntimeError(f"{self.side.name} did not start:\n{log.read_text()[-2000:]}")
            await asyncio.sleep(0.002)
        self.connected_s = time.perf_counter() - started

    async def end(self) -> None:
        """At once: a side that is stopped politely would wait for what hangs."""
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        self.processes.clear()
        while self.slack.sockets.connections:  # noqa: ASYNC110 -- it notices by itself
            await asyncio.sleep(0.01)

    async def stopped(self) -> int:
        """Tell the only process to stop, as an operator does; its exit code."""
        (process,) = self.processes
        process.terminate()
        return await process.wait()

    def _called(self, _call: Call) -> None:
        self._happened.set()

    def _notice(self, change: Change) -> None:
        self._happened.set()
        if change.kind is ChangeKind.MESSAGE_POSTED:
            for number in _ANSWER.findall(change.text):
                self.answered.setdefault(int(number), time.perf_counter())

    async def types(self, number: int, channel: str = CHANNEL) -> Result:
        """Alice asks for a payment; returns when that was acknowledged, or Slack gave up."""
        return await self.slack.person("alice").types(channel, f"/pay {MODULE} {number}")

    @property
    def bot(self) -> str:
        """The app's own user."""
        return ids.BOT_USER_ID

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for that, or until nothing happens any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    self._happened.clear()
                    async with asyncio.timeout(QUIET_S):
                        await self._happened.wait()

    async def until_answered(self, numbers: Iterable[int]) -> None:
        """Wait until these are answered, or nothing happens any more."""
        wanted = set(numbers)
        await self.until(lambda: wanted <= self.answered.keys())

    async def warm(self, count: int = 1) -> None:
        """Pay once or more in another channel, and let all come to rest, as if it had run for a while."""
        for number in range(FIRST - count, FIRST):
            await self.types(number, "#shared-with-partner")
            await self.until_answered([number])
            await asyncio.sleep(0.3)

    def paid(self, numbers: Iterable[int]) -> int:
        """How many of these were paid."""
        return sum(self.billing.payments_made(MODULE, number) == 1 for number in numbers)

    def refusals(self) -> int:
        """How often Slack said that it was too much."""
        return sum(call.error == "ratelimited" for call in self.slack.calls)

    def cpu_s(self) -> float:
        """Seconds of a processor that the side's process has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Memory of the side's process."""
        return resident_mb(self.pid)


@asynccontextmanager
async def meeting(
    side: Side,
    conditions: Conditions,
    folder: Path | None = None,
    *,
    ledger_url: str | None = None,
    settings: Mapping[str, str] | None = None,
    instances: int = 1,
) -> AsyncIterator[World]:
    """Run a side until the block ends.

    folder: one that holds its ledger, or may; None: a new one. ledger_url: where that is, if not there.
    settings: what is set beside the usual.
    """
    async with AsyncExitStack() as stack:
        slack = LocalSlack(enforce_rate_limits=True, message_burst=conditions.burst)
        await stack.enter_async_context(slack)
        billing = LocalBilling()
        await billing.start()
        stack.push_async_callback(billing.stop)
        for number in range(FIRST - 50, FIRST + conditions.unpaid):
            billing.add_invoice(MODULE, number)
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pay-bench-")))
        url = ledger_url or f"sqlite:///{folder}/ledger.db"
        policy = _policy_file(folder, conditions.policy)
        world = World(side, folder, slack, billing, url, policy, settings or {})
        slow_down(world, conditions)
        stack.push_async_callback(world.end)
        for _ in range(instances):
            await world.start()
        yield world
        billing.heal()


def _policy_file(folder: Path, text: str) -> Path | None:
    if not text:
        return None
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def slow_down(world: World, conditions: Conditions) -> None:
    """Let every call take its time from now on."""
    if conditions.slack_s:
        world.slack.fail("*", "slow", seconds=conditions.slack_s)

    async def late(exchange: Exchange) -> web.StreamResponse:
        await asyncio.sleep(conditions.billing_s)
        return await plain(exchange)

    if conditions.billing_s:
        world.billing.fail(Failure("every call takes its time", late, carried_out=True, on="*"))


def resident_mb(pid: int) -> float:
    """Memory of a process; 0 where there is none any more."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them, from 0 to 1, does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Iterable[float]) -> float:
    """The middle one; of none, NaN."""
    there = list(values)
    return statistics.median(there) if there else float("nan")
