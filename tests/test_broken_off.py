"""Ctrl-C while a command is at work: its exit code says that, and nothing of the ledger."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from bot.leaving import BROKEN_OFF
from bot.ledger.opening import open_ledger
from tests.command_line import invoke
from tests.test_audit import tamper

COMMANDS = (
    ["audit"],
    ["audit", "verify"],
    ["audit", "list"],
    ["audit", "export", "--format", "csv", "FILE"],
    ["audit", "prune", "--before", "2020-01-01", "--export", "FILE"],
    ["backup", "FILE"],
    ["check"],
    ["move-ledger", "LEDGER", "FILE"],
    ["pause"],
    ["resolve", "1", "paid", "seen"],
    ["resume"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_whoever_breaks_it_off_hears_nothing_of_forgers(
    command: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Code 130, as of other programs, for scripts that read 1 as forged, wrong, or not settled."""
    new, ledger = tmp_path / "new", environment["LEDGER_URL"].removeprefix("sqlite:///")
    typed = [{"FILE": str(new), "LEDGER": ledger}.get(word, word) for word in command]

    def interrupted(work: Coroutine[Any, Any, Any]) -> None:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio, "run", interrupted)
    monkeypatch.setattr("bot.checks.command.leave", sys.exit)  # which would end the tests as well
    ended = await invoke(*typed, **environment)
    assert ended.code == BROKEN_OFF, ended
    assert not new.exists()


@pytest.mark.parametrize("forged", ["last_event = 'last'", "last_hash = x'00'", "paused_at = 'noon'"])
@pytest.mark.parametrize("command", [["pause"], ["resume"], ["resolve", "1", "paid", "seen"]], ids=" ".join)
async def test_a_trail_without_an_end_is_said_in_a_sentence(
    command: list[str], forged: str, environment: dict[str, str]
) -> None:
    """Code 2: what was to be done is not done, because somebody wrote past the bot."""
    async with open_ledger(environment["LEDGER_URL"]):
        pass
    tamper(environment["LEDGER_URL"], f"UPDATE chain SET paused_by = 'U1', {forged}")
    ended = await invoke(*command, **environment)
    assert ended.code == 2, ended
    assert "the end of its audit trail is not one row that can be read" in ended.err
