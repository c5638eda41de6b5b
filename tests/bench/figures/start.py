"""From the start of the process to its connection."""

from __future__ import annotations

from tests.bench.figures import Line
from tests.bench.world import Conditions, Side, meeting

LINES = {"seconds": Line("start to connected", "s", goal=0.6)}
ROUNDS = 5


async def measure(side: Side) -> dict[str, float]:
    """One start, with a new ledger."""
    async with meeting(side, Conditions()) as world:
        return {"seconds": world.connected_s}
