"""One request alone in a module with 500 unpaid invoices, where nothing takes time but the work itself."""

from __future__ import annotations

from tests.bench.crowds import alone
from tests.bench.figures import Line
from tests.bench.world import Conditions, Side

LINES = {
    "answered_ms": Line("one alone, no delay, 500 unpaid in its module: answered", "ms", goal=45.0),
    "acknowledged_ms": Line("… acknowledged", "ms"),
    "cpu_ms": Line("… time of a processor, each", "ms"),
}
ROUNDS = 2


async def measure(side: Side) -> dict[str, float]:
    """The median of some payments, one after the other."""
    return await alone(side, Conditions(unpaid=500))
