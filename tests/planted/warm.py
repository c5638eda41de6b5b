"""A process that has loaded what the bot and its tests stand on, and forks for each run of pytest.

Most of a short test's time is the loading of libraries. Nothing of the bot is loaded here: that is what
changes from run to run.

Lines of JSON come in: pytest's arguments, the file for what it says, and the seconds that it may take. A line
with its exit code goes out; a negative one is the signal that ended it.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import aiohttp.web
import alembic.command
import click.testing
import psycopg
import pydantic
import pytest
import requests
import slack_bolt.async_app
import sqlalchemy.ext.asyncio
import structlog
import zeep

LOADED = (
    aiohttp,
    alembic,
    click,
    psycopg,
    pydantic,
    requests,
    slack_bolt,
    sqlalchemy,
    structlog,
    zeep,
)


class _Hasty:
    """That a property fails is enough; nobody asks for its smallest example."""

    @staticmethod
    def pytest_collection() -> None:
        # Loaded by pytest itself, and not before: it rewrites what it loads.
        from hypothesis import Phase, settings

        settings.register_profile("hasty", settings.default, phases=(Phase.explicit, Phase.generate))
        settings.load_profile("hasty")


def main() -> None:
    """Serve until the input ends."""
    while line := sys.stdin.readline():
        arguments, out, longest = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _told_to(out)
            signal.alarm(longest)
            sys.exit(pytest.main(arguments, plugins=[_Hasty()]))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _told_to(out: str) -> None:
    """From now on everything is said in that file, and nothing is heard."""
    said = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    heard = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((heard, 0), (said, 1), (said, 2)):
        os.dup2(ours, theirs)


if __name__ == "__main__":
    main()
