"""Twenty requests at once in one channel, of a Slack that takes a burst and then one message a second."""

from __future__ import annotations

from tests.bench.crowds import twenty
from tests.bench.figures import Line
from tests.bench.world import Conditions, Side

LINES = {
    "seconds": Line("20 at once in one channel, burst of 25: the last answer", "s", goal=18.0),
    "lost": Line("… answers that never came", goal=0),
    "refused": Line("… refused by Slack (429)"),
}
ROUNDS = 1


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    return await twenty(side, Conditions())
