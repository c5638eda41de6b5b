"""The image and the compose file: what they promise, read from their text, for nothing is built here."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from typing import Any

import yaml

from bot import app, config
from bot.deploy import file
from bot.ledger.store import Ledger
from bot.payments.timing import CALLS
from bot.status import status_server
from tests.command_line import LONGEST, ROOT
from tests.ports import free_port
from tests.tools import tool

COMPOSE: dict[str, Any] = yaml.safe_load(file("compose.yaml"))
LONGEST_STOP = CALLS * config.Settings.model_fields["billing_timeout"].default + app.GRACE + app.LAST_WORDS
"""Seconds that a bot may take to stop, as its settings are by default."""

KNOWN = {
    *("FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR"),
    *("VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}
"""Instructions of a Containerfile."""


def stages() -> list[list[tuple[str, str]]]:
    """The stages of the Containerfile, each a list of instructions and what they are given."""
    text = re.sub(r"^#.*\n", "", file("Containerfile"), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, " ".join(rest.split())))
    return found


def given(stage: list[tuple[str, str]], instruction: str) -> list[str]:
    return [rest for name, rest in stage if name == instruction]


class TestContainerfile:
    def test_a_linter_finds_nothing(self) -> None:
        """hadolint, with all its rules, and shellcheck's for what is run."""
        done = subprocess.run(
            [tool("hadolint"), "--no-color", ROOT / "bot" / "deploy" / "Containerfile"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "")

    def test_only_known_instructions_are_used(self) -> None:
        """A typing error would be found by whoever builds it."""
        used = {name for stage in stages() for name, _ in stage}
        assert used <= KNOWN

    def test_it_runs_on_the_python_of_the_tests(self) -> None:
        """Both stages, and the same version as in continuous integration."""
        tested = re.search(r"python:(3\.\d+)-(\w+)", (ROOT / ".github/workflows/ci.yml").read_text())
        assert tested is not None
        for stage in stages():
            assert given(stage, "FROM")[0].split()[0] == (
                f"docker.io/library/python:{tested[1]}-slim-{tested[2]}"
            )

    def test_the_last_stage_is_not_root_and_builds_nothing(self) -> None:
        """Only the finished environment comes from the first, and pip is taken away."""
        _, last = stages()
        assert given(last, "USER") == ["10001:10001"]
        assert given(last, "COPY") == ["--from=build /opt/bot /opt/bot"]
        (done,) = given(last, "RUN")
        assert done.startswith("python -m pip uninstall --yes pip setuptools wheel && ")
        assert "apt-get" not in file("Containerfile")
        assert "--uid 10001 " in done
        names = [name for name, _ in last]
        assert names.index("RUN") < names.index("USER"), "what needs root comes before"

    def test_the_first_stage_installs_only_what_was_tested_and_built(self) -> None:
        """By the tested versions and hashes, from wheels: nothing is compiled, and no code runs meanwhile."""
        (done,) = given(stages()[0], "RUN")
        assert "--only-binary :all: --require-hashes --requirement /build/requirements.txt" in done
        assert "install --no-cache-dir --no-deps /build/*.whl" in done
        assert "--without-pip" in done

    def test_all_that_it_writes_is_in_its_one_volume(self) -> None:
        """The root file system may be read-only: the ledger is an absolute path in the volume."""
        _, last = stages()
        assert given(last, "VOLUME") == given(last, "WORKDIR") == ["/data"]
        variables = dict(pair.split("=", 1) for pair in given(last, "ENV")[0].split())
        assert variables["LEDGER_URL"] == "sqlite:////data/ledger.db"
        assert variables["HOME"] == "/data", "Slack's library looks for a home, also where there is no user"
        assert "--read-only --tmpfs /tmp --cap-drop ALL" in file("Containerfile")

    def test_it_starts_the_bot_without_the_folder_that_it_writes_to_on_pythons_path(self) -> None:
        """`python -m bot` would import a bot.py that lies in the volume; the installed command does not."""
        _, last = stages()
        scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
        assert given(last, "ENTRYPOINT") == ['["invoice-payment-bot"]']
        assert given(last, "CMD") == ['["run"]']
        assert "invoice-payment-bot" in scripts

    async def test_its_health_check_asks_the_bot(self, ledger: Ledger) -> None:
        """The very command of the image: code 0 while the bot answers, and another where nobody does."""
        (check,) = given(stages()[1], "HEALTHCHECK")
        _, *arguments = json.loads(check[check.index("[") :])
        port = free_port()
        async with status_server(ledger, "127.0.0.1", port):
            assert await _code_of(arguments, port) == 0
        assert await _code_of(arguments, port) != 0


async def _code_of(arguments: list[str], port: int) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env={"STATUS_PORT": str(port)}, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(LONGEST):
        return await process.wait()


class TestCompose:
    def test_two_instances_share_one_postgresql(self) -> None:
        """And wait for it."""
        bot, postgres = COMPOSE["services"]["bot"], COMPOSE["services"]["postgres"]
        assert bot["deploy"]["replicas"] == 2
        assert bot["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        assert "healthcheck" in postgres
        user, database = postgres["environment"]["POSTGRES_USER"], postgres["environment"]["POSTGRES_DB"]
        assert bot["environment"]["LEDGER_URL"] == f"postgresql://{user}@postgres/{database}"

    def test_no_password_stands_in_it(self) -> None:
        """It comes from .env, and where it does not, nothing starts."""
        text = file("compose.yaml")
        assert re.findall(r"PASSWORD: (.*)", text) == ["${POSTGRES_PASSWORD:?write it into .env}"] * 2

    def test_an_instance_may_do_nothing_but_run(self) -> None:
        """No root file system to write to, no capability, no port that is open to others."""
        bot = COMPOSE["services"]["bot"]
        assert bot["read_only"] is True
        assert bot["cap_drop"] == ["ALL"]
        assert bot["tmpfs"] == ["/tmp"]
        for service in COMPOSE["services"].values():
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert "ports" not in service
        assert COMPOSE["networks"]["ledger"] == {"internal": True}
        assert COMPOSE["services"]["postgres"]["networks"] == ["ledger"]

    def test_whoever_stops_it_waits_for_a_payment_under_way(self) -> None:
        """Longer than a bot takes at most."""
        assert int(COMPOSE["services"]["bot"]["stop_grace_period"].removesuffix("s")) > LONGEST_STOP
        assert f"--stop-timeout {COMPOSE['services']['bot']['stop_grace_period'][:-1]}" in file(
            "Containerfile"
        )

    def test_every_volume_and_network_that_is_used_is_declared(self) -> None:
        """Compose refuses the file otherwise."""
        for service in COMPOSE["services"].values():
            named = {volume.split(":")[0] for volume in service.get("volumes", [])}
            assert named <= COMPOSE["volumes"].keys()
            assert set(service.get("networks", [])) <= COMPOSE["networks"].keys() | {"default"}
