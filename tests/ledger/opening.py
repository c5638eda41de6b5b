"""Ways to open a ledger and to handle it from without: its files, its server, another process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import text

from bot.ledger import database
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger, read_ledger
from tests.command_line import ROOT, CommandServer, environment_of_a_command


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


def bound_by_permissions() -> None:
    """Take from this process, where it is root's, the power to read and write what it may not."""
    override, read_search = 1, 2
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, the lower 32 of each first
    libc = ctypes.CDLL(None)
    assert libc.capget(header, sets) == 0
    for which in range(3):
        sets[which] &= ~(1 << override | 1 << read_search)
    assert libc.capset(header, sets) == 0


_BOUND = f"from {__name__} import bound_by_permissions\nbound_by_permissions()\n"


async def run_python(
    server: CommandServer, program: str, *arguments: str, bound: bool = False
) -> tuple[int, str]:
    """Run a program in a process of its own; its exit code and all that it said.

    bound: see `bound_by_permissions`.
    """
    process = await server.start(
        arguments,
        folder=ROOT,
        environment=environment_of_a_command({}),
        program=_BOUND + program if bound else program,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (out + err).decode()


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
