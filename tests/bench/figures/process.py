"""What the process itself costs: its start, and its memory at rest and after a thousand payments."""

from __future__ import annotations

import asyncio

from tests.bench.figures import Line
from tests.bench.world import FIRST, Conditions, Side, meeting

LINES = {
    "at_rest_mb": Line("memory at rest", "MB", goal=95.0),
    "later_mb": Line("… after 1,000 payments", "MB"),
    "unpaid": Line("… of which were not paid", goal=0),
}
ROUNDS = 1
CHANNELS, EACH = 100, 10
"""As many requests in each as Slack's burst takes with their answers."""


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    async with meeting(side, Conditions(unpaid=CHANNELS * EACH)) as world:
        await asyncio.sleep(2.0)
        at_rest = world.resident_mb()
        members = ["alice", world.bot]
        numbers = range(FIRST, FIRST + CHANNELS * EACH)
        for channel in range(CHANNELS):
            world.slack.world.add_channel(f"c{channel}", members)
            some = numbers[channel * EACH : (channel + 1) * EACH]
            await asyncio.gather(*(world.types(number, f"#c{channel}") for number in some))
            await world.until_answered(some)
        return {
            "at_rest_mb": at_rest,
            "later_mb": world.resident_mb(),
            "unpaid": len(numbers) - world.paid(numbers),
        }
