"""`audit prune`: erases who asked, approved and wrote what, in what was over long ago."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot import logs
from bot.errors import LedgerError, LedgerUnfit
from bot.operating.with_ledger import ledger_url_or_exit, operator, with_ledger
from bot.options import ENV_FILE, FILE_TO_WRITE

if TYPE_CHECKING:
    from bot.ledger.exported import Checked
    from bot.ledger.pruning import Meant
    from bot.ledger.store import Ledger

LEAST_AGE = timedelta(days=30)
"""What is younger counts for limits, stands in people's lists, and is still asked about."""


def _long_ago(_context: click.Context, _parameter: click.Parameter, value: datetime) -> datetime:
    day = value.replace(tzinfo=UTC)
    if day > datetime.now(UTC) - LEAST_AGE:
        raise click.BadParameter(f"must be {LEAST_AGE.days} days ago or more")
    return day


@click.command()
@ENV_FILE
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_long_ago,
    required=True,
    metavar="DATE",
    help="Only what was over before this day (UTC), which is 30 days ago or more.",
)
@click.option(
    "--export",
    "file",
    type=FILE_TO_WRITE,
    required=True,
    help="Write the whole trail to this new file first; nothing is erased before it is on the disk.",
)
@click.pass_obj
def prune(of_audit: Path | None, /, env_file: Path | None, before: datetime, file: Path) -> None:
    """Erase people's ids, notes and reasons from old requests.

    Of requests all of whose payments are final, and of refusals, when nothing happened to them since DATE.
    Invoices, amounts, states and answers stay, no invoice can be paid again, and the trail proves itself as
    before: an event of each request says who erased, when, and the export's hash. Only LEDGER_URL is needed,
    and a bot may be running: of a SQLite ledger it has to wait at the end, while the file is written anew.
    What is erased is left in FILE, in backups, where the ledger was moved from, in Slack, and in PostgreSQL's
    files until VACUUM FULL.

    Exit code 0: it is erased, or there was nothing to erase; 1: somebody changed the ledger past the bot, and
    nothing is erased; 2: it is not done, or not all of it, as is said; run it again with another FILE.
    """
    url = ledger_url_or_exit(env_file or of_audit)
    from bot.ledger.opening import open_ledger  # noqa: PLC0415

    new = Path(os.path.abspath(file))

    async def work(ledger: Ledger) -> int:
        return await _prune(ledger, url, before, new)

    sys.exit(with_ledger(open_ledger(url, begin=False), work))


async def _prune(ledger: Ledger, url: str, before: datetime, file: Path) -> int:
    found = await ledger.verify()
    if not found.whole:
        click.echo("The ledger is not whole, so nothing is erased: run audit verify.", err=True)
        return 1
    if not await _anything(ledger, before):
        await _wipe(url)  # whoever erased it may have been broken off before that
        click.echo(f"There is nothing to erase from before {before:%Y-%m-%d}.")
        return 0
    meant = await _exported(ledger, before, file)
    requests = await _erase(ledger, meant)
    await _wipe(url)
    after = await ledger.verify()
    if not after.whole:
        raise AssertionError("bug: what was erased cannot be proved; the export holds all of it")
    name = logs.printable(str(file))
    click.echo(f"{name}: the whole trail of before, {meant.up_to} events. SHA-256: {meant.export}")
    click.echo(f"Erased who and why in {requests} requests and in what belongs to none.")
    if kept := await _kept(ledger, before):
        those, they = ("request", "is kept: it is") if kept == 1 else ("requests", "are kept: they are")
        of = "it" if kept == 1 else "them"
        click.echo(f"{kept} {those} from before that day {they} not over, or Slack was not told of {of} yet.")
    click.echo(f"{after.events} events; the hash chain is whole. Last hash: {after.last_hash}")
    return 0


async def _wipe(url: str) -> None:
    """Raises LedgerError."""
    from bot.ledger.leftovers import wipe  # noqa: PLC0415

    try:
        await wipe(url)
    except LedgerError:
        click.echo(
            "All is erased, but what it said before may be left in places of the file. Run it again.",
            err=True,
        )
        raise


async def _exported(ledger: Ledger, before: datetime, file: Path) -> Meant:
    """Write the trail to the file, and prove it there. Raises LedgerError."""
    from bot.ledger import exported  # noqa: PLC0415
    from bot.ledger.new_file import new_file  # noqa: PLC0415
    from bot.ledger.pruning import Meant  # noqa: PLC0415

    with new_file(file) as unfinished:
        with unfinished.open("w", encoding="utf-8", newline="") as out:
            async for line in exported.trail(ledger):
                out.write(f"{line}\n")
        with unfinished.open("rb") as written:
            digest = file_digest(written, "sha256").hexdigest()
        with unfinished.open(encoding="utf-8") as lines:
            found = exported.check(lines)
        await _must_be_all(ledger, found)
    return Meant(before, found.events, digest, operator())


async def _must_be_all(ledger: Ledger, found: Checked) -> None:
    from bot.ledger.exported import Head, head  # noqa: PLC0415

    if found.broken_at is not None or await head(ledger, found.last_hash) is Head.MISSING:
        raise LedgerUnfit("what was exported does not prove itself, so nothing is erased")


async def _anything(ledger: Ledger, before: datetime) -> bool:
    from bot.ledger.pruning import anything  # noqa: PLC0415

    async with ledger.snapshot() as connection:
        return await anything(connection, before)


async def _kept(ledger: Ledger, before: datetime) -> int:
    from bot.ledger.pruning import naming_somebody  # noqa: PLC0415

    async with ledger.snapshot() as connection:
        return await naming_somebody(connection, before)


async def _erase(ledger: Ledger, meant: Meant) -> int:
    """How many requests; a few in one transaction, so that a bot beside it goes on. Raises LedgerError."""
    done, after = 0, 0
    try:
        while True:
            async with ledger.transaction() as transaction:
                ids = await transaction.prune_requests(meant, after=after)
            if not ids:
                break
            done, after = done + len(ids), ids[-1]
            if sys.stderr.isatty():
                click.echo(f"\r{done} requests", nl=False, err=True)
        last: int | None = 0
        while last is not None:
            async with ledger.transaction() as transaction:
                last = await transaction.prune_others(meant, after=last)
    except LedgerError:
        click.echo(
            f"{done} requests are erased; the export is whole. Run it again with another FILE.", err=True
        )
        raise
    if sys.stderr.isatty():
        click.echo(err=True)
    return done
