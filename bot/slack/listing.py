"""Long texts within Slack's limits: they show the first lines, and say how many more there are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from bot.slack.blocks import Message, section
from bot.slack.text import SECTION

ROOM = 10_000
"""Characters of a list in all; Slack takes 12,000 in the blocks of a message."""

_BESIDE = 1_700
"""Characters of heading and endings that leave the lines all their room; longer ones take some of it."""

_FALLBACK = 3_500
"""Characters of the text that stands for the blocks; Slack wants less than 4,000."""


def listing(
    heading: str,
    lines: Sequence[str],
    remedy: str = "",
    endings: Sequence[str] = (),
    *,
    left_out: int = 0,
    room: int = ROOM,
) -> Message:
    """A message of a heading, as many of the lines as there is room for, and the endings.

    remedy: how to see the others. endings: come whole, whatever is left out. left_out: how many there are
    beside the lines. room: characters of all lines.
    """
    beside = sum(len(one) + 1 for one in (heading, *endings))
    kept = fitting(lines, room - max(0, beside - _BESIDE))
    left = len(lines) - len(kept) + left_out
    more = [f"… and {left:,} more.{remedy}"] if left else []
    told = [one for one in (heading, *kept, *more, *endings) if one]
    text = "\n".join(fitting([heading.replace("*", ""), *told[1:]] if heading else told, _FALLBACK))
    return Message(text, [section(text) for text in paragraphs(told)])


def fitting(lines: Sequence[str], room: int) -> Sequence[str]:
    """The first of the lines, as many as take at most so many characters."""
    for count, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            return lines[:count]
    return lines


def paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """The lines in as few texts as a section takes; what is longer than one is parted between two words."""
    text = ""
    for line in chain.from_iterable(map(_parted, filter(None, lines))):
        if text and len(text) + 1 + len(line) > SECTION:
            yield text
            text = ""
        text = f"{text}\n{line}" if text else line
    yield text


def _parted(line: str) -> Iterator[str]:
    while len(line) > SECTION:
        at = line.rfind(" ", 1, SECTION + 1)
        at = SECTION if at < 0 else at
        yield line[:at]
        line = line[at:].lstrip(" ")
    yield line
