"""Time that nobody can rely on: clocks that are set, and machines that sleep."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bot.domain.payment import State
from tests.effort import LONG
from tests.faults.billing_answers import LATE
from tests.faults.clocks import MachineClocks
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.counts import Counts
from tests.faults.installation import Installation
from tests.faults.invariants import check_invariants
from tests.faults.people import the_payment
from tests.faults.process_pool import ROOT
from tests.ledger.making import Attempt, attempts

MINUTES_20, DAY = 20 * 60.0, 24 * 3600.0

STEPS = (MINUTES_20, -MINUTES_20, DAY, -DAY) if LONG else (MINUTES_20, -DAY)
"""Seconds. The other ones are played in the histories."""

LEASE = 2.0


_READS_TIME = """
import sys, time
from bot.ledger.store import utc_now
from tests.faults.clocks import use_clocks
use_clocks(sys.argv[1])
print(utc_now().timestamp(), time.time(), time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic())
"""


async def test_a_bot_here_and_its_database_live_by_the_clocks_that_they_are_given(
    installation_on: InstallationOn, tmp_path: Path
) -> None:
    """Without this, the other tests here would prove nothing."""
    clocks = MachineClocks(tmp_path / "clocks")
    clocks.set_wall(DAY)
    clocks.has_slept(DAY)
    reading = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _READS_TIME, clocks.file, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await reading.communicate()
    ledger, wall, asleep = map(float, told.split())
    async with installation_on("postgres", settable=True) as installation:
        await installation.set_ledger_clock(DAY)
        async with installation.reading() as connection:
            server: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    assert [ledger, wall, server.timestamp()] == [pytest.approx(time.time() + DAY, abs=60)] * 3
    asleep -= time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    assert asleep == pytest.approx(DAY, abs=60)


async def test_a_clock_that_is_set_releases_no_lost_answer_and_holds_up_no_work(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """The machine's or the server's clock is set, right after an answer was lost and amid other work."""
    whose = [("sqlite", True), ("postgres", True), ("postgres", False)]
    wrong = await asyncio.gather(
        *(
            _stepped(installation_on, counts, database, seconds, machine=machine)
            for database, machine in whose
            for seconds in STEPS
        )
    )
    assert not (flaws := "\n".join(flaw for flaws in wrong for flaw in flaws)), flaws


async def _stepped(
    installation_on: InstallationOn, counts: Counts, database: str, seconds: float, *, machine: bool
) -> list[str]:
    """Lose an answer, set a clock, ask again and again; then set it back while other work is under way."""
    whose = f"{database}, {'the machine' if machine else 'the server'} {seconds:+.0f} s"

    async def act(installation: Installation) -> list[str]:
        set_clock = _machine_clock(installation) if machine else installation.set_ledger_clock
        installation.billing.fail(LATE, times=1)
        await installation.asks("alice", "payments", "vps", 10101)
        lost = await _until(installation, State.UNKNOWN)
        await set_clock(seconds)
        for _ in range(4):  # a second: less than what a lost call may take
            await installation.types(
                "alice", "payments", f"/pay resolve {lost} not-paid it is not in the list"
            )
            await installation.types("alice", "payments", "/pay vps 10101")
            await asyncio.sleep(0.25)
        await installation.asks("alice", "payments", "vps", 10102)
        await set_clock(seconds - abs(seconds))
        await installation.asks("alice", "payments", "vps", 10103)
        return []

    return [f"{whose}: {flaw}" for flaw in await _played(installation_on, counts, database, act)]


async def test_a_post_whose_answer_was_lost_is_found_whatever_the_ledgers_clock_says(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """Slack has a clock of its own: what it holds is looked for by no other."""

    async def act(installation: Installation) -> list[str]:
        await installation.set_ledger_clock(MINUTES_20)
        installation.slack.fail("chat.postMessage", "drop-after", 1)
        await installation.asks("alice", "payments", "vps", 10101)
        return []

    assert not (flaws := await _on_both(installation_on, counts, act)), flaws


async def test_the_operators_resolve_goes_by_no_clock_that_is_set(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """`python -m bot resolve … not-paid` settles nothing because the clock was set on by a day."""

    async def act(installation: Installation) -> list[str]:
        installation.billing.fail(LATE, times=1)
        await installation.asks("alice", "payments", "vps", 10101)
        lost = await _until(installation, State.UNKNOWN)
        await installation.stop_all()
        await installation.set_ledger_clock(DAY)
        code, said = await installation.command(
            "resolve",
            str(lost),
            "not-paid",
            "looked",
            until="Let this run",
            **installation.options().settings,
        )
        await installation.start()
        return [] if code else [f"exit code {code}: {said}"]

    assert not (flaws := await _on_both(installation_on, counts, act)), flaws


async def test_a_machine_that_sleeps_before_the_first_byte_sends_nothing_when_it_wakes(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """Asleep for longer than its lease with the connection open; meanwhile another instance paid, or none."""

    async def act(installation: Installation) -> list[str]:
        sleeper = await installation.start(stop_at="with a connection to pay by #1", lease=LEASE)
        await installation.asks("alice", "payments", "vps", 10101)
        await sleeper.stopped()
        if installation.ledger_url.startswith("sqlite"):
            await sleeper.wake_after(LEASE * 1.5)
        else:
            waking = asyncio.create_task(sleeper.wake_after(LEASE + 7))
            await installation.start(machine=1, lease=LEASE)
            while not installation.billing.payments_received("vps", 10101) and not waking.done():
                await asyncio.sleep(0.3)
                await installation.types("alice", "payments", "/pay vps 10101")
            await waking
        await installation.rest(30)
        first = await _answered(installation)
        return [] if first.verdict == "NOT_SENT" else [f"it sent when it woke: {first.verdict}"]

    assert not (flaws := await _on_both(installation_on, counts, act, starts=False)), flaws


async def _answered(installation: Installation) -> Attempt:
    """The first call for the first payment, once it is written what became of it."""
    ledger = await installation.ledger()
    async with asyncio.timeout(15):
        while True:
            first, *_ = await attempts(ledger, 1)
            if first.finished_at is not None:
                return first
            await asyncio.sleep(0.05)


async def _on_both(
    installation_on: InstallationOn,
    counts: Counts,
    act: Callable[[Installation], Awaitable[list[str]]],
    *,
    starts: bool = True,
) -> str:
    """Play it on each database. What is wrong, a line each."""
    playing = (_played(installation_on, counts, database, act, starts=starts) for database in DATABASES)
    wrong = zip(DATABASES, await asyncio.gather(*playing), strict=True)
    return "\n".join(f"{database}: {flaw}" for database, flaws in wrong for flaw in flaws)


async def _played(
    installation_on: InstallationOn,
    counts: Counts,
    database: str,
    act: Callable[[Installation], Awaitable[list[str]]],
    *,
    starts: bool = True,
) -> list[str]:
    """Play it, let it come to rest, and compare. What is wrong, with what `act` itself found."""
    async with installation_on(database, settable=True) as installation:
        try:
            if starts:
                await installation.start()
            wrong = await act(installation)
            await installation.rest(20)
            found = await check_invariants(installation)
        except (AssertionError, TimeoutError) as error:
            return [f"{type(error).__name__}: {error}"]
    counts.add(found)
    return wrong + found.wrong


def _machine_clock(installation: Installation) -> Callable[[float], Awaitable[None]]:
    async def set_clock(ahead: float) -> None:
        installation.clocks().set_wall(ahead)

    return set_clock


async def _until(installation: Installation, state: State) -> int:
    """The number of the newest payment, once it is in this state."""
    ledger = await installation.ledger()
    async with asyncio.timeout(15):
        while True:
            payment = await the_payment(ledger)
            if payment is not None and payment.state is state:
                return payment.id
            await asyncio.sleep(0.02)
