"""`check` without a connection: the settings, the rules, the names, and who can read the files."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.domain.policy.words import fingerprint
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.checks.looking import looked
from tests.command_line import CommandLine, invoke
from tests.fixture_types import StartBot

STRAY = """
[[rule]]
name = "strict"
modules = ["vps", "server"]
requesters = ["U0ALICE001"]
approvers = ["U0BOB00001", "U0CAROL001"]
approvals = 2

[[rule]]
name = "other"
modules = ["tapes"]
requesters = ["U0ALICE001"]

[[rule]]
name = "everything else"
requesters = ["U0ALICE001"]
"""


async def test_nothing_is_connected_to(
    environment: dict[str, str], slack: LocalSlack, billing: LocalBilling
) -> None:
    """It takes a moment, and works without a network."""
    found = await looked(**environment)
    assert found.code == 0
    assert found.of("ok", "settings") == ["complete; Slack reaches the bot over Socket Mode"]
    assert (slack.calls, billing.log) == ([], [])


async def test_a_module_that_is_not_documented_is_noted(environment: dict[str, str], tmp_path: Path) -> None:
    """A slip in a strict rule leaves what was meant to a laxer one below, and nobody would see it."""
    policy = tmp_path / "policy.toml"
    policy.write_text(STRAY, encoding="utf-8")
    alone = {"PAY_ALLOWED_USERS": "", "PAY_APPROVERS": "", "PAY_APPROVALS_REQUIRED": ""}
    found = await looked(**environment | alone | {"PAY_POLICY_FILE": str(policy)})
    assert found.code == 0
    (near,) = found.of("note", 'rule "strict"')
    assert "names the module server, which MyAdmin does not document" in near
    assert near.endswith("Did you mean servers?")
    (far,) = found.of("note", 'rule "other"')
    assert "names the module tapes, which MyAdmin does not document" in far
    assert far.endswith("quickservers, servers.")


async def test_each_line_says_whether_it_is_well_and_the_remedy(environment: dict[str, str]) -> None:
    """A line a finding: the verdict, the place, what it is and what to do."""
    ended = await invoke("check", **environment | {"PAY_APROVERS": "U1"})
    assert (ended.code, ended.err) == (1, "")
    said = ended.out.splitlines()
    assert said == ["WRONG PAY_APROVERS: is no variable of this bot. Did you mean PAY_APPROVERS?"]


async def test_everything_that_is_wrong_is_said_at_once(environment: dict[str, str]) -> None:
    """Whoever mends it does so once."""
    bad = {
        "BILLING_TIMEOUT": "soon",
        "PAY_ALLOWED_USERS": "@alice",
        "BILLING_USERNAME": "",
        "BILLING_USER": "a",
    }
    found = await looked(**environment | bad)
    assert found.code == 1
    assert {one["where"] for one in found.checks} == bad.keys()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SLACK_BOT_TOKE", "SLACK_BOT_TOKEN"),
        ("BILLING_USER", "BILLING_USERNAME"),
        ("slack_app_token", "SLACK_APP_TOKEN"),
        ("LEDGER_UR", "LEDGER_URL"),
    ],
)
async def test_a_misspelt_name_is_found(environment: dict[str, str], name: str, meant: str) -> None:
    """Where the variable that was meant is not set; the value is not said."""
    found = await looked(**environment | {meant: "", name: "Zq7Marker"})
    assert f"is no variable of this bot. Did you mean {meant}?" in found.of("wrong", name)
    assert "Zq7Marker" not in str(found)


@pytest.mark.parametrize("name", ["SLACK_WEBHOOK_URL", "BILLING_SERVICE_HOST", "BILLING_USER", "HTTP_PROXY"])
async def test_what_other_programs_read_is_no_mistake(environment: dict[str, str], name: str) -> None:
    """Neither what resembles nothing, nor what stands beside the right one, nor what Kubernetes sets."""
    found = await looked(**environment | {name: "x"})
    assert (found.code, found.of("wrong")) == (0, [])


async def test_the_rules_are_called_as_the_log_calls_them(
    environment: dict[str, str], start_bot: StartBot
) -> None:
    """Who has to know by which rules, and by which release, something was paid finds both with its start."""
    with capture_logs() as logs:
        bot = await start_bot()
    (line,) = [one for one in logs if one["event"] == "running"]
    assert line["release"] == version("invoice-payment-bot")
    assert line["rules"] == fingerprint(bot.maintenance.policy)
    (said,) = (await looked(**environment)).of("ok", "rules")
    assert said.endswith(f"in the log they are {line['rules']}")
    (other,) = (await looked(**environment | {"PAY_ALLOWED_CHANNELS": ids.PAYMENTS})).of("ok", "rules")
    assert line["rules"] not in other


async def test_an_empty_allowlist_is_wrong(environment: dict[str, str]) -> None:
    """Nobody could pay anything."""
    found = await looked(**environment | {"PAY_ALLOWED_USERS": ""})
    assert found.code == 1
    assert "nobody may request payments" in found.of("wrong", "PAY_ALLOWED_USERS")[0]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o600, None),
        (0o640, None),
        (0o644, "others on this machine can read it, with its secrets. Run: chmod 600 .env"),
        (0o666, "others on this machine can write to it. Run: chmod go-w .env"),
        (0o620, "others on this machine can write to it. Run: chmod go-w .env"),
    ],
)
async def test_who_else_can_read_the_file_of_secrets_is_told(
    command: CommandLine, environment: dict[str, str], tmp_path: Path, mode: int, said: str | None
) -> None:
    """A group of the operator's choice may read it, and nobody else."""
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    file.chmod(mode)
    ended = await command("check")
    assert ended.code == (0 if said is None else 1), ended
    assert (f"WRONG .env: {said}" if said else "ok    .env: cannot be read by others") in ended.out
    assert not any(environment[name] in ended.out for name in ("SLACK_BOT_TOKEN", "BILLING_PASSWORD"))


async def test_who_else_can_write_the_rules_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    """They would say who may pay. Everybody may read them."""
    file = tmp_path / "policy.toml"
    file.write_text("[[rule]]\nname = 'x'\nrequesters = ['U1']\n")
    alone = {name: "" for name in environment if name.startswith("PAY_")} | {"PAY_POLICY_FILE": str(file)}
    file.chmod(0o644)
    assert (await looked(**environment | alone)).code == 0
    file.chmod(0o664)
    found = await looked(**environment | alone)
    assert found.of("wrong") == [f"others on this machine can write to it. Run: chmod go-w {file}"]


async def test_a_terminal_obeys_nothing_of_it(environment: dict[str, str]) -> None:
    """A name in the environment may hold anything."""
    ended = await invoke("check", **environment, **{"PAY_\x1b[2J": "x"})
    assert "\x1b" not in ended.out
    assert ended.code == 1
