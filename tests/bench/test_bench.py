"""The benchmark starts, meets both sides, and says what it found; how fast they are is not tested."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.__main__ import NAMES
from tests.bench.world import ROOT


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.bench", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout


def test_a_figure_is_measured_for_both_sides() -> None:
    """As numbers for a machine."""
    told = json.loads(run("start", "--rounds", "1", "--json"))
    values = told["figures"]["start"]["seconds"]
    assert {side: len(rounds) for side, rounds in values.items()} == {"ours": 1, "plain": 1}
    assert told["machine"]["python"]


def test_a_figure_is_told_to_people() -> None:
    """The ratio first; and the module of each figure is one that can be named."""
    header, line, machine = run("reading", "--rounds", "1").splitlines()
    assert header.split() == ["ours/plain", "ours", "plain", "goal"]
    assert float(line.split()[0]) < 1
    assert "python" in machine
    assert "reading" in NAMES
