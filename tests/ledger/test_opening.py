"""Opening a ledger: which version it has, and reading only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sqlite3
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from structlog.testing import capture_logs

from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerContradicted, LedgerUnavailable, LedgerUnfit
from bot.ledger import database, version
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger, read_ledger
from tests.command_line import CommandServer
from tests.fixture_types import NewDatabase
from tests.ledger.making import request, request_in
from tests.ledger.opening import (
    execute,
    file_of,
    modes,
    opened,
    read,
    run_python,
)
from tests.ledger.released import release

SETTLE = """
import asyncio, sys
from bot.ledger.opening import open_ledger

async def main():
    async with open_ledger(sys.argv[1], begin=False) as ledger:
        print(len(await ledger.recent()))

asyncio.run(main())
"""


class TestVersions:
    async def test_a_later_version_is_refused_with_a_sentence(self, new_database: NewDatabase) -> None:
        """By whoever opens it; and it stays as it is."""
        url = new_database(migrated=True)
        await execute(url, "UPDATE alembic_version SET version_num = '9999'")
        for opening in (opened(url), opened(url, begin=False), read(url)):
            with pytest.raises(LedgerUnfit, match=r"later version than this bot \('9999'\); upgrade the bot"):
                await opening

    async def test_an_earlier_version_is_brought_up_to_date_only_by_a_bot(
        self, new_database: NewDatabase
    ) -> None:
        """Everybody else says that a bot must be started once."""
        url = new_database(migrated=False)
        await release(url)
        for opening in (opened(url, begin=False), read(url)):
            with pytest.raises(LedgerUnfit, match=r"earlier version \(0002\); start this bot once"):
                await opening
        await opened(url)
        assert await read(url)

    async def test_only_a_bot_begins_a_ledger(self, new_database: NewDatabase) -> None:
        """A mistyped address must not answer that there is no such payment."""
        url = new_database(migrated=False)
        for opening in (opened(url, begin=False), read(url)):
            with pytest.raises(
                LedgerUnfit, match=r"there is no ledger .*; check LEDGER_URL, or start the bot once"
            ):
                await opening
        if url.startswith("sqlite"):
            assert not file_of(url).exists()
            file_of(url).touch()
            with pytest.raises(LedgerUnfit, match="there is no ledger yet"):
                await read(url)
            assert file_of(url).stat().st_size == 0

    async def test_a_bot_says_loudly_that_it_begins_a_ledger_and_always_where_it_is(
        self, new_sqlite: NewDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Started in another folder it would know of no payment; a relative address is told from the
        root on."""
        file = file_of(new_sqlite(migrated=False))
        monkeypatch.chdir(file.parent)
        with capture_logs() as first:
            async with open_ledger(f"sqlite:///{file.name}", instance="one"):
                pass
        with capture_logs() as second:
            async with open_ledger(f"sqlite:///{file.name}", instance="one"):
                pass
        assert [(line["log_level"], line["ledger"]) for line in first] == [
            ("info", str(file)),
            ("warning", str(file)),
        ]
        assert "a new ledger begins" in first[1]["event"]
        assert [(line["log_level"], line["ledger"]) for line in second] == [("info", str(file))]

    def test_where_a_ledger_is_holds_no_password(self) -> None:
        """Nor a user; a server is named by its host or its socket's folder."""
        assert database.place(
            "postgresql://bot:hunter2@db:5433/pay?password=hunter2&sslpassword=hunter2"
        ) == ("PostgreSQL at db:5433, database pay")
        assert database.place("postgresql://bot@/pay?host=/run/pg") == "PostgreSQL at /run/pg, database pay"

    async def test_a_database_of_another_program_is_left_alone(self, new_sqlite: NewDatabase) -> None:
        """Tables that are no ledger's: nothing is put beside them."""
        url = new_sqlite(migrated=False)
        await execute(url, "CREATE TABLE recipes (name TEXT)")
        with pytest.raises(LedgerUnfit, match="database of another program"):
            await opened(url)
        with pytest.raises(LedgerUnfit, match="there is no ledger yet"):
            await read(url)

    @pytest.mark.parametrize(
        "theirs",
        [
            "CREATE TABLE payments (recipe TEXT)",
            "CREATE TABLE alembic_version (version_num TEXT)",
            "CREATE TABLE alembic_version AS SELECT 'ae1027a6acf2' AS version_num",
        ],
    )
    async def test_nothing_is_put_among_the_tables_of_another_program_on_a_server(
        self, new_postgresql: NewDatabase, theirs: str
    ) -> None:
        """It would need the same names, or read what the other notes of its own version."""
        url = new_postgresql(migrated=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(theirs)
            with pytest.raises(LedgerUnfit, match="that of another program; let LEDGER_URL name one of"):
                await opened(url)
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            assert found.fetchone() == (1,)

    @pytest.mark.parametrize("tables", [("recipes",), ("alembic_version", "recipes")])
    @pytest.mark.parametrize("begin", [True, False])
    async def test_what_another_program_keeps_is_not_touched(
        self, new_sqlite: NewDatabase, begin: bool, tables: tuple[str, ...]
    ) -> None:
        """Neither its mode, which others may need, nor how it is written, nor what is beside it."""
        url = new_sqlite(migrated=False)
        with contextlib.closing(sqlite3.connect(file_of(url))) as connection:
            for table in tables:
                connection.execute(f"CREATE TABLE {table} (version_num TEXT)")
        os.chmod(file_of(url), 0o664)
        before = file_of(url).read_bytes()
        with pytest.raises(LedgerUnfit, match="database of another program"):
            await opened(url, begin=begin)
        with pytest.raises(LedgerUnfit, match="database of another program"), one_process(url):
            pass
        assert modes(url) == {"": 0o664}
        assert file_of(url).read_bytes() == before

    @pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
    async def test_what_is_no_file_is_refused_by_everybody_and_not_touched(
        self, new_sqlite: NewDatabase, kind: str
    ) -> None:
        """An auditor would wait for ever at a pipe; a folder would be closed to all others."""
        url = new_sqlite(migrated=False)
        with (
            contextlib.closing(socket.socket(socket.AF_UNIX)) as listening,
            contextlib.chdir(file_of(url).parent),
        ):
            match kind:
                case "folder":
                    file_of(url).mkdir()
                case "pipe":
                    os.mkfifo(file_of(url))
                case _:
                    listening.bind(file_of(url).name)
        os.chmod(file_of(url), 0o755)
        for opening in (opened(url), opened(url, begin=False), read(url)):
            with pytest.raises(LedgerUnfit, match=f"is no file but a {kind}; let LEDGER_URL name a file"):
                async with asyncio.timeout(5):
                    await opening
        with pytest.raises(LedgerUnfit, match="is no file"), one_process(url):
            pass
        assert modes(url) == {"": 0o755}

    async def test_who_only_reads_or_settles_refuses_a_file_by_several_names_as_well(
        self,
        new_sqlite: NewDatabase,
    ) -> None:
        """What a bot under the other name has written last would be missing, and called whole."""
        url = new_sqlite(migrated=True)
        os.link(file_of(url), f"{file_of(url)}.other")
        for opening in (opened(url), opened(url, begin=False), read(url)):
            with pytest.raises(LedgerUnfit, match="several names"):
                await opening

    async def test_a_ledger_that_lost_its_version_is_not_begun_anew(self, new_sqlite: NewDatabase) -> None:
        """Its tables hold what was paid, whatever somebody did to the one that says how they are made."""
        url = new_sqlite(migrated=True)
        await execute(url, "DELETE FROM alembic_version")
        with pytest.raises(LedgerUnfit, match="the file is the database of another program"):
            await opened(url)

    async def test_a_damaged_ledger_is_told_as_such(self, new_sqlite: NewDatabase) -> None:
        """Nobody takes it for another program's, or begins a ledger in it; the file stays as it is."""
        url = new_sqlite(migrated=True)
        whole = file_of(url).read_bytes()
        damaged = whole[:100] + b"\xff" * 400 + whole[500:]
        file_of(url).write_bytes(damaged)
        for opening in (opened(url), opened(url, begin=False)):
            with pytest.raises(LedgerUnavailable, match="cannot be read: database disk image is malformed"):
                await opening
        assert file_of(url).read_bytes() == damaged

    async def test_a_ledger_that_a_killed_bot_left_is_opened_again(self, new_sqlite: NewDatabase) -> None:
        """Its tables may be in SQLite's log only, with or without the index to it."""
        for missing in ((), ("-shm",)):
            url = new_sqlite(migrated=False)
            async with open_ledger(url) as ledger:
                await request(ledger)
                kept = file_of(url).parent / f"kept{len(missing)}"
                kept.mkdir()
                for suffix in {"", "-wal", "-shm"} - set(missing):
                    shutil.copy(f"{file_of(url)}{suffix}", kept / f"ledger.db{suffix}")
            async with open_ledger(f"sqlite:///{kept / 'ledger.db'}") as ledger:
                assert await ledger.payment(1)

    async def test_sqlites_own_locks_outlive_the_look_at_the_file(
        self, new_sqlite: NewDatabase, command_server: CommandServer
    ) -> None:
        """Another process that opens and closes the ledger must not take the log away from a running bot."""
        url = new_sqlite(migrated=True)
        with one_process(url):
            async with open_ledger(url) as ledger:
                await request(ledger)
                await opened(url, begin=False)
                code, told = await run_python(command_server, SETTLE, url)
                assert (code, told) == (0, "1\n")
                assert "-wal" in modes(url)
                await request(ledger, InvoiceRef("mail", 2))
        assert await read(url)

    async def test_a_ledger_whose_trail_has_no_end_is_refused(self, new_database: NewDatabase) -> None:
        """The bot does not start on it; an auditor is told that it is broken."""
        url = new_database(migrated=True)
        await execute(
            url,
            "INSERT INTO chain (id, ledger, last_event, last_hash) SELECT 2, ledger, 0, last_hash FROM chain",
        )
        with pytest.raises(LedgerContradicted, match="run `python -m bot audit verify`"):
            await opened(url)
        assert not await read(url)
        await execute(url, "DELETE FROM chain WHERE id = 2")
        assert await read(url)

    @pytest.mark.parametrize("to_fit", ["", ", last_hash = (SELECT previous FROM events WHERE id = 2)"])
    async def test_a_trail_that_goes_on_behind_its_end_is_refused(
        self, new_database: NewDatabase, to_fit: str
    ) -> None:
        """Nothing can be added to it: a running bot ends with a sentence, and none starts on it."""
        url = new_database(migrated=True)
        async with open_ledger(url) as ledger:
            await request_in(ledger, State.PENDING_APPROVAL)
            await execute(url, f"UPDATE chain SET last_event = 1{to_fit}")
            with pytest.raises(LedgerContradicted, match=r"goes on behind .*`python -m bot audit verify`"):
                async with ledger.transaction() as transaction:
                    await transaction.pause("", actor="U1")
        with pytest.raises(LedgerContradicted, match=r"goes on behind .*`python -m bot audit verify`"):
            await opened(url)
        assert not await read(url)


READ = """
import asyncio, sys
from bot.errors import LedgerError
from tests.ledger.opening import read

try:
    print(asyncio.run(read(sys.argv[1])))
except LedgerError as error:
    print("refused:", error)
"""


class TestReadingOnly:
    async def test_who_reads_a_stopped_ledger_makes_no_file(self, new_sqlite: NewDatabase) -> None:
        """SQLite would leave the two files of a running bot behind, perhaps as another user's."""
        url = new_sqlite(migrated=True)
        async with open_ledger(url) as ledger:
            await request(ledger)
        before = file_of(url).read_bytes()
        assert await read(url)
        assert modes(url).keys() == {""}
        assert file_of(url).read_bytes() == before

    async def test_who_reads_beside_a_running_bot_sees_all_that_is_committed(
        self, new_database: NewDatabase
    ) -> None:
        """Also what only SQLite's log holds yet; and nothing can be written that way."""
        url = new_database(migrated=True)
        async with open_ledger(url) as ledger:
            await request_in(ledger, State.PAID)
            async with read_ledger(url) as reading:
                assert (await reading.verify()).events == 4
                assert await reading.verify() == await ledger.verify()
                with pytest.raises(Exception, match=r"(?i)read-?\s?only"):
                    await request(reading, InvoiceRef("mail", 1))
                await request_in(ledger, State.CANCELLED, InvoiceRef("mail", 2))
                assert (await reading.verify()).events == 6

    async def test_a_folder_that_cannot_be_written_can_be_read(
        self, new_sqlite: NewDatabase, command_server: CommandServer, tmp_path: Path
    ) -> None:
        """A copy on a read-only disk; one of a running bot's files, its log included, as well."""
        url = new_sqlite(migrated=True)
        told = {}
        async with open_ledger(url) as ledger:
            await request(ledger)
            for name, suffixes in {"all": ("", "-wal", "-shm"), "no shm": ("", "-wal")}.items():
                folder = tmp_path / f"{name} #1"
                folder.mkdir()
                for suffix in suffixes:
                    shutil.copy(f"{file_of(url)}{suffix}", folder / f"ledger.db{suffix}")
                os.chmod(folder, 0o555)
                _, told[name] = await run_python(
                    command_server, READ, f"sqlite:///{folder / 'ledger.db'}", bound=True
                )
        assert told["all"] == "True\n"
        assert told["no shm"].startswith("refused: "), told
        folder = tmp_path / "stopped"
        folder.mkdir()
        shutil.copy(file_of(url), folder / "ledger.db")
        os.chmod(folder / "ledger.db", 0o444)
        os.chmod(folder, 0o555)
        _, said = await run_python(command_server, READ, f"sqlite:///{folder / 'ledger.db'}", bound=True)
        assert said == "True\n"

    async def test_a_bot_that_starts_while_its_ledger_is_read_is_noticed(
        self, new_sqlite: NewDatabase
    ) -> None:
        """What was read then may be of two moments, so it is neither called whole nor broken."""
        url = new_sqlite(migrated=True)

        async def reading() -> None:
            async with read_ledger(url), open_ledger(url) as ledger:
                await request(ledger)

        with pytest.raises(LedgerUnfit, match="run this again"):
            await reading()


def test_the_versions_are_those_of_the_migrations_in_their_order() -> None:
    """They are told by the files' names, so that a start need not load what migrates."""
    config = Config()
    config.set_main_option("script_location", "bot.ledger:migrations")
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert version._known() == tuple(script.revision for script in scripts)
