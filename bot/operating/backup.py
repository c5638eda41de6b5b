"""`backup`: a consistent copy of a SQLite ledger, proved before it is called one."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from bot import logs
from bot.errors import BotError
from bot.leaving import NOT_DONE
from bot.operating.with_ledger import ledger_url_or_exit, with_ledger
from bot.options import ENV_FILE, FILE_TO_WRITE

if TYPE_CHECKING:
    from bot.ledger.store import Ledger


@click.command()
@ENV_FILE
@click.argument("file", type=FILE_TO_WRITE)
def backup(env_file: Path | None, file: Path) -> None:
    """Copy a SQLite ledger to FILE while the bot runs.

    FILE must not be there yet. The copy is proved by its audit trail. Exit code 0: it is whole; 1: the copy
    was made, and its trail is broken, as the ledger's is; 2: it could not be made, or not be proved.
    """
    url, file = ledger_url_or_exit(env_file), Path(os.path.abspath(file))
    from bot.ledger.backup import backup as copy  # noqa: PLC0415
    from bot.ledger.opening import read_ledger  # noqa: PLC0415

    try:
        asyncio.run(copy(url, file))
    except BotError as error:
        click.echo(logs.harmless(f"No backup was made: {error}"), err=True)
        sys.exit(2)
    # In an address some characters of a name mean something else.
    written = read_ledger(f"sqlite:///{quote(str(file))}")
    code = with_ledger(written, lambda ledger: _proved(ledger, file))
    if code == NOT_DONE:
        name = logs.printable(str(file))
        click.echo(f"{name} was written, and is as the ledger is; it is not proved.", err=True)
    sys.exit(code)


async def _proved(ledger: Ledger, file: Path) -> int:
    found = await ledger.verify()
    name = logs.printable(str(file))
    if not found.whole:
        click.echo(f"{name} was written, but the ledger is not whole: run audit verify on it.", err=True)
        return 1
    click.echo(f"{name}: {found.events} events, whole. Last hash: {found.last_hash}")
    return 0
