"""The note that was typed behind what is to be paid: `note: for July`. Whatever follows is of it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.typed_invoices import example
from bot.domain.typed_words import Misunderstood, Typed, normal

_WORD, _MARK = "note", "note:"


def split_note(
    typed: Typed, modules: Sequence[str], most: int
) -> tuple[list[str], str | None] | Misunderstood:
    """The words before the note, and the note; None: there is none. most: characters that it may have."""
    words = typed.words
    begins = next((at for at, word in enumerate(words) if word.lower().startswith(_MARK)), None)
    if begins is None:
        if _WORD in map(normal, words[1:]):
            return Misunderstood(
                "A note begins with note:, the colon right behind the word.",
                f"Type it last, as in /pay {example(modules)} 12345 note: <why>.",
            )
        return words, None
    if begins == 0:
        return Misunderstood(
            "The note comes last, behind what is to be paid.",
            f"Type /pay {example(modules)} 12345 note: <why>.",
        )
    note = typed.from_word(begins)[len(_MARK) :].strip()
    if not note:
        return Misunderstood("There is no note behind note:.", "Write one, or leave the word away.")
    if len(note) > most:
        return Misunderstood(f"The note is longer than {most} characters.", "Shorten it, and try again.")
    return words[:begins], note


def day_in_note(modules: Sequence[str]) -> Misunderstood:
    """The note ends with what would put the payment off, if it stood before the note."""
    return Misunderstood(
        "The note ends with a day, so it is not clear whether the payment is to wait for it.",
        f"Write the day before note:, as in /pay {example(modules)} 12345 on due date note: <why>;"
        " or put a full stop behind it.",
    )
