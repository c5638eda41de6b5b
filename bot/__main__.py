"""The command line: `run` and `sandbox`, and all other commands, which stand with their subjects."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import signal
import sys
from pathlib import Path

import click

from bot import deploy, logs, manifest
from bot.checks.command import check
from bot.config import Settings
from bot.errors import BotError, ConfigError, LedgerInUse, LedgerUnavailable
from bot.leaving import BROKEN_OFF, NOT_DONE, leave, written_or_exit
from bot.operating.audit import audit
from bot.operating.backup import backup
from bot.operating.move_ledger import move_ledger
from bot.operating.pause import pause, resume
from bot.operating.resolve import resolve
from bot.operating.with_ledger import refuse, settings_or_exit
from bot.options import ENV_FILE
from bot.setup.command import setup


class _Commands(click.Group):
    def invoke(self, context: click.Context) -> object:
        """Run a command. click and Python would end with 1, which says of a ledger that it was forged."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("\nAborted!", err=True)
            sys.exit(BROKEN_OFF)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception:
            if context.invoked_subcommand == run.name:
                raise  # there 1 says that another start may go well
            sys.excepthook(*sys.exc_info())
            leave(NOT_DONE)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[
        audit,
        backup,
        check,
        deploy.command,
        manifest.command,
        move_ledger,
        pause,
        resolve,
        resume,
        setup,
    ],
)
@click.version_option(package_name="invoice-payment-bot", message="%(package)s %(version)s")
def main() -> None:
    """Pay invoices from Slack: /pay <module> <invoice>."""
    _make_writable()
    try:
        Path.home()
    except RuntimeError:
        # A container's user may have none, and Slack's library asks for it when it is loaded. It is not used.
        os.environ["HOME"] = "/"


def _make_writable() -> None:
    """A terminal that lacks a letter of somebody's name shows its number; and nobody need listen, or type."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 -- it is for the whole process
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the start
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 -- it is for the whole process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@main.command()
@ENV_FILE
def run(env_file: Path | None) -> None:
    """Run the bot until it is told to stop.

    Ctrl-C, SIGTERM and the end of its terminal stop it, when a payment under way is finished. Exit code 0: it
    was told to stop; 1: a part of it broke, or the ledger cannot be reached or is in use, so that another
    start may go well; 2: it cannot start, and what has to be put right is listed.
    """
    settings = settings_or_exit(env_file)
    logs.configure(settings)
    try:
        code = asyncio.run(_run(settings))
    except ConfigError as error:
        code = refuse(error)
    except BotError as error:
        click.echo(logs.harmless(f"The bot cannot start: {error}"), err=True)
        code = 1 if isinstance(error, LedgerInUse | LedgerUnavailable) else 2
    leave(code)


_ROUNDS = 3
"""Of the event loop: in the first it finds that a signal came, and in the second it is told."""


async def _run(settings: Settings) -> int:
    """Run until a signal comes (0), or until a part breaks that must not (1)."""
    stop = asyncio.Event()
    bot: app.Bot | None = None
    starting = asyncio.current_task()
    assert starting is not None, "bug: a coroutine runs in a task"

    def told_to_stop() -> None:
        stop.set()
        if bot is None:
            starting.cancel()  # Slack may be away, and then starting takes as long as that

    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup leaves it
            loop.add_signal_handler(name, told_to_stop)
    # What is loaded stays. To look for garbage in it takes a seventh of the start, and later stops everybody
    # for a moment, again and again.
    gc.disable()
    from bot import app  # noqa: PLC0415  (the other commands need not load Slack and SOAP)

    gc.freeze()
    gc.enable()
    try:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)  # who was told to stop while all that was loaded opens nothing
        async with app.running(settings) as bot:
            await bot.run_until(stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return 0
    return 1 if bot.broken.is_set() else 0


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
    type=click.IntRange(1, 65535),
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
    help="Say this in #payments and exit. confirm, approve, deny WHY, withdraw and remove INVOICES WHY press"
    " the newest button of that kind.",
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
    # All of it is on this machine, which no proxy finds.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    try:
        work = local.sandbox(port=port, says=says, fail=fail, policy=policy, write=_write)
        sys.exit(asyncio.run(work))
    except ConfigError as error:
        sys.exit(refuse(error))
    except local.BadLine as error:
        raise click.UsageError(str(error)) from None


def _write(line: str) -> None:
    """One line of the transcript, in which anybody may have said anything.

    Where nobody listens any more, as after `| head`, the rest is done unheard.
    """
    with contextlib.suppress(SystemExit), written_or_exit():
        click.echo(logs.printable(line))


if __name__ == "__main__":
    main()
