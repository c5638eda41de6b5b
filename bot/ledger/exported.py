"""The trail in a file, a JSON array an event with its hash: it proves itself without the ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from sqlalchemy import select

from bot.ledger import audit
from bot.ledger.erased import Erasures
from bot.ledger.schema import events
from bot.ledger.store import Ledger


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a trail in a file found. broken_at: the line that does not fit, or None.

    seen: an event before that line has the hash that was asked for.
    """

    events: int
    last_hash: str
    broken_at: int | None
    seen: bool


async def trail(ledger: Ledger) -> AsyncIterator[str]:
    """The events in order, as they are hashed, with both hashes. Raises LedgerUnavailable.

    Those that are erased say by which event, too.
    """
    async with ledger.snapshot() as connection:
        async for row in await connection.stream(audit.HASHED):
            yield json.dumps(list(row if row[10] is not None else row[:10]), ensure_ascii=False)


async def has_event(ledger: Ledger, hashed: str) -> bool:
    """Whether an event has this hash: a trail that once ended there goes on from it."""
    if hashed == audit.GENESIS:
        return True  # before the first event
    async with ledger.snapshot() as connection:
        found = await connection.execute(select(events.c.id).where(events.c.hash == hashed).limit(1))
        return found.first() is not None


def check(lines: Iterable[str], wanted: str | None = None) -> Checked:
    """Recompute every hash of a trail in a file, from its first event on. wanted: the hash of one of them."""
    previous, count = audit.GENESIS, 0
    erasures = Erasures()
    seen = previous == wanted
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return Checked(count, previous, number, seen)
        if not isinstance(row, list) or len(row) not in (10, 11) or row[0] != number:
            return Checked(count, previous, number, seen)
        whole = [*row, None][:11]
        if not audit.fits(whole, previous):
            return Checked(count, previous, number, seen)
        if (forged := erasures.add(whole)) is not None:
            return Checked(count, previous, forged, seen)
        previous, count = row[9], count + 1
        seen = seen or previous == wanted
    return Checked(count, previous, erasures.unanswered, seen)
