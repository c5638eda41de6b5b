"""`python -m bot` as a process, in a folder without a .env and with nothing of this machine's environment."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

LONGEST = 45.0
"""Seconds after which a process hangs; most end in one or two."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left behind."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs the bot's commands. folder: where they run."""

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

    async def start(self, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
        """Only start it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-m", "bot", *arguments),
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
