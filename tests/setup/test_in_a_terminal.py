"""`setup` played at a terminal: real processes, a real pseudo-terminal, the local Slack and billing API."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import given_in
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.checks.test_only_reads import OPERATIONS, READS
from tests.command_line import CommandLine, CommandServer
from tests.setup.at_terminal import CTRL_C, CTRL_D, ENTER, AtTerminal, at_terminal

QUESTIONS = (
    *("Bot token", "App token", "Who may request", "How many people must approve", "Who may approve"),
    *("In which channels", "Where are approvals asked for", "Address of the billing API"),
    *("MyAdmin login name", "MyAdmin password", "Where is the ledger kept", "Write "),
)


@pytest.fixture
async def addresses(slack: LocalSlack, billing: LocalBilling) -> dict[str, str]:
    """All that is different from the real thing."""
    return {"SLACK_API_URL": slack.api_url}


@pytest.fixture
async def person(
    tmp_path: Path, addresses: dict[str, str], command_server: CommandServer
) -> AsyncIterator[AtTerminal]:
    """Somebody who just typed `python -m bot setup` in an empty folder."""
    async with at_terminal(command_server, tmp_path, "setup", **addresses) as sitting:
        yield sitting


def good(slack: LocalSlack, billing: LocalBilling) -> list[str]:
    """An answer to each question: Bob approves what Alice asks for in #payments."""
    return [
        *(slack.bot_token, slack.app_token, "alice", "1", "Bob Brandt"),
        *("#payments", "same", billing.wsdl_url, billing.username, billing.password, ENTER, "y"),
    ]


async def answer_all(person: AtTerminal, answers: list[str]) -> None:
    for question, answer in zip(QUESTIONS, answers, strict=False):
        await person.answers(question, answer)


async def test_from_nothing_to_a_paid_invoice(
    person: AtTerminal, command: CommandLine, tmp_path: Path, slack: LocalSlack, billing: LocalBilling
) -> None:
    """Answer what is asked, start the bot with what was written, type /pay, approve: it is paid."""
    await answer_all(person, good(slack, billing))
    assert await person.ends() == 0
    assert person.lines()[-5:] == (await command("check", "--policy")).out.splitlines()[-5:]
    assert person.lines()[-1] == "Whatever fits no rule is refused."
    assert {call.method for call in slack.calls} <= READS
    assert all(OPERATIONS.fullmatch(call.operation) for call in billing.log)

    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert given_in(file, {}) == {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "PAY_ALLOWED_USERS": ids.ALICE,
        "PAY_APPROVALS_REQUIRED": "1",
        "PAY_APPROVERS": ids.BOB,
        "PAY_ALLOWED_CHANNELS": ids.PAYMENTS,
        "BILLING_WSDL_URL": billing.wsdl_url,
        "BILLING_USERNAME": billing.username,
        "BILLING_PASSWORD": billing.password,
        "LEDGER_URL": "sqlite:///ledger.db",
    }
    checked = await command("check", "--online")
    assert checked.code == 0, checked

    running = await command.start_anew("run")
    await slack.wait_for(lambda: slack.sockets.connections, timeout=30)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    (card,) = await slack.wait_for(lambda: slack.messages("#payments"))
    assert billing.payments_received("vps", 10101) == 0, "nobody has approved"
    assert (await slack.person("bob").clicks(card, _approve(slack))).ok
    await slack.wait_for(lambda: billing.payments_made("vps", 10101))
    await slack.wait_for(lambda: any("Paid" in each.text for each in slack.messages("#payments")[0].thread))
    running.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running.wait(), 30) == 0
    assert billing.payments_received("vps", 10101) == 1


def _approve(slack: LocalSlack) -> str:
    (card,) = slack.messages("#payments")
    return next(name for name in card.action_ids() if "approve" in name)


async def test_no_secret_is_ever_shown(
    person: AtTerminal,
    slack: LocalSlack,
    billing: LocalBilling,
    tmp_path: Path,
    addresses: dict[str, str],
    command_server: CommandServer,
) -> None:
    """Neither while it is typed, nor when it is refused, nor as what is kept the next time."""
    answers = good(slack, billing)
    for question, wrong in (("Bot token", "xoxb-1-hunter2"), ("App token", "xapp-1-hunter2")):
        await person.answers(question, wrong)
        await person.sees("No: ")
        await person.answers(question, answers[QUESTIONS.index(question)])
    for question, answer in zip(QUESTIONS[2:9], answers[2:9], strict=True):
        await person.answers(question, answer)
    await person.answers("MyAdmin password", "hunter2#'\"")
    await person.sees("No: login refused")
    for question, answer in zip(QUESTIONS[8:], answers[8:], strict=True):
        await person.answers(question, answer)
    assert await person.ends() == 0
    async with at_terminal(command_server, tmp_path, "setup", **addresses) as again:
        await answer_all(again, [ENTER] * 11)
        assert await again.ends() == 0
    secrets = (slack.bot_token, slack.app_token, billing.password, "hunter2")
    assert not [secret for secret in secrets if secret in person.shown + again.shown]
    assert "holds all of this already" in again.shown


@pytest.mark.parametrize(("place", "keys"), [*((place, CTRL_C) for place in (0, 2, 5, 9, 11)), (2, CTRL_D)])
async def test_leaving_at_any_question_writes_nothing(
    person: AtTerminal, slack: LocalSlack, billing: LocalBilling, tmp_path: Path, place: int, keys: str
) -> None:
    """No .env, no ledger, no half of either."""
    await answer_all(person, good(slack, billing)[:place])
    await person.presses(QUESTIONS[place], keys)
    assert await person.ends() == 1
    assert "Stopped; .env was not written." in person.shown
    assert "Traceback" not in person.shown
    assert os.listdir(tmp_path) == []


async def test_what_no_question_would_mend_is_told_before_the_first(
    tmp_path: Path, command_server: CommandServer
) -> None:
    """Nobody answers ten questions to hear that it was for nothing."""
    async with at_terminal(command_server, tmp_path, "setup", "--env-file", "no/.env") as person:
        await person.sees("no/.env: cannot be written (its folder takes no file)")
        assert await person.ends() == 1
    assert "Bot token" not in person.shown


async def test_saying_no_at_the_end_writes_nothing(
    person: AtTerminal, slack: LocalSlack, billing: LocalBilling, tmp_path: Path
) -> None:
    """Neither the file nor the ledger."""
    await answer_all(person, [*good(slack, billing)[:-1], "n"])
    assert await person.ends() == 0
    assert "Nothing was written." in person.shown
    assert os.listdir(tmp_path) == []


async def test_leaving_while_nobody_answers_writes_nothing(
    person: AtTerminal, slack: LocalSlack, billing: LocalBilling, tmp_path: Path
) -> None:
    """Ctrl-C ends it at once, whatever it waits for."""
    billing.fail("timeout-before", operation="api_login")
    called = asyncio.Event()
    billing.on_call = lambda call: called.set() if call.operation == "api_login" else None
    await answer_all(person, good(slack, billing)[:10])
    await asyncio.wait_for(called.wait(), 20)
    before = asyncio.get_running_loop().time()
    person.types(CTRL_C)
    assert await person.ends() == 1
    assert asyncio.get_running_loop().time() - before < 10, "it waited for the call"
    assert os.listdir(tmp_path) == []


async def test_a_terminal_that_lacks_letters(
    slack: LocalSlack, addresses: dict[str, str], tmp_path: Path
) -> None:
    """It shows their numbers; what moves its cursor is shown so everywhere."""
    slack.world.add_person("zoe", "Zoe \x1b[2J 李")
    async with at_terminal(None, tmp_path, "setup", **addresses, PYTHONIOENCODING="iso-8859-1") as person:
        await answer_all(person, [slack.bot_token, slack.app_token, "?"])
        await person.sees("Zoe \\u001b[2J \\u674e (@zoe, ")
        await person.presses("Who may request", CTRL_C)
        assert await person.ends() == 1
    assert "Traceback" not in person.shown
