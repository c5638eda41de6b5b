"""Connections that behave as TCP promises, and no better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.simulation.machine import Machine
from tests.simulation.network import End, Weather
from tests.simulation.system import Loop, context_of
from tests.simulation.test_loop import play
from tests.simulation.threads import Executor, connector

PORT = 80


class Program:
    """What one side of a connection was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """The connection stands."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.told.append(data)

    def eof_received(self) -> bool:
        """The other side has said all."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self.told.append(error)


def talking(talk: Callable[[Loop, Program, Program], Coroutine[Any, Any, None]], **weather: Any) -> None:
    """Let two programs be connected. weather: on the way between them."""

    async def connected() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        server, client = Program(), Program()
        await loop.create_server(lambda: server, "127.0.0.1", PORT)
        end = await loop.network.connect(("127.0.0.1", PORT))
        await loop.create_connection(lambda: client, sock=end)
        loop.network.weathers[PORT] = Weather(**weather)
        await talk(loop, server, client)

    play(connected())


def test_bytes_arrive_once_and_in_order_however_late_some_of_them_are() -> None:
    """Delays reorder connections, and never what one of them carries."""

    async def talk(_loop: Loop, server: Program, client: Program) -> None:
        for number in range(50):
            client.transport.write(bytes([number]))
            await asyncio.sleep(0.1)
        client.transport.close()
        await asyncio.sleep(60)
        assert server.told == [*(bytes([number]) for number in range(50)), None]
        assert client.told == [None]

    talking(talk, stalls=0.3, stall=2.0)


def test_a_connection_breaks_for_both_and_carries_nothing_more() -> None:
    """What was under way may have come; the break is told to each side once."""

    async def talk(_loop: Loop, server: Program, client: Program) -> None:
        client.transport.write(b"pay")
        await asyncio.sleep(1)
        assert [type(one) for one in (*server.told, *client.told)] == [ConnectionResetError] * 2

    talking(talk, breaks=1.0)


def test_a_network_that_is_cut_says_nothing_and_delivers_when_it_is_whole() -> None:
    """No error and no bytes: whoever waits has to give up by itself."""

    async def talk(loop: Loop, server: Program, client: Program) -> None:
        client.transport.write(b"pay")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.network.connect(("127.0.0.1", PORT)), 100)
        assert server.told == client.told == []
        loop.network.weather(PORT).cut = False
        await asyncio.sleep(5)
        assert server.told == [b"pay"]

    talking(talk, cut=True)


def test_a_crashed_process_is_gone_from_the_network() -> None:
    """Its connections break, and nobody listens at its address."""

    async def crash() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        machine, client = Machine("one", 1), Program()
        serving = loop.create_server(Program, "127.0.0.1", PORT)
        await loop.create_task(serving, context=context_of(machine))
        end = await loop.network.connect(("127.0.0.1", PORT))
        await loop.create_connection(lambda: client, sock=end)
        machine.crash()
        await asyncio.sleep(1)
        assert [type(one) for one in client.told] == [ConnectionResetError]
        with pytest.raises(ConnectionRefusedError):
            await loop.network.connect(("127.0.0.1", PORT))

    play(crash())


def test_a_thread_talks_over_a_socket_and_its_time_out_is_virtual() -> None:
    """A read waits for bytes while everything else goes on, and no longer than it may."""

    class Echo(Program):
        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        await loop.create_server(Echo, "127.0.0.1", PORT)

        def work() -> tuple[bytes, float]:
            sock = connector(loop.network)(("127.0.0.1", PORT), 5)
            assert isinstance(sock._end, End)
            sock.sendall(b"hello")
            room = bytearray(5)
            sock.makefile("rb", buffering=0).readinto(room)
            with pytest.raises(TimeoutError):
                sock.receive(room)
            return bytes(room), loop.now

        said, ended = await asyncio.wrap_future(Executor(1).submit(work))
        assert said == b"hello"
        assert 5 < ended < 6

    play(talk())
