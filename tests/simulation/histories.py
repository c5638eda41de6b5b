"""What happens: people, crashes, clocks, sleep and trouble on all sides, drawn from a seed.

The steps are drawn before the first is taken, so that some of them can be left out, and the rest is the same.
Nobody waits for a step to be over before the next begins. In the end the trouble ends, and all must come to
rest within a bounded time.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bot.domain.payment import State
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Message
from bot.slack import pay_form
from bot.slack.card import APPROVE, CANCEL, DENY
from bot.slack.decisions import REASON
from bot.slack.inbound import IN_TIME
from bot.slack.workflow_step import STEP
from tests.faults.slack_errors import drawn_fault, drawn_retry_after
from tests.simulation import billing_answers
from tests.simulation.disk import Trouble
from tests.simulation.installation import CHANNELS, Installation, Process
from tests.simulation.invariants import at_once
from tests.simulation.network import Weather
from tests.slack.acting import text

PEOPLE = ("alice", "bob", "carol")
FIRST_INVOICE = 20001
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

AT_REST_WITHIN = 3 * DAY
"""Seconds after the end of all trouble. The longest wait of the bot itself is twelve hours."""

_SLACK_TROUBLE = ("429", "500", "drop-before", "drop-after", "slow", "timeout")
_SLACK_METHODS = ("chat.postMessage", "chat.update", "conversations.replies", "users.info", "*")
SLOW_S = 1.5
"""Seconds after which a slow Slack does what it was asked: within `Timing.visible_within`."""

_DELIVERED = 0.5
"""Seconds. What was acknowledged this much before the bot's own limit was acknowledged with its answer."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. pause: seconds until the next one does."""

    action: str
    pause: float
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        said = [f"{one:.3g}" if isinstance(one, float) else str(one) for one in self.arguments]
        return " ".join([self.action, *said, f"(then {self.pause:.3g} s)"])


def settings_of(seed: int) -> dict[str, str]:
    """What the bot of this history is told: with or without approvals, and for how long a request stands."""
    chance = random.Random(f"settings {seed}")
    everybody = ",".join((ids.ALICE, ids.BOB, ids.CAROL))
    needed = chance.choice((0, 0, 1, 1, 2))
    settings = {
        "PAY_ALLOWED_USERS": everybody,
        "PAY_APPROVALS_REQUIRED": str(needed),
        "PAY_EXPIRES_AFTER": chance.choice(("10m", "1h", "6h", "3d")),
    }
    return settings | ({"PAY_APPROVERS": everybody} if needed else {})


def instances_of(seed: int) -> int:
    """How many instances there are: one on a ledger of its own in half of the histories."""
    return random.Random(f"instances {seed}").choice((1, 1, 1, 2, 2, 3, 4))


def draw(seed: int, length: int) -> list[Step]:
    """The steps of a history."""
    chance = random.Random(f"history {seed}")
    weights = {
        _asks: 34,
        _clicks: 40,
        _fills_in_the_form: 3,
        _runs_a_step: 2,
        _crashes: 14,
        _stands_still: 3,
        _sets_the_clock: 4,
        _billing_answers: 10,
        _slack_answers: 8,
        _disk: 4,
        _weather: 5,
        _outage: 3,
        _amount_changes: 1,
        _edits_the_rules: 1,
        _heals: 8,
    }
    drawn = chance.choices(list(weights), list(weights.values()), k=length)
    steps = [one(chance, place) for place, one in enumerate(drawn)]
    for place in range(1, length):
        if steps[place].action == "crash":
            # It is to meet what came before it half way.
            steps[place - 1] = replace(steps[place - 1], pause=_span(chance, 0.001, 0.3))
    return steps


def _span(chance: random.Random, least: float, most: float) -> float:
    """Seconds, of any order of magnitude alike."""
    return math.exp(chance.uniform(math.log(least), math.log(most)))


def _soon(chance: random.Random) -> float:
    """Until the next step: most follow at once, some after the bot has been left alone for a while."""
    return _span(chance, 0.001, 5) if chance.random() < 0.75 else _span(chance, 5, 10 * MINUTE)


def _while(chance: random.Random, most: float = HOUR) -> float:
    """For which a trouble lasts: mostly seconds."""
    return _span(chance, 0.05, 20) if chance.random() < 0.85 else _span(chance, 20, most)


def _invoice(chance: random.Random, place: int) -> int:
    """One that was asked for lately, or one that nobody asked for yet."""
    newest = FIRST_INVOICE + place // 4
    return max(FIRST_INVOICE, newest - chance.randint(0, 6))


def _asks(chance: random.Random, place: int) -> Step:
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), _invoice(chance, place))
    return Step("asks", _soon(chance), (*arguments, chance.random() < 0.15))


def _clicks(chance: random.Random, _place: int) -> Step:
    what = chance.choices([APPROVE, DENY, CANCEL], [10, 1, 1])[0]
    late = min(chance.random(), chance.random())
    return Step("clicks", _soon(chance), (chance.choice(PEOPLE), what, late, chance.random() < 0.15))


def _fills_in_the_form(chance: random.Random, place: int) -> Step:
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), _invoice(chance, place))
    return Step("fills in the form", _soon(chance), arguments)


def _runs_a_step(chance: random.Random, place: int) -> Step:
    arguments = (chance.choice(PEOPLE), chance.choice(CHANNELS), _invoice(chance, place))
    return Step("runs a workflow", _soon(chance), arguments)


def _crashes(chance: random.Random, _place: int) -> Step:
    if chance.random() < 0.15:
        return Step("terminate", _soon(chance), (chance.random(), _while(chance)))
    turns = int(_span(chance, 1, 300))
    return Step("crash", _soon(chance), (chance.random(), turns, _while(chance)))


def _stands_still(chance: random.Random, _place: int) -> Step:
    if chance.random() < 0.5:
        return Step("is stopped", _soon(chance), (chance.random(), _while(chance)))
    return Step("sleeps", _soon(chance), (chance.random(), _span(chance, MINUTE, 4 * DAY)))


def _sets_the_clock(chance: random.Random, _place: int) -> Step:
    by = 0.0 if chance.random() < 0.25 else _span(chance, 0.5, 30 * DAY) * chance.choice((1, -1))
    return Step("sets the clock", _soon(chance), (chance.random(), by))


def _billing_answers(chance: random.Random, _place: int) -> Step:
    return Step("billing answers", _soon(chance), (chance.randrange(2**32), chance.randint(1, 3)))


def _slack_answers(chance: random.Random, _place: int) -> Step:
    trouble = chance.choice((chance.choice(_SLACK_TROUBLE), drawn_fault(chance)))
    retry_after = chance.choice(("1", "30", drawn_retry_after(chance)))
    arguments = (chance.choice(_SLACK_METHODS), trouble, chance.randint(1, 4), retry_after)
    return Step("Slack answers", _soon(chance), arguments)


def _disk(chance: random.Random, _place: int) -> Step:
    return Step("disk", _soon(chance), (chance.choice(list(Trouble)), _while(chance, 5 * MINUTE)))


def _weather(chance: random.Random, _place: int) -> Step:
    kind = chance.choice(("stalls", "breaks", "cut"))
    return Step("network", _soon(chance), (chance.choice(("Slack", "billing")), kind, _while(chance)))


def _outage(chance: random.Random, _place: int) -> Step:
    return Step("is away", _soon(chance), (chance.choice(("Slack", "billing")), _while(chance)))


def _amount_changes(chance: random.Random, place: int) -> Step:
    return Step("amount changes", _soon(chance), (_invoice(chance, place), round(chance.uniform(1, 500), 2)))


def _edits_the_rules(chance: random.Random, _place: int) -> Step:
    return Step("edits the rules", _soon(chance), (chance.randrange(2**32),))


def _heals(chance: random.Random, _place: int) -> Step:
    return Step("all is well", _soon(chance))


class History:
    """Takes the steps at an installation. wrong: what must not have been, in words. faults: by their kind."""

    def __init__(self, installation: Installation, tell: Callable[[str], None]) -> None:
        self._installation = installation
        self._tell = tell
        self._under_way: dict[asyncio.Task[None], None] = {}
        self._busy: set[int] = set()
        self.faults: Counter[str] = Counter()
        self.crashed_at: Counter[str] = Counter()
        self._acts: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "asks": self._ask,
            "clicks": self._click,
            "fills in the form": self._fill_in,
            "runs a workflow": self._run_workflow,
            "crash": self._crash,
            "terminate": self._terminate,
            "is stopped": self._stop,
            "sleeps": self._sleep,
            "sets the clock": self._set_clock,
            "billing answers": self._billing_answer,
            "Slack answers": self._slack_answer,
            "disk": self._disk,
            "network": self._network,
            "is away": self._is_away,
            "amount changes": self._change_amount,
            "edits the rules": self._edit_rules,
            "all is well": self._heal,
        }

    async def run(self, steps: list[Step]) -> list[str]:
        """Take all steps, then let everything come to rest. What was wrong as soon as it was, in words."""
        for process in self._installation.processes:
            self._installation.start(process.number)
        for step in steps:
            self._tell(f"{self._installation.loop.now:.3f} {step}")
            self._begin(self._acts[step.action](*step.arguments))
            await asyncio.sleep(step.pause)
            if wrong := at_once(self._installation):
                return wrong
        await self._end_of_trouble()
        return await self._rest()

    async def _end_of_trouble(self) -> None:
        self._tell(f"{self._installation.loop.now:.3f} the trouble ends")
        patience = 10.0
        while self._under_way:
            await self._heal()
            await asyncio.wait(self._under_way, timeout=patience)
            patience = 10 * MINUTE
        await self._heal()

    async def _rest(self) -> list[str]:
        """Wait until everything has come to rest, and stop the bot in good order."""
        installation = self._installation
        deadline = installation.loop.now + AT_REST_WITHIN
        while True:
            for process in installation.processes:
                if not process.running:
                    installation.start(process.number)
            await asyncio.sleep(30)
            left = self._left()
            if not left:
                installation.tell_to_stop()
                await installation.happens(lambda: not installation.running, "it stops when told to", HOUR)
                if not (left := self._left()):
                    return at_once(installation)
            if wrong := at_once(installation):
                return wrong
            if installation.loop.now > deadline:
                return [f"not at rest {AT_REST_WITHIN:.0f} s after the trouble: {', '.join(sorted(left))}"]

    def _left(self) -> list[str]:
        """What has not come to rest, where people do nothing more."""
        return self._installation.left([State.PENDING_APPROVAL]) + [
            f"step {run.id}" for run in self._installation.runs_under_way()
        ]

    def _begin(self, act: Coroutine[Any, Any, None]) -> None:
        task = self._installation.loop.create_task(act)
        self._under_way[task] = None
        task.add_done_callback(lambda done: self._under_way.pop(done, None))

    # People

    async def _ask(self, person: str, channel: str, number: int, twice: bool) -> None:
        self._must_exist(number)
        if twice:
            self._installation.slack.duplicate_next(1)
        failed = self._installation.loop.disk.failed
        result = await self._installation.slack.person(person).types(channel, f"/pay vps {number}")
        # A later acknowledgement may say that it takes longer, and promises nothing; nor does one that says
        # that the ledger is away.
        well = failed == self._installation.loop.disk.failed
        if result.ok and well and result.seconds < IN_TIME - _DELIVERED:
            self._installation.acknowledged.append(("vps", number))

    def _must_exist(self, number: int) -> None:
        if self._installation.billing.row("vps", number) is None:
            self._installation.billing.add_invoice("vps", number, amount=float(number % 90 + 1))

    async def _click(self, person: str, what: str, which: float, twice: bool) -> None:
        slack = self._installation.slack
        cards = [card for card in self._cards() if what in card.action_ids()]
        if not cards:
            return
        actor, card = slack.person(person), cards[-1 - int(which * len(cards))]
        with suppress(NotThere):  # somebody else was quicker
            await asyncio.gather(*(actor.clicks(card, what) for _ in range(1 + twice)))
            if what == DENY:
                for view in slack.views(person)[-1:]:
                    await actor.submits(view, text(REASON, "not this one"))

    def _cards(self) -> list[Message]:
        slack = self._installation.slack
        return [one for place in CHANNELS for one in slack.messages(place)[-12:] if one.bot_id]

    async def _fill_in(self, person: str, channel: str, number: int) -> None:
        self._must_exist(number)
        slack = self._installation.slack
        option = {"text": {"type": "plain_text", "text": "vps"}, "value": "vps"}
        picked = {pay_form.MODULE: {pay_form.MODULE: {"type": "static_select", "selected_option": option}}}
        with suppress(NotThere):
            await slack.person(person).types(channel, "/pay")
            for view in slack.views(person)[-1:]:
                await slack.person(person).submits(view, picked | text(pay_form.NUMBER, str(number)))

    async def _run_workflow(self, person: str, channel: str, number: int) -> None:
        self._must_exist(number)
        slack = self._installation.slack
        inputs = {"module": "vps", "invoice": str(number), "channel": slack.world.channel(channel).id}
        self._installation.all_runs.append(await slack.run_workflow_step(STEP, inputs, by=person))

    # The processes and their machines

    async def _crash(self, which: float, turns: int, away: float) -> None:
        if (process := self._one(which)) is not None:
            # Most crashes are to meet work that begins now, and not the bot's idling.
            process.machine.burns_from = self._installation.loop.next_number() if turns % 4 else 0
            process.machine.fuse = turns
            await self._ends(process, 10 * MINUTE)
            self.crashed_at.update(process.machine.waits_at())
            self.faults["crash"] += 1
            await self._comes_back(process, away)

    async def _terminate(self, which: float, away: float) -> None:
        if (process := self._one(which)) is not None:
            process.told_to_stop.set()
            await self._ends(process, 10 * MINUTE)
            self.faults["stop"] += 1
            await self._comes_back(process, away)

    async def _ends(self, process: Process, timeout: float) -> None:
        """Wait until it has ended; by then it is made to."""
        if process.running:
            await asyncio.wait([process.machine.ending()], timeout=timeout)
        process.machine.crash()

    async def _comes_back(self, process: Process, away: float) -> None:
        await asyncio.sleep(away)
        self._installation.start(process.number)
        self._busy.discard(process.number)

    async def _stop(self, which: float, seconds: float) -> None:
        await self._still(which, seconds, slept=0.0)
        self.faults["SIGSTOP"] += 1

    async def _sleep(self, which: float, seconds: float) -> None:
        await self._still(which, seconds, slept=seconds)
        self.faults["sleep"] += 1

    async def _still(self, which: float, seconds: float, *, slept: float) -> None:
        if (process := self._one(which)) is not None:
            process.machine.stop()
            await asyncio.sleep(seconds)
            self._installation.loop.resume(process.machine, slept=slept)
            self._busy.discard(process.number)

    def _one(self, which: float) -> Process | None:
        """A process that nothing befalls yet; something does from now on."""
        found = [one for one in self._installation.running if one.number not in self._busy]
        if not found:
            return None
        process = found[int(which * len(found))]
        self._busy.add(process.number)
        return process

    async def _set_clock(self, which: float, ahead: float) -> None:
        processes = self._installation.processes
        place = int(which * (len(processes) + 1))
        if place < len(processes):
            processes[place].machine.ahead = ahead
        else:
            self._installation.ledger_ahead = ahead
        self.faults["clock set"] += 1

    # Trouble

    async def _billing_answer(self, seed: int, times: int) -> None:
        failure = billing_answers.drawn(random.Random(seed))
        self._installation.billing.fail(failure, times=times)
        self.faults["billing answer"] += 1

    async def _slack_answer(self, method: str, mode: str, times: int, retry_after: str) -> None:
        self._installation.slack.fail(method, mode, times, seconds=SLOW_S, retry_after=retry_after)
        self.faults["Slack answer"] += 1

    async def _disk(self, trouble: str, seconds: float) -> None:
        disk = self._installation.loop.disk
        disk.begin(Trouble(trouble))
        self.faults[f"disk: {trouble}"] += 1
        await asyncio.sleep(seconds)
        disk.heal()

    async def _network(self, service: str, kind: str, seconds: float) -> None:
        network = self._installation.loop.network
        port = self._installation.port_of(service)
        share = {"stalls": Weather(stalls=0.3), "breaks": Weather(breaks=0.1), "cut": Weather(cut=True)}
        network.weathers[port] = share[kind]
        self.faults[f"network: {kind}"] += 1
        await asyncio.sleep(seconds)
        network.weathers[port] = Weather()

    async def _is_away(self, service: str, seconds: float) -> None:
        self.faults["outage"] += 1
        if service == "Slack":
            async with self._installation.slack.outage():
                await asyncio.sleep(seconds)
        else:
            self._installation.billing.fail("down")
            await asyncio.sleep(seconds)
            self._installation.billing.heal()

    async def _change_amount(self, number: int, amount: float) -> None:
        row = self._installation.billing.row("vps", number)
        if row is not None and not row["invoices_paid"]:
            row["invoices_amount"] = amount
            self._installation.amount_changed_at["vps", number] = self._installation.loop.now
            self.faults["amount changed"] += 1

    async def _edit_rules(self, seed: int) -> None:
        """Each process goes by them from its next start on."""
        self._installation.settings = settings_of(seed)
        self.faults["rules edited"] += 1

    async def _heal(self) -> None:
        self._installation.slack.heal()
        self._installation.billing.heal()
        self._installation.loop.disk.heal()
        for port in self._installation.loop.network.weathers:
            self._installation.loop.network.weathers[port] = Weather()
