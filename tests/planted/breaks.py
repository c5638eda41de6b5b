"""What a planted fault is, and how its line and its test are found."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Rotten(Exception):
    """The line or the test that an entry names is not there any more, or is there twice."""


@dataclass(frozen=True, slots=True)
class Break:
    """One line of the bot that keeps money or people safe, and what stands there instead.

    name: what goes wrong with it. file: under bot/. text: what is replaced; it stands there once.
    seen_by: a folder or file under tests/ (without `.py`), a colon, and the test in it that must fail.
    case: of a test with several parameters, one that is enough, as pytest's -k takes it.
    """

    name: str
    file: str
    text: str
    instead: str
    seen_by: str
    case: str = ""

    def broken(self, root: Path) -> str:
        """The file's text with the fault in it. Raises Rotten."""
        source = (root / "bot" / self.file).read_text(encoding="utf-8")
        if (count := source.count(self.text)) != 1:
            raise Rotten(f"{self.name}: its text stands {count} times in bot/{self.file}")
        broken = source.replace(self.text, self.instead)
        compile(broken, self.file, "exec")
        return broken

    def node(self, root: Path) -> str:
        """The test, as pytest calls it; found by its name, wherever it was moved to. Raises Rotten."""
        place, _, test = self.seen_by.partition(":")
        folder = root / "tests" / place
        files = sorted(folder.rglob("test_*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
        found = [
            f"{file.relative_to(root).as_posix()}::{name}"
            for file in files
            if file.exists()
            for name in _names(file.read_text(encoding="utf-8"), test)
        ]
        if len(found) != 1:
            raise Rotten(f"{self.name}: {test} stands {len(found)} times in tests/{place}")
        return found[0]


def _names(source: str, test: str) -> Iterator[str]:
    """What a file calls the test: by itself, or in a class."""
    if f"def {test}(" not in source:
        return
    for outer in ast.parse(source).body:
        if _is(outer, test):
            yield test
        elif isinstance(outer, ast.ClassDef) and any(_is(inner, test) for inner in outer.body):
            yield f"{outer.name}::{test}"


def _is(node: ast.stmt, test: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == test
