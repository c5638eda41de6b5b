"""What befalls the bot's processes, their machines and their ledger."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.exc import DBAPIError

from bot.domain.payment import State
from bot.domain.schedule import MORNING
from bot.sandbox.local_billing.service import PAYMENT
from tests.faults.forgeries import FORGERIES, Forgery
from tests.simulation.drawing import HOUR, MINUTE, NIGHT
from tests.simulation.installation import TIMING, Acts, Installation, Process
from tests.simulation.invariants import last_event
from tests.simulation.people import People
from tests.simulation.system import BEGINNING

AIMED_S = 30.0
"""Seconds in which a crash must meet what it is aimed at, or there is none."""

AGAIN_S = 10.0
"""Seconds after which Slack fails again."""

FORGED_INVOICE = 20999
"""What a forger lets a payment be of."""

_FORGEABLE = {
    "requests": "id = (SELECT request_id FROM payments WHERE id = ?)",
    "payments": "id = ?",
    "approvals": "request_id = (SELECT request_id FROM payments WHERE id = ?)",
    "attempts": "payment_id = ?",
}
"""Tables, and which of their rows belong to a payment."""


def until_morning(now: float) -> float:
    """Seconds until the next morning, by true time. now: of the loop."""
    at = datetime.fromtimestamp(BEGINNING + now, UTC)
    morning = datetime.combine(at.date(), MORNING, UTC)
    if morning <= at:
        morning += timedelta(days=1)
    return (morning - at).total_seconds()


def _posts(waits_at: str) -> bool:
    """Whether it waits there for Slack to take a message."""
    return waits_at.startswith("slack/web_api.py:")


@dataclass(frozen=True, slots=True)
class _Backup:
    """Of the ledger, and how far all else was when it was made."""

    ledger: sqlite3.Connection
    calls: int
    acknowledged: int


class Processes:
    """Lets it befall them. faults: by their kind. crashed_at: where the bot waited when it crashed."""

    def __init__(self, installation: Installation, people: People, faults: Counter[str]) -> None:
        self._installation = installation
        self._people = people
        self._busy: set[int] = set()
        self._goes_on_at: dict[int, float] = {}
        self._backup: _Backup | None = None
        self.faults = faults
        self.crashed_at: Counter[str] = Counter()
        self.acts: Acts = {
            "crash": self._crash,
            "terminate": self._terminate,
            "is stopped": self._stop,
            "sleeps": self._sleep,
            NIGHT: self._night,
            "sets the clock": self._set_clock,
            "nobody is known": self._nobody_is_known,
            "forges": self._forge,
            "backs up": self._back_up,
            "restores": self._restore,
            "fails over": self._fail_over,
        }

    async def _crash(self, which: float, turns: int, file: str, away: float) -> None:
        if (process := self._one(which)) is not None:
            # Most crashes are to meet work that begins now, and not the bot's idling; or what none met yet.
            begun_now = not file and turns % 4
            process.machine.burns_from = self._installation.loop.next_number() if begun_now else 0
            process.machine.burns_at = partial(self._unmet, file) if file else None
            process.machine.only_stops = False
            process.machine.fuse = turns
            if file and not await self._crashed(process, AIMED_S):
                process.machine.fuse = None
                self._busy.discard(process.number)
                return
            await self._ends(process, 10 * MINUTE)
            self.crashed_at.update(process.machine.waits_at())
            self.faults["crash"] += 1
            await self._comes_back(process, away)

    def _unmet(self, file: str, waits_at: list[str]) -> bool:
        """Whether a task waits in the file, and no crash of this history found one waiting there."""
        return any(
            place.startswith(f"{file}:") and place not in self.crashed_at for place in reversed(waits_at)
        )

    async def _terminate(self, which: float, away: float) -> None:
        if (process := self._one(which)) is not None:
            process.told_to_stop.set()
            await self._ends(process, 10 * MINUTE)
            self.faults["stop"] += 1
            await self._comes_back(process, away)

    async def _crashed(self, process: Process, timeout: float) -> bool:
        """Wait until it has ended; whether it has by then."""
        if process.running:
            await asyncio.wait([process.machine.ending()], timeout=timeout)
        return not process.running

    async def _ends(self, process: Process, timeout: float) -> None:
        """Wait until it has ended; by then it is made to."""
        await self._crashed(process, timeout)
        process.machine.crash()

    async def _comes_back(self, process: Process, away: float) -> None:
        await asyncio.sleep(away)
        self._installation.start(process.number)
        self._busy.discard(process.number)

    async def _stop(self, which: float, seconds: float, file: str) -> None:
        if await self._still(which, seconds, file, slept=0.0):
            self.faults["SIGSTOP"] += 1

    async def _sleep(self, which: float, seconds: float, file: str) -> None:
        if await self._still(which, seconds, file, slept=seconds):
            self.faults["sleep"] += 1

    async def _night(self, asleep: bool) -> None:
        """asleep: all machines, until about the morning."""
        if asleep:
            await self.all_sleep(until_morning(self._installation.loop.now))

    async def all_sleep(self, seconds: float) -> None:
        """So long, each a minute more or less."""
        chance, number = self._installation.loop.random, len(self._installation.processes)
        each = [max(0.0, seconds + chance.uniform(-MINUTE, MINUTE)) for _ in range(number)]
        await asyncio.gather(*(self._sleep(0.0, one, "") for one in each))

    async def sleep_along(self) -> None:
        """Where some sleep for long, the others sleep almost as long."""
        # Who crashed in its sleep is awake again.
        self._busy &= {one.number for one in self._installation.running if one.machine.stopped}
        left = max(self._goes_on_at.values(), default=0.0) - self._installation.loop.now
        if left > HOUR:
            await self.all_sleep(left - 10 * MINUTE)

    async def _still(self, which: float, seconds: float, file: str, *, slept: float) -> bool:
        """Whether there was one. file: of the bot; if there is one, it waits for a task that waits in it."""
        if (process := self._one(which)) is not None:
            machine = process.machine
            if file:
                machine.burns_at = lambda waits_at: any(one.startswith(f"{file}:") for one in waits_at)
                machine.burns_from, machine.only_stops, machine.fuse = 0, True, 1
                with suppress(AssertionError):
                    await self._installation.happens(lambda: machine.stopped, "it stops", AIMED_S)
                machine.fuse = None
            machine.stop()
            if seconds > TIMING.lease.total_seconds() and any(map(_posts, machine.waits_at())):
                # Between its last look at the lease and its post: another tells it meanwhile.
                self._installation.exact = False
            self._goes_on_at[process.number] = self._installation.loop.now + seconds
            await asyncio.sleep(seconds)
            self._installation.loop.resume(process.machine, slept=slept)
            self._busy.discard(process.number)
        return process is not None

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
        # A ledger that one process has is read by that one's clock.
        place = int(which * (len(processes) + (len(processes) > 1)))
        if place < len(processes):
            processes[place].machine.ahead = ahead
        else:
            self._installation.ledger_ahead = ahead
        self._installation.past.clock_set_at = self._installation.loop.now
        self.faults["clock set"] += 1

    async def _nobody_is_known(
        self, person: str, channel: str, module: str, number: int, seconds: float
    ) -> None:
        """Somebody asks, and before that is looked up all crash; and Slack does not say who is who."""
        installation = self._installation
        # The look-up waits for the list until then.
        installation.billing.fail("stall")
        asking = installation.loop.create_task(self._people.ask(person, channel, module, number, False))
        query = "SELECT 1 FROM payments WHERE module = ? AND number = ? AND state = ?"
        with suppress(AssertionError):
            await installation.happens(
                lambda: installation.rows(query, module, number, State.REQUESTED),
                "it is asked for",
                5.0,
                every=0.05,
            )
        await self._all_crash()
        installation.billing.heal()
        for process in installation.processes:
            installation.start(process.number)
        self.faults["nobody known"] += 1
        for _ in range(int(seconds / AGAIN_S)):
            # Whatever else is mended meanwhile.
            for method in ("users.info", "usergroups.users.list"):
                installation.slack.fail(method, "500", 2)
            await asyncio.sleep(AGAIN_S)
        await asyncio.wait([asking])

    async def _all_crash(self) -> None:
        for process in self._installation.processes:
            process.machine.crash()

    # The ledger

    async def _forge(self, which: float, whose: float) -> None:
        """Somebody writes past the bot."""
        forgery = FORGERIES[int(which * len(FORGERIES))]
        found = self._installation.rows(
            "SELECT id, request_id FROM payments WHERE state = ? ORDER BY id", forgery.of
        )
        if found:
            payment_id, request_id = found[int(whose * len(found))]
            theirs = self._installation.rows(
                "SELECT module, number FROM payments WHERE request_id = ?", request_id
            )
            if await self._written(forgery, payment_id):
                past = self._installation.past
                past.forged.add(request_id)
                past.forged_refs |= {tuple(ref) for ref in theirs}
                past.forged_refs |= {(module, FORGED_INVOICE) for module, _ in theirs}
                self._installation.acknowledged[:] = [
                    one for one in self._installation.acknowledged if one not in past.forged_refs
                ]
                self.faults["forged"] += 1

    async def _written(self, forgery: Forgery, payment_id: int) -> bool:
        """Whether it is another payment now than before. Not even a forger gets past the constraints."""

        def snapshot() -> list[object]:
            rows = self._installation.rows
            return [
                rows(f"SELECT * FROM {table} WHERE {belongs}", payment_id)
                for table, belongs in _FORGEABLE.items()
            ]

        before = snapshot()
        with suppress(DBAPIError):
            async with self._installation.writing() as connection:
                await forgery.write(connection, payment_id)
        return snapshot() != before

    async def _back_up(self) -> None:
        installation = self._installation
        self._backup = _Backup(
            installation.backed_up(),
            len(installation.billing.log),
            len(installation.acknowledged),
        )

    async def _restore(self, _seconds: float) -> None:
        """As one should: a bot is started on the backup when nothing can be carried out late any more."""
        if self._backup is not None:
            backup, self._backup = self._backup, None
            await self._all_crash()
            self._set_back(backup)
            self._installation.past.restored_at = self._installation.loop.now
            self.faults["restored"] += 1
            await asyncio.sleep(self._installation.settled_after)
            for process in self._installation.processes:
                self._installation.start(process.number)

    async def _fail_over(self, seconds: float) -> None:
        """To a replica that lags behind: what was committed last is lost, and nobody waits.

        Several bots go on, with what they remember of it.
        """
        await self._back_up()
        await asyncio.sleep(seconds)
        if self._backup is not None:
            alone = len(self._installation.processes) == 1
            if alone:
                await self._all_crash()
            else:
                self._installation.loop.disk.end_all()
            self._set_back(self._backup)
            self._backup = None
            self._installation.past.unsafe_since = self._installation.loop.now
            self.faults["failed over"] += 1
            for process in self._installation.processes if alone else ():
                self._installation.start(process.number)

    def _set_back(self, backup: _Backup) -> None:
        """What came after the backup is forgotten, and stands in Slack and in the billing API's books."""
        installation, past = self._installation, self._installation.past
        taken_up = installation.steps_taken_up()
        installation.set_back(backup.ledger)
        # Slack repeats none of them, and the ledger does not know that they wait for it.
        forgotten = taken_up - installation.steps_taken_up()
        installation.all_runs[:] = [run for run in installation.all_runs if run.id not in forgotten]
        calls = installation.billing.log[backup.calls :]
        past.forgotten.update(
            (call.module, call.invoice)
            for call in calls
            if call.operation == PAYMENT and call.module is not None and call.invoice is not None
        )
        past.seen = min(past.seen, last_event(installation))
        past.set_back = installation.rows("SELECT coalesce(max(id), 0) FROM requests")[0][0]
        del installation.acknowledged[backup.acknowledged :]
