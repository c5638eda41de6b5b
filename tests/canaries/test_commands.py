"""What cannot start, and every command, by what it prints: remedies, and no secret."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from bot.sandbox.local_billing import Failure, LocalBilling
from bot.sandbox.local_slack import LocalSlack
from tests.canaries.secrets import DATABASE_PASSWORD, Secrets, secrets_of
from tests.canaries.test_running import ECHOES
from tests.command_line import CommandLine, Ended, invoke

CODED = quote(DATABASE_PASSWORD, safe="")


def nowhere() -> str:
    """A database that nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return f"postgresql://bot:{CODED}@127.0.0.1:{port}/ledger"


@pytest.fixture
def secrets(slack: LocalSlack, billing: LocalBilling) -> Secrets:
    return secrets_of(slack, billing, [("database password", DATABASE_PASSWORD)])


@pytest.fixture
def variables(environment: dict[str, str], billing: LocalBilling, secrets: Secrets) -> dict[str, str]:
    return environment | {"BILLING_PASSWORD": billing.password}


def assert_silent(secrets: Secrets, *all_ended: Ended) -> None:
    """Each said something, and nothing secret."""
    for ended in all_ended:
        said = ended.out + ended.err
        assert said.strip()
        assert secrets.found_in(said) == set(), said


async def test_what_keeps_the_bot_from_starting_is_told_without_secrets(
    command: CommandLine, variables: dict[str, str], secrets: Secrets, slack: LocalSlack
) -> None:
    """An unreachable database, whose address holds a password; and a token that Slack refuses."""
    away = await command("run", **variables | {"LEDGER_URL": nowhere()})
    assert away.code == 1
    assert "The bot cannot start:" in away.err
    slack.fail("auth.test", "error:invalid_auth")
    refused = await command("run", **variables)
    assert refused.code == 2
    assert "SLACK_BOT_TOKEN" in refused.err
    assert_silent(secrets, away, refused)


_BROKEN = """
import asyncio, threading
from bot import app

def everything(settings):
    secrets = settings.billing_password, settings.slack_bot_token, settings.ledger_url
    return " ".join(one.get_secret_value() for one in secrets)

class Odd:
    def __init__(self, text):
        self.text = text
    def __del__(self):
        raise ValueError(self.text)

def running(settings, **_):
    text = everything(settings)
    def broken():
        raise ValueError(text)
    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    Odd(text)
    try:
        raise KeyError(text)
    except KeyError as cause:
        raise RuntimeError("broken by " + text) from cause

app.running = running
"""


async def test_a_crash_tells_no_secret(
    command: CommandLine, variables: dict[str, str], secrets: Secrets, tmp_path: Path
) -> None:
    """Python's own last words: of the process, of a thread, and of what it cannot raise."""
    url = f"postgresql://bot:{CODED}@127.0.0.1:1/ledger"
    process = await command.start("run", before=_BROKEN, **variables | {"LEDGER_URL": url})
    out, err = await process.communicate()
    said = err.decode()
    assert process.returncode == 1
    for words in ("RuntimeError: broken by [redacted]", "KeyError", "ValueError: [redacted]", "Traceback"):
        assert words in said
    assert said.count("ValueError") == 2
    assert_silent(secrets, Ended(1, out.decode(), said))


async def test_a_check_tells_no_secret(
    variables: dict[str, str], secrets: Secrets, slack: LocalSlack, billing: LocalBilling
) -> None:
    """Of whatever is wrong, in lines and for programs."""

    async def check(*options: str, **others: str) -> Ended:
        return await invoke("check", "--online", *options, **variables | others)

    ended = [await check(), await check("--json", LEDGER_URL=nowhere())]
    ended.append(await check(SLACK_BOT_TOKEN="xoxb-1-wrong", BILLING_PASSWORD="wrong-password"))
    for mode in (f"error:no token {slack.bot_token}", f"http:503:{slack.app_token}", "429", "drop-after"):
        slack.fail("*", mode, retry_after=0)
        ended.append(await check())
        slack.heal()
    for how in ECHOES:
        billing.fail(Failure("echo", ECHOES[how], False, "*"))
        ended.append(await check("--json"))
        billing.heal()
    billing.fail("no-wsdl")
    ended.append(await check(BILLING_WSDL_URL=billing.wsdl_url))
    assert_silent(secrets, *ended)


async def test_setup_tells_no_secret(
    variables: dict[str, str], secrets: Secrets, slack: LocalSlack, billing: LocalBilling, tmp_path: Path
) -> None:
    """Not that of the database either, which stands within an address."""
    file = tmp_path / "new.env"

    async def setup(*options: str, **others: str) -> Ended:
        given = {name: value for name, value in (variables | others).items() if name != "BILLING_TIMEOUT"}
        return await invoke("setup", "--env-file", str(file), "--non-interactive", *options, **given)

    ended = [await setup(LEDGER_URL=nowhere())]
    slack.fail("*", f"error:{slack.bot_token}")
    ended.append(await setup())
    slack.heal()
    billing.fail(Failure("echo", ECHOES["in a fault"], False, "*"))
    ended.append(await setup())
    billing.heal()
    on_the_line = await setup("--set", f"LEDGER_URL={nowhere()}")
    assert on_the_line.code == 2
    assert "others could see LEDGER_URL here" in on_the_line.err
    ended += [on_the_line, await setup()]
    assert file.exists()
    assert_silent(secrets, *ended)


@pytest.mark.parametrize(
    "words",
    [
        ["audit"],
        ["audit", "verify"],
        ["backup", "copy.db"],
        ["pause", "why"],
        ["resume"],
        ["resolve", "1", "paid", "seen"],
    ],
    ids=" ".join,
)
async def test_a_command_that_needs_the_ledger_tells_no_secret(
    variables: dict[str, str],
    secrets: Secrets,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Where the database is away, or its address is wrong."""
    monkeypatch.chdir(tmp_path)
    wrong = f"postgresql://bot:{DATABASE_PASSWORD}@127.0.0.1:1/ledger"
    for url in (nowhere(), wrong, f"postgresql:///x?host=/nowhere&password={CODED}"):
        ended = await invoke(*words, **variables | {"LEDGER_URL": url})
        assert ended.code == 2
        assert_silent(secrets, ended)
