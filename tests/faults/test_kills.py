"""A bot that dies at any commit or call pays nothing twice and owes nobody an answer once it is back."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import zlib
from collections.abc import Collection

import pytest

from bot.domain.payment import State
from tests.faults.conftest import DATABASES, StageOn
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.stage import Stage
from tests.faults.tally import Tally
from tests.faults.truth import compare

AT_ONCE = 10
"""Histories that run side by side."""

ONLY = os.environ.get("FAULTS_KILL_AT")
"""To try one point again: the point's name, as a failure prints it."""

LONG = bool(os.environ.get("FAULTS_LONG"))
"""Whether to try every point of every way on both databases."""

SHARE = 64
"""Otherwise, of the points at which a bot has died already, one in so many is tried again."""


@pytest.fixture(scope="session")
def tried() -> set[tuple[str, str]]:
    """The databases and points, without their numbers, at which a bot has died already."""
    return set()


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
async def test_killed_at_every_commit_and_call(
    stage_on: StageOn, tally: Tally, tried: set[tuple[str, str]], database: str, scenario: Scenario
) -> None:
    """Killed at each point of each way, the bot comes back to one payment, one truth and one answer."""
    async with stage_on(database) as stage:
        points = await _unharmed(stage, scenario, tally)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(point: str) -> list[str]:
        async with turns, stage_on(database, ack_deadline=1.0) as stage:
            killed, wrong = await _killed(stage, scenario, point, tally)
            if killed:
                tally.kill_points.append(f"{database}, {scenario.name}, {point}")
            return [f"killed {point}: {flaw}" for flaw in wrong]

    chosen = [ONLY] if ONLY else _chosen(points, database, tried)
    wrong = itertools.chain(*await asyncio.gather(*(one(point) for point in chosen)))
    assert not (flaws := "\n".join(wrong)), flaws


def _chosen(points: list[str], database: str, tried: set[tuple[str, str]]) -> list[str]:
    """On both databases all points of the first way; of each other one what is new in it, half of it on
    each database, and a share of the rest.
    """
    first = not any(database == where for where, _ in tried)
    new: list[str] = []
    known: list[str] = []
    for point in points:
        named = point.partition(" #")[0]
        here = DATABASES[zlib.crc32(named.encode()) % len(DATABASES)]
        fresh = (database, named) not in tried and (first or database == here)
        tried.add((database, named))
        (new if fresh or LONG else known).append(point)
    return new + known[len(points) % SHARE :: SHARE]


async def _unharmed(stage: Stage, scenario: Scenario, tally: Tally) -> list[str]:
    """Let it go its way without harm, and return the points that it came to."""
    bot = await stage.start(**scenario.orders)
    await scenario.act(stage)
    await stage.rest()
    assert not (wrong := await _flaws(stage, scenario.ends, tally)), wrong
    return bot.points()


async def _killed(stage: Stage, scenario: Scenario, point: str, tally: Tally) -> tuple[bool, list[str]]:
    """Let it die at that point and start it again; whether it died, and what is wrong in the end."""

    async def keep() -> None:
        bot = await stage.start(kill_at=point, **scenario.orders)
        code = await asyncio.shield(bot.ended)
        assert code == -signal.SIGKILL, f"it ended with {code}:\n{bot.log()}"
        tally.kills += 1
        await stage.start(**scenario.orders)

    keeper = asyncio.create_task(keep())
    try:
        await stage.happens(lambda: stage.bots, "a bot is started")
        await scenario.act(stage)
        await stage.rest()
        killed = not stage.bots[0].running
        if killed:
            await keeper
            await stage.rest()
        # Between the intention and the call nothing went out, and reading the invoice shows that.
        return killed, await _flaws(stage, {*scenario.ends, State.DECLINED}, tally)
    except (AssertionError, TimeoutError) as error:
        return True, [f"{type(error).__name__}: {error}"]
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])


async def _flaws(stage: Stage, ends: Collection[State], tally: Tally) -> list[str]:
    found = await compare(stage)
    tally.add(found)
    states = await (await stage.ledger()).by_state()
    if not set(ends).issuperset(states):
        found.wrong.append(f"it ended as {states}")
    return found.wrong
