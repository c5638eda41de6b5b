"""Options that several commands take, and the kinds of what is typed for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

_NO_TEXT = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes that are no text in the terminal's encoding."""


def refuse_no_text(typed: str) -> str:
    """The same. Raises BadParameter for what no file, no row and no message can hold."""
    if _NO_TEXT.search(typed):
        raise click.BadParameter("is not text in this terminal's encoding; write it anew")
    return typed


def refuse_dash(typed: str) -> str:
    """The same. Raises BadParameter for what means standard output elsewhere: here it would name a file."""
    if typed == "-":
        raise click.BadParameter("is no file; write ./- for a file of that name")
    return typed


class _Text(click.ParamType[str]):
    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Text, whatever it says."""
        return refuse_no_text(str(value))


class _FileToWrite(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A name; whether it may be written to is seen by who writes it."""
        return super().convert(refuse_dash(refuse_no_text(str(value))), param, ctx)


TEXT = _Text()
FILE_TO_WRITE = _FileToWrite(path_type=Path, dir_okay=False)

ENV_FILE = click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read variables from this file instead of .env.",
)
