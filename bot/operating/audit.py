"""`audit`: the trail in lines, and the proof of the ledger by it."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot import config, logs
from bot.errors import ConfigError
from bot.operating.with_ledger import (
    PAYMENT,
    refuse,
    with_ledger,
)
from bot.options import ENV_FILE

if TYPE_CHECKING:
    from bot.ledger.store import Ledger


@click.group(invoke_without_command=True)
@ENV_FILE
@click.option("--payment", type=PAYMENT, metavar="NUMBER", help="Only the events of this payment.")
@click.pass_context
def audit(context: click.Context, env_file: Path | None, payment: int | None) -> None:
    """Print the audit trail, and prove the ledger by it.

    Only LEDGER_URL is needed, and nothing is changed; a bot may be running. Exit code 0: the ledger is whole;
    1: somebody changed it past the bot; 2: it cannot be read.
    """
    if context.invoked_subcommand is None:
        sys.exit(_read_ledger(env_file, lambda ledger: _audit(ledger, payment)))
    context.obj = env_file


@audit.command()
@ENV_FILE
@click.pass_obj
def verify(of_audit: Path | None, env_file: Path | None) -> None:
    """Prove the ledger, and print no trail.

    Exit code 0: it is whole; 1: somebody changed it past the bot; 2: it cannot be read.
    """
    sys.exit(_read_ledger(env_file or of_audit, _verify))


async def _audit(ledger: Ledger, request_id: int | None) -> int:
    found = False
    async for line in ledger.lines(request_id):
        click.echo(logs.printable(line))
        found = True
    code = await _verify(ledger)
    if request_id is None or found:
        return code
    click.echo(f"The trail says nothing of a payment #{request_id}.", err=True)
    return code or 2


async def _verify(ledger: Ledger) -> int:
    found = await ledger.verify()
    if found.whole:
        click.echo(f"{found.events} events; the hash chain is whole. Last hash: {found.last_hash}")
        click.echo("Every payment, approval and attempt is what the events say.")
        return 0
    if found.broken_at is not None:
        click.echo(f"The hash chain is BROKEN at event {found.broken_at}.", err=True)
    for flaw in found.flaws:
        click.echo(logs.printable(f"FORGED {flaw}"), err=True)
    if found.flaw_count > len(found.flaws):
        click.echo(f"… and {found.flaw_count - len(found.flaws)} more.", err=True)
    click.echo("Somebody changed the ledger past the bot: stop the bot, and find out who and what.", err=True)
    return 1


def _read_ledger(env_file: Path | None, work: Callable[[Ledger], Awaitable[int]]) -> int:
    """Do something with the ledger that changes nothing of it, beside a bot that may be running on it."""
    from bot.ledger.opening import read_ledger  # noqa: PLC0415

    try:
        url = config.load_ledger(env_file).ledger_url.get_secret_value()
    except ConfigError as error:
        return refuse(error, "The ledger cannot be read")
    return with_ledger(read_ledger(url), work)
