"""One call serves all who ask for the same at the same time, whoever of them goes away."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bot import singleflight
from bot.singleflight import FreshSingleflight, Singleflight, ThreadSingleflight, TooLong


class Clock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Lookup:
    """Counts its calls; each waits until it is given its answer, or its failure."""

    def __init__(self) -> None:
        self.calls: list[asyncio.Future[str]] = []

    async def __call__(self) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.calls.append(answer)
        return await answer


async def turn() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flights(clock: Clock) -> Singleflight[str, str]:
    return Singleflight(keep_s=60.0, clock=clock)


@pytest.fixture
def lookup() -> Lookup:
    return Lookup()


class TestOnTheEventLoop:
    async def test_who_asks_meanwhile_shares_the_call(
        self, flights: Singleflight[str, str], lookup: Lookup
    ) -> None:
        """Three askers, one call; another key has a call of its own."""
        asking = [asyncio.create_task(flights.get(key, lookup)) for key in ("a", "a", "a", "b")]
        await turn()
        first, other = lookup.calls
        first.set_result("A")
        other.set_result("B")
        assert await asyncio.gather(*asking) == ["A", "A", "A", "B"]

    async def test_a_failure_is_told_to_all_who_wait_and_not_kept(
        self, flights: Singleflight[str, str], lookup: Lookup
    ) -> None:
        """The next one who asks tries again, also right then."""

        async def persistent() -> str:
            try:
                return await flights.get("a", lookup)
            except ValueError:
                return await flights.get("a", lookup)

        asking = [asyncio.create_task(flights.get("a", lookup)), asyncio.create_task(persistent())]
        await turn()
        lookup.calls[0].set_exception(ValueError("no"))
        await turn()
        lookup.calls[1].set_result("A")
        refused, answered = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(refused, ValueError)
        assert answered == "A"

    async def test_the_first_asker_may_go_away(self, flights: Singleflight[str, str], lookup: Lookup) -> None:
        """Who was second gets the answer of the call that the first one began."""
        first, second = (asyncio.create_task(flights.get("a", lookup)) for _ in range(2))
        await turn()
        first.cancel()
        await turn()
        assert first.cancelled()
        third = asyncio.create_task(flights.get("a", lookup))
        await turn()
        (call,) = lookup.calls
        call.set_result("A")
        assert [await second, await third] == ["A", "A"]

    async def test_who_has_waited_long_enough_leaves_the_call_to_the_others(
        self, flights: Singleflight[str, str], lookup: Lookup
    ) -> None:
        """A call that everybody gave up goes on, and its answer is kept."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await flights.get("a", lookup)
        (call,) = lookup.calls
        call.set_result("A")
        await turn()
        assert await flights.get("a", lookup) == "A"
        assert len(lookup.calls) == 1

    async def test_a_failure_that_nobody_waits_for_is_no_complaint(
        self, flights: Singleflight[str, str], lookup: Lookup
    ) -> None:
        """asyncio reports an exception that nobody has asked for when its task is collected."""
        complaints: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        asking = asyncio.create_task(flights.get("a", lookup))
        await turn()
        asking.cancel()
        await turn()
        del asking
        lookup.calls.pop().set_exception(ValueError("no"))
        await turn()
        gc.collect()
        assert complaints == []

    async def test_an_answer_serves_for_its_time_and_no_longer(
        self, flights: Singleflight[str, str], lookup: Lookup, clock: Clock
    ) -> None:
        """Its age counts from its arrival, and not from the question."""
        asking = asyncio.create_task(flights.get("a", lookup))
        await turn()
        clock.now += 50.0
        lookup.calls[0].set_result("old")
        assert await asking == "old"
        clock.now += 59.9
        assert await flights.get("a", lookup) == "old"
        clock.now += 0.1
        asking = asyncio.create_task(flights.get("a", lookup))
        await turn()
        lookup.calls[1].set_result("new")
        assert await asking == "new"

    async def test_no_more_is_kept_than_may_be(
        self, flights: Singleflight[str, str], lookup: Lookup, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Strangers who ask for one name after another fill no memory; what is forgotten is asked again."""
        monkeypatch.setattr(singleflight, "MAX_KEPT", 2)
        for key in ("a", "b", "c", "a"):
            asking = asyncio.create_task(flights.get(key, lookup))
            await turn()
            lookup.calls[-1].set_result(key)
            assert await asking == key
        assert len(lookup.calls) == 4

    async def test_closing_cancels_the_calls_under_way(
        self, flights: Singleflight[str, str], lookup: Lookup
    ) -> None:
        """And nothing waits for them any more."""
        asking = asyncio.create_task(flights.get("a", lookup))
        await turn()
        await flights.close()
        assert lookup.calls[0].cancelled()
        with pytest.raises(asyncio.CancelledError):
            await asking


class Reading:
    """A call of a `FreshSingleflight`: notes the deadlines it was given."""

    def __init__(self) -> None:
        self.lookup = Lookup()
        self.deadlines: list[float] = []

    @property
    def calls(self) -> list[asyncio.Future[str]]:
        return self.lookup.calls

    async def __call__(self, deadline: float) -> str:
        self.deadlines.append(deadline)
        return await self.lookup()


Fresh = FreshSingleflight[str, str]


class TestFresh:
    """Nobody is given an answer that is older than the question."""

    @pytest.fixture
    async def flights(self) -> AsyncIterator[Fresh]:
        flights: Fresh = FreshSingleflight(patience_s=60.0)
        yield flights
        await flights.close()

    @pytest.fixture
    def reading(self) -> Reading:
        return Reading()

    @staticmethod
    def ask(flights: Fresh, reading: Reading, key: str = "a", timeout: float = 5.0) -> asyncio.Task[str]:
        until = time.monotonic() + timeout
        return asyncio.create_task(flights.get(key, reading, until, grace_s=0.0))

    async def test_who_asks_at_the_same_time_shares_a_call(self, flights: Fresh, reading: Reading) -> None:
        """Another key has a call of its own."""
        asking = [self.ask(flights, reading, key) for key in ("a", "a", "b")]
        await turn()
        for call, answer in zip(reading.calls, "AB", strict=True):
            call.set_result(answer)
        assert await asyncio.gather(*asking) == ["A", "A", "B"]

    async def test_who_asks_while_one_is_under_way_shares_the_next(
        self, flights: Fresh, reading: Reading
    ) -> None:
        """What that one says may be older than the question."""
        first = self.ask(flights, reading)
        await turn()
        later = [self.ask(flights, reading)]
        await turn()
        later.append(self.ask(flights, reading))
        await turn()
        assert len(reading.calls) == 1
        reading.calls[0].set_result("old")
        await turn()
        assert (first.result(), [one.done() for one in later]) == ("old", [False, False])
        reading.calls[1].set_result("new")
        assert await asyncio.gather(*later) == ["new", "new"]
        assert len(reading.calls) == 2

    async def test_a_failure_is_told_to_those_who_shared_it_only(
        self, flights: Fresh, reading: Reading
    ) -> None:
        """The next call is made all the same."""
        first = self.ask(flights, reading)
        await turn()
        later = self.ask(flights, reading)
        await turn()
        reading.calls[0].set_exception(ValueError("no"))
        await turn()
        reading.calls[1].set_result("A")
        assert await later == "A"
        with pytest.raises(ValueError, match="no"):
            await first

    async def test_one_that_hangs_holds_up_the_next_for_a_while_only(self, reading: Reading) -> None:
        """After that, both are under way."""
        flights: Fresh = FreshSingleflight(patience_s=0.01)
        first = self.ask(flights, reading)
        await turn()
        second = self.ask(flights, reading)
        await asyncio.sleep(0.05)
        reading.calls[1].set_result("B")
        assert await second == "B"
        reading.calls[0].set_result("A")
        assert await first == "A"
        third = self.ask(flights, reading)
        await turn()
        reading.calls[2].set_result("C")
        assert await third == "C"

    async def test_a_call_is_given_the_deadline_of_the_most_patient(
        self, flights: Fresh, reading: Reading
    ) -> None:
        """Whoever has less time gives up alone, and is told whether the call was under way."""
        first = self.ask(flights, reading, timeout=0.05)
        second = self.ask(flights, reading, timeout=9.0)
        await turn()
        waiting = self.ask(flights, reading, timeout=0.05)
        for task, begun in ((first, True), (waiting, False)):
            with pytest.raises(TooLong) as caught:
                await task
            assert caught.value.begun is begun
        assert reading.deadlines[0] > time.monotonic() + 5
        reading.calls[0].set_result("A")
        assert await second == "A"

    async def test_who_is_cancelled_leaves_the_call_to_the_others(
        self, flights: Fresh, reading: Reading
    ) -> None:
        """Also before it began."""
        first, second = (self.ask(flights, reading) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await turn()
        reading.calls[0].set_result("A")
        assert await second == "A"

    async def test_closing_cancels_what_is_under_way_and_what_waits(
        self, flights: Fresh, reading: Reading
    ) -> None:
        """Nothing of it is left, and a later question is answered."""
        first = self.ask(flights, reading)
        await turn()
        second = self.ask(flights, reading)
        await turn()
        await flights.close()
        for task in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await task
        third = self.ask(flights, reading)
        await turn()
        reading.calls[-1].set_result("C")
        assert await third == "C"


class Making:
    """Makes a value in a thread when the test says so. A failure is raised, anything else returned."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)
        self.results: list[object] = []

    def __call__(self, deadline: float) -> object:
        self.entered.release()
        assert self.leave.acquire(timeout=5.0)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def soon() -> float:
    return time.monotonic() + 5.0


@pytest.fixture
def making() -> Making:
    return Making()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


class TestInThreads:
    def test_the_value_is_made_again_when_its_proof_is_too_old(self) -> None:
        """A proof renews the age, but only that of the value held."""
        clock = Clock()
        made = iter([["first"], ["second"]])
        value = ThreadSingleflight(lambda _deadline: next(made), clock=clock)
        first = value.get(soon(), max_age_s=30.0)
        clock.now += 29.0
        value.proved(["first"])
        value.proved(first)
        clock.now += 29.0
        assert value.get(soon(), max_age_s=30.0) is first
        clock.now += 2.0
        second = value.get(soon(), max_age_s=30.0)
        assert second == ["second"]
        value.drop(first)
        assert value.get(soon()) is second
        value.drop(second)
        with pytest.raises(StopIteration):
            value.get(soon())

    @pytest.mark.parametrize("result", ["made", ValueError("no")])
    def test_threads_that_wait_share_what_comes_of_it(
        self, result: object, making: Making, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Eight ask, one makes: a wrong password is tried once."""
        joined = threading.Semaphore(0)

        class Watched(Future[object]):
            def result(self, timeout: float | None = None) -> object:
                joined.release()
                return super().result(timeout)

        monkeypatch.setattr(singleflight, "Future", Watched)
        value = ThreadSingleflight(making)
        making.results = [result]
        asking = [threads.submit(value.get, soon()) for _ in range(8)]
        for _ in range(7):
            assert joined.acquire(timeout=5.0)
        making.leave.release()
        assert [one.exception() or one.result() for one in asking] == [result] * 8

    def test_a_failure_is_not_kept(self, making: Making) -> None:
        """It is told to its caller; the next one tries again."""
        value = ThreadSingleflight(making)
        making.results = [ValueError("once"), "made"]
        making.leave.release(2)
        with pytest.raises(ValueError, match="once"):
            value.get(soon())
        assert value.get(soon()) == "made"

    def test_nobody_waits_beyond_his_deadline(self, making: Making, threads: ThreadPoolExecutor) -> None:
        """And the thread that makes the value goes on."""
        value = ThreadSingleflight(making)
        making.results = ["made"]
        maker = threads.submit(value.get, soon())
        assert making.entered.acquire(timeout=5.0)
        with pytest.raises(TimeoutError):
            value.get(time.monotonic() + 0.05)
        making.leave.release()
        assert maker.result() == "made"
        assert value.get(time.monotonic()) == "made"
