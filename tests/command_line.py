"""`python -m bot`, with nothing of this machine's environment and no .env: as a process, or in this one."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

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


class CommandLine:
    """Runs the bot's commands as processes. folder: where they run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[asyncio.subprocess.Process] = []

    async def __call__(self, *arguments: str, **variables: str) -> Ended:
        """Run a command to its end, with these environment variables."""
        process = await self.start(*arguments, **variables)
        async with asyncio.timeout(LONGEST):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def start(
        self, *arguments: str, before: str | None = None, **variables: str
    ) -> asyncio.subprocess.Process:
        """Only start it. before: what is executed first, to shorten the bot's patience."""
        impatient = f"{before}\nfrom bot.__main__ import main\nmain()"
        program = ["-m", "bot"] if before is None else ["-c", impatient]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", *CUT_OFF, *program, *arguments),
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | variables,
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
