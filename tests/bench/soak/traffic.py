"""The people of a soak: they ask steadily, and ask again where Slack says that it failed."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field

from bot.sandbox.local_billing.books import MODULES
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.sandbox.local_slack.messages import Message
from bot.slack.preview import CONFIRM
from tests.bench.world import World

PEOPLE = ("alice", "bob", "carol")
SIZES = (1, 1, 4, 10, 20, 24)
"""Invoices in a request, each as often as it stands here."""

PER_REQUEST = sum(SIZES) / len(SIZES)
FIRST = 100_000
TRIES = 60
_TAKEN = ("Requested: ", "requested already")
PATIENCE_S = 5.0
"""Seconds that somebody waits for a preview, or for what a press of its button came to."""


@dataclass(slots=True)
class Acknowledged:
    """One command. at: on the clock of `time.monotonic`. seconds: until its acknowledgement."""

    at: float
    seconds: float
    ok: bool


@dataclass(eq=False)
class Traffic:
    """Everybody who asks. acknowledged: every command that was typed. taken: the invoices that the bot took.

    gave_up: requests that nobody took, however often they were made.
    """

    world: World
    chance: random.Random
    channels: int
    acknowledged: list[Acknowledged] = field(default_factory=list)
    taken: list[tuple[str, int]] = field(default_factory=list)
    asked: int = 0
    gave_up: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(FIRST))
    _seen: dict[tuple[str, str], asyncio.Queue[Message]] = field(default_factory=dict)
    _places: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        slack = self.world.slack
        for number in range(self.channels):
            self._places.append(slack.world.add_channel(f"soak-{number}", [*PEOPLE, self.world.bot]).id)
        slack.on_change(self._notice)

    async def ask_for(self, seconds: float, rate: float) -> None:
        """Ask for so many payments a second, for so long; returns when everybody has come to an end."""
        ends = time.monotonic() + seconds
        pairs = itertools.cycle(itertools.product(PEOPLE, self._places))
        async with asyncio.TaskGroup() as asking:
            for person, place in pairs:
                asking.create_task(self._ask(person, place, self.chance.choice(SIZES)))
                await asyncio.sleep(self.chance.uniform(0.5, 1.5) * PER_REQUEST / rate)
                if time.monotonic() > ends:
                    return

    async def _ask(self, person: str, place: str, size: int) -> None:
        module = self.chance.choice(MODULES)
        numbers = list(itertools.islice(self._numbers, size))
        for number in numbers:
            self.world.billing.add_invoice(module, number, description=f"Server {number}")
        self.asked += size
        command = f"/pay {module} {' '.join(map(str, numbers))}"
        for _ in range(TRIES):
            if await self._typed(person, place, command) and (
                size == 1 or await self._confirmed(person, place)
            ):
                self.taken += [(module, number) for number in numbers]
                return
            await asyncio.sleep(1.0)
        self.gave_up += 1

    async def _typed(self, person: str, place: str, command: str) -> bool:
        self._seen[place, self._id(person)] = asyncio.Queue()
        result = await self.world.slack.person(person).types(place, command)
        self.acknowledged.append(Acknowledged(time.monotonic(), result.seconds, result.ok))
        return result.ok

    async def _confirmed(self, person: str, place: str) -> bool:
        """Press the button of each preview that comes, until it says that all is requested."""
        shown = self._seen[place, self._id(person)]
        try:
            while True:
                async with asyncio.timeout(PATIENCE_S):
                    message = await shown.get()
                if any(told in text for text in message.texts() for told in _TAKEN):
                    return True
                current = self.world.slack.message(place, message.ts)
                if current is not None and not current.deleted and CONFIRM in current.action_ids():
                    await self.world.slack.person(person).clicks(current, CONFIRM)
        except TimeoutError:
            return False

    def _notice(self, change: Change) -> None:
        if change.kind not in (ChangeKind.EPHEMERAL_POSTED, ChangeKind.MESSAGE_UPDATED):
            return
        assert change.channel is not None, "bug: a message stands in a channel"
        assert change.subject is not None, "bug: a message has a ts"
        message = self.world.slack.message(change.channel, change.subject)
        if message is not None and message.ephemeral_for is not None:
            waiting = self._seen.get((message.channel, message.ephemeral_for))
            if waiting is not None:
                waiting.put_nowait(message)

    def _id(self, person: str) -> str:
        return self.world.slack.world.person(person).id
