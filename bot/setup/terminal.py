"""A person at a terminal: asked one thing at a time, and told what came of it.

Whatever is said may come from Slack or from the billing API: no terminal obeys it, and no secret is in it.
Ctrl-C at any question raises `click.Abort`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from bot import logs
from bot.domain.problem import Problem
from bot.redaction import Redaction
from bot.setup.draft import Draft


@dataclass(frozen=True, slots=True)
class Terminal:
    """draft: whose secrets are never said."""

    draft: Draft

    def say(self, text: str) -> None:
        """One line."""
        click.echo(self._harmless(text))

    def refuse(self, problem: Problem) -> None:
        """Why an answer will not do, and what to do."""
        self.say(f"  No: {problem.what}. {problem.remedy}")

    def complain(self, problem: Problem) -> None:
        """What keeps anything from being written."""
        click.echo(self._harmless(str(problem)), err=True)

    def ask(self, question: str, default: str) -> str:
        """An answer that may be seen. default: what Enter means; empty where there must be an answer."""
        shown = self._harmless(default) if default else None
        answer: str = click.prompt(question, default=shown)
        return default if answer == shown else answer

    def ask_secretly(self, question: str, kept: str) -> str:
        """An answer that is not shown while it is typed. kept: what Enter means, not shown either."""
        hint = " (hidden; Enter keeps what is there)" if kept else " (hidden)"
        answer: str = click.prompt(question + hint, hide_input=True, default=kept or None, show_default=False)
        return answer

    def choose(self, question: str, options: Sequence[object]) -> int | None:
        """The place of one of them; None for none of them."""
        self.say(question)
        for number, option in enumerate(options, 1):
            self.say(f"    {number}  {option}")
        self.say("    0  none of them")
        number = click.prompt("  Which", type=click.IntRange(0, len(options)))
        return number - 1 if number else None

    def confirm(self, question: str) -> bool:
        """Yes or no; Enter says yes."""
        return click.confirm(question, default=True)

    def _harmless(self, text: str) -> str:
        return logs.printable(Redaction(self.draft.secrets()).clean(text))
