"""Who comes alone is served alone; whoever comes meanwhile is served together, by one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog

from bot.errors import LedgerUnavailable

log = structlog.get_logger()

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(slots=True, eq=False)
class Group(Generic[Item]):
    """Those who wait for the same transaction."""

    items: list[Item] = field(default_factory=list)
    is_open: bool = True

    def close(self) -> Sequence[Item]:
        """All of them: whoever comes from now on is of another group."""
        self.is_open = False
        return self.items


Alone = Callable[[Item], Awaitable[Answer]]

Together = Callable[[Group[Item]], Coroutine[Any, Any, Sequence[Answer | None]]]
"""Closes the group as late as it can, and answers each, in their order; None: to be served alone."""


class Crowd(Generic[Item, Answer]):
    """For the tasks of one event loop. most: how many of them one transaction may serve."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._group: Group[Item] = Group(is_open=False)
        self._serving: asyncio.Task[Sequence[Answer | None]] | None = None

    async def serve(self, item: Item, alone: Alone[Item, Answer], together: Together[Item, Answer]) -> Answer:
        """The answer. Raises what serving it alone raises; LedgerUnavailable also for all of a group.

        Whatever else goes wrong with a group may be one item's fault: then each is served alone. Who is
        cancelled leaves the others theirs.
        """
        self._inside += 1
        try:
            answer = None if self._inside == 1 else await self._answer_among_others(item, together)
            return await alone(item) if answer is None else answer
        finally:
            self._inside -= 1

    async def _answer_among_others(self, item: Item, together: Together[Item, Answer]) -> Answer | None:
        group, serving = self._group, self._serving
        if serving is None or serving.done() or not group.is_open or len(group.items) == self._most:
            group = self._group = Group()
            serving = self._serving = asyncio.create_task(together(group))
        place = len(group.items)
        group.items.append(item)
        await asyncio.wait([serving])
        try:
            return serving.result()[place]
        except LedgerUnavailable:
            raise
        except Exception:
            log.exception("not served together", items=len(group.items))
            return None
