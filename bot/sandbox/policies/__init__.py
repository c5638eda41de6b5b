"""Example policies that name the sandbox's people: each is a file that can be used as it stands."""

from __future__ import annotations

from pathlib import Path

DEFAULT = "servers-need-approval"

EXAMPLES: dict[str, Path] = {file.stem: file for file in sorted(Path(__file__).parent.glob("*.toml"))}
"""By name."""


def about(name: str) -> str:
    """What an example says, in a sentence or two: its first line."""
    first, _, _ = EXAMPLES[name].read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("# ")
