"""The service of systemd: it is shut in, and it is given the time that it needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bot.deploy import file
from tests.deploy.test_containers import LONGEST_STOP
from tests.tools import tool

NAME = "invoice-payment-bot.service"
WORST = 15
"""The exposure that systemd may find, in tenths: 10 is nothing shut, 0 is everything."""


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in file(NAME).splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_it_is_shut_in(tmp_path: Path) -> None:
    """By systemd's own judgement, which also refuses an option that it does not know the value of."""
    unit = tmp_path / NAME
    unit.write_text(file(NAME), encoding="utf-8")
    done = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=true", f"--threshold={WORST}", "--no-pager", unit],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


def test_systemd_knows_each_of_its_options(tmp_path: Path) -> None:
    """An option that is misspelt shuts nothing, and systemd only warns of it."""
    unit = tmp_path / NAME
    program = "/opt/invoice-payment-bot/bin/invoice-payment-bot"
    assert program in file(NAME)
    unit.write_text(file(NAME).replace(program, "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_it_waits_for_a_payment_under_way_and_does_not_repeat_a_mistake() -> None:
    """Longer than a bot takes at most to stop; wrong settings (code 2) are not tried again and again."""
    given = settings()
    assert int(given["TimeoutStopSec"][0]) > LONGEST_STOP
    assert given["Restart"] == ["on-failure"]
    assert given["RestartPreventExitStatus"] == ["2"]


def test_it_is_not_root_and_writes_only_to_its_own_folder() -> None:
    """Where the ledger is; what it reads is another's."""
    given = settings()
    assert given["User"] == given["Group"] == ["invoice-payment-bot"]
    assert given["ProtectSystem"] == ["strict"]
    assert given["WorkingDirectory"] == [f"/var/lib/{given['StateDirectory'][0]}"]
    assert given["StateDirectoryMode"] == ["0700"]
    assert given["CapabilityBoundingSet"] == [""]
    assert "ReadWritePaths" not in given
