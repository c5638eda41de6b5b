"""The PostgreSQL of the tests leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from tests.postgresql import START_SECONDS

RUN = """
import sys
from pathlib import Path
from tests.postgresql import running_postgresql

with running_postgresql(Path(sys.argv[1])) as server:
    print(server, flush=True)
    sys.stdin.read()
"""


def test_a_run_that_is_killed_leaves_no_server_and_no_folder() -> None:
    """Both would be there for ever, as nobody would look for them."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        run = [sys.executable, "-c", RUN, folder]
        with subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            server = process.stdout.readline().strip()
            with psycopg.connect(server) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
                process.kill()
                deadline = time.monotonic() + START_SECONDS
                while Path(folder).exists():
                    assert time.monotonic() < deadline, "it is still there"
                    time.sleep(0.05)
                with pytest.raises(psycopg.OperationalError):
                    connection.execute("SELECT 1")
