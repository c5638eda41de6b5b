"""Twenty requests at once in one channel, of a Slack that takes one message a second from the first."""

from __future__ import annotations

from tests.bench.crowds import twenty
from tests.bench.figures import Line
from tests.bench.world import Conditions, Side

LINES = {
    "seconds": Line("20 at once in one channel, no burst: the last answer", "s", goal=44.0),
    "lost": Line("… answers that never came", goal=0),
    "refused": Line("… refused by Slack (429)", goal=4),
}
ROUNDS = 1


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    return await twenty(side, Conditions(burst=1))
