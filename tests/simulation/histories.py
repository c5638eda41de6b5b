"""What was drawn, done: people, crashes, clocks, sleep and trouble befall an installation.

Nobody waits for a step to be over before the next begins. In the end the trouble ends, and all must come to
rest within a bounded time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from bot.domain.payment import State
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Message
from bot.slack import pay_form
from bot.slack.card import DENY
from bot.slack.decisions import REASON
from bot.slack.inbound import IN_TIME
from bot.slack.workflow_step import STEP
from tests.simulation import billing_answers
from tests.simulation.disk import Trouble
from tests.simulation.drawing import DAY, HOUR, MINUTE, Step, settings_of
from tests.simulation.installation import CHANNELS, Installation, Process
from tests.simulation.invariants import at_once
from tests.simulation.network import Weather
from tests.slack.acting import text

AT_REST_WITHIN = 3 * DAY
"""Seconds after the end of all trouble. The longest wait of the bot itself is twelve hours."""

SLOW_S = 1.5
"""Seconds after which a slow Slack does what it was asked: within `Timing.visible_within`."""

_DELIVERED = 0.5
"""Seconds. What was acknowledged this much before the bot's own limit was acknowledged with its answer."""


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
