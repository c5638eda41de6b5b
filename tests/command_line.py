"""`python -m bot`, with nothing of this machine's environment and no .env: as a process, or in this one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from click.testing import CliRunner

from bot.__main__ import main
from bot.config import VARIABLES

ROOT = Path(__file__).parents[1]

WITHOUT_SETTINGS = ("sandbox", "manifest", "deploy", "move-ledger")
"""The commands that read no settings."""

LONGEST = 45.0
"""Seconds after which a process hangs; most end in one or two."""

CUT_OFF = (
    *("-W", "ignore:unclosed transport:ResourceWarning"),
    *("-W", "ignore:unclosed <socket:ResourceWarning"),
)
"""Who connects to a server just as it closes is let in by asyncio, and then forgotten."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left behind."""

    code: int
    out: str
    err: str


async def invoke(name: str, *arguments: str, **variables: str) -> Ended:
    """Run a command in this process, with these environment variables.

    That takes a tenth of the time, and is for commands that leave logging and signals as they are.
    """
    settings = ["--env-file", os.devnull] if name not in WITHOUT_SETTINGS else []
    done = await asyncio.to_thread(
        CliRunner().invoke,
        main,
        [name, *settings, *arguments],
        env=dict.fromkeys(VARIABLES) | variables,
        catch_exceptions=False,
    )
    return Ended(done.exit_code, done.stdout, done.stderr)


def strict_python(*arguments: str) -> list[str]:
    """A Python that takes no warning."""
    return [sys.executable, "-W", "error", *CUT_OFF, *arguments]


class Process(Protocol):
    """What a test does with a process; asyncio's own are such."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def returncode(self) -> int | None:
        """Its exit code once it has ended; negative for a signal."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """What it writes; None where it writes to a terminal."""

    async def wait(self) -> int:
        """Wait for its end; its exit code."""

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its end; what it wrote to either output since it was last read."""

    def send_signal(self, signal: int) -> None:
        """Send it a signal, if it still runs."""

    def terminate(self) -> None:
        """Ask it to stop."""

    def kill(self) -> None:
        """End it."""


class Forked:
    """A process of the command server's; see `Process`."""

    def __init__(
        self,
        told: asyncio.StreamReader,
        pid: int,
        stdout: asyncio.StreamReader | None,
        stderr: asyncio.StreamReader | None,
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout = stdout
        self._stderr = stderr
        self._ended = asyncio.create_task(self._watch(told))

    async def _watch(self, told: asyncio.StreamReader) -> int:
        code = int(await told.readline())
        await told.read()  # to its end, which closes it
        self.returncode = code
        return code

    async def wait(self) -> int:
        """Wait for its end."""
        return await asyncio.shield(self._ended)

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its end, and for that of its output."""
        outputs = [one.read() for one in (self.stdout, self._stderr) if one is not None]
        out, err = await asyncio.gather(*outputs) if outputs else (b"", b"")
        await self.wait()
        return out, err

    def send_signal(self, signal: int) -> None:
        """Send it a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, signal)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class CommandServer:
    """Runs `python -m bot` without loading it anew; see `tests/command_server.py`."""

    def __init__(self, asking: socket.socket) -> None:
        self._asking = asking

    async def start(
        self,
        arguments: tuple[str, ...],
        *,
        folder: Path,
        environment: Mapping[str, str],
        program: str | None = None,
        terminal: int | None = None,
    ) -> Forked:
        """Start one. program: what is executed in place of it. terminal: its own, in place of pipes."""
        asked = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(environment),
            "program": program,
            "terminal": terminal is not None,
        }
        begun, told = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        theirs = [nothing, nothing, nothing] if terminal is None else [terminal] * 3
        ours: list[asyncio.StreamReader] = []
        pipes = [told]
        if terminal is None:
            for number in (1, 2):
                read, theirs[number] = os.pipe()
                pipes.append(theirs[number])
                ours.append(await _reader(read))
        watched = await _reader(begun)
        socket.send_fds(self._asking, [json.dumps(asked).encode()], [*theirs, told])
        for one in (nothing, *pipes):
            os.close(one)
        pid = int(await watched.readline())
        return Forked(watched, pid, *(ours or (None, None)))


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb"))
    return reader


@contextmanager
def command_server_running() -> Iterator[CommandServer]:
    """Have one; whatever it runs in the end is killed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            server = subprocess.Popen(
                strict_python("-m", "tests.command_server", str(theirs.fileno())),
                cwd=ROOT,
                env=environment_of_a_command({}),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        yield CommandServer(ours)
    server.wait()


def environment_of_a_command(variables: Mapping[str, str]) -> dict[str, str]:
    """Nothing but what it takes to run, and these."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}


class CommandLine:
    """Runs the bot's commands as processes. folder: where they run."""

    def __init__(self, folder: Path, server: CommandServer) -> None:
        self._folder = folder
        self._server = server
        self._started: list[Process] = []

    async def __call__(self, *arguments: str, before: str | None = None, **variables: str) -> Ended:
        """Run a command to its end, with these environment variables; see `start`."""
        process = await self.start(*arguments, before=before, **variables)
        async with asyncio.timeout(LONGEST):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str, before: str | None = None, **variables: str) -> Process:
        """Only start it. before: what is executed first, to shorten the bot's patience."""
        process = await self._server.start(
            arguments,
            folder=self._folder,
            environment=environment_of_a_command(variables),
            program=before and f"{before}\nfrom bot.__main__ import main\nmain()",
        )
        self._started.append(process)
        return process

    async def start_anew(self, *arguments: str, **variables: str) -> Process:
        """The same of a program that loads everything itself, as an operator's does."""
        process = await asyncio.create_subprocess_exec(
            *strict_python("-m", "bot", *arguments),
            cwd=self._folder,
            env=environment_of_a_command(variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._started.append(process)
        return process

    async def end_all(self) -> None:
        """End what still runs."""
        for process in self._started:
            if process.returncode is None:
                process.kill()
            await process.communicate()
