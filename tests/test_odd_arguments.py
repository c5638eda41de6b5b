"""What nobody means to type, and what nobody expects: it is refused in a sentence, and accuses nobody."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.ledger.opening import open_ledger
from tests.command_line import ROOT, invoke
from tests.test_broken_off import COMMANDS

NO_TEXT = "\udcff"
"""As Python hands on a byte that is no UTF-8."""


@pytest.fixture
async def made(environment: dict[str, str]) -> dict[str, str]:
    """The settings of a ledger that is there."""
    async with open_ledger(environment["LEDGER_URL"]):
        pass
    return environment


async def refused(typed: list[str], made: dict[str, str], why: str) -> None:
    """It ends with code 2 and says so, and leaves this folder as it is. LEDGER: the ledger's file."""
    before = sorted(os.listdir())
    ledger = made["LEDGER_URL"].removeprefix("sqlite:///")
    ended = await invoke(*(ledger if word == "LEDGER" else word for word in typed), **made)
    assert ended.code == 2, ended
    assert why in ended.err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    "typed",
    [
        ["audit", "list", "--person", NO_TEXT],
        ["audit", "list", "--module", NO_TEXT],
        ["audit", "export", "--format", "csv", "--module", NO_TEXT, "new"],
        ["audit", "export", "--format", "csv", NO_TEXT],
        ["audit", "prune", "--before", "2020-01-01", "--export", NO_TEXT],
        ["backup", NO_TEXT],
        ["move-ledger", NO_TEXT, "new.db"],
        ["move-ledger", "LEDGER", NO_TEXT],
        ["pause", NO_TEXT],
    ],
    ids=lambda typed: ascii(" ".join(typed)),
)
async def test_what_is_no_text_is_refused(
    typed: list[str], made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte of another encoding is no reason to say that somebody forged the ledger, which code 1 says."""
    monkeypatch.chdir(tmp_path)
    await refused(typed, made, "is not text")


@pytest.mark.parametrize(
    "typed",
    [
        ["audit", "export", "--format", "csv", "-"],
        ["audit", "prune", "--before", "2020-01-01", "--export", "-"],
        ["backup", "-"],
        ["move-ledger", "-", "new.db"],
        ["move-ledger", "LEDGER", "-"],
        ["setup", "--non-interactive", "--env-file", "-"],
    ],
    ids=" ".join,
)
async def test_a_dash_is_no_file(
    typed: list[str], made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere it means standard output. Who sees nothing there must not think that nothing was written."""
    monkeypatch.chdir(tmp_path)
    await refused(typed, made, "write ./- for a file of that name")


async def test_a_file_without_an_end_is_no_trail() -> None:
    """It is seen by its first letter: a line of it may be larger than the memory."""
    ended = await invoke("audit", "verify", "--file", "/dev/zero")
    assert (ended.code, "is no exported trail" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        (["--month", "2026-11", "--from", "2026-11-03"], "either --month, or --from and --to"),
        (["--month", "2026-11", "--to", "2026-11-03"], "either --month, or --from and --to"),
        (["--from", "2026-11-03", "--to", "2026-11-02"], "--from is after --to"),
        (["--person", "alice"], "is no person's id"),
        (["--person", "#payments"], "is no person's id"),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["export", "--format", "csv", "new.csv"]], ids=" ".join)
async def test_filters_that_mean_nothing_are_refused(
    command: list[str],
    filters: list[str],
    why: str,
    made: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An auditor would take the empty list for an answer, or more than was asked for."""
    monkeypatch.chdir(tmp_path)
    ended = await invoke("audit", *command, *filters, **made)
    assert (ended.code, ended.out) == (2, ""), ended
    assert why in ended.err
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize(
    "command", [["verify"], ["list"], ["export", "--format", "csv", "new.csv"]], ids=" ".join
)
async def test_a_payment_is_named_where_it_means_something(
    command: list[str], made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before another command it would choose nothing, and all would be taken for the one."""
    monkeypatch.chdir(tmp_path)
    ended = await invoke("audit", "--payment", "1", *command, **made)
    assert (ended.code, ended.out) == (2, ""), ended
    assert "--payment is for `audit` alone" in ended.err
    assert not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_a_bug_accuses_nobody(
    command: list[str], made: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Code 2, with the traceback; 1 would say that the ledger was forged."""
    ledger, new = made["LEDGER_URL"].removeprefix("sqlite:///"), str(tmp_path / "new")
    typed = [{"FILE": new, "LEDGER": ledger}.get(word, word) for word in command]

    def broken(work: Any) -> None:
        work.close()
        raise RuntimeError("it was never thought of")

    monkeypatch.setattr("asyncio.run", broken)
    monkeypatch.setattr("bot.__main__.leave", sys.exit)  # which would end the tests as well
    ended = await invoke(*typed, **made)
    assert ended.code == 2, ended
    assert "RuntimeError: it was never thought of" in ended.err


async def test_sending_is_paused_whatever_else_is_wrong_with_the_settings(made: dict[str, str]) -> None:
    """Who has to stop the bot at once needs no token for it, and no policy that can be read."""
    alone = {"LEDGER_URL": made["LEDGER_URL"], "PAY_EXPIRES_AFTER": "soon", "PAY_APROVERS": "U1"}
    assert (await invoke("pause", "odd answers", **alone)).out == "Sending is paused.\n"
    assert (await invoke("resume", **alone)).out == "Sending goes on.\n"


@pytest.mark.parametrize("where", [">/dev/full", ">/dev/full 2>&1"])
async def test_a_check_that_cannot_be_written_down_finds_nothing_wrong(tmp_path: Path, where: str) -> None:
    """Code 1 would say of the settings what a full disk is to blame for."""
    process = await asyncio.create_subprocess_shell(
        f'exec "{sys.executable}" -m bot check {where}',
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2, err
    assert err in (b"", b"What was found cannot be written: No space left on device\n")
