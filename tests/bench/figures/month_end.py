"""A month end: fifty invoices in one request, of a billing API that takes a second for each call.

The plain bot has no such thing: it takes fifty commands, one after the other as a person types them.
"""

from __future__ import annotations

import asyncio
import math
import time

from bot.slack.preview import CONFIRM
from tests.bench.figures import Line
from tests.bench.world import CHANNEL, FIRST, MODULE, OURS, Conditions, Side, World, meeting

LINES = {
    "seconds": Line("50 invoices in one request, billing 1 s a call: all paid and told", "s", goal=12.0),
    "posts": Line("… messages in the channel and its thread", goal=9),
    "untold": Line("… of which were not told", goal=0),
    "reads": Line("… readings of the list of unpaid invoices", goal=4),
}
ROUNDS = 1
COUNT = 50


async def measure(side: Side) -> dict[str, float]:
    """One round."""
    numbers = range(FIRST, FIRST + COUNT)
    async with meeting(side, Conditions(billing_s=1.0)) as world:
        await world.warm()
        operation = f"api_{MODULE}_get_client_unpaid_invoices"
        before = [call.operation for call in world.billing.log].count(operation)
        posted = len(world.slack.messages(CHANNEL))
        if side is OURS:
            begun = await _confirmed(world, numbers)
        else:
            begun = time.perf_counter()
            await asyncio.gather(*map(world.types, numbers))
        await world.until_answered(numbers)
        told = [world.answered[number] for number in numbers if number in world.answered]
        # The summary, and the last change of the card.
        await asyncio.sleep(2.0)
        messages = world.slack.messages(CHANNEL)[posted:]
        replies = sum(len(one.thread) for one in messages)
        return {
            "seconds": max(told) - begun if len(told) == COUNT else math.nan,
            "posts": len(messages) + replies,
            "untold": COUNT - len(told),
            "reads": [call.operation for call in world.billing.log].count(operation) - before,
        }


async def _confirmed(world: World, numbers: range) -> float:
    """Ask for all by one command, and press the preview's button; returns when that was pressed."""
    alice = world.slack.person("alice")
    typed = await alice.types(CHANNEL, f"/pay {MODULE} {' '.join(map(str, numbers))}")
    assert typed.ok, typed
    await world.slack.wait_for(lambda: bool(world.slack.ephemerals("alice")))
    preview = world.slack.ephemerals("alice")[-1]
    begun = time.perf_counter()
    pressed = await alice.clicks(preview, CONFIRM)
    assert pressed.ok, pressed
    return begun
