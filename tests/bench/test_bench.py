"""The benchmark starts, meets both sides, and says what it found; how fast they are is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from bot.ledger.opening import open_ledger
from tests.bench import old_ledger
from tests.bench.__main__ import NAMES, _told, main
from tests.bench.figures import Line
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
    header, line, machine = CliRunner().invoke(main, ["reading", "--rounds", "1"]).stdout.splitlines()
    assert header.split() == ["ours/plain", "ours", "plain", "goal"]
    assert float(line.split()[0]) < 1
    assert "python" in machine
    assert "reading" in NAMES


async def test_the_old_ledger_is_one_that_the_bot_could_have_written(tmp_path: Path) -> None:
    """Whoever proves it finds nothing; every payment has its events."""
    await old_ledger.make(tmp_path / "ledger.db", 100)
    async with open_ledger(f"sqlite+aiosqlite:///{tmp_path}/ledger.db") as ledger:
        found = await ledger.verify()
    assert (found.events, found.broken_at, found.flaws) == (550, None, ())
    assert old_ledger.events(tmp_path / "ledger.db") == 550


def test_what_is_not_so_many_times_the_other_is_missed() -> None:
    """Where more is better."""
    line = Line("paid", "/s", at_least=1.7)
    assert "MISSED" not in _told(line, {"ours": [1.8], "plain": [1.0]})
    assert "MISSED" in _told(line, {"ours": [1.6], "plain": [1.0]})


def test_what_takes_longer_than_so_many_times_the_other_is_missed() -> None:
    """Whatever either takes by itself."""
    line = Line("the Home tab", "ms", times=1.2)
    assert "MISSED" not in _told(line, {"ours": [12.0], "plain": [10.0]})
    assert "MISSED" in _told(line, {"ours": [13.0], "plain": [10.0]})
