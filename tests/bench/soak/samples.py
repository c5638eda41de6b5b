"""What is seen of the bot from outside every few seconds, and what of it grew."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bot.domain.payment import FINAL, State
from tests.bench.soak.traffic import Traffic
from tests.bench.world import World


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    at: seconds since the beginning. threads, descriptors, memory_mb, cpu_s: of the bot's process; how many
    processors it took since the look before. acknowledged_ms: the slowest command since then, which tells how
    long its event loop was busy; none was typed: 0. refused: commands that Slack said had failed.
    own_lag_ms: how late the process that measures was itself, at most. ledger_mb: on disk. paid: payments
    that have come to a good end. unpaid: those that have come to none. untold: what Slack has yet to be told.
    """

    at: float
    threads: int
    descriptors: int
    memory_mb: float
    cpu: float
    acknowledged_ms: float
    refused: int
    own_lag_ms: float
    ledger_mb: float
    paid: int
    unpaid: int
    untold: int


@dataclass(eq=False)
class Sampler:
    """Looks every so many seconds."""

    world: World
    traffic: Traffic
    every: float
    samples: list[Sample] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _lag: float = 0.0
    _typed: int = 0
    _cpu: float = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._feel_lag())
            while True:
                await asyncio.sleep(self.every)
                self.samples.append(await asyncio.to_thread(self._look))

    async def _feel_lag(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.1)
            self._lag = max(self._lag, time.monotonic() - begun - 0.1)

    def _look(self) -> Sample:
        typed, self._typed = self.traffic.acknowledged[self._typed :], len(self.traffic.acknowledged)
        lag, self._lag = self._lag, 0.0
        cpu, before = self.world.cpu_s(), self._cpu
        self._cpu = cpu
        process = Path(f"/proc/{self.world.pid}")
        states, untold = _rows(self.world.folder / "ledger.db")
        return Sample(
            at=time.monotonic() - self._began,
            threads=len(os.listdir(process / "task")),
            descriptors=len(os.listdir(process / "fd")),
            memory_mb=self.world.resident_mb(),
            cpu=(cpu - before) / self.every,
            acknowledged_ms=1000 * max((one.seconds for one in typed if one.ok), default=0.0),
            refused=sum(not one.ok for one in typed),
            own_lag_ms=1000 * lag,
            ledger_mb=sum(one.stat().st_size for one in self.world.folder.glob("ledger.db*")) / 2**20,
            paid=states.get(State.PAID, 0),
            unpaid=sum(count for state, count in states.items() if state not in FINAL),
            untold=untold,
        )


def _rows(ledger: Path) -> tuple[dict[State, int], int]:
    """How many payments are in which state, and how many deliveries are still to be made."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=10)) as connection:
        found = connection.execute("SELECT state, count(*) FROM payments GROUP BY state").fetchall()
        pending = "SELECT count(*) FROM deliveries WHERE done_revision < revision"
        (untold,) = connection.execute(pending).fetchone()
    return {State(state): count for state, count in found}, int(untold)


@dataclass(frozen=True, slots=True)
class Growth:
    """Whether one thing grew. early, late: its middle in the second quarter of the time and in the last.

    bound: how much more than early is still called the same.
    """

    name: str
    unit: str
    early: float
    late: float
    per_hour: float
    bound: float

    @property
    def grew(self) -> bool:
        """Whether it grew by more than its bound."""
        return self.late - self.early > self.bound

    def __str__(self) -> str:
        what = "grew" if self.grew else "did not grow"
        told = f"{self.name} {what}: {self.early:.4g}{self.unit} in the second quarter of the time"
        return (
            f"{told}, {self.late:.4g}{self.unit} in the last; {self.per_hour:+.3g} an hour in the second half"
        )


_WATCHED: tuple[tuple[str, str, Callable[[Sample], float], float], ...] = (
    ("threads", "", lambda one: one.threads, 3),
    ("descriptors", "", lambda one: one.descriptors, 6),
    ("memory", " MB", lambda one: one.memory_mb, 15),
    ("processor", "", lambda one: one.cpu, 0.3),
    ("the slowest acknowledgement", " ms", lambda one: one.acknowledged_ms, 300),
    ("payments not at their end", "", lambda one: one.unpaid, 100),
    ("what Slack is still to be told", "", lambda one: one.untold, 100),
)


SHORTEST_S = 240.0
"""In less, what is loaded and opened once is most of what is seen."""


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """What became of each thing that must not grow while people ask steadily; nothing of a short time."""
    if not samples or samples[-1].at < SHORTEST_S:
        return []
    quarter = len(samples) // 4
    second, half, last = samples[quarter : 2 * quarter], samples[2 * quarter :], samples[-quarter:]
    found = []
    for name, unit, value, bound in _WATCHED:
        slope = statistics.linear_regression([one.at for one in half], [value(one) for one in half]).slope
        early, late = (statistics.median(map(value, some)) for some in (second, last))
        found.append(Growth(name, unit, early, late, 3600 * slope, bound))
    return found
