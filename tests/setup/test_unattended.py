"""`setup --non-interactive`: the answers come from the environment, and nothing is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot import config
from bot.config import given_in
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.checks.test_only_reads import OPERATIONS, READS
from tests.command_line import CommandLine, Ended, invoke


@pytest.fixture
def answers(slack: LocalSlack, billing: LocalBilling, tmp_path: Path) -> dict[str, str]:
    """What must be set, and where things are."""
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "PAY_ALLOWED_USERS": "alice, @finance",
        "BILLING_WSDL_URL": billing.wsdl_url,
        "BILLING_USERNAME": billing.username,
        "BILLING_PASSWORD": billing.password,
        "LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
    }


async def setup(folder: Path, *options: str, **variables: str) -> Ended:
    file = folder / ".env"
    return await invoke("setup", "--env-file", str(file), "--non-interactive", *options, **variables)


async def test_it_writes_what_was_tried(
    answers: dict[str, str], tmp_path: Path, slack: LocalSlack, billing: LocalBilling
) -> None:
    """Names become ids; the ledger is there; the rules are the last that is said; the bot could start."""
    ended = await setup(tmp_path, **answers)
    assert (ended.code, ended.err) == (0, "")
    file = tmp_path / ".env"
    assert given_in(file, {}) == answers | {"PAY_ALLOWED_USERS": f"{ids.ALICE},{ids.FINANCE_GROUP}"}
    assert config.load(file, {}).mode == "socket"
    assert (
        ended.out.splitlines()[-4:]
        == (await invoke("check", "--policy", **given_in(file, {}))).out.splitlines()[-4:]
    )
    assert {call.method for call in slack.calls} <= READS
    assert all(OPERATIONS.fullmatch(call.operation) for call in billing.log)
    assert sorted(os.listdir(tmp_path)) == [".env", "ledger.db", "ledger.db.lock"]


async def test_each_missing_answer_is_one_line(tmp_path: Path, slack: LocalSlack) -> None:
    """All of them at once, before anything is tried."""
    ended = await setup(tmp_path, SLACK_API_URL=slack.api_url, PAY_APPROVERS="bob")
    assert (ended.code, ended.out) == (1, "")
    names = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "PAY_ALLOWED_USERS", "PAY_APPROVALS_REQUIRED")
    needed = (*names, "BILLING_USERNAME", "BILLING_PASSWORD")
    how = "is not set. Set it in the environment; .env.example explains it."
    assert ended.err.splitlines()[:-1] == [f"{name}: {how}" for name in needed]
    assert ended.err.splitlines()[-1].endswith(".env was not written.")
    assert slack.calls == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1-hunter2"}, "SLACK_BOT_TOKEN: Slack refuses it (invalid_auth)"),
        ({"PAY_ALLOWED_USERS": "ali"}, 'PAY_ALLOWED_USERS: "ali" is nobody in this team'),
        ({"PAY_ALLOWED_CHANNELS": "#random"}, 'PAY_ALLOWED_CHANNELS: the bot is in no channel "#random"'),
        ({"BILLING_PASSWORD": "hunter2"}, "login refused"),
        ({"LEDGER_URL": "sqlite:////no/such/l.db"}, "none can be made there"),
        ({"HTTP_PORT": "many"}, "HTTP_PORT: must be a whole number"),
        ({"SLACK_API_URL": "http://slack.example/api/"}, "SLACK_API_URL: must begin with https://"),
        ({"PAY_APROVERS": "bob"}, "PAY_APROVERS: is no variable of this bot. Did you mean PAY_APPROVERS?"),
        ({"PAY_POLICY_FILE": "/no/such.toml", "PAY_ALLOWED_USERS": ""}, "PAY_POLICY_FILE: cannot be read"),
        ({"SLACK_SIGNING_SECRET": "abc"}, "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET: set exactly one"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_written(
    answers: dict[str, str], tmp_path: Path, change: dict[str, str], why: str
) -> None:
    """One line, without the value where it may be a secret."""
    ended = await setup(tmp_path, **answers | change)
    assert ended.code == 1
    assert why in ended.err
    assert "hunter2" not in ended.out + ended.err
    assert os.listdir(tmp_path) == []


async def test_a_file_that_is_there_is_changed_only_when_told_to(
    answers: dict[str, str], tmp_path: Path
) -> None:
    """And then what else stands in it stays."""
    file = tmp_path / ".env"
    channels = f"PAY_OPERATORS_CHANNEL={ids.APPROVALS}\nPAY_AUDIT_CHANNEL={ids.APPROVALS}\n"
    before = f"# ours\nPAY_EXPIRES_AFTER=1d # a day\n{channels}OTHER='x'\nSLACK_BOT_TOKEN=xoxb-old\n"
    file.write_text(before)
    ended = await setup(tmp_path, **answers)
    assert ended.code == 1
    assert "is there already. Say --overwrite to change it." in ended.err
    assert file.read_text() == before
    ended = await setup(tmp_path, "--overwrite", **answers)
    assert ended.code == 0
    assert file.read_text().startswith(before.replace("xoxb-old", answers["SLACK_BOT_TOKEN"]))
    again = await setup(tmp_path, **answers)
    assert (again.code, "holds all of this already" in again.out) == (0, True)


async def test_the_file_and_options_answer_too(answers: dict[str, str], tmp_path: Path) -> None:
    """The environment wins over the file, and an option over both; other variables are taken down as well."""
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in answers.items()))
    options = ("--set", "PAY_ALLOWED_USERS=carol", "--set", "STATUS_PORT=9000", "--overwrite")
    ended = await setup(tmp_path, *options, PAY_ALLOWED_USERS=ids.BOB)
    assert ended.code == 0
    written = given_in(tmp_path / ".env", {})
    assert (written["PAY_ALLOWED_USERS"], written["STATUS_PORT"]) == (ids.CAROL, "9000")
    assert "Take PAY_ALLOWED_USERS out of the environment: it is another there" in ended.out


@pytest.mark.parametrize("option", ["BILLING_PASSWORD=hunter2", "SLACK_BOT_TOKEN=xoxb-hunter2", "PAY=1", "x"])
async def test_a_secret_is_not_taken_from_the_command_line(tmp_path: Path, option: str) -> None:
    """Others on the machine can read it there."""
    ended = await setup(tmp_path, "--set", option)
    assert ended.code == 2
    assert "Error: " in ended.err
    assert "hunter2" not in ended.err


async def test_rules_in_a_file_stay_there(answers: dict[str, str], tmp_path: Path) -> None:
    """They are not asked for; that they are there is written down."""
    policy = tmp_path / "policy.toml"
    policy.write_text("[[rule]]\nname = 'x'\nrequesters = ['U0ALICE001']\n")
    del answers["PAY_ALLOWED_USERS"]
    ended = await setup(tmp_path, **answers, PAY_POLICY_FILE=str(policy))
    assert ended.code == 0, ended.err
    assert given_in(tmp_path / ".env", {})["PAY_POLICY_FILE"] == str(policy)
    assert 'Rule "x"' in ended.out


async def test_without_a_terminal_nothing_can_be_asked(command: CommandLine, tmp_path: Path) -> None:
    """In a pipe, in a container, under cron: it says so in place of waiting for ever."""
    ended = await command("setup")
    assert (ended.code, ended.out) == (2, "")
    assert "this is no terminal; use --non-interactive" in ended.err
    assert os.listdir(tmp_path) == []


async def test_a_ledger_that_a_bot_runs_on_is_left_alone(answers: dict[str, str], tmp_path: Path) -> None:
    """It is whole, so nothing has to be done to it."""
    await setup(tmp_path, **answers)
    before = (tmp_path / "ledger.db").stat().st_mtime_ns
    assert (await setup(tmp_path, **answers)).code == 0
    assert (tmp_path / "ledger.db").stat().st_mtime_ns == before
