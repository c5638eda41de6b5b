"""What every listener needs: the person, a refusal of a broken payload, and a count of those at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.payments.authority import Person


class Gate:
    """Counts the listeners at work, so that stopping can wait for them."""

    def __init__(self) -> None:
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """One listener is at work."""
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if self._inside == 0:
                self._empty.set()

    async def emptied(self, grace: float) -> bool:
        """Wait until nobody is inside, at most `grace` seconds."""
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


def typist(body: dict[str, Any]) -> Person:
    """Who typed a command."""
    return Person(id=body["user_id"], team=body["team_id"])


def clicker(body: dict[str, Any]) -> Person:
    """Who clicked or submitted: with their own team, which in a shared channel need not be the host's."""
    user = body["user"]
    return Person(id=user["id"], team=user.get("team_id") or body["team"]["id"])
