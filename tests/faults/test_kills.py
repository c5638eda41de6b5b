"""A bot that dies at any commit or call pays nothing twice and owes nobody an answer once it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import zlib
from collections.abc import Collection

from bot.domain.payment import State
from tests.effort import LONG
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.counts import Counts
from tests.faults.installation import Installation
from tests.faults.invariants import check_invariants
from tests.faults.scenarios import SCENARIOS, Scenario

INSTALLATIONS_AT_ONCE = 12
"""Installations that are up side by side."""

ONLY = os.environ.get("FAULTS_KILL_AT")
"""To try one point again, as a failure names it: "paid: before make_payment #1"."""


async def test_killed_at_every_commit_and_call(installation_on: InstallationOn, counts: Counts) -> None:
    """Killed at each point of each way, the bot comes back to one payment, one truth and one answer."""
    turns = asyncio.Semaphore(INSTALLATIONS_AT_ONCE)

    async def unharmed(database: str, way: Scenario) -> list[str]:
        async with turns, installation_on(database, settable=way.settable) as installation:
            return await _unharmed(installation, way, counts)

    async def killed(database: str, way: Scenario, point: str) -> list[str]:
        async with turns, installation_on(database, ack_deadline=1.0, settable=way.settable) as installation:
            died, wrong = await _killed(installation, way, point, counts)
            if died:
                counts.kill_points.append(f"{database}, {way.name}: {point}")
            return [f"{way.name}: {point}: on {database}: {flaw}" for flaw in wrong]

    ways = [way for way in SCENARIOS if ONLY is None or ONLY.startswith(f"{way.name}: ")]
    async with asyncio.TaskGroup() as group:
        seen = {
            database: [(way, group.create_task(unharmed(database, way))) for way in ways]
            for database in DATABASES
        }
    chosen = [
        (database, way, point)
        for database, tasks in seen.items()
        for way, point in _chosen([(way, point) for way, task in tasks for point in task.result()], database)
    ]
    assert chosen, f"none of them came to {ONLY!r}"
    async with asyncio.TaskGroup() as group:
        tried = [group.create_task(killed(*each)) for each in chosen]
    flaws = "\n".join(flaw for task in tried for flaw in task.result())
    assert not flaws, flaws


def _chosen(points: list[tuple[Scenario, str]], database: str) -> list[tuple[Scenario, str]]:
    """Each point the first time that it is reached, half of them on each database."""
    if ONLY is not None:
        return [(way, point) for way, point in points if f"{way.name}: {point}" == ONLY]
    known: set[str] = set()
    chosen: list[tuple[Scenario, str]] = []
    for way, point in points:
        named = point.partition(" #")[0]
        here = DATABASES[zlib.crc32(named.encode()) % len(DATABASES)]
        fresh = named not in known or named in way.anew
        if LONG or (fresh and database == here):
            chosen.append((way, point))
        known.add(named)
    return chosen


async def _unharmed(installation: Installation, way: Scenario, counts: Counts) -> list[str]:
    """Let it go its way without harm, and return the points that it came to."""
    bot = await installation.start(**way.options)
    await way.act(installation)
    await installation.rest()
    assert not (wrong := await _flaws(installation, way.ends, counts)), wrong
    return bot.points()


async def _killed(
    installation: Installation, way: Scenario, point: str, counts: Counts
) -> tuple[bool, list[str]]:
    """Let it die at that point and start it again; whether it died, and what is wrong in the end."""

    async def keep() -> None:
        bot = await installation.start(kill_at=point, **way.options)
        code = await asyncio.shield(bot.ended)
        assert code == -signal.SIGKILL, f"it ended with {code}:\n{bot.log()}"
        counts.kills += 1
        await installation.start(**way.options)

    keeper = asyncio.create_task(keep())
    try:
        await installation.happens(lambda: installation.bots, "a bot is started")
        await way.act(installation)
        await installation.rest()
        killed = not installation.bots[0].running
        if killed:
            await keeper
            await installation.rest()
        # Between the intention and the call nothing went out, and reading the invoice shows that.
        return killed, await _flaws(installation, {*way.ends, State.DECLINED}, counts)
    except (AssertionError, TimeoutError) as error:
        return True, [f"{type(error).__name__}: {error}"]
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


async def _flaws(installation: Installation, ends: Collection[State], counts: Counts) -> list[str]:
    found = await check_invariants(installation)
    counts.add(found)
    states = await (await installation.ledger()).by_state()
    if not set(ends).issuperset(states):
        found.wrong.append(f"it ended as {states}")
    return found.wrong
