"""A relay before the local billing API: it sees connections, can break them, and can speak TLS."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from bot.sandbox.local_billing import LocalBilling


class Relay:
    """Passes bytes on, and puts its own port in place of the API's in what comes back.

    connections: how many were opened to it. reset_reused: reset a connection on which a second
    request arrives, as a server does that closed it for being idle at that moment.
    """

    def __init__(self, api: LocalBilling, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.reset_reused = False
        self.port = 0
        self._behind = urlsplit(api.wsdl_url).port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def wsdl_url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/api.php?wsdl"

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        answered = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._forth(reader, writer, behind_writer, answered))
                pumps.create_task(self._back(behind_reader, writer, answered))
        except* OSError:
            pass  # either side went away
        finally:
            behind_writer.transport.abort()
            writer.transport.abort()

    async def _forth(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        behind: asyncio.StreamWriter,
        answered: asyncio.Event,
    ) -> None:
        while data := await reader.read(65536):
            if self.reset_reused and answered.is_set():
                writer.transport.abort()
                break
            behind.write(data)
        behind.transport.abort()

    async def _back(
        self, behind: asyncio.StreamReader, writer: asyncio.StreamWriter, answered: asyncio.Event
    ) -> None:
        old, new = f"127.0.0.1:{self._behind}".encode(), f"127.0.0.1:{self.port}".encode()
        assert len(old) == len(new)  # so that Content-Length stays true
        held = b""
        while data := await behind.read(65536):
            data = (held + data).replace(old, new)
            held = next((old[:n] for n in range(len(old), 0, -1) if data.endswith(old[:n])), b"")
            writer.write(data.removesuffix(held))
            answered.set()
        writer.close()
