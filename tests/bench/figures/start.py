"""From the start of the process to its connection, on a ledger that is there already."""

from __future__ import annotations

from tests.bench.figures import Line
from tests.bench.world import Conditions, Side, meeting

LINES = {
    "seconds": Line("start to connected", "s", goal=0.6),
    "cpu_ms": Line("… time of a processor", "ms"),
    "first_seconds": Line("… with a new ledger", "s"),
}
ROUNDS = 5


async def measure(side: Side) -> dict[str, float]:
    """Two starts."""
    async with meeting(side, Conditions()) as world:
        first = world.connected_s
        await world.end()
        await world.start()
        return {
            "seconds": world.connected_s,
            "cpu_ms": 1000 * world.cpu_s(),
            "first_seconds": first,
        }
