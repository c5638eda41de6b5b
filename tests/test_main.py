"""The command line: what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bot import config
from bot.domain.payment import InvoiceRef, State
from bot.ledger.opening import open_ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.command_line import LONGEST, CommandLine, Ended, invoke
from tests.conftest import NewDatabase
from tests.ledger.making import request_in
from tests.slack.acting import card, shown

# -- starting ---------------------------------------------------------------------------------------


async def test_everything_missing_is_listed_at_once(command: CommandLine) -> None:
    """Each variable that must be set stands there with its remedy, and the exit code is 2."""
    ended = await command("run")
    assert ended == await invoke("check")
    assert (ended.code, ended.out) == (2, "")
    first, *problems, last = ended.err.splitlines()
    assert first == "The bot cannot start:"
    assert [problem.split(":")[0].strip() for problem in problems] == [
        "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET",
        "SLACK_BOT_TOKEN",
        "BILLING_USERNAME",
        "BILLING_PASSWORD",
    ]
    assert last == "Every variable is explained in .env.example."


async def test_no_wrong_value_is_ever_echoed(command: CommandLine, tmp_path: Path) -> None:
    """Everything is wrong, half of it in the file: all of it is listed, and no value is."""
    wrong = {name: f"hunter2-{number}-ü" for number, name in enumerate(config.VARIABLES)}
    in_file = dict(list(wrong.items())[::2])
    (tmp_path / "my.env").write_text("\n".join(f"{name}={value}" for name, value in in_file.items()))
    rest = {name: value for name, value in wrong.items() if name not in in_file}
    ended = await command("run", "--env-file", "my.env", **rest)
    assert (ended.code, ended.out) == (2, "")
    assert "hunter2" not in ended.err
    taken = {"SLACK_SIGNING_SECRET", "HTTP_HOST", "BILLING_USERNAME", "BILLING_PASSWORD"}
    assert all(name in ended.err for name in set(config.VARIABLES) - taken)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-0-revoked"}, "SLACK_BOT_TOKEN: Slack refuses it (invalid_auth)"),
        ({"SLACK_APP_TOKEN": "xapp-1-A-0-revoked"}, "SLACK_APP_TOKEN: Slack refuses it (invalid_auth)"),
        ({"LEDGER_URL": "sqlite:///no/such/folder/ledger.db"}, "The bot cannot start: "),
    ],
    ids=["bot token", "app token", "ledger"],
)
async def test_what_turns_out_wrong_while_starting_ends_it_with_code_2(
    command: CommandLine, environment: dict[str, str], variables: dict[str, str], said: str
) -> None:
    """What only Slack or the disk can tell is refused in the same way, with no stack trace."""
    ended = await command("run", **environment | variables)
    assert ended.code == 2, ended
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert "revoked" not in ended.err


async def test_a_port_that_is_taken_is_refused(command: CommandLine, environment: dict[str, str]) -> None:
    """HTTP mode names the variable and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        http = {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": "signing", "HTTP_PORT": port}
        ended = await command("run", **environment | http)
    assert ended.code == 2, ended
    assert "HTTP_PORT: " in ended.err
    assert "in use" in ended.err


# -- running and stopping ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
async def test_a_payment_under_way_is_finished_before_it_stops(
    number: signal.Signals,
    command: CommandLine,
    environment: dict[str, str],
    slack: LocalSlack,
    billing: LocalBilling,
) -> None:
    """Told to stop, it takes no command any more, waits for the answer, tells it, and ends with 0."""
    received = asyncio.Event()
    billing.on_call = lambda call: received.set() if call.operation == "api_make_payment" else None
    billing.fail("slow", operation="api_make_payment")
    process = await command.start("run", **environment)
    await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    async with asyncio.timeout(10):
        await received.wait()
    process.send_signal(number)
    await slack.wait_for(lambda: not slack.sockets.connections)
    refused = await slack.person("alice").types("#payments", "/pay vps 10102")
    assert refused.error == "dispatch_failed"
    assert process.returncode is None
    billing.heal()
    async with asyncio.timeout(LONGEST):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "Paid" in shown(card(slack))
    (reply,) = card(slack).thread
    assert "Payment of 10.00 USD for Invoice 10101 Successful." in shown(reply)
    assert billing.payments_received("vps", 10101) == 1


async def test_it_waits_as_long_as_a_call_may_take(
    command: CommandLine, environment: dict[str, str], slack: LocalSlack, billing: LocalBilling
) -> None:
    """Longer than for anything else; it says what it waits for, and the answer is not lost."""
    received = asyncio.Event()
    billing.on_call = lambda call: received.set() if call.operation == "api_make_payment" else None
    billing.fail("timeout-before")
    hasty = "from bot import app; app.GRACE = 0.1"
    process = await command.start("run", before=hasty, **(environment | {"BILLING_TIMEOUT": "2"}))
    await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    async with asyncio.timeout(10):
        await received.wait()
    process.terminate()
    async with asyncio.timeout(LONGEST):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    waiting = json.loads(next(line for line in err.decode().splitlines() if "waiting for work" in line))
    assert (waiting["work"], waiting["keys"], waiting["at_most"]) == ("executor", [1], 4.1)
    assert "no answer in time" in shown(card(slack).thread[0])


async def test_a_call_that_does_not_end_keeps_it_no_longer_than_its_grace(
    command: CommandLine, environment: dict[str, str], slack: LocalSlack, billing: LocalBilling
) -> None:
    """The next start finds the payment as it is, calls it unknown, and does not send it again."""
    received = asyncio.Event()
    billing.on_call = lambda call: received.set() if call.operation == "api_make_payment" else None
    billing.fail("timeout-before")
    impatient = "from bot import app; app.GRACE, app.CALLS = 0.3, 0"
    patient = environment | {"BILLING_TIMEOUT": "600"}
    process = await command.start("run", before=impatient, **patient)
    await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    async with asyncio.timeout(10):
        await received.wait()
    process.terminate()
    async with asyncio.timeout(10):
        _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    (left,) = (line for line in err.decode().splitlines() if "still running at the end" in line)
    assert json.loads(left)["calls"] == 1
    await command.start("run", **patient)
    await slack.wait_for(lambda: card(slack).thread, LONGEST)
    assert "do not pay it again" in shown(card(slack).thread[0])
    assert billing.payments_received("vps", 10101) == 1


async def test_it_can_be_stopped_while_it_waits_for_slack(
    command: CommandLine, environment: dict[str, str], slack: LocalSlack
) -> None:
    """Slack is away when it starts: a signal ends the waiting, with code 0."""
    slack.fail("*", "500")
    process = await command.start("run", **environment)
    await slack.wait_for(lambda: slack.calls, LONGEST)
    process.terminate()
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 0


async def test_two_bots_do_not_share_a_file(
    command: CommandLine, environment: dict[str, str], slack: LocalSlack
) -> None:
    """The second one on the same SQLite ledger ends with code 2 and says why; `audit` may look."""
    await command.start("run", **environment)
    await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
    second, audit = await command("run", **environment), await invoke("audit", **environment)
    assert second.code == 2, second
    assert "another process" in second.err
    assert audit.code == 0, audit


# -- check ------------------------------------------------------------------------------------------


async def test_check_says_in_words_who_may_do_what(environment: dict[str, str]) -> None:
    """Good settings give code 0, without starting anything; --policy explains the rules."""
    short, long = await invoke("check", **environment), await invoke("check", "--policy", **environment)
    assert short == Ended(0, "The settings are complete.\n", "")
    assert (long.code, long.err) == (0, "")
    assert long.out.startswith(short.out)
    assert f"{ids.ALICE} may request payments for any module in any channel." in long.out


async def test_check_says_that_nobody_may_pay_yet(environment: dict[str, str]) -> None:
    """An empty allowlist is no error, and allows nobody."""
    ended = await invoke("check", "--policy", **environment | {"PAY_ALLOWED_USERS": ""})
    assert ended.code == 0
    assert "Nobody may request payments yet: PAY_ALLOWED_USERS is empty." in ended.out


@pytest.mark.parametrize("text", [None, "rule = 3", "[[rule]]\nname = 'x'\nrequesters = ['@alice']"])
async def test_check_refuses_a_policy_that_is_wrong(
    text: str | None, environment: dict[str, str], tmp_path: Path
) -> None:
    """Missing, of another form, or with a name in place of an id: code 2, and the variable is named."""
    file = tmp_path / "policy.toml"
    if text is not None:
        file.write_text(text)
    alone = {name: "" for name in environment if name.startswith("PAY_")}
    in_file = environment | alone | {"PAY_POLICY_FILE": str(file)}
    ended = await invoke("check", **in_file)
    assert (ended.code, ended.out) == (2, "")
    assert "  PAY_POLICY_FILE: " in ended.err


@pytest.mark.parametrize("subcommand", ["check", "run"])
async def test_approvers_without_a_number_are_refused_before_anything_starts(
    subcommand: str, command: CommandLine, environment: dict[str, str], slack: LocalSlack
) -> None:
    """Code 2 and the remedy; nobody is paid without the approval that somebody meant to ask for."""
    ended = await command(subcommand, **environment | {"PAY_APPROVALS_REQUIRED": ""})
    assert (ended.code, ended.out) == (2, "")
    assert "  PAY_APPROVALS_REQUIRED: is not set, so nobody would have to approve" in ended.err
    assert slack.calls == []


# -- audit and resolve ------------------------------------------------------------------------------


async def test_audit_prints_the_trail_and_finds_tampering(environment: dict[str, str]) -> None:
    """A whole chain gives code 0 and the last hash; one changed letter gives code 1 and its place."""
    url = environment["LEDGER_URL"]
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)
        found = await ledger.verify()
    whole = await invoke("audit", **environment)
    assert whole.code == 0, whole
    assert f"{found.events} events; the hash chain is whole. Last hash: {found.last_hash}" in whole.out
    assert "REQUESTED -> APPROVED" in whole.out
    assert "#1" in whole.out
    tamper(url, "UPDATE events SET actor = 'mallory' WHERE id = 2")
    broken = await invoke("audit", **environment)
    assert broken.code == 1
    assert "The hash chain is BROKEN at event 2." in broken.err


def tamper(url: str, *statements: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("DROP TRIGGER IF EXISTS events_no_update")
        for statement in statements:
            database.execute(statement)
        database.commit()


async def test_audit_verify_prints_only_what_it_found(environment: dict[str, str]) -> None:
    """The result where all is well; each forged row on a line, and code 1, where it is not."""
    url = environment["LEDGER_URL"]
    async with open_ledger(url) as ledger:
        await request_in(ledger, State.PAID)
        last = (await ledger.verify()).last_hash
    whole = await invoke("audit", "verify", **environment)
    assert whole == Ended(
        0,
        f"4 events; the hash chain is whole. Last hash: {last}\n"
        "Every payment, approval and attempt is what the events say.\n",
        "",
    )
    tamper(
        url,
        "UPDATE payments SET state = 'CANCELLED'",
        "INSERT INTO approvals (payment_id, approver, decision, at) "
        "VALUES (1, 'U2', 'approve', '2026-03-02')",
    )
    forged = await invoke("audit", "verify", **environment)
    assert (forged.code, forged.out) == (1, "")
    assert forged.err.splitlines()[:-1] == [
        "FORGED #1: its state is CANCELLED, its events say PAID",
        "FORGED #1: an approval by U2 is in no event",
    ]


async def test_audit_needs_only_the_address_of_the_ledger(
    command: CommandLine, ledger_url: str, tmp_path: Path
) -> None:
    """No token, no password; from the environment, .env or another file; and it makes no file."""
    (tmp_path / "audit.env").write_text(f"LEDGER_URL={ledger_url}\nSLACK_BOT_TOKEN=nonsense\n")
    before = sorted(os.listdir(tmp_path))
    for arguments, variables in (
        (["audit", "verify"], {"LEDGER_URL": ledger_url}),
        (["audit", "verify", "--env-file", "audit.env"], {}),
        (["audit", "--env-file", "audit.env", "verify"], {}),
        (["audit", "--env-file", "audit.env"], {}),
    ):
        ended = await command(*arguments, **variables)
        assert (ended.code, ended.err) == (0, ""), ended
    assert sorted(os.listdir(tmp_path)) == before
    wrong = await command("audit", "verify", LEDGER_URL="mysql://bot:hunter2@db/pay")
    assert wrong.code == 2
    assert wrong.err.startswith(
        "The ledger cannot be read:\n  LEDGER_URL: must be sqlite:///FILE or postgresql://"
    )
    assert "hunter2" not in wrong.err


async def test_audit_of_a_payment_that_there_is_not_says_so(environment: dict[str, str]) -> None:
    """Otherwise "the hash chain is whole" would be all the answer to a mistyped number."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        await request_in(ledger, State.PAID)
    ended = await invoke("audit", "--payment", "77", **environment)
    assert (ended.code, ended.err) == (2, "The trail says nothing of a payment #77.\n")
    assert "the hash chain is whole" in ended.out
    tamper(environment["LEDGER_URL"], "UPDATE payments SET state = 'CANCELLED'")
    assert (await invoke("audit", "--payment", "77", **environment)).code == 1


@pytest.mark.parametrize(
    "query", ["foo=bar", "sslmode=bogus", "connect_timeout=abc", "autocommit=1", "host=a&host=b"]
)
async def test_an_address_that_no_driver_takes_ends_with_code_2(
    environment: dict[str, str], query: str
) -> None:
    """In a sentence without the password; 1 would say that the ledger was forged."""
    nowhere = environment | {"LEDGER_URL": f"postgresql://bot:hunter2@127.0.0.1:1/ledger?{query}"}
    for arguments in (["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]):
        ended = await invoke(*arguments, **nowhere)
        assert (ended.code, ended.out) == (2, ""), ended
        assert ended.err.startswith("The ledger cannot be used: ")
        assert "hunter2" not in ended.err


async def test_a_table_that_is_gone_ends_with_code_2_and_a_sentence(new_postgresql: NewDatabase) -> None:
    """What cannot be read is not proved forged."""
    url = new_postgresql(migrated=True)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE deliveries, attempts CASCADE")
    ended = await invoke("audit", "verify", LEDGER_URL=url)
    assert (ended.code, ended.out) == (2, ""), ended
    assert ended.err.startswith("The ledger cannot be used: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["resolve", "9223372036854775808", "paid", "seen"],
        ["audit", "--payment", "9223372036854775808"],
        ["resolve", "1", "paid", "seen \udcff"],
    ],
)
async def test_what_no_database_can_hold_is_a_wrong_use(
    environment: dict[str, str], arguments: list[str]
) -> None:
    """It ends with code 2 and with what is wrong, and not with a traceback."""
    ended = await invoke(*arguments, **environment)
    assert (ended.code, ended.out) == (2, "")
    assert "Error: " in ended.err


@pytest.mark.parametrize(
    "arguments", [["run"], ["check"], ["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]]
)
async def test_settings_that_are_not_where_they_are_said_to_be_are_refused(
    command: CommandLine, environment: dict[str, str], arguments: list[str]
) -> None:
    """A mistyped --env-file would otherwise mean the environment alone, and perhaps another ledger."""
    ended = await command(*arguments, "--env-file", "nowhere.env", **environment)
    assert (ended.code, ended.out) == (2, "")
    assert "'nowhere.env' does not exist" in ended.err


async def test_an_operator_is_named_by_the_system_and_not_by_the_environment(
    command: CommandLine, environment: dict[str, str]
) -> None:
    """Whoever settles a payment cannot sign with somebody else's name."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        await request_in(ledger, State.UNKNOWN)
    others = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "the-chief-accountant")
    settled = await command("resolve", "1", "paid", "seen", **others, **environment)
    assert settled.code == 0, settled
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        last = (await ledger.history(1))[-1]
    assert last.actor == f"operator:{pwd.getpwuid(os.getuid()).pw_name}"


async def test_where_there_is_no_ledger_none_is_made(environment: dict[str, str], tmp_path: Path) -> None:
    """Neither by an audit nor by a resolve: a sentence says which file was looked for."""
    nowhere = environment | {"LEDGER_URL": f"sqlite:///{tmp_path / 'typo.db'}"}
    for arguments in (["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]):
        ended = await invoke(*arguments, **nowhere)
        assert (ended.code, ended.out) == (2, "")
        assert f"The ledger cannot be used: there is no ledger at {tmp_path / 'typo.db'}" in ended.err
    assert not (tmp_path / "typo.db").exists()


async def test_every_command_refuses_a_later_version_in_a_sentence(
    command: CommandLine, environment: dict[str, str]
) -> None:
    """After a downgrade nobody is shown a traceback, and nothing is done."""
    tamper(environment["LEDGER_URL"], "UPDATE alembic_version SET version_num = '9999'")
    for arguments in (["run"], ["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]):
        ended = await command(*arguments, **environment)
        assert ended.code == 2, ended
        assert "the ledger is of a later version than this bot ('9999'); upgrade the bot" in ended.err
        assert "Traceback" not in ended.err


async def test_a_trail_that_nobody_can_have_written_is_printed_all_the_same(
    environment: dict[str, str],
) -> None:
    """Without ruling the terminal, and without a traceback."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        await request_in(ledger, State.DENIED)
    tamper(
        environment["LEDGER_URL"],
        "UPDATE events SET detail = '[', to_state = 'NOWHERE', actor = 'x' || char(27) || '[2J' WHERE id = 2",
    )
    ended = await invoke("audit", **environment)
    assert ended.code == 1
    assert r"x\u001b[2J" in ended.out
    assert "NOWHERE" in ended.out


async def test_audit_writes_nothing_that_a_terminal_obeys(environment: dict[str, str]) -> None:
    """What people and the billing API wrote stands in the trail; it moves nobody's cursor."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger, ledger.transaction() as transaction:
        await transaction.record("denied", actor="U1\x9b2J", detail={"reason": "\x1b[2J\x9b1m\x7f\u202ecod"})
    shown = await invoke("audit", **environment)
    assert shown.code == 0
    assert r"U1\u009b2J denied" in shown.out
    assert r"\u001b[2J\u009b1m\u007f\u202ecod" in shown.out
    assert not set(shown.out) & set("\x1b\x9b\x7f\u202e")


async def test_a_transcript_writes_nothing_that_a_terminal_obeys() -> None:
    """What is said in the sandbox comes back in the transcript, as people and the API wrote it."""
    said = await invoke("sandbox", "--say", "alice: /pay vps\x9b2J \x7f\u202e10101\x1b[2J")
    assert r"alice: /pay vps\u009b2J \u007f\u202e10101\u001b[2J" in said.out
    assert not set(said.out) & set("\x1b\x9b\x7f\u202e")


async def test_an_operator_settles_a_lost_answer_once(environment: dict[str, str]) -> None:
    """`resolve` moves UNKNOWN only, names the operator and the note in the trail, and wants a note."""
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        await request_in(ledger, State.UNKNOWN)
    missing = await invoke("resolve", "2", "paid", "seen it", **environment)
    blank = await invoke("resolve", "1", "paid", "  ", **environment)
    assert (missing.code, missing.err) == (1, "There is no payment #2.\n")
    assert blank.code == 2
    assert "the note must say" in blank.err
    settled = await invoke("resolve", "1", "paid", "seen in MyAdmin", **environment)
    assert settled.code == 0, settled
    assert "#1 is PAID." in settled.out
    async with open_ledger(environment["LEDGER_URL"]) as ledger:
        await request_in(ledger, State.CANCELLED, InvoiceRef("vps", 10102))
    again = await invoke("resolve", "2", "not-paid", "no", **environment)
    trail = await invoke("audit", "--payment", "1", **environment)
    assert again.code == 1
    assert "#2 is CANCELLED; only UNKNOWN ones can be settled," in again.err
    assert "UNKNOWN -> PAID" in trail.out
    assert "seen in MyAdmin" in trail.out
    assert " operator:" in trail.out


async def test_a_ledger_that_cannot_be_opened_ends_with_code_2(environment: dict[str, str]) -> None:
    """The address is not told, as it may hold a password."""
    nowhere = environment | {"LEDGER_URL": "postgresql://bot:hunter2@127.0.0.1:1/ledger"}
    audit = await invoke("audit", **nowhere)
    resolve = await invoke("resolve", "1", "paid", "seen", **nowhere)
    for ended in (audit, resolve):
        assert (ended.code, ended.out) == (2, "")
        assert "The ledger cannot be used: " in ended.err
        assert "hunter2" not in ended.err
