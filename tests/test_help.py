"""`--help`: whoever knows nothing else finds each command, each option, each argument and each exit code."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from bot.__main__ import main
from bot.deploy import FILES

ENDS_OTHERWISE = {
    "run",
    "setup",
    "sandbox",
    "check",
    "audit",
    "audit verify",
    "resolve",
    "pause",
    "resume",
    "backup",
    "audit list",
    "audit export",
    "audit prune",
    "move-ledger",
}
"""Commands that end with another code than 0 and click's own 2 for wrong use."""


def commands(group: click.Group = main, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")


COMMANDS = dict(commands())


def shown(*arguments: str) -> str:
    """The help, on a line."""
    done = CliRunner().invoke(main, [*arguments, "--help"], catch_exceptions=False)
    assert done.exit_code == 0
    return " ".join(done.output.split())


@pytest.mark.parametrize("name", COMMANDS)
class TestEachCommand:
    def test_it_says_what_it_does_in_a_line_that_fits(self, name: str) -> None:
        """In the list of commands no line breaks off."""
        *before, last = name.split()
        listed = CliRunner().invoke(main, [*before, "--help"]).output
        (line,) = [line for line in listed.splitlines() if line.split()[:1] == [last]]
        assert line.endswith(".")
        assert not line.endswith("...")

    def test_every_option_is_explained(self, name: str) -> None:
        """By a sentence that begins with a capital letter and ends."""
        for option in COMMANDS[name].params:
            if isinstance(option, click.Option):
                assert option.help, option.name
                assert option.help[0].isupper(), option.help
                assert option.help.endswith("."), option.help

    def test_every_argument_is_named_in_the_text(self, name: str) -> None:
        """What stands in capitals in the usage is what the text speaks of."""
        command = COMMANDS[name]
        for argument in command.params:
            if isinstance(argument, click.Argument):
                assert argument.name is not None
                assert argument.name.upper() in (command.help or "")

    def test_it_says_with_which_code_it_ends(self, name: str) -> None:
        """Scripts rely on it."""
        assert ("Exit code" in shown(*name.split())) is (name in ENDS_OTHERWISE)


def test_help_lists_every_file_that_can_be_printed() -> None:
    """Without having to print anything."""
    assert all(f"{name} {about}" in shown("deploy") for name, about in FILES.items())


def test_help_needs_no_settings_and_tells_the_version() -> None:
    """Also from the first moment on, as when it is reported that something is wrong."""
    done = CliRunner().invoke(main, ["--version"], catch_exceptions=False)
    assert done.output.startswith("invoice-payment-bot 0.")
