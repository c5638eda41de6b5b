"""`move-ledger`: from a SQLite file to PostgreSQL, or to any other place, whole or not at all."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from urllib.parse import quote

import click

from bot import config, logs
from bot.errors import BotError, ConfigError, LedgerContradicted
from bot.leaving import written_or_exit
from bot.options import refuse_dash, refuse_no_text

_LIKE_AN_ADDRESS = re.compile(r"@|^[a-z0-9+]{2,}:|(?:^|\s)[a-z_]+\s*=", re.IGNORECASE)
"""A slip in an address, or another form of one: as the name of a file it would be told with its password."""


def _address(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """A LEDGER_URL, or the name of a SQLite file. What is wrong is said without the value: see `place`."""
    refuse_dash(refuse_no_text(value))
    if "://" not in value and _LIKE_AN_ADDRESS.search(value):
        raise click.BadParameter(
            "looks like the address of a server, and is none; write postgresql://USER@HOST/DATABASE,"
            " or sqlite:///FILE for a file of such a name"
        )
    # In an address some characters of a name mean something else.
    url = value if "://" in value else f"sqlite:///{quote(os.path.abspath(value))}"
    if (problem := config.problem_of("LEDGER_URL", url)) is not None:
        raise click.BadParameter(f"{problem.what}. {problem.remedy}")
    return url


@click.command("move-ledger")
@click.argument("from", callback=_address)
@click.argument("to", callback=_address)
def move_ledger(to: str, **others: str) -> None:
    """Move the ledger to another database.

    FROM and TO are addresses as in LEDGER_URL, or names of SQLite files: from a file to PostgreSQL, the other
    way round, or to a new server. In TO there must be nothing yet. Stop every bot before; afterwards set
    LEDGER_URL to TO. Everything is copied and proved row by row and by the audit trail before it counts.
    Broken off at whatever moment, it can be run again: until it is done, no bot starts on TO. Once it is,
    none starts on FROM, which stays as it was otherwise. A password need not stand in an address, where
    others see it: PGPASSWORD and ~/.pgpass are read.

    Exit code 0: it is moved; 1: it is not whole, so somebody changed it past the bot, and it was not moved;
    2: it was not moved, and why is said; or what was done could not be, and running it again says it.
    """
    try:
        with written_or_exit():
            code = asyncio.run(_move(others["from"], to))
    except ConfigError as error:
        said, code = "; ".join(map(str, error.problems)), 2
    except BotError as error:
        said, code = str(error), 1 if isinstance(error, LedgerContradicted) else 2
    else:
        sys.exit(code)
    click.echo(logs.printable(f"The ledger was not moved: {said}"), err=True)
    sys.exit(code)


async def _move(source: str, target: str) -> int:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from bot.errors import LedgerUnavailable  # noqa: PLC0415
    from bot.ledger.database import place, reason  # noqa: PLC0415
    from bot.ledger.moving import move  # noqa: PLC0415

    try:
        moved = await move(source, target, _say_how_far)
    except SQLAlchemyError as error:
        raise LedgerUnavailable(reason(error)) from None
    finally:
        if sys.stderr.isatty():
            click.echo(err=True)
    found = moved.found
    if moved.again:
        click.echo(logs.printable(f"It was moved to {moved.place} before; LEDGER_URL must name that."))
        return 0
    click.echo(logs.printable(f"{moved.place}: {found.events} events, whole. Last hash: {found.last_hash}"))
    click.echo("Set LEDGER_URL to it, and start the bot.")
    click.echo(logs.printable(f"No bot starts on {place(source)} any more."))
    return 0


def _say_how_far(read: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{read * 100 // max(total, 1)} %", nl=False, err=True)
