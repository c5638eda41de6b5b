"""Runs a soak, and says in words what grew."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from bot.sandbox.run import quiet
from tests.bench.soak.picture import svg
from tests.bench.soak.run import Plan, Soaked, soak
from tests.bench.soak.samples import Sample

_ROWS = 24
"""Looks that the table shows; all are in the picture and in the JSON."""


@click.command()
@click.option("--minutes", type=click.FloatRange(min=0.05), default=30.0, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Payments a second."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed is the same trouble.")
@click.option(
    "--every", type=click.FloatRange(min=0.2), default=5.0, show_default=True, help="Seconds between looks."
)
@click.option(
    "--trouble",
    type=click.FloatRange(min=0.2),
    default=10.0,
    show_default=True,
    help="Seconds between two troubles, on the average.",
)
@click.option("--settling", type=click.FloatRange(min=1), default=30.0, show_default=True, help="Seconds.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this file, as SVG."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all looks here."
)
def main(
    minutes: float,
    rate: float,
    seed: int,
    every: float,
    trouble: float,
    settling: float,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    """Let the bot work for long, with trouble on all sides. Code 1: something is wrong, or grew."""
    quiet()
    plan = Plan(60 * minutes, rate, seed, every=every, trouble=trouble, settling=settling)
    found = asyncio.run(soak(plan))
    if plot is not None:
        title = f"{minutes:g} minutes, {rate:g} payments a second, seed {seed}"
        plot.write_text(svg(found.samples, plan.seconds, title), encoding="utf-8")
    if json_file is not None:
        json_file.write_text(json.dumps(dataclasses.asdict(found), indent=1, default=str), encoding="utf-8")
    for line in _told(found):
        click.echo(line)
    raise SystemExit(0 if found.well else 1)


def _told(found: Soaked) -> Iterator[str]:
    names = [one.name for one in dataclasses.fields(Sample)]
    yield " ".join(f"{name:>{max(len(name), 7)}}" for name in names)
    step = max(1, len(found.samples) // _ROWS)
    for sample in found.samples[::step]:
        values = dataclasses.astuple(sample)
        told = (f"{value:>{max(len(name), 7)}.6g}" for name, value in zip(names, values, strict=True))
        yield " ".join(told)
    yield f"trouble: {', '.join(f'{kind} {count} times' for kind, count in sorted(found.trouble.items()))}"
    yield from map(str, found.growths)
    if not found.growths:
        yield "too short to say what grew"
    yield f"{found.asked} payments asked for; {found.untaken} requests that nobody took"
    if found.at_rest_s is None:
        left = ", ".join(f"{count} {what}" for what, count in sorted(Counter(found.left).items()))
        yield f"NOT at rest, left: {left}"
    else:
        yield f"at rest {found.at_rest_s:.0f} s after the last request"
    if found.findings is not None:
        of = found.findings
        yield f"{of.payments} paid, {of.duplicates} duplicates, {of.lost} lost, {len(of.wrong)} wrong"
        yield from of.wrong[:50]
    yield f"told to stop, it ended with {found.exit_code}"


if __name__ == "__main__":
    main()
