"""Histories of the whole bot under virtual time: none goes wrong, and each is told again exactly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.drawing import Step, draw
from tests.simulation.planted import PLANTED, Planted
from tests.simulation.scenes import SCENES

ROOT = Path(__file__).parents[2]

DRAWN = ("--first", "8", "--steps", "80", "--length", "40")
"""Two histories."""


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m tests.simulation`."""
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *options],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def simulate(*options: str, hash_seed: str = "0") -> str:
    """What it prints; it must find nothing wrong."""
    ran = run(*options, PYTHONHASHSEED=hash_seed)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
    return ran.stdout


@pytest.fixture(scope="module")
def drawn() -> str:
    """What is said of two drawn histories."""
    return simulate(*DRAWN)


@pytest.fixture(scope="module")
def scenes() -> dict[str, str]:
    """What is told of each scene, by its name."""
    told = re.split(r"(?<= turns), trace [0-9a-f]{24}\n", simulate("--scene", "all"))
    return dict(zip(SCENES, told[:-1], strict=True))


def test_no_drawn_history_goes_wrong(drawn: str) -> None:
    """People, crashes, clocks, sleep and trouble on all sides: nothing is paid twice, all comes to rest."""
    found = re.search(r"(\d+) steps in (\d+) histories, .* (\d+) payments, \d+ .*, 0 histories wrong", drawn)
    assert found is not None, drawn
    assert (found[1], found[2]) == ("80", "2")
    assert int(found[3]) > 0


def test_no_scene_goes_wrong(scenes: dict[str, str]) -> None:
    """Histories that were made by hand, of what is drawn seldom: nothing is sent that must not be."""
    assert scenes.keys() == SCENES.keys()


def test_what_nobody_can_look_up_expires(scenes: dict[str, str]) -> None:
    """While Slack does not say who is who, a request waits; it never gets further, and says so in the end."""
    assert "moves: REQUESTED -> EXPIRED\n" in scenes["nobody is known until it expires"]


def test_a_seed_is_the_same_history_again(drawn: str) -> None:
    """Every byte, statement and turn of it, and when: also where Python's sets have another order."""
    assert re.search(r"trace of all: [0-9a-f]{24}\n", drawn)
    assert simulate(*DRAWN, hash_seed="1") == drawn


def test_a_history_is_drawn_from_its_seed() -> None:
    """The same seed draws the same steps."""
    assert draw(1, 100) == draw(1, 100) != draw(2, 100)


def test_a_history_is_shrunk_to_what_it_takes() -> None:
    """What is left goes wrong, and leaving out any of it does not."""
    # It reads the whole source to know where a bot may crash.
    from tests.simulation.command_line import shrink_to_wrong

    steps = [Step("asks", 0.0, (number,)) for number in range(100)]
    needed = {steps[7], steps[50], steps[51]}
    assert set(shrink_to_wrong(steps, lambda kept: needed <= set(kept))) == needed


def test_what_ended_well_in_a_record_counts_and_is_not_played_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long run goes on where it was broken off; what went wrong is played once more."""
    # Here, for it waits for what the tests of the simulation alone load.
    from tests.simulation.command_line import play_many
    from tests.simulation.playing import Played, Player

    wrong = {2}

    class Playing(Player):
        def __init__(self) -> None:
            self.seeds: list[int] = []

        def play_all(self, histories: Any, *, jobs: int, tell: Any = None) -> Iterator[Played]:
            for seed, steps in histories:
                self.seeds.append(seed)
                yield Played(seed, len(steps), ["paid twice"] if seed in wrong else [], payments=5)

    def play() -> tuple[bool, list[int]]:
        player = Playing()
        ended = play_many(player, range(1, 4), 1, 40, tmp_path / "record", until_wrong=False)
        return ended, player.seeds

    assert play() == (True, [1, 2, 3])
    wrong.clear()
    assert play() == (False, [2])
    assert play() == (False, [])
    assert "120 steps in 3 histories" in (said := capsys.readouterr().out.split("trace of all")[-2])
    assert "15 payments" in said


@pytest.mark.parametrize("planted", PLANTED, ids=lambda one: one.name)
def test_a_planted_fault_breaks_a_line_that_stands_there(planted: Planted) -> None:
    """Otherwise nobody would notice that it is not planted any more."""
    assert planted.instead in planted.source()
