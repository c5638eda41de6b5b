"""Breaks a copy of the source, and runs the test there that must see it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from queue import SimpleQueue

from tests.planted import billing, config, domain, ledger, payments, setup, several, slack, whole
from tests.planted.breaks import ROOT, Break

ALL: tuple[Break, ...] = (
    *domain.BREAKS,
    *ledger.BREAKS,
    *payments.BREAKS,
    *several.BREAKS,
    *billing.BREAKS,
    *slack.BREAKS,
    *config.BREAKS,
    *setup.BREAKS,
    *whole.BREAKS,
)

LONGEST = 240
"""Seconds for one test. One that hangs with the fault sees it as well."""

_HUNG = -signal.SIGALRM


@dataclass(frozen=True, slots=True)
class Look:
    """What became of a test. failed: None where it did not run. how: in a line, why."""

    what: Break
    failed: bool | None
    how: str


class Tree:
    """A copy of what the tests need, in which one fault at a time is planted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for part in ("bot", "tests"):
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "manifest.yml", ".env.example", "README.md"):
            shutil.copy(ROOT / file, root)
        self._pytest = subprocess.Popen(
            [sys.executable, "-m", "tests.planted.warm"],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """Run nothing any more."""
        self._pytest.communicate()

    def look(self, what: Break, *, whole: bool) -> Look:
        """Run the test that must see it. whole: without the fault."""
        file = self._root / "bot" / what.file
        compiled = Path(cache_from_source(file))
        before = file.read_text(encoding="utf-8")
        if not whole:
            file.write_text(what.broken(self._root), encoding="utf-8")
        # To Python, two versions of one size, a moment apart, are one.
        compiled.unlink(missing_ok=True)
        try:
            return self._run(what)
        finally:
            compiled.unlink(missing_ok=True)
            file.write_text(before, encoding="utf-8")

    def _run(self, what: Break) -> Look:
        only = ["-k", what.case] if what.case else []
        arguments = ["-x", "-p", "no:cacheprovider", "--tb=short", what.node(self._root), *only]
        out = self._root / "out"
        assert self._pytest.stdin is not None, "bug: it is a pipe"
        assert self._pytest.stdout is not None, "bug: it is a pipe"
        print(json.dumps([arguments, str(out), LONGEST]), file=self._pytest.stdin, flush=True)
        code = int(self._pytest.stdout.readline())
        said = out.read_text(encoding="utf-8", errors="replace")
        if code == _HUNG:
            return Look(what, True, f"it hung for {LONGEST} seconds")
        # A fixture that breaks, or a file that cannot be loaded, is no test that fails.
        ended = re.search(r"^(?:\d+ (failed)|\d+ passed)", said, re.MULTILINE)
        return Look(what, None if ended is None else ended[1] is not None, _why(said))


def _why(said: str) -> str:
    """How it failed, as far as pytest says so; its last line where it did not."""
    found = re.findall(r"^E   +(\S.*)$", said, re.MULTILINE)
    lines = [line for line in said.splitlines() if line.strip()]
    return str((found or lines[-1:] or ["nothing was said"])[0])


@contextmanager
def trees(count: int) -> Iterator[SimpleQueue[Tree]]:
    """So many copies, to be taken out and put back; in the end they are gone."""
    memory = Path("/dev/shm")
    made: SimpleQueue[Tree] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(count):
            folder = tempfile.TemporaryDirectory(prefix="planted-", dir=memory if memory.is_dir() else None)
            tree = Tree(Path(stack.enter_context(folder)))
            stack.callback(tree.close)
            made.put(tree)
        yield made


def look_at(breaks: Sequence[Break], *, jobs: int, whole: bool = False) -> Iterator[Look]:
    """Plant each fault, and run its test; in their order. whole: run the tests without the faults."""

    def one(what: Break) -> Look:
        tree = copies.get()
        try:
            return tree.look(what, whole=whole)
        finally:
            copies.put(tree)

    with trees(jobs) as copies, ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, breaks)
