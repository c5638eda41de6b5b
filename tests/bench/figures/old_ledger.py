"""A ledger of many payments, with limits a day in the policy. The other side is ours on a ledger of few.

Both run at the same time and are asked in turn, so that a busy machine slows them alike.
"""

from __future__ import annotations

import asyncio
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from bot.sandbox.local_slack.changes import Change, ChangeKind
from tests.bench import old_ledger
from tests.bench.figures import Line
from tests.bench.world import FIRST, OURS, PLAIN, ROOT, Conditions, World, median, meeting, resident_mb

TIMES = 1.2

LINES = {
    "start_s": Line("start to connected, many payments in the ledger beside few", "s", times=TIMES),
    "pay_ms": Line("… one alone, no delay, limits a day: answered", "ms", times=TIMES),
    "pay_cpu_ms": Line("… … time of a processor", "ms", times=TIMES),
    "home_ms": Line("… the Home tab", "ms", times=TIMES),
    "home_cpu_ms": Line("… … time of a processor", "ms", times=TIMES),
    "list_ms": Line("… /pay list", "ms", times=TIMES),
    "list_cpu_ms": Line("… … time of a processor", "ms", times=TIMES),
    "status_ms": Line("… /pay status 42", "ms", times=TIMES),
    "status_cpu_ms": Line("… … time of a processor", "ms", times=TIMES),
    "verify_s": Line("… audit verify", "s"),
    "verify_us": Line("… … an event", "µs"),
    "verify_cpu_us": Line("… … time of all processors, an event", "µs"),
    "verify_mb": Line("… … memory of its processes at most", "MB", goal=300.0),
}
ROUNDS = 1

FEW = 1000
"""Payments in the other ledger: enough that lists are full, that there is a request 42, and that as much is
looked through of what one person asked for as ever is.
"""

POLICY = """
[[rule]]
name = "default"
requesters = ["U0ALICE001"]
limit_per_person_per_day = 100000000
limit_per_rule_per_day = 100000000
"""

_STARTS = 4
_BREATH_S = 0.7
"""Between two payments, for what is left to do, and so that Slack's limits are not reached."""


async def measure_both(payments: int) -> dict[str, dict[str, float]]:
    """One round, of both sides."""
    conditions = Conditions(policy=POLICY)
    counts = {OURS.name: payments, PLAIN.name: FEW}
    async with AsyncExitStack() as stack:
        worlds = {}
        for name, count in counts.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pay-bench-")))
            await old_ledger.make(folder / "ledger.db", count)
            worlds[name] = await stack.enter_async_context(meeting(OURS, conditions, folder))
        found: dict[str, dict[str, float]] = {name: {} for name in worlds}
        for name, seconds in (await _in_turn(worlds, _STARTS, _start)).items():
            found[name]["start_s"] = seconds
        for world in worlds.values():
            await world.warm(2)
        for what, count, ask in _QUESTIONS:
            before = {name: world.cpu_s() for name, world in worlds.items()}
            for name, seconds in (await _in_turn(worlds, count, ask)).items():
                used = worlds[name].cpu_s() - before[name]
                found[name] |= {f"{what}_ms": 1000 * seconds, f"{what}_cpu_ms": 1000 * used / count}
        for world in worlds.values():
            await world.end()
        proof = await _verify(worlds[OURS.name].folder / "ledger.db")
        found[OURS.name] |= proof
        found[PLAIN.name] |= dict.fromkeys(proof, math.nan)
    return found


async def _in_turn(
    worlds: dict[str, World], count: int, ask: Callable[[World, int], Awaitable[float]]
) -> dict[str, float]:
    """So many times in each world, now one first and now the other: the median of the seconds each took."""
    taken: dict[str, list[float]] = {name: [] for name in worlds}
    for place in range(count):
        for name in list(worlds) if place % 2 else reversed(worlds):
            taken[name].append(await ask(worlds[name], place))
    return {name: median(one) for name, one in taken.items()}


async def _start(world: World, _place: int) -> float:
    await world.end()
    await world.start()
    await asyncio.sleep(_BREATH_S)
    return world.connected_s


async def _pay(world: World, place: int) -> float:
    begun = time.perf_counter()
    await world.types(FIRST + place)
    await world.until_answered([FIRST + place])
    await asyncio.sleep(_BREATH_S)
    return world.answered.get(FIRST + place, math.nan) - begun


async def _home(world: World, _place: int) -> float:
    published: list[float] = []

    def notice(change: Change) -> None:
        if change.kind is ChangeKind.HOME_PUBLISHED:
            published.append(time.perf_counter())

    stop = world.slack.on_change(notice)
    begun = time.perf_counter()
    await world.slack.person("alice").opens_home()
    await world.until(lambda: bool(published))
    stop()
    return published[0] - begun if published else math.nan


async def _asks(world: World, text: str) -> float:
    before = len(world.slack.ephemerals("alice"))
    begun = time.perf_counter()
    await world.slack.person("alice").types("#payments", text)
    await world.until(lambda: len(world.slack.ephemerals("alice")) > before)
    return time.perf_counter() - begun


_QUESTIONS: tuple[tuple[str, int, Callable[[World, int], Awaitable[float]]], ...] = (
    ("pay", 12, _pay),
    ("home", 40, _home),
    ("list", 40, lambda world, _: _asks(world, "/pay list")),
    ("status", 40, lambda world, _: _asks(world, "/pay status 42")),
)
"""What is asked in turn, how often of each side, and how; payments first, as they change an open Home tab."""


async def _verify(ledger: Path) -> dict[str, float]:
    """`audit verify`, as from a command line."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "audit", "verify"),
        env={"LEDGER_URL": f"sqlite:///{ledger}", "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        cwd=ledger.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    most = 0.0
    ended = asyncio.create_task(process.communicate())
    while not ended.done():
        most = max(most, sum(map(resident_mb, _family(process.pid))))
        await asyncio.wait([ended], timeout=0.05)
    took = time.perf_counter() - begun
    told = ended.result()[0].decode()
    assert process.returncode == 0, told
    after, events = resource.getrusage(resource.RUSAGE_CHILDREN), old_ledger.events(ledger)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {
        "verify_s": took,
        "verify_us": 1e6 * took / events,
        "verify_cpu_us": 1e6 * used / events,
        "verify_mb": most,
    }


def _family(pid: int) -> list[int]:
    """A process, and those that it started."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found
