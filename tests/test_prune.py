"""`audit prune` on the command line: the export comes first, and nothing else is ever lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.domain.payment import InvoiceRef, State
from bot.ledger import leftovers
from bot.ledger.opening import open_ledger
from bot.ledger.store import Ledger
from tests.command_line import CommandLine, invoke
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import request_in

PERSON, NOTE = "UZACHARIAS", "for Zacharias of Zürich"


async def filled(url: str, count: int = 3) -> None:
    """Paid two months ago, and one that is still unknown."""
    clock = Clock()
    clock.now = datetime.now(UTC) - timedelta(days=60)
    async with open_ledger(url, clock=clock) as ledger:
        await fill(ledger, count)


async def fill(ledger: Ledger, count: int = 3) -> None:
    for number in range(count):
        ref = InvoiceRef("vps", 1000 + number)
        await request_in(ledger, State.PAID, ref, requester=PERSON, note=NOTE)
    await request_in(ledger, State.UNKNOWN, InvoiceRef("vps", 9), requester="U1", note="open")
    async with ledger.transaction() as transaction:
        await transaction._connection.execute(text("UPDATE deliveries SET done_revision = revision"))


def named(url: str) -> int:
    """How many events and requests still name that person."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        asked = (
            f"SELECT count(*) FROM requests WHERE requester = '{PERSON}' OR note = '{NOTE}'",
            f"SELECT count(*) FROM events WHERE actor = '{PERSON}' OR detail LIKE '%{NOTE}%'",
        )
        return sum(int(database.execute(one).fetchone()[0]) for one in asked)


def day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%d")


@pytest.fixture
async def url(environment: dict[str, str]) -> str:
    """A ledger with something to erase."""
    await filled(environment["LEDGER_URL"])
    return environment["LEDGER_URL"]


async def prune(url: str, file: Path, before: str | None = None) -> tuple[int, str, str]:
    ended = await invoke(
        "audit", "prune", "--before", before or day(40), "--export", str(file), LEDGER_URL=url
    )
    return ended.code, ended.out, ended.err


async def test_the_export_holds_what_the_ledger_does_not_any_more(url: str, tmp_path: Path) -> None:
    """For its user alone, proved by itself; and the ledger is proved, too, and says what was done."""
    file = tmp_path / "trail.jsonl"
    code, out, err = await prune(url, file)
    assert (code, err) == (0, "")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"{file}: the whole trail of before, 16 events. SHA-256: {digest}" in out
    assert "Erased who and why in 3 requests" in out
    assert "1 request from before that day is kept: it is not over, or Slack was not told of it yet." in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().count(NOTE) == 3
    assert named(url) == 0
    assert (await invoke("audit", "verify", "--file", str(file))).code == 0
    verified = await invoke("audit", "verify", LEDGER_URL=url)
    assert verified.code == 0, verified
    trail = await invoke("audit", "--payment", "1", LEDGER_URL=url)
    assert digest in trail.out
    assert "erased-1 requested" in trail.out
    assert PERSON not in trail.out
    listed = await invoke("audit", "list", LEDGER_URL=url)
    assert "#1 vps 1000 unknown PAID asked for by erased-1" in listed.out
    second = tmp_path / "after.jsonl"
    assert (await invoke("audit", "export", "--format", "trail", str(second), LEDGER_URL=url)).code == 0
    before = file.read_text().splitlines()[-1].rsplit('"', 2)[1]
    after = out.rsplit("Last hash: ", 1)[1].strip()
    for which, name in ({"LEDGER_URL": url}, ()), ({}, ("--file", str(second))):
        since = ("audit", "verify", *name, "--since-head")
        again = await invoke(*since, after, **which)
        assert again.code == 0, again
        again = await invoke(*since, before, **which)
        assert again.code == 2, again
        assert "was erased since" in again.err
    again = await invoke("audit", "verify", "--file", str(file), "--since-head", before)
    assert again.code == 0, again
    assert await prune(url, file) == (0, f"There is nothing to erase from before {day(40)}.\n", "")


def kept(url: str) -> bytes:
    """All of a SQLite ledger's files."""
    file = Path(url.removeprefix("sqlite:///"))
    return b"".join(one.read_bytes() for one in file.parent.glob(f"{file.name}*"))


async def test_nothing_of_it_is_left_in_the_file(url: str, tmp_path: Path) -> None:
    """SQLite overwrites what it erases."""
    assert NOTE.encode() in kept(url)
    await prune(url, tmp_path / "trail.jsonl")
    assert NOTE.encode() not in kept(url)
    assert PERSON.encode() not in kept(url)


async def test_nothing_is_left_beside_a_bot_nor_in_free_places(
    command: CommandLine, environment: dict[str, str], tmp_path: Path
) -> None:
    """The log of a running bot holds what the file said before, and free pages what was deleted once."""
    url = environment["LEDGER_URL"]
    clock = Clock()
    clock.now = datetime.now(UTC) - timedelta(days=60)
    arguments = ("audit", "prune", "--before", day(40), "--export", str(tmp_path / "trail.jsonl"))
    async with open_ledger(url, clock=clock) as ledger:
        async with ledger.transaction() as transaction:
            run = transaction._connection.exec_driver_sql
            await run(
                "CREATE TABLE much AS WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n)"
                f" SELECT '{NOTE}' AS note FROM n LIMIT 1000"
            )
            await run("PRAGMA secure_delete = OFF")
            await run("DROP TABLE much")
        await fill(ledger)
        for again in range(2):
            process = await command.start(*arguments, LEDGER_URL=url)
            out, err = await process.communicate()
            assert (process.returncode, err) == (0, b""), err
            assert (b"nothing to erase" in out) == bool(again)
            # Opened by this process, the file would lose SQLite's own locks on it when it is closed.
            files = await asyncio.create_subprocess_shell(f"cat {url[10:]}*", stdout=asyncio.subprocess.PIPE)
            held, _ = await files.communicate()
            assert held.startswith(b"SQLite format 3")
            assert NOTE.encode() not in held
            assert PERSON.encode() not in held
            await request_in(ledger, State.PAID, InvoiceRef("vps", 77 + again), requester="U1", note="new")
        assert (await ledger.verify()).whole


async def test_a_file_that_others_read_all_the_time_is_not_said_to_be_clean(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is erased then; run again, the files are clean as well."""
    monkeypatch.setattr(leftovers, "_TRIES", 1)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        code, out, err = await prune(url, tmp_path / "trail.jsonl")
        assert (code, out) == (2, "")
        assert (
            "All is erased, but what it said before may be left in places of the file. Run it again." in err
        )
    code, out, err = await prune(url, tmp_path / "trail.jsonl")
    assert (code, err) == (0, "")
    assert "nothing to erase" in out
    assert NOTE.encode() not in kept(url)


async def test_nothing_is_erased_without_an_export(url: str, tmp_path: Path) -> None:
    """Where its file is there already, or cannot be written; and no part of one is left behind."""
    there = tmp_path / "there.jsonl"
    there.write_text("yesterday's")
    before = sorted(os.listdir(tmp_path))
    code, out, err = await prune(url, there)
    assert (code, out) == (2, "")
    assert f"{there} is there already; name a new file" in err
    code, out, err = await prune(url, tmp_path / "nowhere" / "trail.jsonl")
    assert (code, out) == (2, "")
    assert "cannot be written: No such file or directory" in err
    assert there.read_text() == "yesterday's"
    assert sorted(os.listdir(tmp_path)) == before
    assert named(url) > 0


async def test_a_disk_that_fills_up_erases_nothing(
    command: CommandLine, environment: dict[str, str], tmp_path: Path
) -> None:
    """The export is whole or is not there."""
    url = environment["LEDGER_URL"]
    await filled(url, count=60)
    folder = tmp_path / "exports"
    folder.mkdir()
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))"
    file = folder / "trail.jsonl"
    process = await command.start(
        *("audit", "prune", "--before", day(40), "--export", str(file)), before=full, LEDGER_URL=url
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert f"{file} cannot be written: File too large" in err.decode()
    assert os.listdir(folder) == []
    assert named(url) == 120


@pytest.mark.parametrize("ago", [-1, 0, 29])
async def test_what_is_young_is_not_erased(url: str, tmp_path: Path, ago: int) -> None:
    """A day to come, or one of this month, is a slip."""
    code, _, err = await prune(url, tmp_path / "trail.jsonl", day(ago))
    assert code == 2
    assert "must be 30 days ago or more" in err
    assert not (tmp_path / "trail.jsonl").exists()


async def test_a_ledger_that_is_not_whole_is_left_as_it_is(url: str, tmp_path: Path) -> None:
    """Whoever forged it does not get rid of the traces so."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("UPDATE payments SET state = 'DECLINED' WHERE id = 1")
        database.commit()
    code, out, err = await prune(url, tmp_path / "trail.jsonl")
    assert (code, out) == (1, "")
    assert "not whole, so nothing is erased" in err
    assert not (tmp_path / "trail.jsonl").exists()


async def test_who_is_killed_half_way_goes_on_later(command: CommandLine, url: str, tmp_path: Path) -> None:
    """A part is erased then, and proved; run again, the rest is."""
    dies = """
import os, signal
from bot.ledger import pruning
pruning.REQUESTS_OF_ONE = 1
erase, calls = pruning.Pruning._rows, []
async def dying(self, *given):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    await erase(self, *given)
pruning.Pruning._rows = dying
"""
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    arguments = ("audit", "prune", "--before", day(40), "--export")
    process = await command.start(*arguments, str(one), before=dies, LEDGER_URL=url)
    await process.communicate()
    assert process.returncode == -9
    assert named(url) == 2
    assert (await invoke("audit", "verify", LEDGER_URL=url)).code == 0
    assert (await invoke("audit", "verify", "--file", str(one))).code == 0
    code, out, err = await prune(url, two)
    assert (code, err) == (0, "")
    assert "in 1 requests" in out
    assert named(url) == 0
    assert (await invoke("audit", "verify", LEDGER_URL=url)).code == 0
    assert (await invoke("audit", "verify", "--file", str(two))).code == 0


async def test_no_address_is_told(tmp_path: Path) -> None:
    """It may hold a password."""
    code, out, err = await prune("postgresql://bot:hunter2@127.0.0.1:1/ledger", tmp_path / "trail.jsonl")
    assert (code, out) == (2, "")
    assert err.startswith("The ledger cannot be used: ")
    assert "hunter2" not in err


async def test_a_postgresql_ledger_is_pruned_as_well(new_postgresql: NewDatabase, tmp_path: Path) -> None:
    """Beside whoever works on it."""
    url = new_postgresql(migrated=True)
    await filled(url)
    async with open_ledger(url, instance="beside"):
        code, out, err = await prune(url, tmp_path / "trail.jsonl")
    assert (code, err) == (0, "")
    assert "in 3 requests" in out
    assert (await invoke("audit", "verify", LEDGER_URL=url)).code == 0
