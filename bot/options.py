"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path

import click

ENV_FILE = click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Read variables from this file instead of .env.",
)
