"""How often the list of unpaid invoices is read for fifty requests of one module that come at once."""

from __future__ import annotations

import asyncio

from tests.bench.figures import Line
from tests.bench.world import FIRST, MODULE, Conditions, Side, meeting

LINES = {
    "reads": Line("50 at once of one module, in 5 channels, billing 300 ms a call: its list is read", goal=4),
    "unpaid": Line("… not paid", goal=0),
}
ROUNDS = 1
CHANNELS = 5
"""As many as Slack needs to take all cards and answers at once."""


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    numbers = range(FIRST, FIRST + 50)
    operation = f"api_{MODULE}_get_client_unpaid_invoices"
    async with meeting(side, Conditions(billing_s=0.3)) as world:
        await world.warm()
        for channel in range(CHANNELS):
            world.slack.world.add_channel(f"c{channel}", ["alice", world.bot])
        before = [call.operation for call in world.billing.log].count(operation)
        await asyncio.gather(*(world.types(number, f"#c{number % CHANNELS}") for number in numbers))
        await world.until(lambda: world.paid(numbers) == len(numbers))
        reads = [call.operation for call in world.billing.log].count(operation) - before
        return {"reads": reads, "unpaid": len(numbers) - world.paid(numbers)}
