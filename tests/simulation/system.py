"""Puts the simulation in the place of the operating system, for this whole process and for good.

The names that programs reach it by are bound anew wherever they were bound, in the bot and in all libraries.
So every reading of a clock is caught, also one that is written tomorrow, and the bot needs no door for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import fcntl
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, TypeVar

import aiohappyeyeballs
import aiosqlite
import urllib3.connection
import urllib3.util.connection

from tests.simulation import prepared
from tests.simulation.disk import Disk, FileLocks, LoopConnection
from tests.simulation.entropy import Entropy
from tests.simulation.loop import SimulatedLoop
from tests.simulation.machine import CURRENT
from tests.simulation.network import Address, End, Listener, Named, Network
from tests.simulation.threads import Executor, ThreadSocket, connector, result_of

T = TypeVar("T")

BEGINNING = datetime(2026, 3, 2, 7, 15, tzinfo=UTC).timestamp()
"""True time when a history begins: most see a morning come, on which what waits for it is sent."""

_UPTIME = 1000.0
"""Seconds that the clocks which nobody sets show by then: no program starts with the machine."""


class Loop(SimulatedLoop):
    """The loop, with what programs ask the system for by way of it: connections and threads."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.outside = random.Random(f"outside {seed}")
        self.network = Network(self)
        self.disk = Disk()
        self.locks = FileLocks()

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], host: str | None = None, port: int = 0, **given: Any
    ) -> Listener:
        """Listen."""
        listening = given.get("sock")
        address = listening.getsockname() if listening else (host or "", port or self.network.free_port())
        return self.network.listen(protocol_factory, address)

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], Any], *_: Any, sock: End, **__: Any
    ) -> tuple[End, Any]:
        """Take up a connection that was made by `start_connection`."""
        protocol = protocol_factory()
        stands = self.create_future()
        sock.serve(protocol, stands)
        await stands
        return sock, protocol

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """In a thread of its own."""
        job = (executor or Executor(1)).submit(func, *args)
        return asyncio.wrap_future(job, loop=self)


def running_loop() -> Loop | None:
    """The loop of the history that is being played."""
    loop = asyncio._get_running_loop()
    return loop if isinstance(loop, Loop) else None


def install(entropy: Entropy) -> None:
    """From now on this process has simulated clocks, network, entropy, threads and disk, and no others.

    All that binds a clock must have been loaded. Outside of a history the clocks are real.
    """
    _bind_anew(_clocks())
    prepared.install()
    entropy.source = _entropy(entropy.source)
    os.getpid = lambda: 4711
    socket.gethostname = _hostname
    socket.create_server = _create_server  # type: ignore[assignment]
    fcntl.flock = _flock  # type: ignore[assignment]
    aiohappyeyeballs.start_connection = _start_connection  # type: ignore[assignment]
    aiosqlite.connect = _connect_sqlite
    urllib3.util.connection.create_connection = _create_connection  # type: ignore[assignment]
    urllib3.connection.wait_for_read = _wait_for_read  # type: ignore[assignment,attr-defined]
    concurrent.futures.Future.result = result_of(concurrent.futures.Future.result)  # type: ignore[method-assign,assignment]


def _bind_anew(table: dict[int, Any]) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("asyncio", "pytest", "_pytest", "datetime"):
            continue
        for bound, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in table and (name.startswith("bot") or value is not datetime):
                setattr(module, bound, table[id(value)])


def _clocks() -> dict[int, Any]:
    wall, monotonic, read = time.time, time.monotonic, time.clock_gettime

    def simulated_wall() -> float:
        if (loop := running_loop()) is None:
            return wall()
        machine = CURRENT.get()
        return BEGINNING + loop.now + (machine.ahead if machine is not None else 0.0)

    def simulated_monotonic() -> float:
        return monotonic() if (loop := running_loop()) is None else _UPTIME + loop.time()

    def simulated_read(clock: int) -> float:
        if (loop := running_loop()) is None:
            return read(clock)
        if clock == time.CLOCK_REALTIME:
            return simulated_wall()
        machine = CURRENT.get()
        if clock == time.CLOCK_BOOTTIME and machine is not None:
            return _UPTIME + machine.since_boot(loop.now)
        return simulated_monotonic()

    class AnyDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class Datetime(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=simulated_wall())
            return moment.astimezone(tz) if tz is not None else moment.replace(tzinfo=None)

    return {
        id(time.time): simulated_wall,
        id(time.monotonic): simulated_monotonic,
        id(time.perf_counter): simulated_monotonic,
        id(time.clock_gettime): simulated_read,
        id(time.time_ns): lambda: int(simulated_wall() * 1e9),
        id(time.monotonic_ns): lambda: int(simulated_monotonic() * 1e9),
        id(time.perf_counter_ns): lambda: int(simulated_monotonic() * 1e9),
        id(time.clock_gettime_ns): lambda clock: int(simulated_read(clock) * 1e9),
        id(datetime): Datetime,
        id(concurrent.futures.ThreadPoolExecutor): Executor,
    }


_real_wait_for_read = urllib3.connection.wait_for_read  # type: ignore[attr-defined]


def _entropy(before: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def source(size: int) -> bytes:
        loop, machine = running_loop(), CURRENT.get()
        if loop is None:
            return before(size)
        return (machine.random if machine is not None else loop.outside).randbytes(size)

    return source


def _hostname() -> str:
    machine = CURRENT.get()
    return machine.name if machine is not None else "outside"


def _the_loop() -> Loop:
    loop = running_loop()
    assert loop is not None, "bug: outside of a history there is no system"
    return loop


def _create_server(address: Address, **_: Any) -> Named:
    host, port = address
    return Named((host, port or _the_loop().network.free_port()))


def _flock(descriptor: int, operation: int) -> None:
    _the_loop().locks.flock(descriptor, operation)


async def _start_connection(addr_infos: Any, **_: Any) -> End:
    return await _the_loop().network.connect(addr_infos[0][4][:2])


def _connect_sqlite(database: str | Path, **given: Any) -> LoopConnection:
    import sqlite3

    given.pop("iter_chunk_size", None)
    return LoopConnection(lambda: sqlite3.connect(database, **given), _the_loop().disk)


def _create_connection(*args: Any, **given: Any) -> ThreadSocket:
    return connector(_the_loop().network)(*args, **given)


def _wait_for_read(waited_for: Any, timeout: float | None = None) -> bool:
    if isinstance(waited_for, ThreadSocket):
        return waited_for.readable
    return bool(_real_wait_for_read(waited_for, timeout))


def context_of(machine: Any) -> contextvars.Context:
    """A context for a program that is started on that machine."""
    context = contextvars.Context()
    context.run(CURRENT.set, machine)
    return context
