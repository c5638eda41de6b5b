"""What a person typed, as words.

A blank is whatever Unicode counts as one (phones type U+00A0, and U+202F after punctuation), and every
invisible control or format character as well (copying leaves U+200B and U+FEFF behind). They part words
and are never dropped: "12<U+200B>34" is two words, it is not 1234.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Typed:
    """A text without Slack's escapes, and its words in their order."""

    text: str
    words: list[str]
    _starts: list[int]

    def from_word(self, index: int) -> str:
        """The text from the index-th word on, as one line; empty if there are not so many words.

        Format characters stay, for emoji and several scripts need them. Control characters and halves
        of surrogate pairs go: PostgreSQL takes no NUL, and UTF-8 no half.
        """
        if index >= len(self.words):
            return ""
        rest = self.text[self._starts[index] :]
        parted = "".join(" " if unicodedata.category(char) == "Cc" else char for char in rest)
        return " ".join(parted.split()).encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """Nothing is done.

    problem: one line, what is wrong. remedy: one line, how to go on.
    Both are plain text and may quote what was typed; whoever shows them in Slack escapes them.
    """

    problem: str
    remedy: str


def read_words(text: str) -> Typed:
    """Read a text as Slack sends it, with `&`, `<` and `>` as `&amp;`, `&lt;` and `&gt;`."""
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    # One character for one, so that the words' places are those in the text.
    spaced = "".join(" " if _parts_words(char) else char for char in plain)
    found = list(re.finditer(r"[^ ]+", spaced))
    return Typed(plain, [word.group() for word in found], [word.start() for word in found])


def normal(word: str) -> str:
    """The word in lower case and with underscores, as the names of modules are written."""
    # Only ASCII is folded: lower() would also turn a Kelvin sign into a k.
    return word.lower().replace("-", "_") if word.isascii() else word


def begins_like_a_number(word: str) -> bool:
    """Whether a number of any kind was probably meant, a wrong one included."""
    return word.lstrip("#+-")[:1].isnumeric()


def parted_unseen(text: str) -> bool:
    """Whether digits stand beside each other for whoever looks, and something invisible parts them."""
    shown = "".join("\0" if unicodedata.category(char) == "Cf" else char for char in text)
    return re.search(r"[0-9]\0+[0-9]", shown) is not None


def _parts_words(char: str) -> bool:
    return char.isspace() or unicodedata.category(char) in {"Cc", "Cf"}
