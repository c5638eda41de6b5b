"""The proof of a large ledger by several processes, each of which proves a part of it.

They only find out whether everything is as it should be. Where anything is not, one process proves all of it
again, so that what is said does not depend on how many there were. Each reads at a moment of its own, so all
begin anew until they see the same end of the trail: what the events prove changes with an event only.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from bot.ledger import database
from bot.ledger.audit import check_chain, erasures_hold
from bot.ledger.proof import Flaws, Verification, check_requests, check_rest
from bot.ledger.schema import chain, events, requests
from bot.ledger.store import Ledger

MANY = 200_000
"""Events from which on it is faster by several processes, which take a second to start."""

MOST_PROCESSES = 8

_TRIES = 50
"""So often they begin anew; somebody who writes all the time leaves moments enough between two events."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a ledger: events and requests whose ids lie above the first and not above the second.

    None: whatever lies beyond. All parts together with `rest_is_clean` are as good as `verify`.
    """

    events: tuple[int, int | None]
    requests: tuple[int | None, int | None]

    def is_clean(self, connection: Connection) -> bool:
        """Whether nothing in it contradicts the events; what does, `verify` finds."""
        flaws = Flaws()
        if check_chain(connection, *self.events).broken_at is not None:
            return False
        check_requests(connection, flaws, *self.requests)
        return not flaws.count


def parts(connection: Connection, count: int) -> list[Part]:
    """So many parts of about the same size."""
    highest = [connection.execute(select(func.max(ids))).scalar_one() for ids in (events.c.id, requests.c.id)]
    borders = [[(most or 0) * place // count for place in range(1, count)] for most in highest]
    of_events, of_requests = ([None, *between, None] for between in borders)
    return [
        Part((of_events[place] or 0, of_events[place + 1]), (of_requests[place], of_requests[place + 1]))
        for place in range(count)
    ]


def rest_is_clean(connection: Connection) -> bool:
    """Whether nothing is wrong with what is in no part."""
    flaws = Flaws()
    check_rest(connection, flaws)
    return not flaws.count and erasures_hold(connection)


async def verify(ledger: Ledger, url: str) -> Verification:
    """Prove the whole ledger, which is the one at LEDGER_URL; as `Ledger.verify`."""
    count = min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
    if count > 1 and await _events(ledger) >= MANY:
        with contextlib.suppress(EOFError, OSError):
            if (found := await _proved(ledger, url, count)) is not None:
                return found
    return await ledger.verify()


async def _events(ledger: Ledger) -> int:
    """How many there are, or more; the end of the trail says it too, but that is still to be proved."""
    async with ledger.snapshot() as connection:
        return int((await connection.execute(select(func.max(events.c.id)))).scalar_one() or 0)


async def _proved(ledger: Ledger, url: str, count: int) -> Verification | None:
    """What is found where all is clean; None where it is not, or where they do not come to begin together."""
    with ExitStack() as stack:
        pipes = [stack.enter_context(_process(url)) for _ in range(count)]
        for _ in range(_TRIES):
            async with ledger.snapshot() as connection:
                end = await connection.run_sync(_end)
                for pipe, part in zip(pipes, await connection.run_sync(parts, count), strict=True):
                    pipe.send(part)
                together = all([each == end for each in await _received(pipes)])
                for pipe in pipes:
                    pipe.send(together)
                if not together:
                    continue
                if not (await connection.run_sync(rest_is_clean) and all(await _received(pipes))):
                    return None
                ((_, last_event, last_hash),) = end
                return Verification(last_event, last_hash, None)
    return None


def _end(connection: Connection) -> list[tuple[Any, ...]]:
    found = connection.execute(select(chain.c.id, chain.c.last_event, chain.c.last_hash))
    return [tuple(row) for row in found]


async def _received(pipes: Sequence[Pipe]) -> list[Any]:
    """An answer of each. Raises EOFError where one ended."""
    return [await asyncio.to_thread(pipe.recv) for pipe in pipes]


@contextmanager
def _process(url: str) -> Iterator[Pipe]:
    # None is forked off: threads of this one may hold locks.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_prove, args=(url, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _prove(url: str, pipe: Pipe) -> None:
    """What a process does: begin as often as it is told to, prove its part, and end."""
    # Rows come and go by millions, and none in circles: to look for those takes a fifth of the time.
    gc.set_threshold(1_000_000)
    # What goes wrong here goes wrong where all is proved by one process as well, and is said there.
    with contextlib.suppress(EOFError, OSError, SQLAlchemyError):
        asyncio.run(_proving(url, pipe))


async def _proving(url: str, pipe: Pipe) -> None:
    engine = database.engine_to_read(url)
    together = False
    while not together:
        part: Part = pipe.recv()
        async with database.snapshot(engine).connect() as connection:
            if engine.dialect.name != "sqlite":
                await connection.execute(database.PATIENT)
            pipe.send(await connection.run_sync(_end))
            if together := pipe.recv():
                pipe.send(await connection.run_sync(part.is_clean))
    await engine.dispose()
