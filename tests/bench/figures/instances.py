"""Several instances on one PostgreSQL, while the billing API is what is waited for.

The audit trail makes every write wait for one row. Here is seen what that costs: of a billing API that takes
its time, two instances should pay nearly twice what one pays. Each has two calls at once, so that a machine
of two cores is not what is waited for; and there are channels enough that Slack's limits are not. An instance
works at as many payments as it has calls, writing included: the shorter a call, the more the writes count.

The other side is ours as well: one instance.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.bench.figures import Line
from tests.bench.world import FIRST, MODULE, OURS, PLAIN, Conditions, World, meeting
from tests.postgresql import Databases, running_postgresql

AT_LEAST = 1.7

LINES = {
    "two": Line("two instances, PostgreSQL, billing 1 s a call: paid, beside one", "/s", at_least=AT_LEAST),
    "two_waited_ms": Line("… waited for the trail's end, a payment", "ms"),
    "four": Line("four instances: paid, beside one", "/s"),
    "four_waited_ms": Line("… waited for the trail's end, a payment", "ms"),
}
ROUNDS = 1

WRITERS = 16
"""Requests under way at once."""

CALLS_AT_ONCE = "2"
"""Of each instance, with the billing API: what 16 requests can keep busy four times over."""

CHANNELS = 48
WARM_S, MEASURED_S = 4.0, 12.0


async def measure_both(_payments: int) -> dict[str, dict[str, float]]:
    """One round: one instance, two, and four."""
    with (
        tempfile.TemporaryDirectory(prefix="pay-bench-") as name,
        running_postgresql(Path(name), durable=True) as address,
    ):
        databases = Databases(address, Path(name))
        found = {count: await _paying(databases, count) for count in (1, 2, 4)}
    ours = {"two": found[2], "four": found[4]}
    plain = dict.fromkeys(ours, found[1])
    return {OURS.name: _flat(ours), PLAIN.name: _flat(plain)}


def _flat(found: dict[str, dict[str, float]]) -> dict[str, float]:
    return {f"{name}{key}": value for name, values in found.items() for key, value in values.items()}


async def _paying(databases: Databases, instances: int) -> dict[str, float]:
    """What so many instances pay in a second, and how long each payment's writes wait for others'."""
    url = databases.address(databases.create())
    conditions, settings = Conditions(billing_s=1.0), {"BILLING_CONCURRENCY": CALLS_AT_ONCE}
    async with meeting(OURS, conditions, ledger_url=url, settings=settings, instances=instances) as world:
        places = [f"c{number}" for number in range(CHANNELS)]
        for place in places:
            world.slack.world.add_channel(place, ["alice", world.bot])
        numbers, channels = itertools.count(FIRST + conditions.unpaid), itertools.cycle(places)
        writers = [asyncio.create_task(_write(world, numbers, channels)) for _ in range(WRITERS)]
        await asyncio.sleep(WARM_S)
        begun = time.monotonic()
        waited = await _waited(url, MEASURED_S)
        ended = time.monotonic()
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)
        paid = sum(call.effect == "paid" and begun <= call.at < ended for call in world.billing.log)
    return {"": paid / (ended - begun), "_waited_ms": 1000 * waited / paid}


async def _write(world: World, numbers: Iterator[int], channels: Iterator[str]) -> None:
    """Ask for one payment after the other, each as soon as the one before is answered."""
    for number in numbers:
        world.billing.add_invoice(MODULE, number)
        await world.types(number, next(channels))
        await world.until_answered([number])


_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%chain%'
"""


async def _waited(url: str, seconds: float) -> float:
    """Watch for so long how many sessions wait for the trail's end: the seconds that they waited, in all."""
    ends, seen = time.monotonic() + seconds, list[int]()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while time.monotonic() < ends:
            cursor = await connection.execute(_WAITING)
            seen += [count for (count,) in await cursor.fetchall()]
            await asyncio.sleep(0.02)
    return seconds * sum(seen) / len(seen)
