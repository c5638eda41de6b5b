"""Somebody who has their answers ready, in place of a terminal: for questions one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.domain.problem import Problem
from bot.setup.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Answering(Terminal):
    """answers: what is typed, in order; an empty one is Enter alone. said: what came back."""

    answers: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(self._harmless(text))

    def refuse(self, problem: Problem) -> None:
        self.said.append(f"No: {problem}")

    def ask(self, question: str, default: str) -> str:
        self.said.append(f"{question} [{self._harmless(default)}]")
        return self.answers.pop(0) or default

    def ask_secretly(self, question: str, kept: str) -> str:
        return self.answers.pop(0) or kept

    def choose(self, question: str, options: Sequence[object]) -> int | None:
        self.said.extend([question, *map(str, options)])
        number = int(self.answers.pop(0))
        return number - 1 if number else None
