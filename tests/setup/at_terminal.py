"""A person at a pseudo-terminal: reads what a process writes, and types."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.command_line import CommandServer, Process, environment_of_a_command, strict_python

PATIENCE = 30.0
"""Seconds for the next question to come."""

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", ""


class NotSeen(AssertionError):
    """The process did not write this in time. The text is what it wrote."""


class AtTerminal:
    """One process whose terminal we hold. shown: all that it wrote, as a person would see it."""

    def __init__(self, process: Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._written = asyncio.Event()
        self._read = 0
        self.shown = ""
        asyncio.get_running_loop().add_reader(descriptor, self._more)

    def _more(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # so Linux says that the other end is closed
            data = b""
        if data:
            self.shown += data.decode(errors="replace").replace("\r\n", "\n")
        else:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self._written.set()

    async def sees(self, words: str) -> str:
        """Wait until it writes this, after what was seen before; what stands between."""
        try:
            async with asyncio.timeout(PATIENCE):
                while (place := self.shown.find(words, self._read)) < 0:
                    self._written.clear()
                    await self._written.wait()
        except TimeoutError:
            raise NotSeen(f"not seen: {words!r}; so far:\n{self.shown}") from None
        between = self.shown[self._read : place]
        self._read = place + len(words)
        return between

    async def answers(self, question: str, text: str) -> str:
        """Wait for the question, and type the answer and Enter; what was written before the question."""
        before = await self.sees(question)
        await self.sees(": ")
        await asyncio.sleep(0.05)  # the terminal's echo is switched off just before or after it is written
        os.write(self._descriptor, f"{text}\n".encode())
        return before

    async def presses(self, question: str, keys: str) -> None:
        """Wait for the question, and press keys without Enter."""
        await self.sees(question)
        await self.sees(": ")
        await asyncio.sleep(0.05)
        os.write(self._descriptor, keys.encode())

    def types(self, keys: str) -> None:
        """Press keys, whatever is shown."""
        os.write(self._descriptor, keys.encode())

    async def ends(self) -> int:
        """Wait for its end; its exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self._process.wait()
        await asyncio.sleep(0.05)
        return code

    def lines(self) -> list[str]:
        """What it wrote, line by line."""
        return re.split(r"[\r\n]+", self.shown.strip())

    async def close(self) -> None:
        """End what still runs."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)


@asynccontextmanager
async def at_terminal(
    server: CommandServer | None, folder: Path, *arguments: str, **variables: str
) -> AsyncIterator[AtTerminal]:
    """Start `python -m bot` with a terminal of its own; without a server it loads everything itself."""
    ours, theirs = os.openpty()
    environment = environment_of_a_command({"TERM": "dumb", **variables})
    process: Process
    try:
        if server is None:
            process = await asyncio.create_subprocess_exec(
                *strict_python("-m", "bot", *arguments),
                cwd=folder,
                env=environment,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                preexec_fn=_take_terminal,
            )
        else:
            process = await server.start(arguments, folder=folder, environment=environment, terminal=theirs)
    finally:
        os.close(theirs)
    person = AtTerminal(process, ours)
    try:
        yield person
    finally:
        await person.close()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
