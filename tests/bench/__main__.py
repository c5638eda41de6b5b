"""Measures the figures, both sides in turn, and prints what ours is to the plain bot, and to our goals."""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import os
import pkgutil
import platform
import time
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.parsers import expat

import click

from bot.sandbox.run import quiet
from tests.bench import figures
from tests.bench.figures import Line
from tests.bench.world import SIDES, median

NAMES = sorted(module.name for module in pkgutil.iter_modules(figures.__path__))
VERSIONS = ("slack-bolt", "slack-sdk", "aiohttp", "zeep", "lxml", "sqlalchemy", "aiosqlite")

Values = dict[str, dict[str, list[float]]]
"""By line and side: what each round gave."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option(
    "--rounds", type=click.IntRange(min=1), help="Rounds of each figure, in place of its own number."
)
@click.option(
    "--payments",
    type=click.IntRange(min=100),
    default=100_000,
    show_default=True,
    help="Payments in the ledger of the figure old_ledger.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every round included.")
def main(names: Sequence[str], rounds: int | None, payments: int, as_json: bool) -> None:
    """Measure the named figures, or all of them."""
    quiet()
    began = time.perf_counter()
    found = {name: asyncio.run(_measured(_figure(name), rounds, payments)) for name in names or NAMES}
    took = time.perf_counter() - began
    if as_json:
        told = {"machine": _machine(), "seconds": round(took), "payments": payments, "figures": found}
        click.echo(json.dumps(told, indent=1).replace("NaN", "null"))
        return
    click.echo(f"{'ours/plain':>10} {'ours':>9} {'plain':>9} {'goal':>10}")
    for name, values in found.items():
        for key, line in _figure(name).LINES.items():
            click.echo(_told(line, values[key]))
    click.echo(f"{took:.0f} s; {', '.join(f'{name} {value}' for name, value in _machine().items())}")


def _figure(name: str) -> ModuleType:
    return importlib.import_module(f"{figures.__name__}.{name}")


async def _measured(figure: ModuleType, rounds: int | None, payments: int) -> Values:
    """Every line's rounds, of both sides."""
    values: Values = {key: {side.name: [] for side in SIDES} for key in figure.LINES}
    for round_ in range(rounds or figure.ROUNDS):
        for name, found in [one async for one in _round(figure, round_, payments)]:
            for key, value in found.items():
                values[key][name].append(value)
    return values


async def _round(
    figure: ModuleType, round_: int, payments: int
) -> AsyncIterator[tuple[str, dict[str, float]]]:
    """The numbers of one side after the other."""
    about = f"{figure.__name__.rpartition('.')[2]}, round {round_ + 1}"
    if hasattr(figure, "measure_both"):
        click.echo(f"{about}, both", err=True)
        for name, found in (await figure.measure_both(payments)).items():
            yield name, found
        return
    for side in SIDES:
        click.echo(f"{about}, {side.name}", err=True)
        yield side.name, await figure.measure(side)


def _told(line: Line, values: dict[str, list[float]]) -> str:
    """Ratio, ours, plain, goal, and whether ours is not beyond it."""
    ours, plain = (median(values[side.name]) for side in SIDES)
    ratio = f"{ours / plain:.2f}" if plain and line.unit and not math.isnan(plain) else ""
    goal = "" if line.goal is None else f"{line.goal:g}"
    goal = goal if line.times is None else f"{line.times:g} times"
    goal = goal if line.at_least is None else f">{line.at_least:g} times"
    kept = (
        (line.goal is None or ours <= line.goal)
        and (line.times is None or ours <= line.times * plain)
        and (line.at_least is None or ours >= line.at_least * plain)
    )
    missed = "" if kept else "  MISSED"
    shown = ["-" if math.isnan(value) else f"{value:.4g}" for value in (ours, plain)]
    return f"{ratio:>10} {shown[0]:>9} {shown[1]:>9} {goal:>10} {line.unit:2}  {line.about}{missed}"


def _machine() -> dict[str, Any]:
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in told if line.startswith("model name")), "?")
    machine = {
        "cpu": f"{os.cpu_count()} x {model}",
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "expat": expat.EXPAT_VERSION,
    }
    return machine | {name: version(name) for name in VERSIONS}


if __name__ == "__main__":
    main()
