"""The PostgreSQL server under a ledger: what it must give, how it may be tuned, and that it may go away."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerError, LedgerUnavailable
from bot.ledger import given_session, store
from bot.ledger.opening import open_ledger, read_ledger
from bot.ledger.store import Ledger
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import happened, request, request_in
from tests.ledger.opening import opened, read, tuned


async def record(ledger: Ledger) -> None:
    async with ledger.transaction() as transaction:
        await transaction.record(happened("started"), actor="test")


@contextlib.asynccontextmanager
async def pooler(url: str, *, options: bool = False, sessions: int = 1000) -> AsyncIterator[str]:
    """A way to the server that, as poolers do, takes the options of a session and drops them.

    options: pass them on. As poolers do it gives a session another number than the server did, because it
    may be another one of the server's after each transaction. sessions: it has no more than so many; whoever
    comes later is greeted, and has no answer until another one leaves.
    """
    free = asyncio.Semaphore(sessions)
    folder = psycopg.conninfo.conninfo_to_dict(url)["host"]

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()

    async def greet(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        kind = b""
        while kind != b"Z":
            kind, rest = await source.readexactly(1), await source.readexactly(4)
            body = await source.readexactly(struct.unpack("!i", rest)[0] - 4)
            if kind == b"K":
                body = struct.pack("!i", 1_000_000) + body[4:]
            target.write(kind + rest + body)
        await pump(source, target)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        parts = body[4:].rstrip(b"\0").split(b"\0")
        kept = [
            part
            for pair in zip(parts[::2], parts[1::2], strict=True)
            for part in pair
            if options or pair[0] != b"options"
        ]
        body = body[:4] + b"\0".join(kept) + b"\0\0"
        there, here = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        here.write(struct.pack("!i", len(body) + 4) + body)

        async def ask() -> None:
            async with free:
                await pump(reader, here)

        both = asyncio.gather(ask(), greet(there, writer))
        under_way.append(both)
        await both

    under_way: list[asyncio.Future[Any]] = []
    with tempfile.TemporaryDirectory(prefix="pool-") as own:
        server = await asyncio.start_unix_server(serve, f"{own}/.s.PGSQL.5432")
        async with server:
            yield url.replace(quote(str(folder)), quote(own)).replace(str(folder), own)
            await asyncio.gather(*under_way)


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


class TestWhatItMustGive:
    @pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
    async def test_a_database_that_cannot_hold_every_text_is_refused(
        self, new_postgresql: NewDatabase, encoding: str
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
        self, new_postgresql: NewDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever the environment says."""
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        url = new_postgresql(migrated=True)
        async with open_ledger(url) as ledger:
            payment = await request(ledger, note="café ☕ \N{PILE OF POO}")
            assert await ledger.payment(payment.id) == payment
        assert await read(url)

    async def test_writers_wait_for_each_other_whatever_the_server_is_tuned_to(
        self,
        new_postgresql: NewDatabase,
    ) -> None:
        """By other rules of isolation some of them would fail."""
        url = new_postgresql(migrated=True)
        with tuned(url, "default_transaction_isolation = 'serializable'"):
            async with open_ledger(url) as ledger:
                await asyncio.gather(*(record(ledger) for _ in range(12)))
                assert (await ledger.verify()).events == 12

    async def test_a_long_check_is_not_cut_off(self, new_postgresql: NewDatabase) -> None:
        """Not by what a server is tuned to, nor while somebody reads page by page what is printed."""
        url = new_postgresql(migrated=True)
        async with open_ledger(url) as ledger:
            await request_in(ledger, State.PAID)
        with tuned(url, "statement_timeout = '0.5s'"):
            async with read_ledger(url) as reading, reading.snapshot() as connection:
                await connection.execute(text("SELECT pg_sleep(0.8)"))
        async with open_ledger(url) as ledger, ledger.snapshot() as connection:
            await asyncio.sleep(3.5)
            await connection.execute(text("SELECT 1"))

    async def test_a_server_that_takes_no_writes_is_refused_to_a_bot_and_read_by_an_auditor(
        self,
        new_postgresql: NewDatabase,
    ) -> None:
        """As a replica does; a bot would start, and then do nothing."""
        url = new_postgresql(migrated=True)
        with tuned(url, "default_transaction_read_only = on"):
            with pytest.raises(LedgerUnavailable, match="takes no writes; let LEDGER_URL name the primary"):
                await opened(url)
            assert await read(url)

    async def test_tables_that_one_may_not_read_are_said_in_a_sentence(
        self, new_postgresql: NewDatabase
    ) -> None:
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

    @pytest.mark.parametrize("commit", ["off", "on"])
    async def test_a_pooler_that_drops_what_the_session_asks_for_is_refused(
        self, new_postgresql: NewDatabase, commit: str
    ) -> None:
        """Above all where commits would not wait for the disk; but a frozen instance must be bounded as
        well."""
        url = new_postgresql(migrated=True)
        said = {
            "off": "synchronous_commit is off for this session, although the bot asked for on",
            "on": "lock_timeout is 0 for this session, although the bot asked for 5s",
        }
        with tuned(url, f"synchronous_commit = {commit}"):
            async with pooler(url) as pooled:
                with pytest.raises(
                    LedgerUnavailable, match=f"{said[commit]}; let LEDGER_URL name the server"
                ):
                    await opened(pooled)
            await opened(url)

    @pytest.mark.parametrize("pooled", [False, True], ids=["directly", "through a pooler"])
    async def test_nothing_is_prepared_where_the_next_transaction_may_be_anothers_session(
        self, new_postgresql: NewDatabase, pooled: bool
    ) -> None:
        """There a name that was given to one statement stands for another, which would be carried out in its
        place."""
        url = new_postgresql(migrated=True)
        async with contextlib.AsyncExitStack() as stack:
            if pooled:
                url = await stack.enter_async_context(pooler(url, options=True))
            ledger = await stack.enter_async_context(open_ledger(url))
            for _ in range(8):
                await ledger.recent()
            async with ledger._reads.connect() as connection:
                found = await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))
                assert (found.scalar_one() == 0) is pooled

    @pytest.mark.parametrize("sessions", [0, 2])
    async def test_a_pooler_with_too_few_sessions_is_told_of(
        self, new_postgresql: NewDatabase, monkeypatch: pytest.MonkeyPatch, sessions: int
    ) -> None:
        """It lets whoever comes too late wait for minutes, which looks like a bot that hangs."""
        monkeypatch.setattr(given_session, "GIVEN_WITHIN_S", 0.5)
        url = new_postgresql(migrated=True)
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(20):
            pooled = await stack.enter_async_context(pooler(url, options=True, sessions=max(sessions, 1)))
            held = await stack.enter_async_context(open_ledger(pooled))
            for _ in range(sessions):
                await stack.enter_async_context(held._reads.connect())
            said = "no session was given within .* needs ten for each instance"
            with pytest.raises(LedgerUnavailable, match=said):
                await (held.recent() if sessions else opened(pooled))
            with pytest.raises(LedgerUnavailable, match=said):
                await read(pooled)

    async def test_a_server_that_lets_too_few_in_is_told_how_many_it_takes(
        self, new_postgresql: NewDatabase
    ) -> None:
        """Its own words say only that there are too many."""
        url = new_postgresql(migrated=True)
        theirs = url.replace("//postgres@", "//few@")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP ROLE IF EXISTS few")
            connection.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 1")
            try:
                with (
                    psycopg.connect(theirs),
                    pytest.raises(
                        LedgerUnavailable, match=r"too many connections.*needs ten for each instance"
                    ),
                ):
                    await opened(theirs)
            finally:
                connection.execute("DROP ROLE few")

    async def test_a_frozen_instance_does_not_hold_the_end_of_the_trail_for_long(
        self,
        new_postgresql: NewDatabase,
    ) -> None:
        """Others wait a few seconds and go on; what it had begun is undone, and it is told so when it
        thaws."""
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


def close(told: datetime) -> bool:
    return abs(told - datetime.now(UTC)) < timedelta(seconds=30)


class TestWhatItIsTunedTo:
    async def test_a_commit_waits_for_the_disk_whatever_the_server_is_tuned_to(
        self,
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

    async def test_what_reads_long_writes_nothing(self, new_postgresql: NewDatabase) -> None:
        """The server itself refuses it, where somebody errs."""
        async with open_ledger(new_postgresql(migrated=True)) as ledger, ledger.snapshot() as connection:
            with pytest.raises(DBAPIError, match="read-only"):
                await connection.execute(text("DELETE FROM deliveries"))

    @pytest.mark.parametrize("style", ["German, DMY", "SQL, MDY", "Postgres, YMD"])
    async def test_times_are_read_however_the_server_writes_them(
        self, new_postgresql: NewDatabase, style: str
    ) -> None:
        """By a bot and by an auditor: the driver knows one way, and a database may be told another."""
        url = new_postgresql(migrated=True)
        with tuned(url, f"DateStyle = '{style}'"):
            async with open_ledger(url) as ledger:
                payment = await request_in(ledger, State.PAID)
                assert await ledger.payment(payment.id) == payment
            async with read_ledger(url) as reading:
                assert await reading.payment(payment.id) == payment
            assert await read(url)

    @pytest.mark.parametrize("named", ["in the address", "in the environment"])
    async def test_what_the_session_is_told_beside_that_is_told_to_it(
        self, new_postgresql: NewDatabase, monkeypatch: pytest.MonkeyPatch, named: str
    ) -> None:
        """Such as the schema: two bots that name one each share no ledger. Where both say something of the
        same, what makes a commit last counts."""
        url, options = new_postgresql(migrated=False), "-c search_path=pay -c synchronous_commit=off"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA pay")
        place = url
        if named == "in the address":
            place = f"{url}&options={quote(options)}"
        else:
            monkeypatch.setenv("PGOPTIONS", options)
        async with open_ledger(place) as ledger:
            await request(ledger)
        assert await read(place)
        monkeypatch.delenv("PGOPTIONS", raising=False)
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'payments'")
            assert found.fetchall() == [("pay",)]
            connection.execute("DROP SCHEMA pay CASCADE")

    @pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1)], ids=["behind", "ahead"])
    async def test_instances_whose_clocks_differ_go_by_the_servers(
        self, new_postgresql: NewDatabase, monkeypatch: pytest.MonkeyPatch, off: timedelta
    ) -> None:
        """One whose clock is an hour wrong neither takes over others' leases nor lets its own last an
        hour."""

        def wrong() -> datetime:
            return datetime.now(UTC) + off

        monkeypatch.setattr(store, "utc_now", wrong)
        async with open_ledger(new_postgresql(migrated=True), clock=wrong) as ledger:
            assert close(ledger.clock())
            async with ledger.transaction() as transaction:
                assert close(transaction.now)
            payment = await request(ledger)
            assert close(payment.request.created_at)
            assert close(ledger.clock())


def cut(url: str) -> None:
    """End every other connection to this database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


class TestNotThere:
    async def test_an_absent_server_is_said_at_start_without_its_password(self, tmp_path: Path) -> None:
        """LedgerUnavailable, in one line that holds no address and no secret."""
        url = f"postgresql://bot:hunter2secret@/ledger?host={tmp_path}"
        with pytest.raises(LedgerError) as caught:
            async with open_ledger(url):
                pass
        assert isinstance(caught.value, LedgerUnavailable)
        assert "hunter2secret" not in str(caught.value)
        assert "\n" not in str(caught.value)

    async def test_a_connection_cut_in_a_transaction_undoes_it(self, new_postgresql: NewDatabase) -> None:
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

    async def test_a_connection_that_broke_between_two_questions_is_known(
        self, new_postgresql: NewDatabase, clock: Clock
    ) -> None:
        """Neither question fails; but behind the next one another server may stand."""
        url = new_postgresql(migrated=True)
        async with open_ledger(url, boot_clock=clock.boottime) as ledger:
            await request(ledger)
            assert ledger.outage.unbroken == timedelta.max
            cut(url)
            await request(ledger, InvoiceRef("vps", 2))
            clock.advance(seconds=7)
            assert ledger.outage.unbroken == timedelta(seconds=7)

    async def test_idle_connections_that_were_cut_are_replaced(self, new_postgresql: NewDatabase) -> None:
        """A restart of the server between two pieces of work is not noticed."""
        url = new_postgresql(migrated=True)
        async with open_ledger(url) as ledger:
            await request(ledger)
            cut(url)
            await request(ledger, InvoiceRef("mail", 1))
            cut(url)
            assert len(await ledger.recent()) == 2
