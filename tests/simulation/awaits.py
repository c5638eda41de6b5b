"""Where the bot waits, and so can crash: every await of its source, and which of them a crash met."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import bot

LEFT_OUT = {
    "__main__.py": "the command line; a history begins at `bot.app.running`",
    "serving.py": "signals of the command line",
    "status.py": "nobody asks for the bot's status here",
    "ledger/backup.py": "the command line",
    "ledger/exported.py": "the command line",
    "ledger/proof_in_parts.py": "the command line",
    "ledger/moving.py": "the command line",
    "ledger/pruning.py": "the command line",
    "ledger/leftovers.py": "the command line",
    "ledger/ages.py": "nobody asks for the bot's status here",
    "slack/installation.py": "the command line",
    "slack/roster.py": "the command line",
    "slack/http_mode.py": "what Slack sends comes through Socket Mode here",
    "ledger/version.py": "the tables are of this version already, and are looked at by a thread that waits",
}
"""Files whose awaits no history can meet, and why."""

ELSEWHERE = ("sandbox/", "ledger/migrations/", "checks/", "setup/", "operating/")
"""Folders of what does not run in the bot."""


def _source() -> Iterator[tuple[str, ast.AST]]:
    root = Path(bot.__file__).parent
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root).as_posix()
        if not name.startswith(ELSEWHERE) and name not in LEFT_OUT:
            source = file.read_text(encoding="utf-8")
            if "async " in source:
                yield name, ast.parse(source)


@cache
def awaits() -> dict[str, list[range]]:
    """The lines of every await, by file; only of files that have any. To read them all takes seconds."""
    found = {
        name: [lines for node in ast.walk(tree) if (lines := _waits(node)) is not None]
        for name, tree in _source()
    }
    return {name: every for name, every in found.items() if every}


def _waits(node: ast.AST) -> range | None:
    """The lines on which this is waited for, where it is something of that kind."""
    if isinstance(node, ast.Await):
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    if isinstance(node, ast.AsyncWith | ast.AsyncFor):
        return range(node.lineno, max(node.body[0].lineno, node.lineno + 1))
    return None


@cache
def files() -> tuple[str, ...]:
    """Where a crash may be drawn to fall."""
    return tuple(sorted(awaits()))


def figures(crashed_at: Collection[str]) -> list[str]:
    """How many of the awaits a crash met, in all and by file, in lines."""
    places = set(crashed_at)
    met = {
        file: sum(any(f"{file}:{line}" in places for line in lines) for lines in every)
        for file, every in awaits().items()
    }
    all_of_them = {file: len(every) for file, every in awaits().items()}
    by_file = ", ".join(f"{file} {met[file]}/{count}" for file, count in all_of_them.items())
    total = f"{sum(met.values())} of {sum(all_of_them.values())}"
    return [f"awaits of the bot that a crash met: {total}", f"by file: {by_file}"]
