"""Random histories: people, crashes and trouble on all sides, drawn from a seed that tells them again.

The steps are drawn before the first is taken, so the same seed is always the same history; how its steps
meet the bots' own is up to the machine. Nobody waits for a step to be over before the next begins.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.domain.payment import InvoiceRef, State
from bot.ledger.store import utc_now
from bot.sandbox.local_slack.errors import NotSeen, NotThere
from bot.sandbox.local_slack.forms import Values
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.views import View
from bot.slack import removal
from bot.slack.card import APPROVE, DENY, REMOVE, WITHDRAW
from bot.slack.decisions import REASON
from bot.slack.inbound import IN_TIME
from bot.slack.preview import CONFIRM
from tests.faults.billing_answers import OWN
from tests.faults.installation import Installation
from tests.faults.people import previews
from tests.faults.process_pool import BotProcess
from tests.faults.slack_errors import drawn_fault, drawn_retry_after
from tests.slack.acting import chosen, text

INVOICES = range(20001, 20011)
CHANNELS = ("payments", "payments-2", "payments-3", "payments-4")
PEOPLE = ("alice", "bob", "carol")
OPERATOR = "the operator"
"""Whoever types on the command line."""

LAST_DAY = timedelta(days=2, hours=12)
"""After this all days have come for which anything was asked; no request has expired yet."""

_DUE, _TOMORROW, _AFTER = "on due date", "tomorrow", "the day after"
_WHEN = ("", _DUE, _TOMORROW, _AFTER)

_LOST_ANSWERS = ("reset-after", "reset-before", "timeout-after", "timeout-before", "late-after")
_ODD_ANSWERS = ("http-500-after", "fault-before", "empty-answer-after", "redirect-before", "declined")
_HOSTILE = ("bad-xml-after", "referring", "expanding-after", "expanding-lists", "empty-lists")
_NOTHING_SENT = ("login-blank", "login-fault", "session-expired", "unreadable")
_CLOCKS = (0, 20 * 60, -20 * 60, 24 * 3600, -24 * 3600)
"""Seconds by which a clock may be set wrong."""
_SLACK_TROUBLE = ("429", "500", "drop-before", "drop-after", "slow")
_SLACK_METHODS = ("chat.postMessage", "chat.update", "conversations.replies", "*")

_DELIVERED = 0.5
"""Seconds. What was acknowledged this much before the bot's own limit was acknowledged with its answer."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. pause: seconds until the next one does."""

    action: str
    pause: float
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.action, *map(str, self.arguments)])


def draw(seed: int, length: int) -> list[Step]:
    """The steps of a history."""
    chance = random.Random(seed)
    weights = {
        _asks: 28,
        _asks_for_several: 6,
        _decides: 30,
        _crashes: 5,
        _fails: 12,
        _slack_fails: 8,
        _pauses: 1,
        _network: 3,
        _heals: 5,
        _sets_a_clock: 3,
        _sleeps: 1,
    }
    drawn = chance.choices(list(weights), list(weights.values()), k=length)
    return [one(chance) for one in drawn]


def _asks(chance: random.Random) -> Step:
    channel = chance.choice(CHANNELS)
    twice, when = chance.random() < 0.2, chance.choices(_WHEN, [12, 1, 1, 1])[0]
    arguments = (chance.choice(PEOPLE), channel, chance.choice(INVOICES), twice, when)
    return Step("asks", chance.uniform(0, 0.12), arguments)


def _asks_for_several(chance: random.Random) -> Step:
    numbers = tuple(sorted(chance.sample(INVOICES, chance.randint(2, 4))))
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), numbers, chance.choice((1, 1, 2)))
    return Step("asks for several", chance.uniform(0, 0.12), arguments)


def _decides(chance: random.Random) -> Step:
    what = chance.choices([APPROVE, DENY, WITHDRAW, REMOVE], [16, 2, 2, 1])[0]
    return Step("clicks", chance.uniform(0, 0.12), (chance.choice(PEOPLE), what, chance.random()))


def _crashes(chance: random.Random) -> Step:
    way = chance.choices(["kill", "terminate", "freeze"], [6, 1, 1])[0]
    return Step(way, chance.uniform(0, 0.2), (chance.random(), chance.uniform(0, 0.5)))


def _fails(chance: random.Random) -> Step:
    mode = chance.choice(chance.choice([_LOST_ANSWERS, _ODD_ANSWERS, _HOSTILE, _NOTHING_SENT]))
    return Step("billing fails", chance.uniform(0, 0.12), (mode, chance.randint(1, 3)))


def _slack_fails(chance: random.Random) -> Step:
    trouble = chance.choice((chance.choice(_SLACK_TROUBLE), drawn_fault(chance)))
    retry_after = chance.choice(("1", drawn_retry_after(chance)))
    arguments = (chance.choice(_SLACK_METHODS), trouble, chance.randint(1, 3), retry_after)
    return Step("Slack fails", chance.uniform(0, 0.12), arguments)


def _pauses(chance: random.Random) -> Step:
    """Somebody who may or may not stops all sending, and somebody lets it go on."""
    who, then = (chance.choice((*PEOPLE, OPERATOR)) for _ in range(2))
    return Step("pauses", chance.uniform(0, 0.12), (who, then, chance.uniform(0, 1)))


def _network(chance: random.Random) -> Step:
    return Step(chance.choice(["Slack is away", "billing is away"]), 0, (chance.uniform(0.1, 1.0),))


def _sets_a_clock(chance: random.Random) -> Step:
    whose = chance.choice(["set the ledger's clock", "set a machine's clock"])
    return Step(whose, chance.uniform(0, 0.12), (chance.random(), chance.choice(_CLOCKS)))


def _sleeps(chance: random.Random) -> Step:
    return Step("sleep", chance.uniform(0, 0.2), (chance.random(), chance.uniform(0, 0.5)))


def _heals(chance: random.Random) -> Step:
    return Step("all is well", chance.uniform(0, 0.1))


class History:
    """Takes the steps at an installation. options: how every bot of it runs."""

    def __init__(self, installation: Installation, options: dict[str, Any]) -> None:
        self._installation = installation
        self._options = options
        self._under_way: set[asyncio.Task[None]] = set()
        self._leaving: set[int] = set()
        self._stopped: set[int] = set()
        self._machines: dict[int, int] = {}
        self._acts: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "asks": self._ask,
            "asks for several": self._ask_for_several,
            "clicks": self._click,
            "pauses": self._pause,
            "kill": self._kill,
            "terminate": self._terminate,
            "freeze": self._freeze,
            "sleep": self._sleep,
            "set the ledger's clock": self._set_ledger_clock,
            "set a machine's clock": self._set_machine_clock,
            "billing fails": self._billing_fails,
            "Slack fails": self._slack_fails,
            "Slack is away": self._slack_away,
            "billing is away": self._billing_away,
            "all is well": self._heal,
        }
        for number in INVOICES:
            installation.billing.add_invoice("vps", number, due_in_days=number % 3)

    async def run(self, steps: list[Step], *, instances: int) -> None:
        """Take all steps; then end the trouble, and let everything come to rest."""
        for machine in range(instances):
            await self._start(machine)
        for step in steps:
            self._begin(self._acts[step.action](*step.arguments))
            await asyncio.sleep(step.pause)
        while self._under_way:
            await asyncio.gather(*self._under_way)
        await self._heal()
        await self._use_switch(OPERATOR, "resume")
        await self._installation.set_ledger_clock(LAST_DAY.total_seconds())
        await self._rest()

    async def _rest(self) -> None:
        """Wait until everything has come to rest, and no bot has a command left that came in late."""
        while True:
            await self._installation.rest(60, waiting=[State.PENDING_APPROVAL])
            await self._installation.stop_all()
            if not await self._installation.left([State.PENDING_APPROVAL]):
                return
            await self._start(0)

    async def _start(self, machine: int, *, wait: bool = True) -> None:
        bot = await self._installation.start(wait=wait, machine=machine, **self._options)
        self._machines[bot.pid] = machine

    def _begin(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(act)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    # People

    async def _ask(self, person: str, channel: str, number: int, twice: bool, when: str) -> None:
        if twice:
            self._installation.slack.duplicate_next(1)
        result = await self._installation.slack.person(person).types(
            channel, f"/pay vps {number} {_typed(when)}"
        )
        # A later acknowledgement may say that it takes longer, and promises nothing; nor does one that says
        # that the day is over, by a clock that is ahead.
        if result.ok and when in ("", _DUE) and result.seconds < IN_TIME - _DELIVERED:
            self._installation.acknowledged.append(("vps", number))

    async def _ask_for_several(
        self, person: str, channel: str, numbers: tuple[int, ...], presses: int
    ) -> None:
        slack = self._installation.slack
        before = {one.ts for one in previews(self._installation, person)}
        await slack.person(person).types(channel, f"/pay vps {' '.join(map(str, numbers))}")

        def fresh() -> list[Message]:
            return [one for one in previews(self._installation, person) if one.ts not in before]

        with suppress(NotSeen):
            await slack.wait_for(fresh, IN_TIME)
        with suppress(NotThere):
            for preview in fresh()[-1:] * presses:
                await slack.person(person).clicks(preview, CONFIRM)

    async def _click(self, person: str, what: str, which: float) -> None:
        cards = [card for card in self._cards() if what in card.action_ids()]
        if not cards:
            return
        actor, card = self._installation.slack.person(person), cards[int(which * len(cards))]
        with suppress(NotThere):  # somebody else was quicker
            await actor.clicks(card, what)
            if what == DENY:
                for view in self._installation.slack.views(person)[-1:]:
                    await actor.submits(view, text(REASON, "not this one"))
            if what == REMOVE:
                for view in self._installation.slack.views(person)[-1:]:
                    await actor.submits(view, _one_of(view, which))

    async def _pause(self, who: str, then: str, seconds: float) -> None:
        await self._use_switch(who, "pause")
        await asyncio.sleep(seconds)
        await self._use_switch(then, "resume")

    async def _use_switch(self, who: str, word: str) -> None:
        if who == OPERATOR:
            settings = self._installation.options(**self._options).settings
            code, said = await self._installation.command(word, **settings)
            assert code == 0, f"{word} ended with {code}: {said}"
        else:
            await self._installation.slack.person(who).types(CHANNELS[0], f"/pay {word}")

    def _cards(self) -> list[Message]:
        return [one for place in CHANNELS for one in self._installation.slack.messages(place) if one.bot_id]

    # Processes

    async def _kill(self, which: float, away: float) -> None:
        await self._replaced(which, away, BotProcess.kill)

    async def _terminate(self, which: float, away: float) -> None:
        await self._replaced(which, away, BotProcess.terminate)

    async def _replaced(self, which: float, away: float, end: Callable[[BotProcess], None]) -> None:
        if (bot := self._one(which)) is None:
            return
        self._leaving.add(bot.pid)
        end(bot)
        await bot.end(20)
        await asyncio.sleep(away)
        await self._start(self._machines[bot.pid], wait=False)

    async def _freeze(self, which: float, away: float) -> None:
        if (bot := self._one(which)) is not None and bot.pid not in self._stopped:
            self._stopped.add(bot.pid)
            bot.freeze()
            # At the longest for longer than its lease.
            await asyncio.sleep(away * 2.5 * bot.options.lease)
            bot.thaw()
            self._stopped.discard(bot.pid)

    async def _sleep(self, which: float, away: float) -> None:
        if (bot := self._one(which)) is not None and bot.pid not in self._stopped:
            self._stopped.add(bot.pid)
            await bot.sleep(away * 2.5 * bot.options.lease)
            self._stopped.discard(bot.pid)

    async def _set_ledger_clock(self, _which: float, ahead: float) -> None:
        await self._installation.set_ledger_clock(ahead)

    async def _set_machine_clock(self, which: float, ahead: float) -> None:
        if (bot := self._one(which)) is not None:
            self._installation.clocks(self._machines[bot.pid]).set_wall(ahead)

    def _one(self, which: float) -> BotProcess | None:
        staying = [bot for bot in self._installation.running if bot.pid not in self._leaving]
        return staying[int(which * len(staying))] if staying else None

    # Trouble

    async def _billing_fails(self, mode: str, times: int) -> None:
        self._installation.billing.fail(OWN.get(mode, mode), times=times)

    async def _billing_away(self, seconds: float) -> None:
        self._installation.billing.fail("down")
        await asyncio.sleep(seconds)
        self._installation.billing.heal()

    async def _slack_fails(self, method: str, mode: str, times: int, retry_after: str) -> None:
        self._installation.slack.fail(method, mode, times, seconds=0.3, retry_after=retry_after)

    async def _slack_away(self, seconds: float) -> None:
        async with self._installation.slack.outage():
            await asyncio.sleep(seconds)

    async def _heal(self) -> None:
        self._installation.slack.heal()
        self._installation.billing.heal()


def _one_of(view: View, which: float) -> Values:
    """What is entered in the form by which one of several is taken out."""
    options = [
        option["value"] for block in view.blocks for option in block.get("element", {}).get("options", ())
    ]
    module, number = options[int(which * len(options))].split()
    return chosen(removal.WHICH, InvoiceRef(module, int(number))) | text(removal.REASON, "not ours")


def _typed(when: str) -> str:
    """The day, as it is typed."""
    if when not in (_TOMORROW, _AFTER):
        return when
    return f"on {utc_now().date() + timedelta(days=1 + (when == _AFTER))}"
