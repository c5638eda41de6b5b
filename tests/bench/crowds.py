"""What figures about many requests at once have in common."""

from __future__ import annotations

import asyncio
import math
import time

from tests.bench.world import FIRST, Conditions, Side, median, meeting


async def twenty(side: Side, conditions: Conditions) -> dict[str, float]:
    """Twenty requests at once in one channel: when the last was answered, and how many never were."""
    numbers = range(FIRST, FIRST + 20)
    async with meeting(side, conditions) as world:
        await world.warm()
        begun = time.perf_counter()
        refused = world.refusals()
        await asyncio.gather(*map(world.types, numbers))
        await world.until_answered(numbers)
        answered = [world.answered[number] - begun for number in numbers if number in world.answered]
        return {
            "seconds": max(answered) if len(answered) == len(numbers) else math.nan,
            "lost": len(numbers) - len(answered),
            "refused": world.refusals() - refused,
        }


async def alone(side: Side, conditions: Conditions, count: int = 8) -> dict[str, float]:
    """One request after the other, each alone: milliseconds until it was acknowledged, and answered.

    And those of a processor, which a busy machine changes less.

    Slack's limits are never reached: each waits until its channel has room.
    """
    acknowledged, answered = [], []
    async with meeting(side, conditions) as world:
        await world.warm(2)
        before = world.cpu_s()
        for number in range(FIRST, FIRST + count):
            begun = time.perf_counter()
            acknowledged.append((await world.types(number)).seconds)
            await world.until_answered([number])
            answered.append(world.answered.get(number, math.nan) - begun)
            await asyncio.sleep(0.7)  # what is left to do for it, such as the card's change
        used = world.cpu_s() - before
    return {
        "acknowledged_ms": 1000 * median(acknowledged),
        "answered_ms": 1000 * median(answered),
        "cpu_ms": 1000 * used / count,
    }
