"""A wire to PostgreSQL that loses what is said about a COMMIT, as a failover or a firewall does."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from tests.postgresql import Databases

Loss = Literal["before", "after", "held"]
"""before: the COMMIT does not arrive. after: it does, and its answer is lost. held: it arrives late."""

_COMMIT = re.compile(rb"COMMIT(?!TED)")
"""Not BEGIN ISOLATION LEVEL READ COMMITTED, which the driver says where a connection only read before."""


class CommitWire:
    """Passes everything on; see `lose`."""

    def __init__(self, databases: Databases) -> None:
        self._socket = str(databases.socket)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loss: tuple[Loss, bytes, bool] | None = None
        self._release = asyncio.Event()
        self.port = 0
        self.lost = asyncio.Event()

    def lose(self, loss: Loss, marker: str, *, and_all: bool = False) -> None:
        """Cut the connection at the next COMMIT of a transaction in which this word was sent.

        and_all: nobody can connect from then on, until `heal`.
        """
        self._loss = loss, marker.encode(), and_all
        self.lost.clear()
        self._release.clear()

    def release(self) -> None:
        """Let the COMMIT through that was held."""
        self._release.set()

    async def heal(self) -> None:
        """Take connections again."""
        await self._open()

    def behind(self, url: str) -> str:
        """The LEDGER_URL that leads over this wire."""
        return url.partition("?")[0].replace("@/", f"@127.0.0.1:{self.port}/")

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket)
        answers = asyncio.create_task(_pass_on(server_reader, writer))
        try:
            await self._pass_on(reader, server_reader, server_writer, answers, writer)
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            writer.transport.abort()
            server_writer.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        server_reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        answers: asyncio.Task[None],
        client: asyncio.StreamWriter,
    ) -> None:
        said = b""
        while data := await reader.read(65536):
            said = data if b"BEGIN" in data else said + data
            if _COMMIT.search(data):
                if self._loss is not None and self._loss[1] in said:
                    loss, _, and_all = self._loss
                    self._loss = None
                    if and_all and self._server is not None:
                        self._server.close()
                    answers.cancel()
                    await asyncio.wait({answers})
                    await self._lost(loss, data, server_reader, server, client)
                    return
                said = b""
            server.write(data)
            await server.drain()

    async def _lost(
        self,
        loss: Loss,
        commit: bytes,
        server_reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        if loss == "after":
            server.write(commit)
            await server_reader.read(65536)
        client.transport.abort()
        self.lost.set()
        if loss == "held":
            await self._release.wait()
            server.write(commit)
            await server_reader.read(65536)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def open(self) -> None:
        """Listen."""
        await self._open()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()


@asynccontextmanager
async def commit_wire(databases: Databases) -> AsyncIterator[CommitWire]:
    """Have such a wire for the block."""
    wire = CommitWire(databases)
    await wire.open()
    try:
        yield wire
    finally:
        await wire.close()
