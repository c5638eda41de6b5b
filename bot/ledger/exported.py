"""The trail in a file, a JSON array an event with its hash: it proves itself without the ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import exists, select

from bot.errors import LedgerContradicted
from bot.ledger import audit
from bot.ledger.erased import Erasures
from bot.ledger.schema import events
from bot.ledger.store import Ledger


class Head(Enum):
    """What there is of a hash that the trail ended with once.

    ERASED: of what it proved something was erased later. An erased event is not proved by its own hash, so
    neither is what lies before it, until the event that answers for it: only a hash from after that does.
    """

    THERE = "there"
    ERASED = "erased"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a trail in a file found. broken_at: the line that does not fit, or None.

    head: what there is of the hash that was asked for, before that line.
    """

    events: int
    last_hash: str
    broken_at: int | None
    head: Head


async def trail(ledger: Ledger) -> AsyncIterator[str]:
    """The events in order, as they are hashed, with both hashes.

    Those that are erased say by which event, too. Raises LedgerUnavailable; LedgerContradicted for one that
    cannot be written down.
    """
    async with ledger.snapshot() as connection:
        async for row in await connection.stream(audit.HASHED):
            try:
                yield json.dumps(list(row if row[10] is not None else row[:10]), ensure_ascii=False)
            except TypeError:
                raise LedgerContradicted(
                    f"event {row[0]} holds what no event does; run `python -m bot audit verify`"
                ) from None


async def head(ledger: Ledger, hashed: str) -> Head:
    """What there is of a hash: where it is there, the trail once ended with it and goes on from it."""
    if hashed == audit.GENESIS:
        return Head.THERE  # before the first event
    erased = events.alias()
    later = exists().where(erased.c.erased_by > events.c.id, erased.c.id <= events.c.id)
    async with ledger.snapshot() as connection:
        found = await connection.execute(select(later).where(events.c.hash == hashed))
        was_erased = set(found.scalars())
    if not was_erased:
        return Head.MISSING
    return Head.ERASED if all(was_erased) else Head.THERE


def check(lines: Iterable[str], wanted: str | None = None) -> Checked:
    """Recompute every hash of a trail in a file, from its first event on. wanted: the hash of one of them."""
    previous, count = audit.GENESIS, 0
    erasures, answered_at = Erasures(), 0
    found = Head.THERE if previous == wanted else Head.MISSING
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return Checked(count, previous, number, found)
        if not isinstance(row, list) or len(row) not in (10, 11) or row[0] != number:
            return Checked(count, previous, number, found)
        whole = [*row, None][:11]
        if not audit.fits(whole, previous):
            return Checked(count, previous, number, found)
        if (forged := erasures.add(whole)) is not None:
            return Checked(count, previous, forged, found)
        previous, count = row[9], count + 1
        answered_at = max(answered_at, whole[10] or 0)
        if previous == wanted and found is not Head.THERE:
            found = Head.ERASED if answered_at > count else Head.THERE
    return Checked(count, previous, erasures.unanswered, found)
