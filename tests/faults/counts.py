"""The counts that a run ends with: what was tried, and what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from tests.faults.invariants import Findings


@dataclass(slots=True)
class Tally:
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
