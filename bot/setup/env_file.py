"""Writes answers into a `.env` file. Whatever else stands there stays, and only its owner can read it.

python-dotenv's own `set_key` quotes so that some versions read something else back, and makes files that
others can read. Here what is written is read back before it replaces anything.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from bot.domain.problem import Problem
from bot.errors import ConfigError

_NEW = "# Written by `python -m bot setup`. Every variable is explained in .env.example.\n"

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=?&-]*", re.ASCII)
"""What needs no quotes, for whoever reads the file."""

_COMMENT = r"[^\S\r\n]*\#[^\r\n]*"
_BINDING = re.compile(
    rf"""(?P<lead>\s*(?:export[^\S\r\n]+)?)
    (?:'[^']+'|[^=\#\s]+)[^\S\r\n]*
    (?:=(?:
        [^\S\r\n]*'(?:\\.|[^'\\])*'(?P<single>{_COMMENT})?
      | [^\S\r\n]*"(?:\\.|[^"\\])*"(?P<double>{_COMMENT})?
      | [^\r\n]*?(?P<plain>[^\S\r\n]+\#[^\r\n]*)?
    ))?
    [^\S\r\n]*(?P<end>\r\n|\n|\r)?""",
    re.VERBOSE | re.DOTALL,
)
"""A line that sets a variable, as python-dotenv reads it: what stands before the name and after the value."""


def text_of(path: Path) -> str:
    """What the file holds; nothing where there is none. Raises ConfigError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        problem = Problem(str(path), "cannot be read", "Check that it is a UTF-8 text file you may read.")
        raise ConfigError(problem) from None


def values_in(text: str) -> dict[str, str]:
    """What such a text sets, as the bot reads it."""
    read = dotenv_values(stream=io.StringIO(text, newline=None), interpolate=False)
    return {name: value or "" for name, value in read.items()}


def with_answers(text: str, answers: Mapping[str, str]) -> str:
    """The text with these values in it, each where its variable stood last, or at the end.

    Comments and other lines stay. Raises ConfigError for what cannot be written so that it is read back.
    """
    before = values_in(text)
    changed = {name: value for name, value in answers.items() if before.get(name) != value}
    bindings = list(parse_stream(io.StringIO(text, newline="")))
    last = {binding.key: place for place, binding in enumerate(bindings) if binding.key in changed}
    written = []
    for place, binding in enumerate(bindings):
        if binding.key not in changed:
            written.append(binding.original.string)
        elif last[binding.key] == place:
            written.append(_line(binding, changed[binding.key]))
    lines = "".join(written) if text else _NEW
    for name, value in changed.items():
        if name not in last:
            lines += "" if lines.endswith(("\n", "\r")) else "\n"
            lines += f"{name}={_quoted(value)}\n"
    after = values_in(lines)
    for name in sorted(before.keys() | changed.keys()):
        if after.get(name) != changed.get(name, before.get(name)):
            problem = Problem(name, "cannot be written down so that it is read back", "Edit .env by hand.")
            raise ConfigError(problem)
    return lines


def _line(binding: Binding, value: str) -> str:
    found = _BINDING.fullmatch(binding.original.string)
    if found is None:
        return f"{binding.key}={_quoted(value)}\n"
    comment = (found["single"] or found["double"] or found["plain"] or "").strip()
    rest = f" {comment}" if comment else ""
    return f"{found['lead']}{binding.key}={_quoted(value)}{rest}{found['end'] or ''}"


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def must_be_writable(path: Path) -> None:
    """Raises ConfigError where `write` could not put a file."""
    file = os.path.realpath(path)
    if os.path.exists(file) and not os.path.isfile(file):
        raise ConfigError(Problem(str(path), "is no file", "Name a file with --env-file."))
    if not os.access(os.path.dirname(file), os.W_OK | os.X_OK):
        raise _not_written(path, "its folder takes no file")


def _not_written(path: Path, why: str) -> ConfigError:
    remedy = "Nothing was changed. Run it where you may write, or name another file with --env-file."
    return ConfigError(Problem(str(path), f"cannot be written ({why})", remedy))


def write(path: Path, text: str) -> None:
    """Put the text in place of the file, all of it or nothing, for its owner alone. Raises ConfigError.

    A link stays one, and the file that it leads to is replaced. See `_keep_readers` for one that was there.
    """
    must_be_writable(path)
    file = os.path.realpath(path)
    try:
        # Nobody else can read it from the start.
        descriptor, beside = tempfile.mkstemp(prefix=".env-", dir=os.path.dirname(file))
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as new:
                new.write(text)
                new.flush()
                os.fsync(new.fileno())
                _keep_readers(file, new.fileno())
            os.replace(beside, file)
        except BaseException:
            os.unlink(beside)
            raise
    except (OSError, UnicodeEncodeError) as error:
        raise _not_written(path, getattr(error, "strerror", None) or type(error).__name__) from None


def _keep_readers(file: str, descriptor: int) -> None:
    """Whose it was it stays, and a group that alone could read it still can: the bot's, of root's file."""
    try:
        before = os.stat(file)
    except FileNotFoundError:
        return
    now = os.fstat(descriptor)
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        os.fchown(descriptor, before.st_uid, before.st_gid)
    if stat.S_IMODE(before.st_mode) & 0o047 == 0o040:
        os.fchmod(descriptor, 0o640)
