"""`python -m bot sandbox --say`: the main job in one command, and what the exit codes mean."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import sys
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest

from bot.config import policy_file
from bot.sandbox import run
from bot.sandbox.local_billing import FAILURES, failures
from bot.sandbox.local_billing.books import MODULES, month_end_books
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.policies import DEFAULT, EXAMPLES, about
from tests.command_line import LONGEST, ROOT, CommandLine, invoke

POLICY = """
[[rule]]
name = "all"
requesters = ["U0ALICE001"]
approvers = ["U0BOB00001"]
approvals = 1
"""


def say(*lines: str) -> list[str]:
    return [argument for line in lines for argument in ("--say", line)]


async def test_the_thread_carries_what_the_billing_api_says(command: CommandLine) -> None:
    """Alice's payment is made once; who may not, or mistyped, is told so, and the API hears nothing of it."""
    ended = await command(
        "sandbox",
        *say(
            "alice: /pay vps 10101",
            "mallory: /pay vps 10102",
            "gil: /pay vps 10102",
            "alice: /pay vps 10102.5",
            "alice: /pay vsp 10102",
            "alice: /pay help",
            "alice: /pay domains 10002",
        ),
    )
    assert (ended.code, ended.err) == (0, "")
    paid, mallory, gil, malformed, misspelt, helped, harmless = _sections(ended.out)
    assert "      ↳ invoice-pay: ✅ Paid" in paid
    assert "          > Payment of 10.00 USD for Invoice 10101 Successful." in paid
    assert "You are not among those who may request payments." in mallory
    assert "(only mallory sees this)" in mallory
    assert "You are not among those who may request payments." in gil
    assert '"10102.5" is not an invoice number.' in malformed
    assert "Did you mean /pay vps 10102?" in misspelt
    assert "Nobody has to approve." in helped
    assert "(only alice sees this)" in helped
    assert "Domain Name Renewal for café & <b> <!channel>" in harmless
    for refused in (mallory, gil, malformed, misspelt, helped):
        assert "billing API" not in refused
        assert "↳" not in refused
    assert ended.out.count("billing API: api_make_payment") == 2


async def test_a_port_that_another_sandbox_took_meanwhile_is_not_insisted_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two that start at once find the same port free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = iter([taken.getsockname()[1], 0])
        monkeypatch.setattr(run, "free_port", lambda _wanted: next(found))
        async with asyncio.timeout(LONGEST):
            slack = await run._slack(8765)
        await slack.stop()
    assert list(found) == []


async def test_the_proxy_of_a_company_stands_before_none_of_it(command: CommandLine) -> None:
    """Everything is on this machine: commands, cards, answers to one person, and the billing API."""
    nowhere = {f"{kind}_PROXY": "http://127.0.0.1:9" for kind in ("HTTP", "HTTPS", "ALL")}
    lower = {name.lower(): value for name, value in nowhere.items()}
    lines = say("alice: /pay vps 10101", "mallory: /pay vps 10102")
    async with asyncio.timeout(LONGEST):
        ended = await command("sandbox", *lines, **nowhere, **lower, NO_PROXY="example.com")
    assert (ended.code, ended.err) == (0, "")
    assert "Payment of 10.00 USD for Invoice 10101 Successful." in ended.out
    assert "(only mallory sees this)" in ended.out


@pytest.mark.parametrize("heard", range(1, 6))
async def test_whoever_hears_only_its_first_lines_sees_no_traceback(heard: int) -> None:
    """As after `| head`, wherever it comes: what was begun is done to its end, unheard."""
    said = "--say 'alice: /pay vps 10101'"
    process = await asyncio.create_subprocess_shell(
        f"{{ {shlex.quote(sys.executable)} -m bot sandbox {said} || echo failed >&2; }} | head -{heard}",
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LONGEST):
        out, err = await process.communicate()
    assert (out.count(b"\n"), err) == (heard, b"")


async def test_a_policy_can_be_tried(command: CommandLine, tmp_path: Path) -> None:
    """Rules in place of the sandbox's own; lines press the buttons that they bring about."""
    (tmp_path / "policy.toml").write_text(POLICY)
    lines = say("alice: /pay vps 10101", "bob: approve")
    ended = await command("sandbox", "--policy", "policy.toml", *lines)
    assert (ended.code, ended.err) == (0, "")
    asked, approved = ended.out.split("  bob presses ", 1)
    assert "Needs 1 more approval from @bob" in asked
    assert "billing API" not in asked
    assert "Payment of 10.00 USD for Invoice 10101 Successful." in approved


async def test_a_failing_billing_api_can_be_tried(command: CommandLine) -> None:
    """--fail says in the transcript what the bot makes of it, and the conversation still comes to rest."""
    ended = await command("sandbox", "--fail", "http-500-after", *say("alice: /pay vps 10101"))
    assert ended.code == 0
    assert "The answer was unclear; it may have been paid. I am checking; expect an answer by" in ended.out


async def test_it_runs_until_it_is_stopped(command: CommandLine) -> None:
    """Without --say it tells where the page is, on the next free port if the wanted one is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        process = await command.start("sandbox", "--port", str(wanted))
        assert process.stdout is not None
        async with asyncio.timeout(LONGEST):
            first = (await process.stdout.readline()).decode()
            second = (await process.stdout.readline()).decode()
    found = re.fullmatch(r"The sandbox runs: open (http://127\.0\.0\.1:(\d+)/)\n", first)
    assert found, first
    assert wanted < int(found[2]) < wanted + 100
    assert "Type /pay vps 10101 in #payments there, or press Ctrl-C here to stop." in second
    async with aiohttp.ClientSession() as session, session.get(found[1]) as page:
        assert page.status == 200
        assert "<html" in await page.text()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(LONGEST):
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")


async def test_help_lists_every_failure_mode_and_example_policy() -> None:
    """Each with what it does."""
    ended = await invoke("sandbox", "--help")
    assert ended.code == 0
    assert all(f"\n  {name} " in ended.out for name in [*FAILURES, *EXAMPLES])


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_policy_is_one(name: str) -> None:
    """It is read without a complaint, and names people of the sandbox alone."""
    text = EXAMPLES[name].read_text(encoding="utf-8")
    rules = policy_file.load(text, name).rules
    people = {person.id for person in LocalSlack().world.people.values()}
    assert {one for rule in rules for one in rule.requesters | rule.approvers} <= people
    assert about(name).endswith((".", "default."))


@pytest.mark.parametrize(
    ("arguments", "paid"),
    [((), True), (("--policy", "two-approvers"), False), (("--policy", "no-approval"), True)],
)
async def test_an_example_policy_is_named(
    command: CommandLine, arguments: tuple[str, ...], paid: bool
) -> None:
    """Without a name, one request is paid at once and another waits for Bob."""
    ended = await command("sandbox", *arguments, *say("alice: /pay vps 10101", "alice: /pay servers 10901"))
    assert (ended.code, ended.err) == (0, "")
    first, second = _sections(ended.out)
    assert ("billing API: api_make_payment vps 10101: paid" in first) == paid
    assert ("Needs " in second) == (arguments != ("--policy", "no-approval"))


def test_the_books_of_the_sandbox_are_those_of_a_month_end() -> None:
    """Forty unpaid invoices over all modules, some overdue, in two currencies."""
    books = month_end_books()
    unpaid = [row for module in MODULES for row in books.unpaid(module)]
    assert len(unpaid) == len({row["invoices_id"] for row in unpaid}) == 40
    assert {row["invoices_module"] for row in unpaid} == set(MODULES)
    assert {row["invoices_currency"] for row in unpaid} == {"USD", "EUR"}
    today = str(datetime.now().date())  # noqa: DTZ005 - as MyAdmin writes it
    overdue = [row for row in unpaid if str(row["invoices_due_date"])[:10] < today]
    assert 10 <= len(overdue) <= 15


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fail", "gently"), "there is no mode 'gently'; --help lists them"),
        (
            ("--policy", "two-aprovers"),
            "there is no policy 'two-aprovers', nor a file of that name; there are approval-channel,"
            " no-approval, one-above-100, servers-need-approval, two-approvers, and files of your own",
        ),
        (("--port", "many"), "'many' is not a valid integer"),
        (("--port", "-1"), "-1 is not in the range 1<=x<=65535"),
        (("--port", "65536"), "65536 is not in the range 1<=x<=65535"),
    ],
)
async def test_an_option_that_is_wrong_ends_with_code_2(arguments: tuple[str, ...], said: str) -> None:
    """Nothing is started for it."""
    ended = await invoke("sandbox", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in " ".join(ended.err.split())


async def test_a_line_that_cannot_be_said_ends_with_code_2(command: CommandLine) -> None:
    """Before any other line is said, in a process of its own, as the sandbox sets its own logging."""
    ended = await command("sandbox", *say("alice: /pay vps 10101", "zoe: /pay vps 10101"))
    assert (ended.code, ended.out) == (2, "")
    assert "there is no zoe here; there are alice, bob, carol" in " ".join(ended.err.split())


@pytest.mark.parametrize("line", ["/pay vps 10101", "alice", "Alice Ahrens: hello", "alice:  "])
def test_a_line_names_a_person_and_what_they_do(line: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(run.BadLine, match="is not of the form 'alice: /pay vps 10101'"):
        run.read_line(line, ["alice"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bob: approve", "(bob: approve: not done, as there is no button Approve)"),
        ("alice: /pay vps 10101", "(alice: /pay vps 10101: not done, as it did not come to rest in 0.1 s)"),
    ],
)
async def test_what_does_not_come_to_rest_ends_with_code_1(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A button that is not there, or a billing API that has not answered when patience ends."""
    monkeypatch.setattr(run, "REST_SECONDS", 0.1)
    monkeypatch.setattr(failures, "SLOW_SECONDS", 0.3)
    written: list[str] = []
    lines = [line, "alice: /pay vps 10102"]
    code = await run.sandbox(
        port=8765, says=lines, fail="slow", policy=EXAMPLES[DEFAULT], write=written.append
    )
    assert code == 1
    assert f"  {said}" in written
    assert "  alice: /pay vps 10102" not in written


def _sections(transcript: str) -> list[str]:
    """What was printed after each line that somebody typed, that line included."""
    sections: list[str] = []
    for line in transcript.splitlines():
        if line.startswith(("  alice: /", "  mallory: /", "  gil: /")):
            sections.append("")
        if sections:
            sections[-1] += f"{line}\n"
    return sections
