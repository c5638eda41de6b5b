"""The command line: `run`, `setup`, `sandbox`, `check`, `manifest`, `deploy`, `audit`, `resolve`."""

from __future__ import annotations

import asyncio
import gc
import os
import pwd
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot import config, deploy, logs, manifest
from bot.checks.command import check
from bot.config import Settings
from bot.domain.payment import InvoiceRef
from bot.errors import BotError, ConfigError
from bot.leaving import leave
from bot.options import ENV_FILE
from bot.setup.command import setup

if TYPE_CHECKING:
    from bot.ledger.store import Ledger

PAYMENT = click.IntRange(min=1, max=2**63 - 1)
"""A payment's number, as far as a database can count."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[check, deploy.command, manifest.command, setup],
)
@click.version_option(package_name="invoice-payment-bot", message="%(package)s %(version)s")
def main() -> None:
    """Pay invoices from Slack: /pay <module> <invoice>."""


def settings_or_exit(env_file: Path | None) -> Settings:
    """Read the settings; list everything that is wrong and exit with code 2."""
    try:
        return config.load(env_file)
    except ConfigError as error:
        raise SystemExit(_refuse(error)) from None


def _refuse(error: ConfigError, what: str = "The bot cannot start") -> int:
    click.echo(f"{what}:", err=True)
    for problem in error.problems:
        click.echo(f"  {problem}", err=True)
    click.echo("`python -m bot deploy env.example` explains every variable.", err=True)
    return 2


@main.command()
@ENV_FILE
def run(env_file: Path | None) -> None:
    """Run the bot until it is told to stop.

    Ctrl-C and SIGTERM stop it, when a payment under way is finished. Exit code 0: it was told to stop;
    1: a part of it broke; 2: it cannot start, and what has to be put right is listed.
    """
    settings = settings_or_exit(env_file)
    logs.configure(settings)
    try:
        code = asyncio.run(_run(settings))
    except ConfigError as error:
        code = _refuse(error)
    except BotError as error:
        click.echo(f"The bot cannot start: {error}", err=True)
        code = 2
    leave(code)


async def _run(settings: Settings) -> int:
    """Run until a signal comes (0), or until a part breaks that must not (1)."""
    # What is loaded stays. To look for garbage in it takes a seventh of the start, and later stops everybody
    # for a moment, again and again.
    gc.disable()
    from bot import app  # noqa: PLC0415  (the other commands need not load Slack and SOAP)

    gc.freeze()
    gc.enable()
    stop = asyncio.Event()
    bot: app.Bot | None = None
    starting = asyncio.current_task()
    assert starting is not None, "bug: a coroutine runs in a task"

    def told_to_stop() -> None:
        stop.set()
        if bot is None:
            starting.cancel()  # Slack may be away, and then starting takes as long as that

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, told_to_stop)
    try:
        async with app.running(settings) as bot:
            await bot.run_until(stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return 0
    return 1 if bot.broken.is_set() else 0


@main.command()
@ENV_FILE
@click.argument("payment", type=PAYMENT)
@click.argument("outcome", type=click.Choice(["paid", "not-paid"]), metavar="OUTCOME")
@click.argument("note")
@click.option(
    "--invoice",
    metavar="'MODULE NUMBER'",
    help="Which of several payments of the request, for example 'vps 10102'.",
)
def resolve(env_file: Path | None, payment: int, outcome: str, note: str, invoice: str | None) -> None:
    """Settle a payment whose answer was lost.

    PAYMENT is its number, as on its card. OUTCOME is paid or not-paid, and NOTE says how you know; both go
    into the audit trail. Exit code 0: it is settled; 1: it is not, and why is said; 2: the ledger cannot be
    used.
    """
    if not note.strip():
        raise click.UsageError("the note must say how you know what became of it")
    if any("\ud800" <= char <= "\udfff" for char in note):
        raise click.UsageError("the note is not text in this terminal's encoding; write it anew")
    from bot.ledger.opening import open_ledger  # noqa: PLC0415

    settings = settings_or_exit(env_file)
    opening = open_ledger(settings.ledger_url.get_secret_value(), begin=False)
    paid, ref = outcome == "paid", _invoice(invoice) if invoice is not None else None
    sys.exit(_with_ledger(opening, lambda ledger: _resolve(ledger, settings, payment, paid, note, ref)))


def _invoice(named: str) -> InvoiceRef:
    module, _, number = named.strip().partition(" ")
    try:
        return InvoiceRef(module, int(number))
    except ValueError:
        raise click.UsageError("name the invoice by its module and number, as in 'vps 10102'") from None


def _user() -> str:
    """Whose process this is, as the system knows: the environment may name anybody."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid:{number}"


async def _resolve(
    ledger: Ledger, settings: Settings, request_id: int, paid: bool, note: str, ref: InvoiceRef | None
) -> int:
    from bot.payments import answers, settlement  # noqa: PLC0415
    from bot.payments.settling import Settling  # noqa: PLC0415
    from bot.payments.timing import Timing  # noqa: PLC0415

    actor = f"{settlement.OPERATOR}{_user()}"[:64]
    settling = Settling(Timing().settled_after(settings.billing_timeout))

    async def settle() -> answers.Answer:
        return await settlement.settle_by_hand(
            ledger, actor, request_id, paid=paid, note=note, settling=settling, ref=ref
        )

    answer = await settle()
    if isinstance(answer, answers.TooEarly) and settling.only_here(answer.payment, ledger.clock()):
        # This process has only just begun to see it, and a clock that was set proves nothing.
        click.echo(f"Making sure by this machine's own clock, until {answer.until:%Y-%m-%d %H:%M:%S} UTC.")
        click.echo("Let this run until then. If you stop it, nothing is changed.")
        while isinstance(answer, answers.TooEarly):
            await asyncio.sleep(max(settling.left(answer.payment, ledger.clock()).total_seconds(), 0.01))
            answer = await settle()
    match answer:
        case answers.Done(batch, line):
            payment = batch.of_line(line)
            click.echo(f"{payment.number} is {payment.state}. The thread is told by the running bot.")
            return 0
        case answers.TooEarly(payment, until):
            click.echo(f"The call for {payment.number} may still be carried out.", err=True)
            click.echo(f"Look again after {until:%Y-%m-%d %H:%M} UTC.", err=True)
        case answers.AlreadyDecided(batch):
            payment = batch.of_line(None) if ref is None else settlement.meant(batch, ref) or batch.first
            click.echo(f"{payment.number} is {payment.state}; only UNKNOWN ones can be settled,", err=True)
            click.echo("and what was settled on somebody's word or weak evidence corrected.", err=True)
        case answers.AlreadyRequested(payment):
            click.echo(f"{payment.ref} was requested again: {payment.number}, {payment.state}.", err=True)
            click.echo(f"Settle {payment.number} first.", err=True)
        case answers.WhichInvoice(batch):
            click.echo(f"{batch.number} has {len(batch.payments)} payments.", err=True)
            click.echo(f"Say which with --invoice, as in --invoice '{batch.first.ref}'.", err=True)
        case _:
            click.echo(f"There is no payment #{request_id}.", err=True)
    return 1


@main.group(invoke_without_command=True)
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
        return _refuse(error, "The ledger cannot be read")
    return _with_ledger(read_ledger(url), work)


def _with_ledger(
    opening: AbstractAsyncContextManager[Ledger], work: Callable[[Ledger], Awaitable[int]]
) -> int:
    """Do something with a ledger that is there, beside a bot that may be running on it."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from bot.ledger.database import reason  # noqa: PLC0415

    async def opened() -> int:
        async with opening as ledger:
            return await work(ledger)

    try:
        return asyncio.run(opened())
    except BotError as error:
        said = str(error)
    except SQLAlchemyError as error:
        said = reason(error)  # a traceback would end with code 1, which says that the ledger was forged
    click.echo(logs.printable(f"The ledger cannot be used: {said}"), err=True)
    return 2


class _WithExamples(click.Command):
    """Ends its help with the example policies and the billing API's failure modes."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List them; only this help needs to load them."""
        from bot.sandbox import policies  # noqa: PLC0415
        from bot.sandbox.local_billing import FAILURES  # noqa: PLC0415

        with formatter.section("Policies"):
            formatter.write_dl([(name, policies.about(name)) for name in policies.EXAMPLES])
        with formatter.section("Modes"):
            formatter.write_dl([(name, failure.about) for name, failure in FAILURES.items()])


def _mode(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from bot.sandbox.local_billing import FAILURES  # noqa: PLC0415

    if value is not None and value not in FAILURES:
        raise click.BadParameter(f"there is no mode {value!r}; --help lists them")
    return value


def _policy(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Path | None:
    """An example by its name, or a file."""
    from bot.sandbox import policies  # noqa: PLC0415

    if value is None or value in policies.EXAMPLES:
        return policies.EXAMPLES[value or policies.DEFAULT]
    if (file := Path(value)).is_file():
        return file
    there_are = f"there are {', '.join(policies.EXAMPLES)}, and files of your own"
    raise click.BadParameter(f"there is no policy {value!r}, nor a file of that name; {there_are}")


@main.command(cls=_WithExamples)
@click.option(
    "--port",
    default=8765,
    show_default=True,
    metavar="NUMBER",
    help="The page's port; the next free one if taken.",
)
@click.option(
    "--say",
    "says",
    multiple=True,
    metavar="'PERSON: TEXT'",
    help="Say this in #payments and exit; approve, deny WHY and withdraw press the newest card's buttons.",
)
@click.option("--fail", metavar="MODE", callback=_mode, help="Let the billing API fail in this way.")
@click.option(
    "--policy",
    metavar="NAME|FILE",
    callback=_policy,
    help="Rules: an example by its name, or a file of your own that names the sandbox's people.",
)
def sandbox(port: int, says: tuple[str, ...], fail: str | None, policy: Path) -> None:
    """Try the bot against a local Slack and billing API.

    No account is needed, and nothing is kept. Exit code 1: a line of --say could not be done.
    """
    from bot.sandbox import run as local  # noqa: PLC0415

    local.quiet()
    try:
        work = local.sandbox(port=port, says=says, fail=fail, policy=policy, write=_write)
        sys.exit(asyncio.run(work))
    except ConfigError as error:
        sys.exit(_refuse(error))
    except local.BadLine as error:
        raise click.UsageError(str(error)) from None


def _write(line: str) -> None:
    """One line of the transcript, in which anybody may have said anything."""
    click.echo(logs.printable(line))


if __name__ == "__main__":
    main()
