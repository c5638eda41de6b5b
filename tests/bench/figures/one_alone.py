"""One request alone: how long a person waits, where Slack and billing take their usual time for a call."""

from __future__ import annotations

from tests.bench.crowds import alone
from tests.bench.figures import Line
from tests.bench.world import Conditions, Side

LINES = {
    "answered_ms": Line("one alone, Slack 100 ms and billing 300 ms a call: answered", "ms", goal=760.0),
    "acknowledged_ms": Line("… acknowledged", "ms"),
    "cpu_ms": Line("… time of a processor, each", "ms"),
}
ROUNDS = 2


async def measure(side: Side) -> dict[str, float]:
    """The median of some payments, one after the other."""
    return await alone(side, Conditions(slack_s=0.1, billing_s=0.3))
