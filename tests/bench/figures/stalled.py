"""Commands while the billing API answers nothing: they are acknowledged all the same."""

from __future__ import annotations

import asyncio

from tests.bench.figures import Line
from tests.bench.world import FIRST, Conditions, Side, meeting, percentile

LINES = {
    "hundred_ms": Line("100 commands at once, billing stalled: acknowledged, p99", "ms", goal=150.0),
    "hundred_lost": Line("… not acknowledged in time", goal=0),
    "more_ms": Line("500 more at once: acknowledged, p99", "ms", goal=1000.0),
    "more_lost": Line("… not acknowledged in time", goal=0),
}
ROUNDS = 2


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    async with meeting(side, Conditions(unpaid=600)) as world:
        await world.warm()
        world.billing.fail("stall")
        found: dict[str, float] = {}
        for name, numbers in (("hundred", range(100)), ("more", range(100, 600))):
            results = await asyncio.gather(*(world.types(FIRST + number) for number in numbers))
            found[f"{name}_ms"] = 1000 * percentile([result.seconds for result in results], 0.99)
            found[f"{name}_lost"] = sum(not result.ok for result in results)
        return found
