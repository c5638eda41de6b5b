"""`python -m tests.fuzz NAME --seconds N`: fuzzes one target, led by the lines that it reaches."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import click
import structlog

NAMES = ("payments", "lists", "sessions", "commands", "slack")
"""Those of `targets`, which must not be imported before it is told what to watch."""

LONGEST = 16 * 1024
"""Bytes of an input."""


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--seconds", default=60, show_default=True, help="How long.")
@click.option("--corpus", type=click.Path(path_type=Path), help="Where what it reaches is kept, for later.")
@click.option("--input", "only", type=click.Path(path_type=Path, exists=True), help="Only try this file.")
def main(name: str, seconds: int, corpus: Path | None, only: Path | None) -> None:
    """Fuzz until something breaks, or for so long. Exit code 1, and a file that is named: what broke it."""
    try:
        import atheris
    except ImportError:
        raise click.ClickException(
            "fuzzing needs atheris, for Python up to 3.13: pip install atheris"
        ) from None
    with atheris.instrument_imports(include=["bot"]):
        from tests.fuzz.targets import TARGETS
    logging.disable(logging.CRITICAL)
    structlog.configure(processors=[_drop])
    target = TARGETS[name]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, target.opened() as check:
        if only is not None:
            check(only.read_bytes())
            return
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(target.seeds):
            (seeds / str(number)).write_bytes(seed)
        if corpus is not None:
            corpus.mkdir(parents=True, exist_ok=True)
        dictionary = Path(folder) / "words"
        escaped = ["".join(f"\\x{byte:02x}" for byte in word.encode()) for word in target.words]
        dictionary.write_text("".join(f'"{word}"\n' for word in escaped))
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=60", "-rss_limit_mb=4096"]
        limits += [f"-dict={dictionary}", "-print_final_stats=1"]
        kept = [str(corpus)] if corpus is not None else []
        atheris.Setup([sys.argv[0], *limits, *kept, str(seeds)], check)
        atheris.Fuzz()


def _drop(_logger: object, _method: str, _event: object) -> NoReturn:
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
