"""Bots as processes that are started, watched, stopped and killed. The fork server makes them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.faults.bot_process import BotOptions
from tests.faults.clocks import MachineClocks

ROOT = Path(__file__).parents[2]


class BotProcess:
    """One running bot. code: its exit code once it has ended, the negative signal if it was killed."""

    def __init__(self, pid: int, options: BotOptions) -> None:
        self.pid = pid
        self.options = options
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not self.ended.done()

    def kill(self) -> None:
        """End it between two instructions."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to stop."""
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it do nothing until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def sleep(self, seconds: float) -> None:
        """Let its machine sleep: it does nothing, and its CLOCK_MONOTONIC stands still."""
        self.freeze()
        await self.stopped()
        await self.wake_after(seconds)

    async def stopped(self) -> None:
        """Wait until it is stopped."""
        async with asyncio.timeout(20):
            while True:
                if not self.running or _status_of(self.pid, "State") == "T":
                    return
                await asyncio.sleep(0.01)

    async def wake_after(self, seconds: float) -> None:
        """What is stopped has been asleep since now."""
        asleep = time.monotonic()
        await asyncio.sleep(seconds)
        MachineClocks(Path(self.options.clocks)).has_slept(time.monotonic() - asleep)
        self.thaw()

    def peak_memory(self) -> int:
        """The most memory that it ever held, in bytes."""
        return int(_status_of(self.pid, "VmHWM")) * 1024

    def _signal(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def points(self) -> list[str]:
        """The points that it has come to."""
        return Path(self.options.trace).read_text().splitlines()

    def log(self) -> str:
        """What it has logged."""
        log = Path(self.options.log)
        return log.read_text() if log.exists() else ""

    async def said(self, words: str) -> None:
        """Wait until it has logged this, or has ended."""
        async with asyncio.timeout(20):
            while True:
                if not self.running or words in self.log():
                    return
                await asyncio.sleep(0.05)

    async def end(self, timeout: float) -> int:
        """Wait for its end."""
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self.ended)
        except TimeoutError:
            raise AssertionError(f"it did not end within {timeout} s:\n{self.log()[-3000:]}") from None


def _status_of(pid: int, field: str) -> str:
    """A field of what the kernel tells of a process; empty where it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return line.split()[1]
    return ""


class ProcessPool:
    """Starts bots."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._names = itertools.count()
        self._asked: dict[int, tuple[BotOptions, asyncio.Future[BotProcess]]] = {}
        self._running: dict[int, BotProcess] = {}

    async def start(self, options: BotOptions) -> BotProcess:
        """Start a bot; it may not be ready yet."""
        assert self._process.returncode is None, "the fork server has ended; it said why"
        name = next(self._names)
        started: asyncio.Future[BotProcess] = asyncio.get_running_loop().create_future()
        self._asked[name] = options, started
        assert self._process.stdin is not None
        line = json.dumps({"name": name, "options": dataclasses.asdict(options)})
        self._process.stdin.write(line.encode() + b"\n")
        return await started

    async def listen(self) -> None:
        """Take note of what starts and what ends, until the pool closes."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self._heard(json.loads(line))
        for _, started in self._asked.values():
            if not started.done():
                started.set_exception(AssertionError("the fork server has ended; it said why"))

    def _heard(self, told: dict[str, Any]) -> None:
        if "pid" in told:
            options, started = self._asked.pop(told["name"])
            bot = BotProcess(told["pid"], options)
            self._running[bot.pid] = bot
            if started.cancelled():
                bot.kill()
            else:
                started.set_result(bot)
        elif "ended" in told:
            self._running.pop(told["ended"]).ended.set_result(told["code"])


@asynccontextmanager
async def open_process_pool(ledger_url: str) -> AsyncIterator[ProcessPool]:
    """Have a pool; every bot in it dies with it. ledger_url: see `warm_up`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.fork_server",
        ledger_url,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    pool = ProcessPool(process)
    listening = asyncio.create_task(pool.listen())
    try:
        yield pool
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
