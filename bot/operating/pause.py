"""`pause` and `resume`: stop all sending on every instance, and let it go on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.domain.wording import too_late_to_pause
from bot.operating.with_ledger import (
    operator,
    with_writable_ledger,
)
from bot.options import ENV_FILE, TEXT

if TYPE_CHECKING:
    from bot.ledger.store import Ledger


@click.command()
@ENV_FILE
@click.argument("reason", type=TEXT, default="")
def pause(env_file: Path | None, reason: str) -> None:
    """Stop all sending, on every instance, until it is resumed.

    REASON is told to those who wait. Only LEDGER_URL is needed. Exit code 0: sending is paused, also where it
    was before; 2: the ledger cannot be used.
    """

    async def stop(ledger: Ledger) -> int:
        async with ledger.transaction() as transaction:
            new = await transaction.pause(reason.strip()[:500], actor=operator())
            sending = await transaction.count_sending()
        click.echo("Sending is paused." if new else "Sending was paused before.")
        if sending:
            click.echo(too_late_to_pause(sending))
        return 0

    sys.exit(with_writable_ledger(env_file, stop))


@click.command()
@ENV_FILE
def resume(env_file: Path | None) -> None:
    """Let sending go on that was paused.

    Only LEDGER_URL is needed. Exit code 0: sending goes on, also where it was not paused; 2: the ledger
    cannot be used.
    """

    async def go_on(ledger: Ledger) -> int:
        async with ledger.transaction() as transaction:
            before = await transaction.resume(actor=operator())
        click.echo("Sending goes on." if before else "Sending was not paused.")
        return 0

    sys.exit(with_writable_ledger(env_file, go_on))
