"""Connections between programs of one loop: bytes that take time, connections that break or say nothing more.

What TCP promises holds: bytes arrive in order and once, or the connection breaks. All else is drawn.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.loop import SimulatedLoop
from tests.simulation.machine import CURRENT, Machine

Address = tuple[str, int]


@dataclass(slots=True)
class Weather:
    """How the network is. quick, slow: the least and the most seconds that bytes are under way, mostly.

    stalls: the share of writes that are late by up to `stall` seconds. breaks: the share of writes at which
    the connection breaks instead. cut: nothing gets through, and nobody is told. refuses: nobody connects
    anew.
    """

    quick: float = 0.0002
    slow: float = 0.002
    stalls: float = 0.0
    stall: float = 3.0
    breaks: float = 0.0
    cut: bool = False
    refuses: bool = False


class Network:
    """All there is between the machines and the services. weathers: by the port of the service."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self.loop = loop
        self.weathers: dict[int, Weather] = {}
        self._listening: dict[int, Listener] = {}
        self._ports = itertools.count(40001)

    def free_port(self) -> int:
        """A port that nobody has."""
        return next(self._ports)

    def weather(self, port: int) -> Weather:
        """How it is on the way to a service."""
        return self.weathers.setdefault(port, Weather())

    def listen(self, factory: Callable[[], Any], address: Address) -> Listener:
        """Take connections at that address."""
        listener = Listener(self, factory, address)
        self._listening[address[1]] = listener
        return listener

    def closed(self, listener: Listener) -> None:
        """Nobody listens there any more."""
        if self._listening.get(listener.port) is listener:
            del self._listening[listener.port]

    def connect(self, address: Address) -> asyncio.Future[End]:
        """Connect; ConnectionRefusedError where nobody listens, and no answer where the network is cut."""
        answer: asyncio.Future[End] = self.loop.create_future()
        port = address[1]
        weather = self.weather(port)
        if not weather.cut:
            self.loop.call_later(2 * self.under_way(port), self._arrived, port, CURRENT.get(), answer)
        return answer

    def _arrived(self, port: int, machine: Machine | None, answer: asyncio.Future[End]) -> None:
        if answer.done():
            return
        listener = self._listening.get(port)
        if listener is None or self.weather(port).refuses:
            answer.set_exception(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
            return
        client = End(self, port, machine)
        server = End(self, port, listener.machine)
        client.peer, server.peer = server, client
        listener.context.copy().run(server.serve, listener.factory())
        answer.set_result(client)

    def under_way(self, port: int) -> float:
        """Seconds that bytes take now."""
        weather, chance = self.weather(port), self.loop.random
        seconds = chance.uniform(weather.quick, weather.slow)
        return seconds + chance.uniform(0, weather.stall) if chance.random() < weather.stalls else seconds


class Listener(asyncio.AbstractServer):
    """A server socket with its program."""

    def __init__(self, network: Network, factory: Callable[[], Any], address: Address) -> None:
        self._network = network
        self.factory = factory
        self.port = address[1]
        self.machine = CURRENT.get()
        self.context = contextvars.copy_context()
        self.sockets = (Named(address),)
        if self.machine is not None:
            self.machine.at_crash[self.close] = None

    def close(self) -> None:
        """Take no connection any more."""
        self._network.closed(self)

    async def wait_closed(self) -> None:
        """It is closed at once."""

    def is_serving(self) -> bool:
        """Whether it was not closed."""
        return self._network._listening.get(self.port) is self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._network.loop

    async def start_serving(self) -> None:
        """It does from the beginning."""

    async def serve_forever(self) -> None:
        """Wait until somebody cancels it."""
        await self._network.loop.create_future()


class Named:
    """All that is asked of a listening socket: its name."""

    family = 2

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        """Host and port."""
        return self._address

    def close(self) -> None:
        """There is nothing to let go of."""


class End(asyncio.Transport):
    """One end of a connection: a transport for a protocol of asyncio, or for a thread's socket.

    What its program is given, it is given in the context that the program took it up in.
    """

    peer: End

    def __init__(self, network: Network, port: int, machine: Machine | None) -> None:
        super().__init__()
        self._network = network
        self._loop = network.loop
        self._port = port
        self._machine = machine
        self._protocol: Any = None
        self._context = contextvars.copy_context()
        self._closing = self._over = self._paused = False
        self._waiting: list[bytes | None] = []
        self._under_way: deque[bytes | None] = deque()
        self._told: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._next = 0.0
        if machine is not None:
            machine.at_crash[self._crashed] = None

    def serve(self, protocol: Any, stands: asyncio.Future[None] | None = None) -> None:
        """Be this protocol's transport from now on. stands: told when it knows of it."""
        self._context = contextvars.copy_context()
        self._protocol = protocol
        self._soon(protocol.connection_made, self)
        if stands is not None:
            self._soon(_done, stands)
        self.resume_reading()

    # What a transport can be asked and told

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Both ends are on this machine."""
        return ("127.0.0.1", self._port) if name in ("peername", "sockname") else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another one takes over."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told what comes."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        """Whether it was closed here, or broke."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether its program takes what comes."""
        return not self._paused

    def pause_reading(self) -> None:
        """Keep what comes."""
        self._paused = True

    def resume_reading(self) -> None:
        """Hand over what came."""
        self._paused = False
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._soon(self._received, data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Whatever is written is under way at once."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def can_write_eof(self) -> bool:
        """Nobody here needs it."""
        return False

    def write(self, data: Any) -> None:
        """Send; the connection may break at it."""
        if self._closing:
            return
        if self._loop.random.random() < self._weather.breaks:
            self.abort()
            return
        self._send(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        """Send as one."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Say that nothing more comes, and take nothing more."""
        if not self._closing:
            self._closing = True
            self._send(None)
            self._soon(self._lost, None)

    def abort(self) -> None:
        """Break the connection for both."""
        if not self._closing:
            self._closing = True
            self._soon(self._lost, _reset())
            self._break_peer()

    # Under way

    @property
    def _weather(self) -> Weather:
        return self._network.weather(self._port)

    def _send(self, data: bytes | None) -> None:
        """None: nothing more comes."""
        self._next = max(self._next, self._loop.now + self._network.under_way(self._port))
        self.peer._under_way.append(data)
        self._loop.at(self._next, self.peer._arrives, context=self.peer._context)

    def _arrives(self) -> None:
        """The next that is under way comes; where the network is cut, as soon as it is whole again."""
        if self._weather.cut:
            self._loop.at(self._loop.now + 1.0, self._arrives, context=self._context)
        else:
            self._told.append((self._received, (self._under_way.popleft(),)))
            self._tell()

    def _break_peer(self) -> None:
        at = self._loop.now + self._network.under_way(self._port)
        self._loop.at(at, self.peer._breaks, context=self.peer._context)

    def _breaks(self) -> None:
        self._told.append((self._lost, (_reset(),)))
        self._tell()

    def _soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._told.append((callback, args))
        self._loop.call_soon(self._tell, context=self._context)

    def _tell(self) -> None:
        """Tell the program all that there is to tell, in the order in which it happened."""
        while self._told:
            callback, args = self._told.popleft()
            callback(*args)

    def _received(self, data: bytes | None) -> None:
        if self._over:
            return
        if self._paused or self._protocol is None:
            self._waiting.append(data)
            return
        self._loop.note(data if data is not None else "eof")
        if data is not None:
            if not self._closing:
                self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self._closing = True
            self._lost(None)

    def _lost(self, error: Exception | None) -> None:
        if self._over:
            return
        self._over = self._closing = True
        if self._machine is not None:
            self._machine.at_crash.pop(self._crashed, None)
        if self._protocol is not None:
            self._protocol.connection_lost(error)

    def _crashed(self) -> None:
        """The process is gone; the kernel says so to the other side."""
        if not self._closing:
            self._closing = self._over = True
            self._break_peer()


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


def _done(stands: asyncio.Future[None]) -> None:
    if not stands.done():
        stands.set_result(None)
