"""Events of which what is personal was erased, and the later events that answer for what is left of them.

The hash of such an event is that of what it said before, so it proves nothing of what is left; nor can it be
made anew, as the chain hangs on it. What is left is hashed once more, and that hash stands in a `Pruned`
event, which the chain proves. An event that is said to be erased, and that no `Pruned` event answers for, was
forged; so was one of which anything was changed, put in or taken away since.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any

from bot.domain.events import Pruned, decode

Row = Sequence[Any]
"""An event's columns as in `audit.HASHED`: those that are hashed, both hashes, and which event erased it."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of some events of one request, or of none. first: the number of the first of them."""

    request_id: int | None
    first: int
    count: int = 0
    hash: str = ""

    def and_of(self, row: Row) -> Left:
        """With one event more. Raises TypeError, RecursionError for what no event holds."""
        content = dumps([self.hash, *row[:10]])
        return Left(self.request_id, self.first, self.count + 1, sha256(content.encode()).hexdigest())


def left_of(rows: Iterable[Row]) -> Left:
    """What is left of these events, of which there is one."""
    first, *others = rows
    left = Left(first[2], first[0]).and_of(first)
    for row in others:
        left = left.and_of(row)
    return left


class Erasures:
    """Told all events in their order, it tells which are erased and not answered for.

    answered: the `Pruned` events that are right. A few words are held for each that is still to come.
    """

    def __init__(self) -> None:
        self.answered: set[int] = set()
        self._left: dict[int, Left] = {}

    def add(self, row: Row) -> int | None:
        """The next event; the number of an event that is forged by it, or None."""
        event_id, request_id, action, by = row[0], row[2], row[4], row[10]
        if by is None:
            return self._answer(row) if action == Pruned.action else None
        if type(by) is not int or by <= event_id or action == Pruned.action:
            return int(event_id)
        left = self._left.get(by, Left(request_id, event_id))
        if left.request_id != request_id:
            return int(event_id)
        try:
            self._left[by] = left.and_of(row)
        except (TypeError, RecursionError):
            return int(event_id)
        return None

    def _answer(self, row: Row) -> int | None:
        event_id, request_id, detail = row[0], row[2], row[7]
        what = decode(row[4], detail)
        left = self._left.pop(event_id, None)
        if left is None or not isinstance(what, Pruned):
            return int(event_id)
        if (request_id, what.count, what.remains) != (left.request_id, left.count, left.hash):
            return left.first
        self.answered.add(event_id)
        return None

    @property
    def unanswered(self) -> int | None:
        """At the end: the first event that is erased and that no event answers for."""
        return min((left.first for left in self._left.values()), default=None)
