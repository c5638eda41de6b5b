"""Opening a ledger: which version it has, whose its files are, what a server must give, and reading only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import stat
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerContradicted, LedgerUnavailable, LedgerUnfit
from bot.ledger import database
from bot.ledger.database import one_process
from bot.ledger.opening import open_ledger, read_ledger
from bot.ledger.store import Ledger
from tests.fixture_types import NewDatabase
from tests.ledger.making import happened, request, request_in
from tests.ledger.released import release
from tests.ledger.test_database import bound_by_permissions, file_of, run_python


async def opened(url: str, *, begin: bool = True) -> None:
    async with open_ledger(url, begin=begin):
        pass


async def read(url: str) -> bool:
    """Whether who only reads it finds it whole."""
    async with read_ledger(url) as ledger:
        return (await ledger.verify()).whole


async def execute(url: str, statement: str) -> None:
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


# -- versions ---------------------------------------------------------------------------------------


async def test_a_later_version_is_refused_with_a_sentence(new_database: NewDatabase) -> None:
    """By whoever opens it; and it stays as it is."""
    url = new_database(migrated=True)
    await execute(url, "UPDATE alembic_version SET version_num = '9999'")
    for opening in (opened(url), opened(url, begin=False), read(url)):
        with pytest.raises(LedgerUnfit, match=r"later version than this bot \('9999'\); upgrade the bot"):
            await opening


async def test_an_earlier_version_is_brought_up_to_date_only_by_a_bot(new_database: NewDatabase) -> None:
    """Everybody else says that a bot must be started once."""
    url = new_database(migrated=False)
    await release(url)
    for opening in (opened(url, begin=False), read(url)):
        with pytest.raises(LedgerUnfit, match=r"earlier version \(0002\); start this bot once"):
            await opening
    await opened(url)
    assert await read(url)


async def test_only_a_bot_begins_a_ledger(new_database: NewDatabase) -> None:
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
    new_sqlite: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started in another folder it would know of no payment; a relative address is told from the root on."""
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


def test_where_a_ledger_is_holds_no_password() -> None:
    """Nor a user; a server is named by its host or its socket's folder."""
    assert database.place("postgresql://bot:hunter2@db:5433/pay?password=hunter2&sslpassword=hunter2") == (
        "PostgreSQL at db:5433, database pay"
    )
    assert database.place("postgresql://bot@/pay?host=/run/pg") == "PostgreSQL at /run/pg, database pay"


async def test_a_database_of_another_program_is_left_alone(new_sqlite: NewDatabase) -> None:
    """Tables that are no ledger's: nothing is put beside them."""
    url = new_sqlite(migrated=False)
    await execute(url, "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(LedgerUnfit, match="database of another program"):
        await opened(url)
    with pytest.raises(LedgerUnfit, match="there is no ledger yet"):
        await read(url)


@pytest.mark.parametrize("tables", [("recipes",), ("alembic_version", "recipes")])
@pytest.mark.parametrize("begin", [True, False])
async def test_what_another_program_keeps_is_not_touched(
    new_sqlite: NewDatabase, begin: bool, tables: tuple[str, ...]
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
    new_sqlite: NewDatabase, kind: str
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
    new_sqlite: NewDatabase,
) -> None:
    """What a bot under the other name has written last would be missing, and called whole."""
    url = new_sqlite(migrated=True)
    os.link(file_of(url), f"{file_of(url)}.other")
    for opening in (opened(url), opened(url, begin=False), read(url)):
        with pytest.raises(LedgerUnfit, match="several names"):
            await opening


async def test_a_ledger_that_a_killed_bot_left_is_opened_again(new_sqlite: NewDatabase) -> None:
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


async def test_sqlites_own_locks_outlive_the_look_at_the_file(new_sqlite: NewDatabase) -> None:
    """Another process that opens and closes the ledger must not take the log away from a running bot."""
    url = new_sqlite(migrated=True)
    with one_process(url):
        async with open_ledger(url) as ledger:
            await request(ledger)
            await opened(url, begin=False)
            code, told = await run_python(SETTLE, url)
            assert (code, told) == (0, "1\n")
            assert "-wal" in modes(url)
            await request(ledger, InvoiceRef("mail", 2))
    assert await read(url)


SETTLE = """
import asyncio, sys
from bot.ledger.opening import open_ledger

async def main():
    async with open_ledger(sys.argv[1], begin=False) as ledger:
        print(len(await ledger.recent()))

asyncio.run(main())
"""


async def test_a_ledger_whose_trail_has_no_end_is_refused(new_database: NewDatabase) -> None:
    """The bot does not start on it; an auditor is told that it is broken."""
    url = new_database(migrated=True)
    await execute(url, "INSERT INTO chain SELECT 2, ledger, 0, last_hash FROM chain")
    with pytest.raises(LedgerContradicted, match="run `python -m bot audit verify`"):
        await opened(url)
    assert not await read(url)
    await execute(url, "DELETE FROM chain WHERE id = 2")
    assert await read(url)


# -- files ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def umask(mode: int) -> Iterator[None]:
    before = os.umask(mode)
    try:
        yield
    finally:
        os.umask(before)


def modes(url: str) -> dict[str, int]:
    """The files of a ledger, by what stands behind its name."""
    file = file_of(url)
    found = file.parent.glob(f"{file.name}*")
    return {each.name.removeprefix(file.name): stat.S_IMODE(each.stat().st_mode) for each in found}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
async def test_the_files_are_for_their_user_alone(new_sqlite: NewDatabase, mask: int) -> None:
    """Whatever the umask: they hold addresses at which anybody could speak in the bot's name."""
    url = new_sqlite(migrated=False)
    with umask(mask), one_process(url):
        async with open_ledger(url) as ledger:
            await request(ledger)
            assert modes(url) == dict.fromkeys(("", "-wal", "-shm", ".lock"), 0o600)
    assert modes(url) == dict.fromkeys(("", ".lock"), 0o600)


async def test_files_that_others_could_read_are_closed_to_them_and_that_is_said(
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_files_that_cannot_be_closed_to_others_are_refused(migrated_sqlite: Path) -> None:
    """They are another user's; it is said whose they must be."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        file = Path(folder) / "ledger.db"
        shutil.copy(migrated_sqlite, file)
        os.chmod(file, 0o666)
        code, told = await run_python(FOREIGN, f"sqlite:///{file}")
        assert (code, told.split(":")[0]) == (0, "refused"), told
        assert "give it to the user who runs the bot, with mode 600" in told
        assert stat.S_IMODE(file.stat().st_mode) == 0o666


# -- reading only -----------------------------------------------------------------------------------


async def test_who_reads_a_stopped_ledger_makes_no_file(new_sqlite: NewDatabase) -> None:
    """SQLite would leave the two files of a running bot behind, perhaps as another user's."""
    url = new_sqlite(migrated=True)
    async with open_ledger(url) as ledger:
        await request(ledger)
    before = file_of(url).read_bytes()
    assert await read(url)
    assert modes(url).keys() == {""}
    assert file_of(url).read_bytes() == before


async def test_who_reads_beside_a_running_bot_sees_all_that_is_committed(new_database: NewDatabase) -> None:
    """Also what only SQLite's log holds yet; and nothing can be written that way."""
    url = new_database(migrated=True)
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)
        async with read_ledger(url) as reading:
            assert (await reading.verify()).events == 4
            assert await reading.verify() == await ledger.verify()
            with pytest.raises(Exception, match=r"(?i)read-?\s?only"):
                await request(reading)
            await request_in(ledger, State.CANCELLED, InvoiceRef("mail", 2))
            assert (await reading.verify()).events == 6


READ = """
import asyncio, sys
from bot.errors import LedgerError
from tests.ledger.test_opening import read

try:
    print(asyncio.run(read(sys.argv[1])))
except LedgerError as error:
    print("refused:", error)
"""


async def test_a_folder_that_cannot_be_written_can_be_read(new_sqlite: NewDatabase, tmp_path: Path) -> None:
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
                READ, f"sqlite:///{folder / 'ledger.db'}", before=bound_by_permissions
            )
    assert told["all"] == "True\n"
    assert told["no shm"].startswith("refused: "), told
    folder = tmp_path / "stopped"
    folder.mkdir()
    shutil.copy(file_of(url), folder / "ledger.db")
    os.chmod(folder / "ledger.db", 0o444)
    os.chmod(folder, 0o555)
    _, said = await run_python(READ, f"sqlite:///{folder / 'ledger.db'}", before=bound_by_permissions)
    assert said == "True\n"


async def test_a_bot_that_starts_while_its_ledger_is_read_is_noticed(new_sqlite: NewDatabase) -> None:
    """What was read then may be of two moments, so it is neither called whole nor broken."""
    url = new_sqlite(migrated=True)

    async def reading() -> None:
        async with read_ledger(url), open_ledger(url) as ledger:
            await request(ledger)

    with pytest.raises(LedgerUnfit, match="run this again"):
        await reading()


# -- what a server must give ------------------------------------------------------------------------


@contextlib.contextmanager
def tuned(url: str, setting: str) -> Iterator[None]:
    """A database that is tuned like this until the block ends."""
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_text_is_refused(
    new_postgresql: NewDatabase, encoding: str
) -> None:
    """A note with an emoji would be a request that fails for ever."""
    url = new_postgresql(migrated=False)
    other = f"encoded_{encoding.lower()}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {other} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode()
        )
        name = connection.info.dbname
    try:
        with pytest.raises(LedgerUnavailable, match=rf"server_encoding is {encoding}.*ENCODING 'UTF8'"):
            await opened(url.replace(f"/{name}?", f"/{other}?"))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {other} WITH (FORCE)".encode())


async def test_the_clients_encoding_is_the_bots_own(
    new_postgresql: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    url = new_postgresql(migrated=True)
    async with open_ledger(url) as ledger:
        payment = await request(ledger, note="café ☕ \N{PILE OF POO}")
        assert await ledger.payment(payment.id) == payment
    assert await read(url)


async def test_writers_wait_for_each_other_whatever_the_server_is_tuned_to(
    new_postgresql: NewDatabase,
) -> None:
    """By other rules of isolation some of them would fail."""
    url = new_postgresql(migrated=True)
    with tuned(url, "default_transaction_isolation = 'serializable'"):
        async with open_ledger(url) as ledger:
            await asyncio.gather(*(record(ledger) for _ in range(12)))
            assert (await ledger.verify()).events == 12


async def test_a_long_check_is_not_cut_off(new_postgresql: NewDatabase) -> None:
    """Not by what a server is tuned to, nor while somebody reads page by page what is printed."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)
    with tuned(url, "statement_timeout = '0.5s'"):
        async with read_ledger(url) as reading, reading._snapshot() as connection:
            await connection.execute(text("SELECT pg_sleep(0.8)"))
    async with open_ledger(url) as ledger, ledger._snapshot() as connection:
        await asyncio.sleep(3.5)
        await connection.execute(text("SELECT 1"))


async def record(ledger: Ledger) -> None:
    async with ledger.transaction() as transaction:
        await transaction.record(happened("started"), actor="test")


async def test_a_server_that_takes_no_writes_is_refused_to_a_bot_and_read_by_an_auditor(
    new_postgresql: NewDatabase,
) -> None:
    """As a replica does; a bot would start, and then do nothing."""
    url = new_postgresql(migrated=True)
    with tuned(url, "default_transaction_read_only = on"):
        with pytest.raises(LedgerUnavailable, match="takes no writes; let LEDGER_URL name the primary"):
            await opened(url)
        assert await read(url)


async def test_tables_that_one_may_not_read_are_said_in_a_sentence(new_postgresql: NewDatabase) -> None:
    """An auditor's own user wants SELECT."""
    url = new_postgresql(migrated=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS auditor")
        connection.execute("CREATE ROLE auditor LOGIN")
    try:
        with pytest.raises(LedgerUnavailable, match="permission denied"):
            await read(url.replace("//postgres@", "//auditor@"))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP ROLE auditor")


@contextlib.asynccontextmanager
async def pooler(url: str) -> AsyncIterator[str]:
    """A way to the server that, as poolers do, takes the options of a session and drops them."""
    folder = psycopg.conninfo.conninfo_to_dict(url)["host"]

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        parts = body[4:].rstrip(b"\0").split(b"\0")
        kept = [
            part
            for pair in zip(parts[::2], parts[1::2], strict=True)
            for part in pair
            if pair[0] != b"options"
        ]
        body = body[:4] + b"\0".join(kept) + b"\0\0"
        there, here = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        here.write(struct.pack("!i", len(body) + 4) + body)
        await asyncio.gather(pump(reader, here), pump(there, writer))

    with tempfile.TemporaryDirectory(prefix="pool-") as own:
        server = await asyncio.start_unix_server(serve, f"{own}/.s.PGSQL.5432")
        async with server:
            yield url.replace(quote(str(folder)), quote(own)).replace(str(folder), own)


@pytest.mark.parametrize("commit", ["off", "on"])
async def test_a_pooler_that_drops_what_the_session_asks_for_is_refused(
    new_postgresql: NewDatabase, commit: str
) -> None:
    """Above all where commits would not wait for the disk; but a frozen instance must be bounded as well."""
    url = new_postgresql(migrated=True)
    said = {
        "off": "synchronous_commit is off for this session, although the bot asked for on",
        "on": "lock_timeout is 0 for this session, although the bot asked for 5s",
    }
    with tuned(url, f"synchronous_commit = {commit}"):
        async with pooler(url) as pooled:
            with pytest.raises(LedgerUnavailable, match=f"{said[commit]}; let LEDGER_URL name the server"):
                await opened(pooled)
        await opened(url)


FROZEN = """
import asyncio, os, signal, sys
from bot.domain.events import Retry
from bot.errors import LedgerUnavailable
from bot.ledger.opening import open_ledger

async def main():
    async with open_ledger(sys.argv[1]) as ledger:
        try:
            async with ledger.transaction() as transaction:
                await transaction.record(Retry(), actor="frozen")
                print("holding", flush=True)
                os.kill(os.getpid(), signal.SIGSTOP)
        except LedgerUnavailable:
            print("undone", flush=True)

asyncio.run(main())
"""


async def test_a_frozen_instance_does_not_hold_the_end_of_the_trail_for_long(
    new_postgresql: NewDatabase,
) -> None:
    """Others wait a few seconds and go on; what it had begun is undone, and it is told so when it thaws."""
    url = new_postgresql(migrated=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FROZEN, url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"holding\n"
        async with open_ledger(url) as ledger:
            began = time.monotonic()
            await asyncio.gather(*(record(ledger) for _ in range(3)))
            assert time.monotonic() - began < 4.5
            process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(30):
                told, _ = await process.communicate()
            assert told == b"undone\n"
            assert (await ledger.verify()).events == 3
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
