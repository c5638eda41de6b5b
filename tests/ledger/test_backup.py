"""A backup: whole and of one moment while bots write, for its user alone, and never in place of a file."""

from __future__ import annotations

import asyncio
import os
import shlex
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerUnavailable, LedgerUnfit
from bot.ledger.backup import backup
from bot.ledger.opening import open_ledger, read_ledger
from tests.command_line import ROOT, CommandLine, invoke
from tests.fixture_types import NewDatabase
from tests.ledger.making import request, request_in
from tests.ledger.released import release


async def test_a_copy_is_whole_while_others_write(tmp_path: Path) -> None:
    """Of one moment: the trail and its tables agree in it, and it goes on as a ledger of its own."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)

        async def write() -> None:
            for number in range(200):
                await request(ledger, InvoiceRef("vps", 50_000 + number))

        writing = asyncio.create_task(write())
        copies = [tmp_path / f"copy{number}.db" for number in range(5)]
        for copy in copies:
            await asyncio.sleep(0.01)
            await backup(url, copy)
        await writing
    events = []
    for copy in copies:
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        async with read_ledger(f"sqlite:///{copy}") as kept:
            found = await kept.verify()
        assert found.whole
        events.append(found.events)
    assert events == sorted(events)
    left = [name for name in os.listdir(tmp_path) if not name.startswith("ledger.db")]
    assert sorted(left) == [copy.name for copy in copies]


async def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """It may be yesterday's backup."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with open_ledger(url):
        pass
    (tmp_path / "kept").write_text("yesterday's")
    with pytest.raises(LedgerUnfit, match="is there already"):
        await backup(url, tmp_path / "kept")
    with pytest.raises(LedgerUnavailable, match="cannot be written"):
        await backup(url, tmp_path / "nowhere" / "copy")
    assert (tmp_path / "kept").read_text() == "yesterday's"


async def test_only_what_is_there_and_is_sqlite_is_copied(tmp_path: Path) -> None:
    """A wrong LEDGER_URL makes no empty backup."""
    with pytest.raises(LedgerUnfit, match="there is no ledger"):
        await backup(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy")
    with pytest.raises(LedgerUnfit, match="pg_dump"):
        await backup("postgresql://localhost/pay", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_copy_of_an_earlier_version_is_said_to_be_there(
    new_sqlite: NewDatabase, tmp_path: Path
) -> None:
    """Whoever upgraded first and backs up then must not think that there is none, and start the bot."""
    url = new_sqlite(migrated=False)
    await release(url)
    done = await invoke("backup", str(tmp_path / "copy.db"), LEDGER_URL=url)
    assert (done.code, done.out) == (2, "")
    assert f"{tmp_path}/copy.db was written, and is as the ledger is; it is not proved." in done.err
    assert (tmp_path / "copy.db").read_bytes()[:6] == b"SQLite"


async def test_a_copy_is_made_and_proved_on_the_command_line(tmp_path: Path, command: CommandLine) -> None:
    """Its last hash is told, to be kept elsewhere; of a forged ledger it is said that it is not whole."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)
    done = await command("backup", str(tmp_path / "copy.db"), LEDGER_URL=url)
    assert (done.code, done.err) == (0, "")
    assert "events, whole. Last hash: " in done.out
    with sqlite3.connect(tmp_path / "ledger.db") as forger:
        forger.execute("UPDATE payments SET status_text = 'forged'")
    forger.close()
    done = await command("backup", str(tmp_path / "other.db"), LEDGER_URL=url)
    assert done.code == 1
    assert "not whole" in done.err


@pytest.mark.parametrize(
    ("typed", "said", "made"),
    [
        (
            "ulimit -f 16; exec {python} -m bot backup copy.db",
            "No backup was made: it cannot be copied: ",
            False,
        ),
        ("exec {python} -m bot backup copy.db >/dev/full", "What was found cannot be written: ", True),
    ],
    ids=["the copy", "what is said of it"],
)
async def test_a_full_disk_says_nothing_of_the_ledger(
    tmp_path: Path, typed: str, said: str, made: bool
) -> None:
    """Code 2 and a sentence, where 1 would say that the trail is broken; no part of a copy is left."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)
    process = await asyncio.create_subprocess_shell(
        typed.format(python=shlex.quote(sys.executable)),
        env={"PYTHONPATH": str(ROOT), "LEDGER_URL": url},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2, err
    assert err.decode().startswith(said)
    assert err.count(b"\n") == 1
    assert {name for name in os.listdir(tmp_path) if "ledger" not in name} == ({"copy.db"} if made else set())


@pytest.mark.parametrize("name", ["a?mode=rw", "b%41", "c#d", "x" * 250])
async def test_the_copy_that_is_proved_is_the_one_that_was_made(tmp_path: Path, name: str) -> None:
    """Whatever it is called, and whatever stands beside it."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with open_ledger(url) as ledger:
        await request(ledger)
    (tmp_path / "a").write_text("another")
    (tmp_path / "bA").write_text("another")
    done = await invoke("backup", str(tmp_path / name), LEDGER_URL=url)
    assert (done.code, "1 events, whole" in done.out) == (0, True), done
