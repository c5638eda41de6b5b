"""The files of a SQLite ledger: whose they are, one process for each, and a disk that takes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.errors import LedgerInUse, LedgerUnavailable, LedgerUnfit
from bot.ledger.database import make_private, one_process
from bot.ledger.opening import open_ledger
from tests.command_line import CommandServer, Process, environment_of_a_command
from tests.fixture_types import NewDatabase
from tests.ledger.making import request
from tests.ledger.opening import file_of, hold, modes, run_python


@contextlib.contextmanager
def umask(mode: int) -> Iterator[None]:
    before = os.umask(mode)
    try:
        yield
    finally:
        os.umask(before)


FOREIGN = """
import asyncio, os, sys
from bot.errors import LedgerUnfit
from bot.ledger.opening import open_ledger

os.setgroups([])
os.setgid(65534)
os.setuid(65534)

async def main():
    try:
        async with open_ledger(sys.argv[1]):
            print("opened")
    except LedgerUnfit as error:
        print("refused:", error)

asyncio.run(main())
"""


class TestForTheirUserAlone:
    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
    async def test_the_files_are_for_their_user_alone(self, new_sqlite: NewDatabase, mask: int) -> None:
        """Whatever the umask: they hold addresses at which anybody could speak in the bot's name."""
        url = new_sqlite(migrated=False)
        with umask(mask), one_process(url):
            async with open_ledger(url) as ledger:
                await request(ledger)
                assert modes(url) == dict.fromkeys(("", "-wal", "-shm", ".lock"), 0o600)
        assert modes(url) == dict.fromkeys(("", ".lock"), 0o600)

    async def test_files_that_others_could_read_are_closed_to_them_and_that_is_said(
        self,
        new_sqlite: NewDatabase,
    ) -> None:
        """Those that a killed bot left as well; what its user may not do stays forbidden."""
        url = new_sqlite(migrated=True)
        async with open_ledger(url) as ledger:
            await request(ledger)
            for suffix in ("-wal", "-shm"):
                shutil.copy(f"{file_of(url)}{suffix}", f"{file_of(url)}{suffix}.kept")
        for suffix in ("-wal", "-shm"):
            os.rename(f"{file_of(url)}{suffix}.kept", f"{file_of(url)}{suffix}")
        with open(f"{file_of(url)}.lock", "w"):  # noqa: ASYNC230
            pass
        for suffix in ("", "-wal", "-shm", ".lock"):
            os.chmod(f"{file_of(url)}{suffix}", 0o664)
        with capture_logs() as logged, one_process(url):
            async with open_ledger(url, instance="one"):
                assert modes(url) == dict.fromkeys(("", "-wal", "-shm", ".lock"), 0o600)
        assert "others could read the ledger's files; they are for its user alone now" in [
            line["event"] for line in logged
        ]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    async def test_files_that_cannot_be_closed_to_others_are_refused(
        self, migrated_sqlite: Path, command_server: CommandServer
    ) -> None:
        """They are another user's; it is said whose they must be."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            file = Path(folder) / "ledger.db"
            shutil.copy(migrated_sqlite, file)
            os.chmod(file, 0o666)
            code, told = await run_python(command_server, FOREIGN, f"sqlite:///{file}")
            assert (code, told.split(":")[0]) == (0, "refused"), told
            assert "give it to the user who runs the bot, with mode 600" in told
            assert stat.S_IMODE(file.stat().st_mode) == 0o666


HOLD = """
import signal, sys
from bot.ledger.database import one_process

with one_process(sys.argv[1]):
    print("held", flush=True)
    signal.pause()
"""

Holding = Callable[[str], AbstractAsyncContextManager[Process]]


@pytest.fixture
def holding(command_server: CommandServer, tmp_path: Path) -> Holding:
    """Has another process hold a ledger until the block ends."""

    @contextlib.asynccontextmanager
    async def holding(url: str) -> AsyncIterator[Process]:
        environment = environment_of_a_command({})
        process = await command_server.start((url,), folder=tmp_path, environment=environment, program=HOLD)
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                assert await process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()
            async with asyncio.timeout(20):
                await process.communicate()

    return holding


@pytest.fixture
def sqlite_url(new_sqlite: NewDatabase) -> str:
    return new_sqlite(migrated=False)


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


class TestOneProcess:
    async def test_a_second_process_on_one_sqlite_file_is_refused(
        self, sqlite_url: str, holding: Holding
    ) -> None:
        """It is told what is wrong and what to do, and the first goes on."""
        async with holding(sqlite_url):
            with pytest.raises(LedgerInUse, match=r"another process runs on the ledger .*; stop it first"):
                hold(sqlite_url)
        hold(sqlite_url)

    def test_postgresql_needs_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """None is made by the name of its database, where the bot was started."""
        monkeypatch.chdir(tmp_path)
        url = "postgresql://bot@localhost/ledger"
        hold(url)
        assert not make_private(url)
        assert list(tmp_path.iterdir()) == []

    async def test_the_lock_goes_with_a_killed_process(self, sqlite_url: str, holding: Holding) -> None:
        """kill -9 leaves no lock behind that somebody would have to remove by hand."""
        async with holding(sqlite_url) as process:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            hold(sqlite_url)

    async def test_the_same_file_by_another_name_is_the_same_ledger(
        self, sqlite_url: str, holding: Holding, tmp_path: Path
    ) -> None:
        """A symbolic link or another spelling does not get past the lock."""
        file = file_of(sqlite_url)
        (tmp_path / "link.db").symlink_to(file)
        async with holding(sqlite_url):
            for name in (tmp_path / "link.db", tmp_path / ".." / tmp_path.name / file.name):
                with pytest.raises(LedgerInUse):
                    hold(f"sqlite:///{name}")

    async def test_one_file_by_two_names_serves_no_second_bot(
        self, sqlite_url: str, holding: Holding, tmp_path: Path
    ) -> None:
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

    async def test_a_file_that_is_mounted_by_itself_is_refused(
        self, new_sqlite: NewDatabase, tmp_path: Path
    ) -> None:
        """As `docker run -v ledger.db:/data/ledger.db` does: its log stays behind, with the newest
        payments."""
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
        said = (
            f"refused: {place} is mounted by itself, without what SQLite writes beside it; mount the folder"
        )
        assert code == 0, told
        assert [line.startswith(said) for line in told.splitlines()] == [True] * 4, told
        assert [each.name for each in place.parent.iterdir()] == ["ledger.db"]

    def test_postgresql_serves_several_instances(self) -> None:
        """No lock is taken where the database itself keeps order."""
        with one_process("postgresql://somewhere/ledger"):
            hold("postgresql://somewhere/ledger")


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


class TestDisk:
    async def test_a_full_disk_leaves_nothing_half_done(
        self, sqlite_url: str, command_server: CommandServer
    ) -> None:
        """Writing fails as LedgerUnavailable, reading goes on, and with room again so does writing."""
        code, told = await run_python(command_server, FULL, sqlite_url)
        assert (code, told.split()[:1]) == (0, ["recovered"]), told

    @pytest.mark.parametrize(
        ("folder_mode", "said"), [(0o755, "readonly database"), (0o555, "cannot write beside the ledger")]
    )
    async def test_a_read_only_ledger_is_refused(
        self,
        new_sqlite: NewDatabase,
        command_server: CommandServer,
        tmp_path: Path,
        folder_mode: int,
        said: str,
    ) -> None:
        """With the reason; whether the file or its folder cannot be written."""
        url = new_sqlite(migrated=True)
        os.chmod(file_of(url), 0o444)
        os.chmod(tmp_path, folder_mode)
        try:
            code, told = await run_python(command_server, READ_ONLY, url, bound=True)
        finally:
            os.chmod(tmp_path, 0o755)
        assert code == 0, told
        assert told.startswith("refused: "), told
        assert said in told

    async def test_a_folder_that_is_not_there_is_said_at_start(self, tmp_path: Path) -> None:
        """The message names the ledger and what is wrong."""
        with pytest.raises(LedgerUnavailable, match=r"cannot write beside the ledger .*No such file"):
            hold(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.db'}")

    def test_a_file_that_is_no_database_is_refused(self, sqlite_url: str) -> None:
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
