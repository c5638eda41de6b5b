"""`audit`: the trail in lines, and the proof of the ledger by it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from bot import logs
from bot.domain.payment import State
from bot.domain.slack_ids import is_user
from bot.errors import LedgerError
from bot.leaving import written_or_exit
from bot.operating.prune import prune
from bot.operating.with_ledger import PAYMENT, ledger_url_or_exit, with_ledger
from bot.options import ENV_FILE, FILE_TO_WRITE, TEXT, refuse_no_text

if TYPE_CHECKING:
    from bot.ledger.exported import Head
    from bot.ledger.records import Record, Wanted
    from bot.ledger.store import Ledger

_STATES = [state.value.lower() for state in State]


@click.group(invoke_without_command=True, commands=[prune])
@ENV_FILE
@click.option("--payment", type=PAYMENT, metavar="NUMBER", help="Only the events of this payment.")
@click.pass_context
def audit(context: click.Context, env_file: Path | None, payment: int | None) -> None:
    """Print the audit trail, and prove the ledger by it.

    Only LEDGER_URL is needed, and only prune changes anything; a bot may be running. Exit code 0: the ledger
    is whole; 1: somebody changed it past the bot; 2: it cannot be read.
    """
    if context.invoked_subcommand is None:
        sys.exit(_read_ledger(env_file, lambda ledger, url: _audit(ledger, url, payment)))
    if payment is not None:
        raise click.UsageError(
            "--payment is for `audit` alone; `audit list` and `audit export` take --request"
        )
    context.obj = env_file


_HASH = re.compile("[0-9a-f]{64}", re.ASCII)


def _hash(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """What is no hash was mistyped or cut off, and accuses nobody."""
    if value is None:
        return None
    copied = value.strip().lower()
    if not _HASH.fullmatch(copied):
        raise click.BadParameter("is no hash: those have 64 digits, of 0 to 9 and a to f")
    return copied


@audit.command()
@ENV_FILE
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Prove a trail that was exported, without the ledger.",
)
@click.option(
    "--since-head",
    metavar="HASH",
    callback=_hash,
    help="A hash that the trail ended with once, such as PAY_AUDIT_CHANNEL holds; it must be there still.",
)
@click.pass_obj
def verify(of_audit: Path | None, env_file: Path | None, file: Path | None, since_head: str | None) -> None:
    """Prove the ledger, and print no trail.

    By itself it cannot tell whether the trail's end was cut off and the rest made to fit. So keep the last
    hash that it tells somewhere else, or let the bot post it daily (PAY_AUDIT_CHANNEL), and give it back
    with --since-head. After audit prune, keep the one that it told: one from before proves its export only.

    Exit code 0: it is whole; 1: somebody changed it past the bot; 2: it cannot be read, or what --since-head
    proved was erased since.
    """
    if file is not None:
        with written_or_exit():
            sys.exit(_verify_file(file, since_head))
    sys.exit(_read_ledger(env_file or of_audit, lambda ledger, url: _verify(ledger, url, since_head)))


def _wanted(**chosen: Any) -> Wanted:
    from bot.ledger.records import Wanted  # noqa: PLC0415

    month, since, until, outcome = (chosen.pop(name) for name in ("month", "since", "until", "outcome"))
    if month is not None and (since or until):
        raise click.UsageError("say either --month, or --from and --to")
    if since is not None and until is not None and since > until:
        raise click.UsageError("--from is after --to, so there is nothing between them")
    if month is not None:
        since, until = month, _later(month, 32)
        until = until and until.replace(day=1)
    elif until is not None:
        until = _later(until, 1)
    dates = {"since": since and since.replace(tzinfo=UTC), "until": until and until.replace(tzinfo=UTC)}
    return Wanted(**chosen, **dates, outcome=State(outcome.upper()) if outcome else None)


def _later(day: datetime, days: int) -> datetime | None:
    """None where the calendar ends before."""
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None


def _person(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Of a name nothing would be found, which says nothing of who has it."""
    if value is None or is_user(refuse_no_text(value)):
        return value
    raise click.BadParameter("is no person's id, such as U012ABC345; Slack shows it in the profile")


_DAY = click.DateTime(["%Y-%m-%d"])
_FILTERS = (
    click.option("--month", type=click.DateTime(["%Y-%m"]), metavar="YYYY-MM", help="Of this month."),
    click.option("--from", "since", type=_DAY, metavar="DATE", help="Asked for on this day or later (UTC)."),
    click.option("--to", "until", type=_DAY, metavar="DATE", help="Asked for on this day or before."),
    click.option("--person", metavar="ID", callback=_person, help="Asked for by this person, as U012ABC345."),
    click.option("--module", type=TEXT, metavar="NAME", help="Invoices of this module."),
    click.option("--invoice", type=PAYMENT, metavar="NUMBER", help="Invoices of this number."),
    click.option("--request", type=PAYMENT, metavar="NUMBER", help="Of this request, as on its card."),
    click.option("--outcome", type=click.Choice(_STATES, case_sensitive=False), help="That came to this."),
)


_IN_WORDS = {
    "month": "asked for in",
    "since": "asked for from",
    "until": "asked for up to",
    "person": "asked for by",
    "module": "of the module",
    "invoice": "of the invoice number",
    "request": "of the request",
    "outcome": "that came to",
}


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@audit.command("list")
@ENV_FILE
@_filtered
@click.pass_obj
def list_(of_audit: Path | None, /, env_file: Path | None, **chosen: Any) -> None:
    """Print what became of payments, a line each.

    It is what the tables say; audit verify proves them. Times are in UTC. Exit code 0: they are printed; 1:
    but for those that somebody changed past the bot, so that they cannot be read; 2: the ledger cannot be
    read.
    """
    wanted = _wanted(**chosen)

    async def print_all(ledger: Ledger, _url: str) -> int:
        from bot.operating import report  # noqa: PLC0415

        def tell(line: str) -> None:
            click.echo(logs.printable(line))

        return await _each(ledger, wanted, report.lines, tell)

    sys.exit(_read_ledger(env_file or of_audit, print_all))


@audit.command()
@ENV_FILE
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json", "html", "trail"]),
    required=True,
    help="Rows for a spreadsheet, JSON Lines, a page to print, or the whole trail with its hashes.",
)
@_filtered
@click.argument("file", type=FILE_TO_WRITE)
@click.pass_obj
def export(of_audit: Path | None, /, env_file: Path | None, form: str, file: Path, **chosen: Any) -> None:
    """Write what became of payments to FILE, which must not be there yet.

    It is what the tables say, which audit verify proves. Times are in UTC. The trail is always whole;
    `audit verify --file` proves it. Exit code 0: it is written; 1: without those that somebody changed past
    the bot, so that they cannot be read; 2: it is not written.
    """
    wanted, about = _wanted(**chosen), _about(chosen)
    if form == "trail" and any(chosen.values()):
        raise click.UsageError("the trail is exported whole: parts of it prove nothing")
    from bot.ledger.new_file import new_file  # noqa: PLC0415

    try:
        # A part of it would be taken for the whole, however it was broken off.
        with new_file(Path(os.path.abspath(file))) as unfinished:
            with unfinished.open("w", encoding="utf-8", newline="") as out:
                code = _read_ledger(
                    env_file or of_audit, lambda ledger, _: _export(ledger, form, wanted, about, out)
                )
            if code == 2:
                sys.exit(code)
    except LedgerError as error:
        raise click.UsageError(logs.printable(str(error))) from None
    sys.exit(code)


async def _each(
    ledger: Ledger,
    wanted: Wanted,
    form: Callable[[list[Record]], Iterable[str]],
    tell: Callable[[str], object],
) -> int:
    """Tell the payments that are meant; the exit code, 1 where some cannot be read."""
    from bot.ledger.records import Unread, records  # noqa: PLC0415

    unread = 0
    async with aclosing(records(ledger, wanted)) as found:
        async for record in found:
            if isinstance(record, Unread):
                unread += record.count
                continue
            for line in form([record]):
                tell(line)
    if not unread:
        return 0
    click.echo(f"{unread} payments cannot be read and are left out: run audit verify.", err=True)
    return 1


def _about(chosen: dict[str, Any]) -> str:
    """Which payments are meant, for whoever holds the paper."""
    meant = []
    for name, words in _IN_WORDS.items():
        value = chosen[name]
        if isinstance(value, datetime):
            value = f"{value:%Y-%m}" if name == "month" else f"{value:%Y-%m-%d}"
        if value is not None:
            meant.append(f"{words} {value.upper() if name == 'outcome' else value}")
    return f"Payments {', '.join(meant)}" if meant else "All payments"


async def _export(ledger: Ledger, form: str, wanted: Wanted, about: str, out: TextIO) -> int:

    from bot.ledger.exported import trail  # noqa: PLC0415
    from bot.operating import report  # noqa: PLC0415

    if form == "trail":
        async for line in trail(ledger):
            out.write(f"{line}\n")
        return 0
    page = report.Page("Payments", f"{about}. Made on {ledger.clock():%Y-%m-%d at %H:%M} UTC.")
    ways = {"csv": report.as_csv, "json": report.as_json, "html": page.of}
    if form == "html":
        out.write(f"{page.begin()}\n")
    elif form == "csv":
        out.write(f"{report.header()}\r\n")
    end = "\r\n" if form == "csv" else "\n"
    code = await _each(ledger, wanted, ways[form], lambda line: out.write(f"{line}{end}"))
    if form == "html":
        out.write(f"{page.end()}\n")
    return code


def _verify_file(file: Path, since_head: str | None) -> int:
    from bot.ledger.exported import check  # noqa: PLC0415

    with file.open(encoding="utf-8", errors="surrogateescape") as lines:
        first = lines.read(1)  # of another file, a line may have no end
        if first != "[" and (first or since_head is None):
            # Another file accuses nobody, and one of which nothing is left proves nothing by itself.
            what = "is no exported trail" if first else "holds no event"
            click.echo(f"{logs.printable(str(file))} {what}; see audit export --format trail.", err=True)
            return 2
        found = check(chain([first + lines.readline()] if first else [], lines), since_head)
    if found.broken_at is not None:
        click.echo(f"{logs.printable(str(file))} is BROKEN at line {found.broken_at}.", err=True)
        return 1
    if since_head is not None and (code := _said_of(found.head)):
        return code
    click.echo(f"{found.events} events; the hash chain is whole. Last hash: {found.last_hash}")
    return 0


def _said_of(head: Head) -> int:
    """Say what is wrong with the hash of --since-head; the exit code."""
    from bot.ledger.exported import Head  # noqa: PLC0415

    if head is Head.THERE:
        return 0
    if head is Head.MISSING:
        click.echo(
            "No event has the hash of --since-head: the trail was cut off or rewritten since.", err=True
        )
        return 1
    click.echo(
        "Something that the hash of --since-head proved was erased since, so it proves nothing here any more:"
        " take one from after the last audit prune, which told it. This one is proved by its export, with"
        " --file. If nobody ran audit prune since, somebody changed the ledger past the bot.",
        err=True,
    )
    return 2


async def _audit(ledger: Ledger, url: str, request_id: int | None) -> int:
    found = False
    async for line in ledger.lines(request_id):
        click.echo(logs.printable(line))
        found = True
    code = await _verify(ledger, url)
    if request_id is None or found:
        return code
    click.echo(f"The trail says nothing of a payment #{request_id}.", err=True)
    return code or 2


async def _verify(ledger: Ledger, url: str, since_head: str | None = None) -> int:
    from bot.ledger.exported import head  # noqa: PLC0415
    from bot.ledger.proof_in_parts import verify  # noqa: PLC0415

    found = await verify(ledger, url)
    if found.whole and since_head is not None and (code := _said_of(await head(ledger, since_head))):
        return code
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


def _read_ledger(env_file: Path | None, work: Callable[[Ledger, str], Awaitable[int]]) -> int:
    """Do something with the ledger that changes nothing of it, beside a bot that may be running on it."""
    from bot.ledger.opening import read_ledger  # noqa: PLC0415

    url = ledger_url_or_exit(env_file)
    return with_ledger(read_ledger(url), lambda ledger: work(ledger, url))
