"""What several processes have to load, they make ready together.

Each process of a run loads all tests. In a clean clone every file has to be compiled first, its asserts
rewritten, and what one process has compiled the others read: so each begins at another part of the tests.
"""

from __future__ import annotations

import contextlib
import importlib
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


def begin_with_own_part(config: pytest.Config) -> None:
    """Load this process's part of the tests first, where it is one of several that load all of them."""
    process = getattr(config, "workerinput", None)
    if process is None or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    files = sorted((_ROOT / "tests").rglob("test_*.py"))
    number, count = int(process["workerid"].removeprefix("gw")), process["workercount"]
    for file in files[len(files) * number // count : len(files) * (number + 1) // count]:
        # What cannot be loaded is told when it is the file's turn.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts))
