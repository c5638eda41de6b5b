"""A ledger for a command: opened, used and closed, and what goes wrong said in a line."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot import config, logs
from bot.config import Settings
from bot.errors import BotError, ConfigError
from bot.leaving import written_or_exit

if TYPE_CHECKING:
    from bot.ledger.store import Ledger


PAYMENT = click.IntRange(min=1, max=2**63 - 1)
"""A payment's number, as far as a database can count."""


def settings_or_exit(env_file: Path | None) -> Settings:
    """Read the settings; list everything that is wrong and exit with code 2."""
    try:
        settings = config.load(env_file)
    except ConfigError as error:
        raise SystemExit(refuse(error)) from None
    logs.keep_secret(logs.secrets_of(settings))
    return settings


def ledger_url_or_exit(env_file: Path | None) -> str:
    """Read where the ledger is, which is all that most commands need; or exit with code 2."""
    try:
        settings = config.load_ledger(env_file)
    except ConfigError as error:
        raise SystemExit(refuse(error, "The ledger cannot be used")) from None
    logs.keep_secret(logs.secrets_of(settings))
    return settings.ledger_url.get_secret_value()


def refuse(error: ConfigError, what: str = "The bot cannot start") -> int:
    """Say what is wrong with the settings; returns the exit code."""
    click.echo(f"{what}:", err=True)
    for problem in error.problems:
        click.echo(f"  {logs.harmless(problem)}", err=True)
    click.echo("`python -m bot deploy env.example` explains every variable.", err=True)
    return 2


def with_ledger(
    opening: AbstractAsyncContextManager[Ledger], work: Callable[[Ledger], Awaitable[int]]
) -> int:
    """Do something with a ledger that is there, beside a bot that may be running on it."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from bot.ledger.database import reason  # noqa: PLC0415

    logs.to_stderr()

    async def opened() -> int:
        async with opening as ledger:
            return await work(ledger)

    try:
        with written_or_exit():
            return asyncio.run(opened())
    except BotError as error:
        said = str(error)
    except SQLAlchemyError as error:
        said = reason(error)  # a traceback would end with code 1, which says that the ledger was forged
    click.echo(logs.harmless(f"The ledger cannot be used: {said}"), err=True)
    return 2


def with_writable_ledger(env_file: Path | None, work: Callable[[Ledger], Awaitable[int]]) -> int:
    """Do something that writes to a ledger that is there; returns the exit code."""
    from bot.ledger.opening import open_ledger  # noqa: PLC0415

    return with_ledger(open_ledger(ledger_url_or_exit(env_file), begin=False), work)


def operator() -> str:
    """The actor of what is done on the command line."""
    from bot.payments.settlement import OPERATOR  # noqa: PLC0415

    return f"{OPERATOR}{_user()}"[:64]


def _user() -> str:
    """Whose process this is, as the system knows: the environment may name anybody."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid:{number}"
