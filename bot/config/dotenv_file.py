"""Reads a `.env` file whole or not at all.

python-dotenv passes over a line that it cannot read. Where that line was to restrict who may pay what,
nothing would be restricted, so such a file is refused, and every such line of it is told.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from bot.domain.problem import Problem
from bot.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)

_HOW = "Write NAME=value, a value with a blank or # in it as NAME='value', or begin the line with #."


def variables_in(path: Path, own: Collection[str]) -> dict[str, str]:
    """What the file sets, nothing where there is no such file. own: the bot's variables.

    It is read once, so it may be a pipe. Raises ConfigError with every line that cannot be read, or that
    contradicts another; and for what is there and cannot be read, such as a folder or a link to nowhere.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return {}
        raise unreadable(".env") from None
    bindings = [one for one in parse_stream(io.StringIO(text)) if one.key is not None or one.error]
    if problems := list(_problems(path.name, bindings, own)):
        raise ConfigError(*problems)
    return {one.key: one.value for one in bindings if one.key is not None and one.value is not None}


def unreadable(where: str) -> ConfigError:
    """A file, or the one that a variable names, is no text that can be read."""
    return ConfigError(Problem(where, "cannot be read", "Check that it is a UTF-8 text file you may read."))


def _problems(file: str, bindings: Collection[Binding], own: Collection[str]) -> Iterator[Problem]:
    before: dict[str, Binding] = {}
    for one in bindings:
        where = f"{file}:{_line_of(one)}"
        if one.key is None or one.value is None or not _NAME.fullmatch(one.key):
            yield Problem(where, "the line cannot be read", _HOW)
            continue
        # Whoever's value it is: a line inside of it sets nothing.
        for name in own:
            if re.search(rf"^\s*(export\s+)?{name}\s*=", one.value.partition("\n")[2], re.MULTILINE):
                what = f"the value of {one.key} goes on over several lines, and {name} is set in one of them"
                yield Problem(where, what, "Close its quote on its own line.")
        if one.key in own:
            other = before.setdefault(one.key, one)
            if other.value != one.value:
                what = f"{one.key} is set again, to something else than in line {_line_of(other)}"
                yield Problem(where, what, "Keep one of the two.")


def _line_of(binding: Binding) -> int:
    """The number of its line; blank ones before it are part of what python-dotenv tells."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(re.findall(r"\r\n|\n|\r", blank))
