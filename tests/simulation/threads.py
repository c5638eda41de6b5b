"""Threads that run in the loop: each runs until it waits for something, and goes on when that has come.

They are greenlets, which SQLAlchemy stands on as well. Between two things that a thread waits for, nothing
else runs; where it waits, anything may.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import io
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import greenlet

from tests.simulation.loop import SimulatedLoop
from tests.simulation.machine import CURRENT
from tests.simulation.network import Address, End, Network

T = TypeVar("T")

TO_BEGIN_S = 0.002
"""Seconds until a thread takes up what it was given, at most."""


class Thread(greenlet.greenlet):  # type: ignore[misc]
    """One piece of work."""

    def __init__(self, loop: SimulatedLoop, work: Callable[[], None]) -> None:
        super().__init__(work)
        self.loop = loop
        # A thread knows nothing of who started it but the machine that it runs on.
        self._turns = contextvars.Context()
        self._turns.run(CURRENT.set, CURRENT.get())
        self.gr_context = self._turns.copy()

    def go(self) -> None:
        """Have its turn soon."""
        self.loop.call_soon(self.switch, context=self._turns)

    def wait(self, something: asyncio.Future[T], timeout: float | None = None) -> T:
        """Wait, in the thread itself. Raises TimeoutError."""
        timer = None
        if timeout is not None:

            def late() -> None:
                if not something.done():
                    something.set_exception(TimeoutError("timed out"))

            timer = self.loop.call_at(self.loop.time() + timeout, late, context=self._turns)
        something.add_done_callback(lambda _: self.go(), context=self._turns)
        assert self.parent is not None
        self.parent.switch()
        if timer is not None:
            timer.cancel()
        return something.result()


def this_thread() -> Thread | None:
    """The simulated thread that runs this; None in the loop."""
    current = greenlet.getcurrent()
    return current if isinstance(current, Thread) else None


class Executor(concurrent.futures.Executor):
    """What takes the place of ThreadPoolExecutor."""

    def __init__(self, max_workers: int | None = None, *_: object, **__: object) -> None:
        self._free = max_workers or 8
        self._queue: deque[tuple[concurrent.futures.Future[Any], Callable[[], Any]]] = deque()
        self._closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Have it done by a thread that is free, or will be."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        job: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._queue.append((job, lambda: fn(*args, **kwargs)))
        self._next()
        return job

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more."""
        self._closed = True
        if cancel_futures:
            while self._queue:
                self._queue.popleft()[0].cancel()

    def _next(self) -> None:
        if self._free <= 0 or not self._queue:
            return
        self._free -= 1
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        thread = Thread(loop, self._work)
        loop.call_at(loop.time() + loop.random.uniform(0, TO_BEGIN_S), thread.switch, context=thread._turns)

    def _work(self) -> None:
        while self._queue:
            job, work = self._queue.popleft()
            if job.set_running_or_notify_cancel():
                try:
                    result = work()
                except BaseException as error:  # noqa: BLE001 -- told to whoever waits
                    job.set_exception(error)
                else:
                    job.set_result(result)
        self._free += 1


def result_of(
    original: Callable[..., Any],
) -> Callable[[concurrent.futures.Future[Any], float | None], Any]:
    """`Future.result` for threads that run in the loop: others must be able to run, or it never comes."""

    def result(job: concurrent.futures.Future[Any], timeout: float | None = None) -> Any:
        thread = this_thread()
        if thread is not None and not job.done():
            done: asyncio.Future[None] = thread.loop.create_future()

            def ended(_: object) -> None:
                if not done.done():
                    done.set_result(None)

            job.add_done_callback(ended)
            thread.wait(done, timeout)
        return original(job, 0)

    return result


class ThreadSocket:
    """A socket as a thread uses it: every call waits."""

    def __init__(self, thread: Thread, end: End, timeout: float | None) -> None:
        self._thread = thread
        self._end = end
        self._timeout = timeout
        self._came = bytearray()
        self._no_more = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        end.serve(self)

    # What the connection tells its program

    def connection_made(self, transport: object) -> None:
        """It stands already."""

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self._came += data
        self._wake()

    def eof_received(self) -> bool:
        """Nothing more comes; what was not read yet still can be."""
        self._no_more = True
        self._wake()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._no_more, self._error = True, error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # What the thread does with it

    def settimeout(self, timeout: float | None) -> None:
        """Seconds that a call may take from now on."""
        self._timeout = timeout

    def setsockopt(self, *_: object) -> None:
        """There is nothing to tune."""

    def sendall(self, data: Any) -> None:
        """Send; raises where the connection is known to be gone."""
        if self._error is not None or self._end.is_closing():
            raise BrokenPipeError(32, "Broken pipe")
        self._end.write(data)

    send = sendall

    def receive(self, room: Any) -> int:
        """Wait for bytes; none is the end."""
        while not self._came:
            if self._error is not None:
                raise self._error
            if self._no_more:
                return 0
            if self._timeout is not None and self._timeout <= 0:
                raise TimeoutError("timed out")
            thread = this_thread()
            assert thread is not None, "bug: a socket of a thread is read in one"
            self._reader = thread.loop.create_future()
            thread.wait(self._reader, self._timeout)
        length = min(len(room), len(self._came))
        room[:length] = self._came[:length]
        del self._came[:length]
        return length

    @property
    def readable(self) -> bool:
        """Whether a read would not wait."""
        return bool(self._came) or self._no_more

    def makefile(self, mode: str, buffering: int = -1) -> Any:
        """To read from it."""
        raw = _Reader(self)
        return raw if buffering == 0 else io.BufferedReader(raw)

    def shutdown(self, _how: int) -> None:
        """As close."""
        self._end.close()

    def close(self) -> None:
        """Let go of it."""
        self._end.close()


class _Reader(io.RawIOBase):
    def __init__(self, socket: ThreadSocket) -> None:
        self._socket = socket

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        return self._socket.receive(room)


def connector(network: Network) -> Callable[..., ThreadSocket]:
    """What takes the place of `socket.create_connection` in a thread."""

    def create_connection(
        address: Address, timeout: Any = None, source_address: object = None, socket_options: object = None
    ) -> ThreadSocket:
        thread = this_thread()
        assert thread is not None, "bug: only a thread may wait for a connection"
        seconds = timeout if isinstance(timeout, int | float) else None
        try:
            end = thread.wait(network.connect(address), seconds)
        except TimeoutError:
            raise socket.timeout("timed out") from None  # noqa: UP041 -- by the name that callers know
        return ThreadSocket(thread, end, seconds)

    return create_connection
