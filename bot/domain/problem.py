"""What is wrong with something that a person wrote down, told so that they can put it right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Problem:
    """One line for people; it never holds a value that might be a secret.

    where: a variable, a line of a file, or a field of a rule; from the outside in, parted by ": ". Empty for
        the rule as a whole.
    what: what is wrong, without a full stop.
    remedy: what to do about it, one sentence or more.
    """

    where: str
    what: str
    remedy: str

    def within(self, outer: str) -> Self:
        """The same, with its place named from further out."""
        return replace(self, where=f"{outer}: {self.where}" if self.where else outer)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}"
