"""Which day was typed: `on due date`, or `on 2026-12-05`, behind what is to be paid."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.domain.schedule import PayOn
from bot.domain.typed_words import Misunderstood, normal
from bot.domain.wording import quote

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DUE_DATE = (["due"], ["due", "date"], ["due_date"])


def split_day(words: Sequence[str]) -> tuple[list[str], PayOn | None] | Misunderstood:
    """Split off the day that the words end with; None where they name none, so that it is at once.

    Of all the ways to write a day only one is taken: 5/12 is another day to others.
    """
    # What follows may be parted by a comma, as invoices are.
    words = [*words[:-1], *(word.rstrip(",") for word in words[-1:])]
    names = [normal(word) for word in words]
    if names[:1] == ["on"]:
        return Misunderstood(
            "The day comes last, behind what is to be paid.", "Write it as in on 2026-12-05, or on due date."
        )
    if "on" not in names[1:]:
        return list(words), None
    at = len(names) - 1 - names[::-1].index("on")
    before, meant = list(words[:at]), names[at + 1 :]
    if meant in _DUE_DATE:
        return before, PayOn()
    if len(meant) == 1 and _DAY.fullmatch(words[-1]):
        try:
            return before, PayOn.read(words[-1])
        except ValueError:
            return Misunderstood(f"There is no day {words[-1]}.", "Type it as in 2026-12-05, or on due date.")
    unknown = f" I do not know {quote(' '.join(words[at + 1 :]))}." if meant else ""
    return Misunderstood(
        f"Paid on which day?{unknown}",
        "Write it as in on 2026-12-05, or on due date for the day on which each is due.",
    )


def ends_with_a_day(text: str) -> bool:
    """Whether a text ends in the words that would put a payment off."""
    split = split_day(["", *text.split()])
    return not isinstance(split, Misunderstood) and split[1] is not None
