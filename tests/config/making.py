"""Settings for tests, from variables alone: no file is read."""

from __future__ import annotations

from pathlib import Path

from bot.config import Settings, load
from bot.domain.problem import Problem
from bot.errors import ConfigError

REQUIRED = {
    "SLACK_BOT_TOKEN": "xoxb-1-abc",
    "SLACK_APP_TOKEN": "xapp-1-A-2-def",
    "BILLING_USERNAME": "alice",
    "BILLING_PASSWORD": "hunter2",
}
NO_FILE = Path("there-is-no.env")


def problems(environment: dict[str, str], dotenv: Path = NO_FILE) -> dict[str, str]:
    """What is wrong with these variables, by name; nothing if they are right."""
    try:
        load(dotenv, environment)
    except ConfigError as error:
        return {variable_of(problem): f"{problem.what}. {problem.remedy}" for problem in error.problems}
    return {}


def variable_of(problem: Problem) -> str:
    """Its variable, which stands before the line of a file."""
    return problem.where.partition(":")[0]


def loaded(**others: str) -> Settings:
    return load(NO_FILE, REQUIRED | others)
