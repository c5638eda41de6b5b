"""The trouble of a soak, drawn from a seed before it begins: the same seed is always the same trouble."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.local_billing import Failure
from bot.sandbox.local_billing.failures import FAILURES, Exchange
from tests.bench.world import Conditions, World, slow_down
from tests.faults.billing_answers import OWN
from tests.faults.slack_errors import drawn_fault

EVERY_S = 10.0
"""Seconds between the beginnings of two troubles, on the average."""

_LOST = ("reset-after", "reset-before", "timeout-after", "timeout-before", "late-after", "truncated-after")
_ODD = ("http-500-after", "http-503-before", "fault-before", "empty-answer-after", "html-after", "declined")
_HOSTILE = ("bad-xml-after", "huge-after", "expanding-after", "expanding-lists", "drip-after", "empty-lists")
_NOTHING_SENT = ("login-blank", "login-fault", "session-expired", "unreadable")
_SLACK = ("429", "500", "drop-before", "drop-after", "drop-late", "timeout")
_METHODS = ("chat.postMessage", "chat.update", "conversations.replies", "response_url", "*")


@dataclass(frozen=True, slots=True)
class Event:
    """One trouble. at: seconds after the beginning. kind: its name."""

    at: float
    kind: str
    arguments: tuple[Any, ...] = ()


def draw(seed: int, seconds: float, every: float = EVERY_S) -> list[Event]:
    """All that happens in so many seconds, in turn."""
    chance, at, events = random.Random(seed), 0.0, []
    kinds: dict[Callable[[random.Random], tuple[str, tuple[Any, ...]]], int] = {
        _billing_fails: 8,
        _billing_away: 2,
        _slack_fails: 8,
        _slack_away: 1,
        _reconnects: 1,
        _delivers_twice: 1,
    }
    while (at := at + chance.expovariate(1 / every)) < seconds:
        (one,) = chance.choices(list(kinds), list(kinds.values()))
        events.append(Event(at, *one(chance)))
    return events


def _billing_fails(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    mode = chance.choice(chance.choice((_LOST, _ODD, _HOSTILE, _NOTHING_SENT)))
    return "billing fails", (mode, chance.uniform(0.3, 3.0))


def _billing_away(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    return "billing is away", (chance.choice(("down", "stall")), chance.uniform(1.0, 8.0))


def _slack_fails(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    mode = chance.choice((chance.choice(_SLACK), drawn_fault(chance)))
    return "Slack fails", (chance.choice(_METHODS), mode, chance.randint(1, 3), chance.randint(1, 5))


def _slack_away(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    return "Slack is away", (chance.uniform(1.0, 6.0),)


def _reconnects(_chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    return "Slack replaces the connection", ()


def _delivers_twice(chance: random.Random) -> tuple[str, tuple[Any, ...]]:
    return "Slack delivers twice", (chance.randint(1, 5),)


@dataclass(eq=False)
class Trouble:
    """Lets it happen. conditions: what every call takes while nothing else is wrong. happened: by kind."""

    world: World
    conditions: Conditions
    happened: Counter[str] = field(default_factory=Counter)
    _billing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, events: list[Event]) -> None:
        """All of these, each in its time; returns when the last is over."""
        began = asyncio.get_running_loop().time()
        acts: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "billing fails": self._billing_fails,
            "billing is away": self._billing_fails,
            "Slack fails": self._slack_fails,
            "Slack is away": self._slack_away,
            "Slack replaces the connection": self._reconnects,
            "Slack delivers twice": self._delivers_twice,
        }
        async with asyncio.TaskGroup() as under_way:
            for event in events:
                await asyncio.sleep(began + event.at - asyncio.get_running_loop().time())
                self.happened[event.kind] += 1
                under_way.create_task(acts[event.kind](*event.arguments))

    def end(self) -> None:
        """From now on all is well, and what hangs is let go."""
        self.world.slack.heal()
        self.world.billing.heal()
        slow_down(self.world, self.conditions)

    async def _billing_fails(self, mode: str, seconds: float) -> None:
        async with self._billing:
            self.world.billing.fail(_late(mode, self.conditions.billing_s))
            await asyncio.sleep(seconds)
            self.world.billing.heal()
            slow_down(self.world, Conditions(billing_s=self.conditions.billing_s))

    async def _slack_fails(self, method: str, mode: str, times: int, retry_after: int) -> None:
        self.world.slack.fail(method, mode, times, retry_after=retry_after, seconds=0.5)

    async def _slack_away(self, seconds: float) -> None:
        async with self.world.slack.outage():
            await asyncio.sleep(seconds)

    async def _reconnects(self) -> None:
        await self.world.slack.sockets.refresh(ahead=2.0, closing=1.0)

    async def _delivers_twice(self, times: int) -> None:
        self.world.slack.duplicate_next(times)


def _late(mode: str, seconds: float) -> str | Failure:
    """A failure that takes its time as everything does; one that is not answered takes none."""
    failure = OWN.get(mode) or FAILURES[mode]
    if (answer := failure.answer) is None:
        return mode

    async def late(exchange: Exchange) -> Any:
        await asyncio.sleep(seconds)
        return await answer(exchange)

    return Failure(failure.about, late, failure.carried_out, failure.on, failure.late)
