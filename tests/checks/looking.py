"""Runs `check` in this process, and hands over what it found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.command_line import Ended, invoke


@dataclass(frozen=True, slots=True)
class Found:
    """What a check said."""

    code: int
    checks: list[dict[str, str]]

    def of(self, verdict: str, where: str = "") -> list[str]:
        """What was found so, there or, without a place, anywhere: "what. remedy"."""
        return [
            f"{one['what']}. {one['remedy']}" if one["remedy"] else one["what"]
            for one in self.checks
            if one["verdict"] == verdict and where in ("", one["where"])
        ]


async def looked(*options: str, **variables: str) -> Found:
    """Look, as programs do."""
    ended: Ended = await invoke("check", "--json", *options, **variables)
    assert ended.err == ""
    document: dict[str, Any] = json.loads(ended.out)
    found = Found(ended.code, document["checks"])
    assert document["ok"] is (ended.code == 0) is (not found.of("wrong"))
    return found
