"""What the command line of the simulation does: plays many histories or one, and says what it found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from bot.domain.payment import MOVES
from tests.simulation import awaits
from tests.simulation.drawing import Step, draw
from tests.simulation.entropy import Entropy
from tests.simulation.planted import PLANTED, VARIABLE
from tests.simulation.playing import Played, Player, total
from tests.simulation.scenes import SCENES

LENGTH = 250
"""Steps in one history."""

YEAR = 365 * 86400.0


@click.command()
@click.option("--steps", default=5000, show_default=True, help="So many steps, in all histories together.")
@click.option("--jobs", default=1, show_default=True, help="So many histories at once.")
@click.option("--first", default=1, show_default=True, help="The seed of the first history.")
@click.option("--seed", type=int, help="Play this history alone, and tell it.")
@click.option("--shrink", is_flag=True, help="Find the shortest history that goes wrong as --seed does.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write down how each history ended. Those that ended well in it count, and are not played again.",
)
@click.option("--until-wrong", is_flag=True, help="Stop at the first history that goes wrong.")
@click.option("--planted", "see", is_flag=True, help="See whether each planted fault is seen.")
@click.option("--scene", help="Play this history that was made by hand, or all of them, and tell it.")
@click.option("--length", default=LENGTH, show_default=True, help="Steps of one history.")
@click.pass_obj
def main(
    entropy: Entropy,
    *,
    steps: int,
    jobs: int,
    first: int,
    seed: int | None,
    shrink: bool,
    record: Path | None,
    until_wrong: bool,
    see: bool,
    scene: str | None,
    length: int,
) -> None:
    """Play histories of the whole bot under virtual time; each is told again by its seed."""
    if see:
        sys.exit(1 if _unseen(steps, jobs, length) else 0)
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=_memory()))
    try:
        player = Player(folder, entropy)
        if scene is not None:
            wrong = any([_one(player, *SCENES[name]) for name in SCENES if scene in (name, "all")])
        elif seed is None:
            seeds = range(first, first + max(1, steps // length))
            wrong = play_many(player, seeds, jobs, length, record, until_wrong=until_wrong)
        elif shrink:
            wrong = _shrunk(player, seed, draw(seed, length))
        else:
            wrong = _one(player, seed, draw(seed, length))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def play_many(
    player: Player, seeds: Sequence[int], jobs: int, length: int, record: Path | None, *, until_wrong: bool
) -> bool:
    """Whether any goes wrong of these histories; it prints which, and figures of all."""
    done = [one for one in _recorded(record) if one.seed in seeds and one.steps == length and not one.wrong]
    over = {one.seed for one in done}
    left = ((seed, draw(seed, length)) for seed in seeds if seed not in over)
    with open(record or os.devnull, "a", encoding="utf-8") as written:
        for played in player.play_all(left, jobs=jobs):
            done.append(played)
            print(json.dumps(asdict(played)), file=written, flush=True)
            for flaw in played.wrong:
                click.echo(f"--seed {played.seed} --length {length}: {flaw}")
            if played.wrong and until_wrong:
                break
    for line in figures(done):
        click.echo(line)
    return any(one.wrong for one in done)


def _recorded(record: Path | None) -> list[Played]:
    if record is None or not record.exists():
        return []
    return [Played(**json.loads(line)) for line in record.read_text(encoding="utf-8").splitlines()]


def _unseen(steps: int, jobs: int, length: int) -> list[str]:
    """The planted faults with which nothing went wrong in so many steps."""
    unseen = []
    for planted in PLANTED:
        planted.source()
        typed = [sys.executable, "-m", "tests.simulation", "--until-wrong"]
        typed += ["--steps", str(steps), "--jobs", str(jobs), "--length", str(length)]
        typed += ["--scene", planted.scene] if planted.scene else []
        environment = os.environ | {VARIABLE: planted.name}
        ran = subprocess.run(typed, env=environment, capture_output=True, text=True, check=False)
        found = [line for line in ran.stdout.splitlines() if line.startswith(("--seed", "wrong: "))]
        if not (ran.returncode and found):
            unseen.append(planted.name)
        click.echo(f"{planted.name}: {found[0] if found else 'not seen'}")
    click.echo(f"{len(PLANTED) - len(unseen)} of {len(PLANTED)} planted faults seen")
    return unseen


def _one(player: Player, seed: int, steps: Sequence[Step]) -> bool:
    played = player.play(seed, steps, click.echo)
    for flaw in played.wrong:
        click.echo(f"wrong: {flaw}")
    click.echo(f"moves: {', '.join(played.moves)}")
    click.echo(f"{played.turns} turns, trace {played.trace}")
    return bool(played.wrong)


def _shrunk(player: Player, seed: int, steps: Sequence[Step]) -> bool:
    if not player.play(seed, steps).wrong:
        click.echo("nothing goes wrong")
        return False
    shortest = shrink_to_wrong(steps, lambda fewer: bool(player.play(seed, fewer).wrong))
    return _one(player, seed, shortest)


def shrink_to_wrong(steps: Sequence[Step], goes_wrong: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Leave out what is not needed for it to go wrong: first much at a time, at last each step alone."""
    kept = list(steps)
    size = len(kept) // 2
    while size:
        place = 0
        while place < len(kept):
            fewer = kept[:place] + kept[place + size :]
            if goes_wrong(fewer):
                kept = fewer
            else:
                place += size
        size //= 2
    return kept


def figures(done: Iterable[Played]) -> list[str]:
    """What was played, in figures."""
    histories = list(done)
    all_of_them = total(histories)
    moves = {f"{one} -> {other}" for one, following in MOVES.items() for other in following}
    faults = ", ".join(f"{name} {count}" for name, count in sorted(all_of_them.faults.items()))
    missing = sorted(moves - set(all_of_them.moves))
    return [
        f"{all_of_them.steps} steps in {len(histories)} histories, {all_of_them.seconds / YEAR:.2f} virtual"
        f" years, {all_of_them.turns} turns, {all_of_them.payments} payments,"
        f" {all_of_them.several} requests of several,"
        f" {sum(bool(one.wrong) for one in histories)} histories wrong",
        f"faults: {faults}",
        f"moves of the state table: {len(moves) - len(missing)} of {len(moves)}"
        + (f", without {', '.join(missing)}" if missing else ""),
        *awaits.figures(all_of_them.crashed_at),
        f"trace of all: {_trace(histories)}",
    ]


def _trace(histories: Iterable[Played]) -> str:
    """The same for the same histories, in whatever order they came to an end."""
    every = "".join(one.trace for one in sorted(histories, key=lambda one: one.seed))
    return hashlib.sha256(every.encode()).hexdigest()[:24]
