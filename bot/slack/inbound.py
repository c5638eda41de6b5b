"""What every listener needs: the person, what was acted on, and a count of those at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import structlog

from bot.errors import LedgerUnavailable
from bot.payments.authority import Person
from bot.payments.desk import Desk
from bot.slack.directory import within

log = structlog.get_logger()

LOOK_UPS = 2.0
"""Seconds for all that Slack is asked about people, of the three in which a listener must answer."""

IN_TIME = 2.5
"""Seconds after which Slack is told that it takes longer; after three it tells the person that it failed."""

Body = dict[str, Any]

T = TypeVar("T")


class Acknowledge(Protocol):
    """Bolt's ack."""

    async def __call__(self, **response: Any) -> Any:
        """Answer the command, click or form."""


class Gate:
    """Holds the listeners at work: Bolt does not, and stopping waits for them."""

    def __init__(self) -> None:
        self._inside: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """One listener is at work, and a person waits for it."""
        task = asyncio.current_task()
        assert task is not None, "bug: a listener is a task"
        self._inside.add(task)
        self._empty.clear()
        try:
            with within(LOOK_UPS):
                yield
        finally:
            self._inside.discard(task)
            if not self._inside:
                self._empty.set()

    @property
    def busy(self) -> bool:
        """Whether somebody is inside, who may have acknowledged already and not told the person yet."""
        return bool(self._inside)

    async def emptied(self, grace: float) -> bool:
        """Wait until nobody is inside, at most `grace` seconds."""
        try:
            async with asyncio.timeout(grace):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True


async def in_time(work: Coroutine[Any, Any, T], meanwhile: Callable[[], Awaitable[object]]) -> tuple[T, bool]:
    """Wait for the work; whoever waits for it too long hears of it `meanwhile`. Returns whether they did.

    The work goes on: what it has begun in the ledger must not be left in doubt.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=IN_TIME)
        if not done:
            await meanwhile()
        return await task, not done
    finally:
        task.cancel()


async def repaired(desk: Desk, payment_id: int) -> None:
    """Show a card again that was out of date; where that cannot be written, what came of the click stands."""
    try:
        await desk.repair(payment_id)
    except LedgerUnavailable as error:
        log.warning("a card was not shown again", payment=payment_id, error=str(error))


def typist(body: Body) -> Person:
    """Who typed a command."""
    return Person(id=body["user_id"], team=body["team_id"])


def clicker(body: Body) -> Person:
    """Who clicked or submitted: with their own team, which in a shared channel is not the host's.

    A payload that does not tell the person's team leaves it empty, and no policy knows that team.
    """
    user = body["user"]
    return Person(id=user["id"], team=user.get("team_id") or "")


def payment_clicked(body: Body) -> int:
    """The payment whose button was pressed."""
    return int(str(body["actions"][0]["value"]).partition(" ")[0])


def price_clicked(body: Body) -> str | None:
    """What it cost by the card whose button was pressed; None where an older version posted the button."""
    return str(body["actions"][0]["value"]).partition(" ")[2] or None
