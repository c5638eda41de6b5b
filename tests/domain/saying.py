"""What is said to whoever typed no command."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.command import parse
from bot.domain.payment import DOCUMENTED_MODULES
from bot.domain.typed_words import Misunderstood


def said(text: str, modules: Sequence[str] = DOCUMENTED_MODULES) -> str:
    """The answer to something that is not understood, as one text."""
    answer = parse(text, modules)
    assert isinstance(answer, Misunderstood), answer
    return f"{answer.problem} {answer.remedy}"
