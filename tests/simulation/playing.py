"""Plays histories, each in a process of its own that is forked from one which has loaded everything.

So a history finds the same process whenever it is played, and nothing of it is left behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import structlog

from bot.ledger.opening import open_ledger
from bot.slack import socket_mode
from tests.faults.invariants import check_invariants
from tests.simulation import notices, system
from tests.simulation.drawing import Step, draw, instances_of, settings_of, told_beside
from tests.simulation.entropy import Entropy
from tests.simulation.histories import History
from tests.simulation.installation import PING_S, Installation, open_installation
from tests.simulation.machine import CURRENT
from tests.simulation.system import Loop

Tell = Callable[[str], None]


@dataclass(slots=True)
class Played:
    """What became of a history. wrong: in words; empty if all is as it must be.

    several: requests of more than one payment. seconds: of virtual time. turns: of the loop. trace: a hash of
    everything that happened.
    """

    seed: int
    steps: int
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    turns: int = 0
    trace: str = ""
    payments: int = 0
    several: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    crashed_at: list[str] = field(default_factory=list)


class Player:
    """Has everything loaded. folder: for the ledgers, in memory if it can be."""

    def __init__(self, folder: Path, entropy: Entropy) -> None:
        system.install(entropy)
        socket_mode.PING = PING_S
        logging.getLogger().handlers[:] = [logging.NullHandler()]
        self._folder = folder
        self._template = folder / "template.db"
        Loop(0).run_until_complete(_migrated(self._template))
        # What a bot does for the first time is done before it is forked.
        self._play(0, draw(0, 30), lambda _: None)
        gc.collect()
        gc.freeze()

    def play(self, seed: int, steps: Sequence[Step], tell: Tell | None = None) -> Played:
        """Play one history in a process of its own. tell: is told, there, what happens."""
        (played,) = self.play_all([(seed, steps)], jobs=1, tell=tell)
        return played

    def play_all(
        self, histories: Iterable[tuple[int, Sequence[Step]]], *, jobs: int, tell: Tell | None = None
    ) -> Iterator[Played]:
        """Play many, so many at once; each comes when it is over."""
        running: dict[int, tuple[int, Sequence[Step]]] = {}
        waiting = iter(histories)
        while True:
            while len(running) < jobs and (history := next(waiting, None)) is not None:
                running[self._fork(*history, tell)] = history
            if not running:
                return
            process, status = os.wait()
            seed, steps = running.pop(process)
            yield self._outcome(seed, steps, process, status)

    def _fork(self, seed: int, steps: Sequence[Step], tell: Tell | None) -> int:
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            self._in_child(seed, steps, tell)
        return process

    def _in_child(self, seed: int, steps: Sequence[Step], tell: Tell | None) -> NoReturn:
        code = 1
        try:
            gc.disable()
            played = self._play(seed, steps, tell or (lambda _: None))
            self._file(seed, ".json").write_text(json.dumps(asdict(played)), encoding="utf-8")
            sys.stdout.flush()
            code = 0
        finally:
            os._exit(code)

    def _outcome(self, seed: int, steps: Sequence[Step], process: int, status: int) -> Played:
        for suffix in (".db", ".db-wal", ".db-shm", ".db.lock", ".toml"):
            self._file(seed, suffix).unlink(missing_ok=True)
        told = self._file(seed, ".json")
        if status or not told.exists():
            return Played(seed, len(steps), [f"the simulation itself ended with {status}"])
        played = Played(**json.loads(told.read_text(encoding="utf-8")))
        told.unlink()
        return played

    def _file(self, seed: int, suffix: str) -> Path:
        return self._folder / f"{seed}{suffix}"

    def _play(self, seed: int, steps: Sequence[Step], tell: Tell) -> Played:
        file = self._file(seed, ".db")
        shutil.copy(self._template, file)
        loop = Loop(seed)
        played = Played(seed, len(steps))
        try:
            loop.run_until_complete(_told(loop, file, played, steps, tell))
        except AssertionError as error:
            played.wrong.append(f"{type(error).__name__}: {error}")
        played.seconds, played.turns, played.trace = loop.now, loop.turns, loop.trace
        return played


async def _migrated(file: Path) -> None:
    async with open_ledger(f"sqlite:///{file}"):
        pass


async def _told(loop: Loop, file: Path, played: Played, steps: Sequence[Step], tell: Tell) -> None:
    instances = instances_of(played.seed)
    exact = played.seed % 4 != 0
    async with open_installation(loop, file, played.seed, exact=exact, instances=instances) as installation:
        installation.settings = settings_of(played.seed)
        installation.told_beside = told_beside(played.seed)
        installation.tell = tell
        _listen(installation, tell)
        history = History(installation, tell)
        played.wrong = await history.run(list(steps))
        if not played.wrong:
            found = await check_invariants(installation)
            played.wrong, played.payments = found.wrong + notices.flaws(installation), found.payments
            ((played.several,),) = installation.rows("SELECT count(*) FROM requests WHERE invoices > 1")
        played.faults = dict(history.faults)
        played.crashed_at = sorted(history.crashed_at)
        moves = "SELECT DISTINCT from_state, to_state FROM events WHERE from_state <> to_state"
        played.moves = sorted(f"{one} -> {other}" for one, other in installation.rows(moves))


def _listen(installation: Installation, tell: Tell) -> None:
    """What the bot logs is told; what it logs with a traceback is a finding."""

    def processor(_logger: object, method: str, event: MutableMapping[str, Any]) -> Any:
        machine = CURRENT.get()
        if machine is not None:
            said = " ".join(f"{name}={value!r}" for name, value in event.items() if name != "event")
            tell(f"    {installation.loop.now:.3f} {machine.name}: {method} {event['event']} {said}")
            if (error := event.get("exc_info")) is not None:
                error = error if isinstance(error, BaseException) else sys.exc_info()[1]
                installation.errors.append(f"{event['event']}: {error!r}")
        raise structlog.DropEvent

    structlog.configure(processors=[processor])


def total(played: Iterable[Played]) -> Played:
    """All of them as one; its seed says nothing."""
    everything = Played(0, 0)
    faults: Counter[str] = Counter()
    moves: set[str] = set()
    places: set[str] = set()
    for one in played:
        everything.steps += one.steps
        everything.seconds += one.seconds
        everything.turns += one.turns
        everything.payments += one.payments
        everything.several += one.several
        faults.update(one.faults)
        moves.update(one.moves)
        places.update(one.crashed_at)
    everything.faults, everything.moves = dict(faults), sorted(moves)
    everything.crashed_at = sorted(places)
    return everything


def run_of(loop: asyncio.AbstractEventLoop) -> Loop:
    """The loop, as what it is."""
    assert isinstance(loop, Loop)
    return loop
