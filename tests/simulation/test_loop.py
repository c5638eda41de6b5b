"""Virtual time, a drawn order, and processes that end in the middle of anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from bot.payments.worker import TaskPool
from tests.simulation.loop import SimulatedLoop, Stuck
from tests.simulation.machine import CURRENT, Machine, on
from tests.simulation.system import Loop, context_of
from tests.simulation.threads import Executor, this_thread

YEAR = 365 * 24 * 3600.0


def play(work: Coroutine[Any, Any, Any], seed: int = 1) -> SimulatedLoop:
    """Run it to its end in a loop of this seed."""
    loop = Loop(seed)
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()
    return loop


def begin(machine: Machine, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Begin it on that machine."""
    return asyncio.get_running_loop().create_task(work, context=context_of(machine))


async def _finishing_order() -> list[int]:
    order: list[int] = []

    async def one(number: int) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(10)))
    return order


class TestTime:
    def test_a_year_passes_at_once_and_no_second_of_it_is_missed(self) -> None:
        """The clock jumps to the next timer, in the order of the timers."""
        heard: list[str] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            heard.append(name)

        async def all_of_them() -> None:
            await asyncio.gather(wait("year", YEAR), wait("second", 1), wait("day", 86400))

        assert YEAR <= play(all_of_them()).now < YEAR + 1
        assert heard == ["second", "day", "year"]

    def test_what_waits_for_nothing_that_can_come_is_found(self) -> None:
        """A deadlock is an error, not a wait without an end."""

        async def for_ever() -> None:
            await asyncio.Event().wait()

        with pytest.raises(Stuck):
            play(for_ever())


class TestOrder:
    def test_the_seed_alone_says_what_runs_first(self) -> None:
        """Two seeds give two orders, the same seed gives the same one, and the trace tells them apart."""
        orders: dict[int, list[list[int]]] = {}
        traces: dict[int, list[str]] = {}
        for seed in (1, 2, 1, 2):

            async def keep(seed: int = seed) -> None:
                orders.setdefault(seed, []).append(await _finishing_order())

            traces.setdefault(seed, []).append(play(keep(), seed).trace)
        assert orders[1][0] == orders[1][1] != orders[2][0] == orders[2][1]
        assert traces[1][0] == traces[1][1] != traces[2][0] == traces[2][1]


class TestMachines:
    def test_of_a_crashed_process_no_line_runs_any_more(self) -> None:
        """Neither what it was about to do, nor what it would do to tidy up."""
        done: list[str] = []

        async def live() -> None:
            try:
                done.append("began")
                await asyncio.sleep(1)
                done.append("went on")
            finally:
                done.append("tidied up")

        async def crash() -> None:
            machine = Machine("one", 1)
            task = begin(machine, live())
            await asyncio.sleep(0.5)
            machine.crash()
            await asyncio.sleep(10)
            assert not task.done()

        play(crash())
        assert done == ["began"]

    @pytest.mark.parametrize("fuse", range(2, 9))
    def test_a_process_can_end_at_any_await(self, fuse: int) -> None:
        """It runs for so many turns, and then no more."""
        turns: list[int] = []

        async def live() -> None:
            for turn in range(1, 20):
                turns.append(turn)
                await asyncio.sleep(0)

        async def crash() -> None:
            machine = Machine("one", 1)
            machine.fuse = fuse
            begin(machine, live())
            await asyncio.sleep(1)

        play(crash())
        assert len(turns) == fuse - 1

    @pytest.mark.parametrize("stops", [False, True])
    def test_a_process_can_end_or_stop_where_a_task_of_the_bot_waits(self, stops: bool) -> None:
        """Only turns of tasks count that wait at such a place; one that only stopped goes on from there."""
        done: list[str] = []

        async def wait(name: str) -> None:
            await asyncio.sleep(0.1)
            done.append(name)

        async def crash() -> None:
            machine = Machine("one", 1)
            pool = TaskPool[int]("bot", 1, asyncio.Event())
            begin(machine, wait("not of the bot"))
            await asyncio.sleep(0.05)
            with on(machine):
                pool.start(1, wait("its work"))
                begin(machine, pool.drain(10))
            await asyncio.sleep(0)
            machine.burns_at = lambda places: any(one.startswith("payments/worker.py:") for one in places)
            machine.only_stops, machine.fuse = stops, 1
            await asyncio.sleep(1)
            assert machine.alive is stops
            assert machine.stopped is stops

        play(crash())
        assert done == ["not of the bot", "its work"]

    def test_a_machine_that_sleeps_stands_still_and_its_timers_with_it(self) -> None:
        """A stopped process finds its timers due; one that slept has the rest of them before it."""
        woke: dict[str, float] = {}

        async def wait(name: str) -> None:
            await asyncio.sleep(10)
            woke[name] = asyncio.get_running_loop().time()

        async def both() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Loop)
            stopped, sleeping = Machine("stopped", 1), Machine("sleeping", 2)
            for machine in (stopped, sleeping):
                begin(machine, wait(machine.name))
            await asyncio.sleep(1)
            stopped.stop()
            sleeping.stop()
            await asyncio.sleep(3600)
            loop.resume(stopped)
            loop.resume(sleeping, slept=3600)
            await asyncio.sleep(0.1)
            assert "stopped" in woke
            assert "sleeping" not in woke
            await asyncio.sleep(10)

        play(both())
        assert 3601 <= woke["stopped"] < 3602
        assert 10 <= woke["sleeping"] < 11


class TestThreads:
    def test_threads_wait_for_each_other_as_real_ones_do(self) -> None:
        """One that waits for another's result lets it run, and knows its machine but no other context."""

        async def work() -> None:
            executor = Executor(2)
            machine = Machine("one", 1)
            CURRENT.set(machine)
            first = executor.submit(lambda: 20)
            second = executor.submit(lambda: (first.result(5) + 1, CURRENT.get(), this_thread()))
            value, whose, thread = await asyncio.wrap_future(second)
            assert (value, whose) == (21, machine)
            assert thread is not None

        play(work())
