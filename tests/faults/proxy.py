"""A proxy that can be cut: a TCP port in front of a server that goes on living."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to the server behind the proxy."""


class Proxy:
    """Passes everything on, until it is cut or frozen.

    cut: connections are reset, and new ones refused, as when the server is gone. frozen: nothing is
    passed on and nobody is told, as when the network is gone; new connections are taken all the same.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = 0

    async def open(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset every connection and refuse new ones, until `open`."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Pass nothing on until `thaw`."""
        self._flows.clear()

    def thaw(self) -> None:
        """Go on, with what was held back."""
        self._flows.set()

    def forget(self) -> None:
        """Leave the connections of now frozen for ever, and let new ones work."""
        self._flows = asyncio.Event()
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flows = self._flows
        try:
            await flows.wait()
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, server_writer}
        for source, target in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(_pass_on(source, target, flows))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    try:
        while data := await source.read(65536):
            await flows.wait()
            target.write(data)
            await target.drain()
    except ConnectionError:
        target.transport.abort()
    finally:
        with contextlib.suppress(RuntimeError):
            target.close()


@asynccontextmanager
async def open_proxy(connect: Connect) -> AsyncIterator[Proxy]:
    """Have a proxy for the block."""
    proxy = Proxy(connect)
    await proxy.open()
    try:
        yield proxy
    finally:
        proxy.thaw()
        await proxy.cut()
