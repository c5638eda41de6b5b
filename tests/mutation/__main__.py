"""`python -m tests.mutation PATH... --tests PATH...`: tells which changes no test sees."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from zlib import crc32

import click
import pytest

from tests.mutation.equivalent import EQUIVALENT
from tests.mutation.mutants import mutants_of
from tests.mutation.running import HUNG, KILLED, Limits, Runner, Verdict
from tests.planted.breaks import ROOT

SEEN = (KILLED, HUNG)


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--tests", multiple=True, required=True, help="What pytest is given; again for more.")
@click.option("--seconds", default=5.0, show_default=True, help="Of the processor, for one mutant, at most.")
@click.option("--jobs", default=1, show_default=True, help="So many mutants at once.")
@click.option("--every", default=1, show_default=True, help="Only one in so many, the same ones every time.")
@click.option("--postgresql", is_flag=True, help="Run the tests that need one as well.")
@click.option("--record", type=click.Path(path_type=Path), help="Write down what became of each.")
@click.option(
    "--again", type=click.Path(path_type=Path, exists=True), help="Those not killed in that record."
)
def main(
    paths: tuple[str, ...],
    tests: tuple[str, ...],
    seconds: float,
    jobs: int,
    every: int,
    postgresql: bool,
    record: Path | None,
    again: Path | None,
) -> None:
    """Make every mutant of these files, and run the tests that come by its line until one fails."""
    mutants = [one for file in _files(paths) for one in mutants_of(file) if one.function is not None]
    mutants = [one for one in mutants if crc32(one.name.encode()) % every == 0]
    named = [one for one in mutants if any(map(one.is_like, EQUIVALENT))]
    mutants = [one for one in mutants if one not in named]
    if again is not None:
        known = {line["name"]: line["became"] for line in map(json.loads, again.read_text().splitlines())}
        mutants = [one for one in mutants if known.get(one.name, KILLED) not in SEEN]
    verdicts: list[Verdict] = []
    with os.fdopen(os.dup(1), "w") as console, open(record or os.devnull, "a", encoding="utf-8") as written:

        def tell(verdict: Verdict) -> None:
            verdicts.append(verdict)
            print(_line(verdict), file=written, flush=True)
            if verdict.became not in SEEN:
                print(f"{verdict.became}: {verdict.mutant.name}", file=console, flush=True)

        runner = Runner(mutants, Limits(seconds, jobs), tell, console)
        # What the tests and their children say is of no interest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        arguments = ["-p", "no:cacheprovider", "--capture=sys", "--tb=no", *tests]
        pytest.main(arguments if postgresql else [*arguments, "-k", "not postgresql"], plugins=[runner])
        _sum_up(verdicts, console)
        print(f"{len(named)} more are named as equivalent", file=console)
    sys.exit(any(verdict.became not in SEEN for verdict in verdicts) or len(verdicts) < len(mutants))


def _files(paths: tuple[str, ...]) -> Iterator[str]:
    for path in map(Path, paths):
        for file in [path] if path.suffix else sorted(path.rglob("*.py")):
            if "migrations" not in file.parts:
                yield str(file.resolve().relative_to(ROOT))


def _line(verdict: Verdict) -> str:
    fields = {"name": verdict.mutant.name, "became": verdict.became, "by": verdict.by}
    return json.dumps(fields | {"seconds": round(verdict.seconds, 2)}, ensure_ascii=False)


def _sum_up(verdicts: list[Verdict], console: TextIO) -> None:
    """A line for each file, and one for all."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        for of in (verdict.mutant.file, "all"):
            counts[of][verdict.became] += 1
    for of, became in sorted(counts.items()):
        seen = sum(became[each] for each in SEEN)
        rest = ", ".join(f"{count} {each}" for each, count in became.most_common())
        print(f"{of}: {seen / became.total():.1%} of {became.total()}: {rest}", file=console)


if __name__ == "__main__":
    main()
