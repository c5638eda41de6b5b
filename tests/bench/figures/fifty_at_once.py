"""Fifty requests at once in one channel, of a billing API that takes a second for each call."""

from __future__ import annotations

import asyncio
import math
import time

from tests.bench.figures import Line
from tests.bench.world import FIRST, MODULE, Conditions, Side, meeting, percentile

LINES = {
    "unpaid": Line("50 at once, billing takes 1 s a call: not paid", goal=0),
    "unacknowledged": Line("… not acknowledged", goal=0),
    "acknowledged_ms": Line("… acknowledged, p99", "ms"),
    "seconds": Line("… the last is paid", "s"),
    "reads": Line("… readings of the list of unpaid invoices", goal=4),
}
ROUNDS = 1


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    numbers = range(FIRST, FIRST + 50)
    async with meeting(side, Conditions(billing_s=1.0)) as world:
        await world.warm()
        operation = f"api_{MODULE}_get_client_unpaid_invoices"
        before = [call.operation for call in world.billing.log].count(operation)
        begun = time.perf_counter()
        results = await asyncio.gather(*map(world.types, numbers))
        await world.until(lambda: world.paid(numbers) == len(numbers))
        took = time.perf_counter() - begun
        return {
            "unpaid": len(numbers) - world.paid(numbers),
            "unacknowledged": sum(not result.ok for result in results),
            "acknowledged_ms": 1000 * percentile([result.seconds for result in results], 0.99),
            "seconds": took if world.paid(numbers) == len(numbers) else math.nan,
            "reads": [call.operation for call in world.billing.log].count(operation) - before,
        }
