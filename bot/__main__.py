"""The command line: `python -m bot run`, `sandbox`, `check`, `audit`, `resolve`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click

from bot import config, logs
from bot.config import Settings
from bot.errors import BotError, ConfigError

ENV_FILE = click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read variables from this file instead of .env.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Pay invoices from Slack: /pay <module> <invoice>."""


def settings_or_exit(env_file: Path | None) -> Settings:
    """Read the settings; list everything that is wrong and exit with code 2."""
    try:
        return config.load(env_file)
    except ConfigError as error:
        raise SystemExit(_refuse(error)) from None


def _refuse(error: ConfigError) -> int:
    click.echo("The bot cannot start:", err=True)
    for name, remedy in error.problems:
        click.echo(f"  {name}: {remedy}", err=True)
    click.echo("Every variable is explained in .env.example.", err=True)
    return 2


@main.command()
@ENV_FILE
def run(env_file: Path | None) -> None:
    """Run the bot until it is told to stop (Ctrl-C or SIGTERM)."""
    settings = settings_or_exit(env_file)
    logs.configure(settings)
    try:
        sys.exit(asyncio.run(_run(settings)))
    except ConfigError as error:
        sys.exit(_refuse(error))
    except BotError as error:
        click.echo(f"The bot cannot start: {error}", err=True)
        sys.exit(2)


async def _run(settings: Settings) -> int:
    """Run until a signal comes (0), or until a part breaks that must not (1)."""
    from bot import app  # noqa: PLC0415  (the other commands need not load Slack and SOAP)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with app.running(settings) as bot:
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(bot.broken.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
    return 1 if bot.broken.is_set() else 0


class _WithModes(click.Command):
    """Ends its help with the billing API's failure modes."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """List the modes, which only this help needs to load."""
        from bot.sandbox.billing import FAILURES  # noqa: PLC0415

        with formatter.section("Modes"):
            formatter.write_dl([(name, failure.about) for name, failure in FAILURES.items()])


def _mode(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    from bot.sandbox.billing import FAILURES  # noqa: PLC0415

    if value is not None and value not in FAILURES:
        raise click.BadParameter(f"there is no mode {value!r}; --help lists them")
    return value


@main.command(cls=_WithModes)
@click.option("--port", default=8765, show_default=True, help="The page's port; the next free one if taken.")
@click.option(
    "--say", "says", multiple=True, metavar="'PERSON: TEXT'", help="Say this in #payments and exit."
)
@click.option("--fail", metavar="MODE", callback=_mode, help="Let the billing API fail in this way.")
def sandbox(port: int, says: tuple[str, ...], fail: str | None) -> None:
    """Try the bot against a local Slack and a local billing API. No account is needed."""
    from bot.sandbox import run as local  # noqa: PLC0415

    local.quiet()
    try:
        sys.exit(asyncio.run(local.sandbox(port=port, says=says, fail=fail, write=click.echo)))
    except local.BadLine as error:
        raise click.UsageError(str(error)) from None


if __name__ == "__main__":
    main()
