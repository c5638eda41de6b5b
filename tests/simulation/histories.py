"""What was drawn, done: people, crashes, clocks, sleep and trouble befall an installation.

Nobody waits for a step to be over before the next begins. In the end the trouble ends, and all must come to
rest within a bounded time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from bot.domain.payment import State
from tests.simulation.buttons import Buttons
from tests.simulation.drawing import DAY, HOUR, MINUTE, NIGHT, Step
from tests.simulation.installation import TIMING, Installation
from tests.simulation.invariants import at_once
from tests.simulation.pausing import Pausing
from tests.simulation.people import People
from tests.simulation.processes import Processes, until_morning
from tests.simulation.trouble import Troubles

AT_REST_WITHIN = 4 * DAY + 3 * HOUR
"""Seconds after the end of all trouble. The longest wait of the bot itself is twelve hours; what cannot be
sent waits until it expires, three days after its day, which is the next one at the latest."""

PATIENCE = 2 * HOUR
"""Seconds after which what is approved and not sent is only looked at once in an hour."""


class History:
    """Takes the steps at an installation. faults: by their kind. crashed_at: see `Processes`."""

    def __init__(self, installation: Installation, tell: Callable[[str], None]) -> None:
        self._installation = installation
        self._tell = tell
        self._under_way: dict[asyncio.Task[None], None] = {}
        self.faults: Counter[str] = Counter()
        people = People(installation)
        self._processes = processes = Processes(installation, people, self.faults)
        self._trouble = Troubles(installation, self.faults)
        self.crashed_at = processes.crashed_at
        self._pausing = Pausing(installation, self.faults)
        buttons = Buttons(installation, people)
        self._acts = people.acts | buttons.acts | processes.acts | self._trouble.acts | self._pausing.acts

    async def run(self, steps: list[Step]) -> list[str]:
        """Take all steps, then let everything come to rest. What was wrong as soon as it was, in words."""
        for process in self._installation.processes:
            self._installation.start(process.number)
        for step in steps:
            self._tell(f"{self._installation.loop.now:.3f} {step}")
            night = until_morning(self._installation.loop.now) if step.action == NIGHT else 0.0
            self._begin(self._acts[step.action](*step.arguments))
            await asyncio.sleep(night + step.pause)
            if wrong := at_once(self._installation):
                return wrong
        await self._end_of_trouble()
        return await self._rest()

    async def _end_of_trouble(self) -> None:
        self._tell(f"{self._installation.loop.now:.3f} the trouble ends")
        patience = 10.0
        while self._under_way:
            await self._trouble.heal()
            await asyncio.wait(self._under_way, timeout=patience)
            patience = 10 * MINUTE
            if not self._left(State.APPROVED):
                # All else is done, or stopped for good: what is awake would only look whether it is due.
                await self._processes.sleep_along()
        await self._trouble.heal()
        await self._pausing.go_on()

    async def _rest(self) -> list[str]:
        """Wait until everything has come to rest, and stop the bot in good order."""
        installation = self._installation
        begun = installation.loop.now
        # Otherwise each day that is waited for would bring the next.
        installation.last_day = installation.ledger_now(installation.processes[0].machine) + timedelta(days=1)
        deadline = begun + AT_REST_WITHIN
        while True:
            for process in installation.processes:
                if not process.running:
                    installation.start(process.number)
            await asyncio.sleep(30)
            left, days = self._left(), installation.waits_for_days()
            if days and len(left) == len(days) and min(days) > HOUR:
                # Nothing else is to happen until then; asleep, they get there at once.
                await self._processes.all_sleep(min(days) - 10 * MINUTE)
                continue
            if left and installation.loop.now > begun + PATIENCE and not self._left(State.APPROVED):
                # Nobody lets it go, and awake they would ask every few minutes until it expires.
                await self._processes.all_sleep(HOUR)
                await asyncio.sleep(2 * TIMING.poll)
            down = [one.machine.name for one in installation.processes if not one.running]
            if down and installation.loop.now > begun + HOUR:
                return [f"{', '.join(down)} does not stay up: {installation.ended[-1]!r}"]
            if not left and not down:
                installation.tell_to_stop()
                await installation.happens(lambda: not installation.running, "it stops when told to", HOUR)
                if not (left := self._left()):
                    return at_once(installation)
            if wrong := at_once(installation):
                return wrong
            if installation.loop.now > deadline:
                return [f"not at rest {AT_REST_WITHIN:.0f} s after the trouble: {', '.join(sorted(left))}"]

    def _left(self, *waiting: State) -> list[str]:
        """What has not come to rest, where people do nothing more. waiting: states that are no reason."""
        return self._installation.left([State.PENDING_APPROVAL, *waiting]) + [
            f"step {run.id}" for run in self._installation.runs_under_way(waiting)
        ]

    def _begin(self, act: Coroutine[Any, Any, None]) -> None:
        task = self._installation.loop.create_task(act)
        self._under_way[task] = None
        task.add_done_callback(self._done)

    def _done(self, act: asyncio.Task[None]) -> None:
        """What people and trouble do never fails; where it does, nothing may have been done for long."""
        self._under_way.pop(act, None)
        if not act.cancelled() and (error := act.exception()) is not None:
            self._installation.wrong.append(f"bug of what was drawn: {error!r}")
