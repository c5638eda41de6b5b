"""Ways to open a ledger and to handle it from without: its files, its server, another process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from sqlalchemy import text

from bot.ledger import database
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger, read_ledger


async def opened(url: str, *, begin: bool = True) -> None:
    async with open_ledger(url, begin=begin):
        pass


async def read(url: str) -> bool:
    """Whether who only reads it finds it whole."""
    async with read_ledger(url) as ledger:
        return (await ledger.verify()).whole


async def execute(url: str, statement: str) -> None:
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def hold(url: str) -> None:
    with one_process(url):
        pass


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def modes(url: str) -> dict[str, int]:
    """The files of a ledger, by what stands behind its name."""
    file = file_of(url)
    found = file.parent.glob(f"{file.name}*")
    return {each.name.removeprefix(file.name): stat.S_IMODE(each.stat().st_mode) for each in found}


_prctl = ctypes.CDLL(None).prctl


def bound_by_permissions() -> None:
    """Take from root, before it becomes another program, the power to write what it may not."""
    drop_from_bounding_set, override, read_search = 24, 1, 2
    if os.geteuid() == 0:
        for capability in (override, read_search):
            _prctl(drop_from_bounding_set, capability, 0, 0, 0)


async def run_python(
    program: str, *arguments: str, before: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run a program in a process of its own; its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        preexec_fn=before,
    )
    async with asyncio.timeout(20):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


@contextlib.contextmanager
def tuned(url: str, setting: str) -> Iterator[None]:
    """A database that is tuned like this until the block ends."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())
