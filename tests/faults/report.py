"""What the fault tests tried and found, said at the end of a run; the processes of a run add up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.counts import Tally

TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[TALLY] = Tally()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    """The counts of this session."""
    return pytestconfig.stash[TALLY]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts to the process that runs the others, where there is one."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tally"] = session.config.stash[TALLY].as_json()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what another process counted."""
    told = getattr(node, "workeroutput", {}).get("tally")
    if told is not None:
        node.config.stash[TALLY].include(told)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was tried, and what was found."""
    tally = config.stash[TALLY]
    if tally.chains:
        terminalreporter.section("faults")
        for line in tally.lines():
            terminalreporter.write_line(line)
