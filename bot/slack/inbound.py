"""What all listeners share: their services, who acts, the three seconds, and a count of those in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from slack_bolt.async_app import AsyncAck

from bot.domain.typed_words import read_words
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.store import Ledger
from bot.payments.authority import Authority, Person
from bot.payments.catalogue import Catalogue
from bot.payments.desk import Desk
from bot.payments.overview import Overview
from bot.payments.proposals import Proposals
from bot.payments.unpaid import UnpaidInvoices
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import View, error_under, notice
from bot.slack.delivered import LONGEST_TRIGGER, is_identifier, understanding
from bot.slack.directory import SlackDirectory, within
from bot.slack.respond import open_view, respond_to
from bot.slack.web_api import Client, Workspace

LOOK_UPS = 2.0
"""Seconds for all that Slack is asked about people, of the three in which a listener must answer."""

BEFORE_A_FORM = 1.0
"""Seconds of these for what is asked before a form opens, which must be within three of the click."""

IN_TIME = 2.5
"""Seconds after which Slack is told that it takes longer; after three it tells the person that it failed."""

READ_AT_ONCE = 20
"""Answers of one kind that people wait for at the same time while the billing API is read."""

Body = dict[str, Any]

Response = dict[str, Any]
"""What `ack` takes for a form that is submitted: nothing closes it."""

T = TypeVar("T")


class Gate:
    """Holds the listeners in flight, which Bolt does not, so that stopping can drain them."""

    def __init__(self) -> None:
        self._inside: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """One listener is in flight, and a person waits for it."""
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


@dataclass(frozen=True, slots=True)
class Services:
    """What the listeners work with."""

    desk: Desk
    ledger: Ledger
    authority: Authority
    overview: Overview
    catalogue: Catalogue
    unpaid: UnpaidInvoices
    proposals: Proposals
    directory: SlackDirectory
    client: Client
    workspace: Workspace
    gate: Gate


def reading_pool(name: str) -> TaskPool[str]:
    """For answers that follow when something was read. What finds no room is refused, so nobody is woken."""
    return TaskPool(name, READ_AT_ONCE, asyncio.Event())


def clicker(body: Body) -> Person:
    """Who clicked or submitted: with their own team, which in a shared channel is not the host's.

    A payload that does not tell the person's team leaves it empty, and no policy knows that team.
    """
    user = body["user"]
    return Person(id=user["id"], team=user.get("team_id") or "")


def closes(answer: Response) -> bool:
    """Whether a form closes with this answer; any other is a no to some of what was entered."""
    return not answer


def delivery_of(body: Body) -> str | None:
    """Slack's trigger of this one click or form, which no other has; None where Slack does not tell it."""
    trigger = body.get("trigger_id")
    return trigger if is_identifier(trigger, LONGEST_TRIGGER) else None


def one_line(entered: str | None) -> str | None:
    """What was entered, as one line that every database takes; None for nothing."""
    return read_words(entered or "").from_word(0) or None


def entered_in(view: View, name: str) -> str | None:
    """What was typed into an input of a form, as one line. Raises NotUnderstood."""
    with understanding():
        entered = view["state"]["values"][name][name].get("value")
        if not isinstance(entered, str | None):
            raise ValueError("no text")
        return one_line(entered)


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


async def outcome_of(work: Awaitable[T]) -> T | str:
    """What came of it; or words for the person, where Slack or the ledger could not be asked."""
    try:
        return await work
    except DirectoryError:
        return replies.SLACK_SILENT
    except LedgerUnavailable as error:
        return replies.unavailable(error)


async def form_or_reply(
    services: Services, ack: AsyncAck, body: Body, work: Awaitable[View | str | None]
) -> None:
    """Answer a click by the form, or by the words, that the work gives."""
    async with services.gate.entered():
        outcome = await outcome_of(work)
        await ack()
        reply = outcome if isinstance(outcome, str) else None
        if isinstance(outcome, dict):
            opened = await open_view(services.client, str(body["trigger_id"]), outcome)
            reply = replies.NO_FORM if opened is None else None
        if reply is not None:
            await respond_to(services.client, body, reply)


async def submitted(
    gate: Gate,
    ack: AsyncAck,
    work: Coroutine[Any, Any, Response],
    *,
    block: str,
    told_late: Callable[[Response | str], Awaitable[object]] | None = None,
) -> None:
    """Acknowledge a form when the work is done, so that what was entered is kept where it was not.

    block: the input under which it stands that Slack or the ledger could not be asked.
    told_late: gets what came of it where the form had to be acknowledged before.
    """
    async with gate.entered():
        outcome, late = await in_time(
            outcome_of(work), lambda: ack(response_action="update", view=notice(replies.TAKES_LONGER))
        )
        if not late:
            await ack(**(error_under(block, outcome) if isinstance(outcome, str) else outcome))
        elif told_late is not None:
            await told_late(outcome)
