"""`python -m bot setup`: from nothing to a bot that can be started, with every answer tried."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot import config, logs
from bot.checks.command import quiet
from bot.config import VARIABLES
from bot.domain.policy.words import describe
from bot.domain.problem import Problem
from bot.errors import ConfigError
from bot.leaving import leave
from bot.options import FILE_TO_WRITE
from bot.setup import env_file as file_of
from bot.setup.draft import Draft, is_secret
from bot.setup.terminal import Terminal

if TYPE_CHECKING:
    from bot.setup.step import Step

_WELCOME = (
    "Each answer is tried at once: Slack, the billing API and the ledger are only read.",
    "Nothing is paid or posted, and nothing is written before the end. Ctrl-C stops.",
)

_NO_APP_YET = (
    "Is there no Slack app yet? At https://api.slack.com/apps, paste what python -m bot manifest prints."
)

_TAKEN_AS_THEY_ARE = frozenset({"SLACK_API_URL", "SLACK_SIGNING_SECRET"})
"""What a step uses and never asks for."""


def _answers(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Read NAME=VALUE."""
    answers = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in VARIABLES:
            raise click.BadParameter("write NAME=VALUE, with a name out of .env.example")
        if is_secret(name, value):
            raise click.BadParameter(f"others could see {name} here; set it in the environment")
        answers[name] = value
    return answers


@click.command()
@click.option(
    "--env-file",
    type=FILE_TO_WRITE,
    default=config.DOTENV,
    help="Write the answers to this file instead of .env.",
)
@click.option("--non-interactive", is_flag=True, help="Ask nothing: take the answers from the environment.")
@click.option("--overwrite", is_flag=True, help="Change the file without asking where there is one.")
@click.option(
    "--set",
    "answers",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_answers,
    help="An answer; may be repeated.",
)
def setup(env_file: Path, non_interactive: bool, overwrite: bool, answers: dict[str, str]) -> None:
    """Ask what the bot must be told, try each answer, and write .env.

    What is there already is the default, from the file, the environment and --set; secrets are not shown.
    Exit code 1: the file was not written, and why is said.
    """
    if not non_interactive and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this is no terminal; use --non-interactive, and set the variables")
    quiet()
    draft = Draft({})
    try:
        draft = Draft(config.given_in(env_file) | answers)
        logs.keep_secret(draft.secrets())
        file_of.must_be_writable(env_file)
        _refuse_what_is_not_asked(draft)
        draft.answered(["PAY_POLICY_FILE", *answers])
        if non_interactive:
            _unattended(draft, env_file, overwrite)
        else:
            _attended(draft, env_file, overwrite)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nStopped; {env_file} was not written.", err=True)
        leave(1)
    except ConfigError as error:
        for problem in error.problems:
            Terminal(draft).complain(problem)
        click.echo(f"{env_file} was not written.", err=True)
        sys.exit(1)


def _steps(draft: Draft) -> list[Step]:
    """The questions, in their order."""
    from bot.setup import channels, people, services, tokens  # noqa: PLC0415  (other commands need none of it)
    from bot.setup.step import Known  # noqa: PLC0415

    known = Known(draft)
    return [
        tokens.BotToken(known),
        tokens.AppToken(known),
        people.Requesters(known),
        people.Approvals(known),
        channels.Channels(known),
        channels.ApprovalChannel(known),
        services.Description(draft),
        services.Login(draft),
        services.LedgerPlace(draft),
    ]


def _refuse_what_is_not_asked(draft: Draft) -> None:
    """Whatever no question would mend is told before the first one. Raises ConfigError."""
    asked = {name for step in _steps(draft) for name in step.variables} - _TAKEN_AS_THEY_ARE
    if not draft.get("SLACK_APP_TOKEN"):
        asked.add("SLACK_APP_TOKEN or SLACK_SIGNING_SECRET")
    try:
        config.load(Path(os.devnull), draft.all())
    except ConfigError as error:
        if others := [problem for problem in error.problems if problem.where not in asked]:
            raise ConfigError(*others) from None


def _attended(draft: Draft, env_file: Path, overwrite: bool) -> None:
    terminal = Terminal(draft)
    for line in _WELCOME:
        terminal.say(line)
    if not draft.get("SLACK_BOT_TOKEN"):
        terminal.say(_NO_APP_YET)
    if draft.get("PAY_POLICY_FILE"):
        terminal.say(f"The rules are in {draft.get('PAY_POLICY_FILE')}; they are not asked for.")
    for step in _steps(draft):
        if step.wanted():
            _answered(step, terminal)
            draft.answered(step.variables)
    _written(draft, env_file, terminal, overwrite=overwrite)


def _answered(step: Step, terminal: Terminal) -> None:
    """Ask until the answer is good."""
    while True:
        step.ask(terminal)
        logs.keep_secret(terminal.draft.secrets())
        try:
            said = asyncio.run(step.check())
        except ConfigError as error:
            for problem in error.problems:
                terminal.refuse(problem)
            continue
        for line in said:
            terminal.say(f"  {line}")
        return


def _unattended(draft: Draft, env_file: Path, overwrite: bool) -> None:
    """Try all that is given. Raises ConfigError with everything that is missing, or that is wrong."""
    steps = _steps(draft)
    if missing := list(_missing(steps, draft)):
        raise ConfigError(*missing)
    terminal = Terminal(draft)
    for step in steps:
        if step.wanted():
            for line in asyncio.run(step.check()):
                terminal.say(line)
        draft.answered(step.variables)
    if env_file.exists() and not overwrite and _changes(draft, file_of.text_of(env_file)):
        raise ConfigError(Problem(str(env_file), "is there already", "Say --overwrite to change it."))
    _written(draft, env_file, terminal, overwrite=True)


def _missing(steps: list[Step], draft: Draft) -> Iterator[Problem]:
    for step in steps:
        for name in step.needed():
            if not draft.get(name):
                yield Problem(name, "is not set", "Set it in the environment; .env.example explains it.")


def _changes(draft: Draft, text: str) -> dict[str, str]:
    return draft.to_write(file_of.values_in(text))


def _written(draft: Draft, env_file: Path, terminal: Terminal, *, overwrite: bool) -> None:
    """Make the ledger, write the file, say the rules. Raises ConfigError."""
    from bot.setup.services import LedgerPlace, make_ledger  # noqa: PLC0415

    policy = config.policy_of(config.load(Path(os.devnull), draft.all()))
    text = file_of.text_of(env_file)
    changes = _changes(draft, text)
    if changes and not overwrite:
        there = " It is there already; comments and other lines in it stay." if text else ""
        if not terminal.confirm(f"Write {', '.join(changes)} to {env_file}?{there}"):
            terminal.say("Nothing was written.")
            return
    while True:
        try:
            said = asyncio.run(make_ledger(draft))
        except ConfigError as error:
            if overwrite:
                raise
            for problem in error.problems:
                terminal.refuse(problem)
            _answered(LedgerPlace(draft), terminal)
            changes = _changes(draft, text)
            continue
        break
    for line in said:
        terminal.say(line)
    if changes:
        file_of.write(env_file, file_of.with_answers(file_of.text_of(env_file), changes))
        terminal.say(f"{env_file} is written; others cannot read it.")
    else:
        terminal.say(f"{env_file} holds all of this already.")
    for name in _overruled(draft, os.environ):
        terminal.say(f"Take {name} out of the environment: it is another there, and wins over {env_file}.")
    option = "" if env_file == config.DOTENV else f" --env-file {env_file}"
    terminal.say(f"Start the bot: python -m bot run{option}")
    for line in describe(policy):
        terminal.say(line)


def _overruled(draft: Draft, environment: Mapping[str, str]) -> list[str]:
    return [name for name in VARIABLES if environment.get(name, "").strip() not in ("", draft.get(name))]
