"""The counts that a run ends with: what was tried, and what was found. A pytest plugin.

It says them in the summary; where several processes share a run, theirs add up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from tests.faults.invariants import Findings


@dataclass(slots=True)
class Counts:
    """Adds up over all tests of a session. slowest: the slowest acknowledgement, in seconds."""

    kill_points: list[str] = field(default_factory=list)
    kills: int = 0
    histories: int = 0
    steps: int = 0
    payments: int = 0
    duplicates: int = 0
    lost: int = 0
    chains: int = 0
    slowest: float = 0.0

    def add(self, found: Findings) -> None:
        """Count one comparison of the ledger, the billing side and Slack."""
        self.payments += found.payments
        self.duplicates += found.duplicates
        self.lost += found.lost
        self.chains += 1

    def as_json(self) -> str:
        """For another process; see `include`."""
        return json.dumps(asdict(self))

    def include(self, told: str) -> None:
        """Add what another process counted."""
        for name, count in json.loads(told).items():
            mine = getattr(self, name)
            setattr(self, name, max(mine, count) if name == "slowest" else mine + count)

    def lines(self) -> Iterator[str]:
        """What to print."""
        yield f"kill points tried: {len(self.kill_points)}, processes killed: {self.kills}"
        yield f"random histories: {self.histories}, steps in them: {self.steps}"
        yield f"payments made: {self.payments}, duplicates found: {self.duplicates}"
        yield f"slowest acknowledgement under load: {self.slowest:.2f} s of 3"
        yield f"replies lost: {self.lost}, audit trails verified: {self.chains}"


COUNTS = pytest.StashKey[Counts]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[COUNTS] = Counts()


@pytest.fixture(scope="session")
def counts(pytestconfig: pytest.Config) -> Counts:
    """The counts of this session."""
    return pytestconfig.stash[COUNTS]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts to the process that runs the others, where there is one."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["counts"] = session.config.stash[COUNTS].as_json()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what another process counted."""
    told = getattr(node, "workeroutput", {}).get("counts")
    if told is not None:
        node.config.stash[COUNTS].include(told)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was tried, and what was found."""
    counts = config.stash[COUNTS]
    if counts.chains:
        terminalreporter.section("faults")
        for line in counts.lines():
            terminalreporter.write_line(line)
