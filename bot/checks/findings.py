"""What a check found: one line for people, one object for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.problem import Problem


class Verdict(StrEnum):
    """Whether it is as it should be. A note is nothing to mend, but good to know."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """where: a variable, or the thing that was looked at. what: without a full stop. remedy: may be empty."""

    verdict: Verdict
    where: str
    what: str
    remedy: str = ""

    def cleaned(self, clean: Callable[[str], str]) -> Finding:
        """The same, with everything that came from outside made harmless by `clean`."""
        return Finding(self.verdict, clean(self.where), clean(self.what), clean(self.remedy))

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {"verdict": self.verdict, "where": self.where, "what": self.what, "remedy": self.remedy}

    def __str__(self) -> str:
        mark = self.verdict.upper() if self.verdict is Verdict.WRONG else self.verdict
        rest = f". {self.remedy}" if self.remedy else ""
        return f"{mark:<6}{self.where}: {self.what}{rest}"


def ok(where: str, what: str) -> Finding:
    """It is as it should be."""
    return Finding(Verdict.OK, where, what)


def note(where: str, what: str, remedy: str = "") -> Finding:
    """Good to know."""
    return Finding(Verdict.NOTE, where, what, remedy)


def wrong(where: str, what: str, remedy: str = "") -> Finding:
    """To be mended."""
    return Finding(Verdict.WRONG, where, what, remedy)


def of_problem(problem: Problem) -> Finding:
    """The same as a finding."""
    return Finding(Verdict.WRONG, problem.where, problem.what, problem.remedy)
