"""The emoji that the bot says are shown as such where newcomers look."""

from __future__ import annotations

import re
from pathlib import Path

import bot
from bot.sandbox.plain_words import _EMOJI

PACKAGE = Path(bot.__file__).parent
PAGE = PACKAGE / "sandbox" / "local_slack" / "page" / "emoji.js"


def said_by_the_bot() -> set[str]:
    sources = (path.read_text(encoding="utf-8") for path in (PACKAGE / "slack").glob("*.py"))
    return {name for source in sources for name in re.findall(r'":([a-z_]+):', source)}


def test_the_terminal_and_the_page_know_each() -> None:
    """None stands there as its name between colons."""
    drawn = set(re.findall(r'^    ([a-z_]+\d?): "', PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    said = said_by_the_bot()
    assert {"eyes", "calendar", "white_check_mark"} <= said
    assert said - set(_EMOJI) == set()
    assert said - drawn == set()
