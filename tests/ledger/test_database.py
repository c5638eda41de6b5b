"""The file and the server under the ledger: one process a file, honest errors, nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from bot.domain.payment import InvoiceRef
from bot.errors import LedgerError, LedgerInUse, LedgerUnavailable, LedgerUnfit
from bot.ledger import store
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger
from tests.fixture_types import NewDatabase
from tests.ledger.making import happened, request

# -- one process a SQLite file ----------------------------------------------------------------------

HOLD = """
import sys
from bot.ledger.database import one_process

with one_process(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.asynccontextmanager
async def holding(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process that holds the ledger until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLD,
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.stdin.close()
        async with asyncio.timeout(20):
            await process.wait()


def hold(url: str) -> None:
    with one_process(url):
        pass


@pytest.fixture
def sqlite_url(new_sqlite: NewDatabase) -> str:
    return new_sqlite(migrated=False)


async def test_a_second_process_on_one_sqlite_file_is_refused(sqlite_url: str) -> None:
    """It is told what is wrong and what to do, and the first goes on."""
    async with holding(sqlite_url):
        with pytest.raises(LedgerInUse, match=r"another process runs on the ledger .*; stop it first"):
            hold(sqlite_url)
    hold(sqlite_url)


async def test_the_lock_goes_with_a_killed_process(sqlite_url: str) -> None:
    """kill -9 leaves no lock behind that somebody would have to remove by hand."""
    async with holding(sqlite_url) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        hold(sqlite_url)


async def test_the_same_file_by_another_name_is_the_same_ledger(sqlite_url: str, tmp_path: Path) -> None:
    """A symbolic link or another spelling does not get past the lock."""
    file = file_of(sqlite_url)
    (tmp_path / "link.db").symlink_to(file)
    async with holding(sqlite_url):
        for name in (tmp_path / "link.db", tmp_path / ".." / tmp_path.name / file.name):
            with pytest.raises(LedgerInUse):
                hold(f"sqlite:///{name}")


async def test_one_file_by_two_names_serves_no_second_bot(sqlite_url: str, tmp_path: Path) -> None:
    """Hard links: each name would have a log of its own, and both bots would pay the same invoice."""
    other = tmp_path / "other"
    other.mkdir()
    async with holding(sqlite_url):
        os.link(file_of(sqlite_url), other / "ledger.db")
        for name in (file_of(sqlite_url), other / "ledger.db"):
            with pytest.raises(LedgerUnfit, match=r"several names \(hard links\)"):
                hold(f"sqlite:///{name}")
        assert [each.name for each in other.iterdir()] == ["ledger.db"]
        os.rename(other / "ledger.db", tmp_path / "moved.db")
        file_of(sqlite_url).unlink()
        with pytest.raises(LedgerInUse):
            hold(f"sqlite:///{tmp_path / 'moved.db'}")
    hold(f"sqlite:///{tmp_path / 'moved.db'}")


MOUNTED = """
import asyncio, subprocess, sys
from bot.errors import LedgerError
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger, read_ledger

subprocess.run(["mount", "--bind", sys.argv[1], sys.argv[2]], check=True)

async def opened(opening):
    async with opening:
        print("opened")

def held():
    with one_process(url):
        print("held")

url = f"sqlite:///{sys.argv[2]}"
for way in (
    held,
    lambda: asyncio.run(opened(open_ledger(url))),
    lambda: asyncio.run(opened(open_ledger(url, begin=False))),
    lambda: asyncio.run(opened(read_ledger(url))),
):
    try:
        way()
    except LedgerError as error:
        print("refused:", error)
"""


async def test_a_file_that_is_mounted_by_itself_is_refused(new_sqlite: NewDatabase, tmp_path: Path) -> None:
    """As `docker run -v ledger.db:/data/ledger.db` does: its log stays behind, with the newest payments."""
    url = new_sqlite(migrated=True)
    place = tmp_path / "a data folder" / "ledger.db"
    place.parent.mkdir()
    place.touch()
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--map-root-user", "--mount", sys.executable, "-c", MOUNTED),
        *(str(file_of(url)), str(place)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    code, told = process.returncode, output.decode()
    if told.startswith("unshare: ") or "mount: " in told:
        pytest.skip(f"nothing can be mounted here: {told}")
    said = f"refused: {place} is mounted by itself, without what SQLite writes beside it; mount the folder"
    assert code == 0, told
    assert [line.startswith(said) for line in told.splitlines()] == [True] * 4, told
    assert [each.name for each in place.parent.iterdir()] == ["ledger.db"]


def test_postgresql_serves_several_instances() -> None:
    """No lock is taken where the database itself keeps order."""
    with one_process("postgresql://somewhere/ledger"):
        hold("postgresql://somewhere/ledger")


# -- a disk that is full, read-only or not there ----------------------------------------------------

FULL = """
import asyncio, resource, sys
from bot.domain.payment import InvoiceRef
from bot.errors import LedgerUnavailable
from bot.ledger import store
from bot.ledger.opening import open_ledger
from tests.ledger.making import request

async def main():
    async with open_ledger(sys.argv[1]) as ledger:
        first = await request(ledger)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        refused = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
        for number in range(1, 40):
            try:
                await request(ledger, InvoiceRef("mail", number), note="x" * 20_000)
            except LedgerUnavailable:
                refused = number
                break
        assert refused, "the disk was never full"
        assert await ledger.payment(first.id) == first, "what there is can still be read"
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert (await ledger.verify()).broken_at is None
        there = await ledger.live("mail")
        assert sorted(there) == list(range(1, refused)), "nothing is half done"
        await request(ledger, InvoiceRef("mail", refused))
        print("recovered", refused)

asyncio.run(main())
"""


async def test_a_full_disk_leaves_nothing_half_done(sqlite_url: str) -> None:
    """Writing fails as LedgerUnavailable, reading goes on, and with room again so does writing."""
    code, told = await run_python(FULL, sqlite_url)
    assert (code, told.split()[:1]) == (0, ["recovered"]), told


READ_ONLY = """
import asyncio, sys
from bot.domain.events import Retry
from bot.errors import LedgerUnavailable
from bot.ledger.database import one_process
from bot.ledger import store
from bot.ledger.opening import open_ledger

async def main():
    try:
        with one_process(sys.argv[1]):
            async with open_ledger(sys.argv[1]) as ledger:
                async with ledger.transaction() as transaction:
                    await transaction.record(Retry(), actor="test")
                print("written")
    except LedgerUnavailable as error:
        print("refused:", error)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("folder_mode", "said"), [(0o755, "readonly database"), (0o555, "cannot write beside the ledger")]
)
async def test_a_read_only_ledger_is_refused(
    new_sqlite: NewDatabase, tmp_path: Path, folder_mode: int, said: str
) -> None:
    """With the reason; whether the file or its folder cannot be written."""
    url = new_sqlite(migrated=True)
    os.chmod(file_of(url), 0o444)
    os.chmod(tmp_path, folder_mode)
    try:
        code, told = await run_python(READ_ONLY, url, before=bound_by_permissions)
    finally:
        os.chmod(tmp_path, 0o755)
    assert code == 0, told
    assert told.startswith("refused: "), told
    assert said in told


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


_prctl = ctypes.CDLL(None).prctl


def bound_by_permissions() -> None:
    """Take from root, before it becomes another program, the power to write what it may not."""
    drop_from_bounding_set, override, read_search = 24, 1, 2
    if os.geteuid() == 0:
        for capability in (override, read_search):
            _prctl(drop_from_bounding_set, capability, 0, 0, 0)


async def run_python(
    program: str, *arguments: str, before: Callable[[], None] | None = None
) -> tuple[int, str]:
    """Run a program in a process of its own; its exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        preexec_fn=before,
    )
    async with asyncio.timeout(20):
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_a_folder_that_is_not_there_is_said_at_start(tmp_path: Path) -> None:
    """The message names the ledger and what is wrong."""
    with pytest.raises(LedgerUnavailable, match=r"cannot write beside the ledger .*No such file"):
        hold(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.db'}")


def test_a_file_that_is_no_database_is_refused(sqlite_url: str) -> None:
    """Somebody else's file is neither used nor changed."""
    file_of(sqlite_url).write_text("Dear diary, " * 1000)

    async def start() -> None:
        async with open_ledger(sqlite_url):
            pass

    with pytest.raises(LedgerUnfit, match="not a database"):
        hold(sqlite_url)
    with pytest.raises(LedgerUnfit, match="not a database"):
        asyncio.run(start())
    assert file_of(sqlite_url).read_text() == "Dear diary, " * 1000
    assert [each.name for each in file_of(sqlite_url).parent.iterdir()] == [file_of(sqlite_url).name]


# -- a server that is not there, or goes away -------------------------------------------------------


async def test_an_absent_server_is_said_at_start_without_its_password(tmp_path: Path) -> None:
    """LedgerUnavailable, in one line that holds no address and no secret."""
    url = f"postgresql://bot:hunter2secret@/ledger?host={tmp_path}"
    with pytest.raises(LedgerError) as caught:
        async with open_ledger(url):
            pass
    assert isinstance(caught.value, LedgerUnavailable)
    assert "hunter2secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_connection_cut_in_a_transaction_undoes_it(new_postgresql: NewDatabase) -> None:
    """The server goes away in the middle: LedgerUnavailable, nothing half done, and on it goes after."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url) as ledger:

        async def write() -> None:
            async with ledger.transaction() as transaction:
                await transaction.record(happened("started"), actor="test")
                cut(url)
                await transaction.record(happened("ended"), actor="test")

        with pytest.raises(LedgerUnavailable):
            await write()
        assert (await ledger.verify()).events == 0
        await request(ledger)


async def test_idle_connections_that_were_cut_are_replaced(new_postgresql: NewDatabase) -> None:
    """A restart of the server between two pieces of work is not noticed."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url) as ledger:
        await request(ledger)
        cut(url)
        await request(ledger, InvoiceRef("mail", 1))
        cut(url)
        assert len(await ledger.recent()) == 2


def cut(url: str) -> None:
    """End every other connection to this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# -- what a server is tuned to ----------------------------------------------------------------------


async def test_a_commit_waits_for_the_disk_whatever_the_server_is_tuned_to(
    new_postgresql: NewDatabase,
) -> None:
    """An intent to pay that a crash of the server forgot would be acted on a second time."""
    url = new_postgresql(migrated=True)
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
        connection.execute(
            f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET synchronous_commit = off".encode()
        )
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    async with open_ledger(url) as ledger, ledger.transaction() as transaction:
        shown = await transaction._connection.execute(text("SHOW synchronous_commit"))
        assert shown.scalar_one() == "on"


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
async def test_instances_whose_clocks_differ_go_by_the_servers(
    new_postgresql: NewDatabase, monkeypatch: pytest.MonkeyPatch, off: timedelta
) -> None:
    """One whose clock is an hour wrong neither takes over others' leases nor lets its own last an hour."""

    def wrong() -> datetime:
        return datetime.now(UTC) + off

    monkeypatch.setattr(store, "utc_now", wrong)
    async with open_ledger(new_postgresql(migrated=True), clock=wrong) as ledger:
        assert close(ledger.clock())
        async with ledger.transaction() as transaction:
            assert close(transaction.now)
        payment = await request(ledger)
        assert close(payment.created_at)
        assert close(ledger.clock())


def close(told: datetime) -> bool:
    return abs(told - datetime.now(UTC)) < timedelta(seconds=30)
