"""The command line: what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import __main__ as main
from bot import app, config
from bot.domain.payment import State
from bot.domain.problem import Problem
from bot.errors import ConfigError
from bot.ledger.opening import open_ledger
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.command_line import LONGEST, ROOT, CommandLine, invoke
from tests.ledger.making import request_in
from tests.slack.acting import card, shown


class TestStarting:
    """What must be right before the bot runs."""

    async def test_what_was_loaded_is_never_looked_at_for_garbage(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And what comes later is: it takes turns with the bot from its first moment on."""
        seen: list[tuple[bool, bool]] = []

        @contextlib.asynccontextmanager
        async def running(_settings: config.Settings) -> AsyncIterator[object]:
            seen.append((gc.isenabled(), gc.get_freeze_count() > 0))
            raise ConfigError(Problem("X", "is only a test", "Go on."))
            yield

        monkeypatch.setattr(app, "running", running)
        try:
            with pytest.raises(ConfigError):
                await main._run(config.Settings.model_construct())
        finally:
            gc.unfreeze()
        assert seen == [(True, True)]

    async def test_whoever_stops_it_while_it_is_loaded_is_heard(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Loading takes most of the start; nothing is opened then, and the code is 0 as later."""
        monkeypatch.setattr(gc, "freeze", lambda: os.kill(os.getpid(), signal.SIGTERM))
        monkeypatch.setattr(app, "running", None)
        assert await main._run(config.Settings.model_construct()) == 0

    async def test_everything_missing_is_listed_at_once(self, command: CommandLine) -> None:
        """Each variable that must be set stands there with its remedy, and the exit code is 2."""
        ended = await command("run")
        assert (ended.code, ended.out) == (2, "")
        first, *problems, last = ended.err.splitlines()
        assert first == "The bot cannot start:"
        assert [problem.split(":")[0].strip() for problem in problems] == [
            "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET",
            "SLACK_BOT_TOKEN",
            "BILLING_USERNAME",
            "BILLING_PASSWORD",
        ]
        assert last == "`python -m bot deploy env.example` explains every variable."
        checked = await invoke("check")
        assert (checked.code, checked.err) == (1, "")
        assert checked.out.splitlines() == [f"WRONG {problem.strip()}" for problem in problems]

    async def test_no_wrong_value_is_ever_echoed(self, command: CommandLine, tmp_path: Path) -> None:
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
            ({"LEDGER_URL": "sqlite:////dev/null"}, "The bot cannot start: "),
        ],
        ids=["bot token", "app token", "ledger"],
    )
    async def test_what_turns_out_wrong_while_starting_ends_it_with_code_2(
        self, command: CommandLine, environment: dict[str, str], variables: dict[str, str], said: str
    ) -> None:
        """What only Slack or the disk can tell is refused in the same way, with no stack trace."""
        ended = await command("run", **environment | variables)
        assert ended.code == 2, ended
        assert said in ended.err
        assert "Traceback" not in ended.err
        assert "revoked" not in ended.err

    @pytest.mark.parametrize(
        "url", ["postgresql://bot@127.0.0.1:1/ledger", "sqlite:///no/such/folder/ledger.db"]
    )
    async def test_a_ledger_that_is_not_there_yet_is_no_reason_to_stay_away(
        self, command: CommandLine, environment: dict[str, str], url: str
    ) -> None:
        """A machine whose database or disk comes up later: code 1, after which systemd tries again."""
        ended = await command("run", **environment | {"LEDGER_URL": url})
        assert ended.code == 1, ended
        assert ended.err.startswith("The bot cannot start: ")
        assert "Traceback" not in ended.err

    async def test_the_ledger_of_another_workspace_is_left_alone(
        self, command: CommandLine, environment: dict[str, str]
    ) -> None:
        """A bot that is tried out with the settings of the one that pays cancels nothing of that."""
        async with open_ledger(environment["LEDGER_URL"]) as ledger:
            payment = await request_in(ledger, State.APPROVED)
        ended = await command("run", **environment)
        assert ended.code == 2, ended
        assert "for another Slack workspace (T1), and the tokens are of T0ACME0001" in ended.err
        async with open_ledger(environment["LEDGER_URL"]) as ledger:
            assert await ledger.payment(payment.id) == payment

    async def test_a_port_that_is_taken_is_refused(
        self, command: CommandLine, environment: dict[str, str]
    ) -> None:
        """HTTP mode names the variable and the reason."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            http = {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": "signing", "HTTP_PORT": port}
            ended = await command("run", **environment | http)
        assert ended.code == 2, ended
        assert "HTTP_PORT: " in ended.err
        assert "in use" in ended.err


class TestRunningAndStopping:
    """A payment under way is finished, and nothing waits for ever."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    async def test_a_payment_under_way_is_finished_before_it_stops(
        self,
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
        process = await command.start_anew("run", **environment)
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
        self, command: CommandLine, environment: dict[str, str], slack: LocalSlack, billing: LocalBilling
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
        self, command: CommandLine, environment: dict[str, str], slack: LocalSlack, billing: LocalBilling
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
        self, command: CommandLine, environment: dict[str, str], slack: LocalSlack
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
        self, command: CommandLine, environment: dict[str, str], slack: LocalSlack
    ) -> None:
        """The second one on the same SQLite ledger ends with code 1 and says why; `audit` may look."""
        await command.start("run", **environment)
        await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
        second, audit = await command("run", **environment), await invoke("audit", **environment)
        assert second.code == 1, second
        assert "another process" in second.err
        assert audit.code == 0, audit


class TestCheck:
    """The settings and the policy, without starting anything."""

    async def test_check_says_in_words_who_may_do_what(self, environment: dict[str, str]) -> None:
        """Good settings give code 0, without starting anything; --policy explains the rules."""
        short, long = await invoke("check", **environment), await invoke("check", "--policy", **environment)
        assert (short.code, short.err) == (0, "")
        assert short.out.startswith("ok    settings: complete")
        assert (long.code, long.err) == (0, "")
        assert long.out.startswith(short.out)
        assert f"{ids.ALICE} may request payments for any module in any channel." in long.out

    @pytest.mark.parametrize("text", [None, "rule = 3", "[[rule]]\nname = 'x'\nrequesters = ['@alice']"])
    async def test_check_refuses_a_policy_that_is_wrong(
        self, text: str | None, environment: dict[str, str], tmp_path: Path
    ) -> None:
        """Missing, of another form, or with a name in place of an id: the variable is named."""
        file = tmp_path / "policy.toml"
        if text is not None:
            file.write_text(text)
        alone = {name: "" for name in environment if name.startswith("PAY_")}
        in_file = environment | alone | {"PAY_POLICY_FILE": str(file)}
        ended = await invoke("check", **in_file)
        assert (ended.code, ended.err) == (1, "")
        assert "WRONG PAY_POLICY_FILE: " in ended.out

    async def test_approvers_without_a_number_are_refused_before_anything_starts(
        self, command: CommandLine, environment: dict[str, str], slack: LocalSlack
    ) -> None:
        """Code 2 and the remedy; nobody is paid without the approval that somebody meant to ask for."""
        wrong = environment | {"PAY_APPROVALS_REQUIRED": ""}
        ended, checked = await command("run", **wrong), await command("check", "--online", **wrong)
        assert (ended.code, ended.out, checked.code) == (2, "", 1)
        said = "PAY_APPROVALS_REQUIRED: is not set, so nobody would have to approve"
        assert f"  {said}" in ended.err
        assert f"WRONG {said}" in checked.out
        assert slack.calls == []


class TestWrongUse:
    """What was typed is wrong by itself."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ["resolve", "9223372036854775808", "paid", "seen"],
            ["audit", "--payment", "9223372036854775808"],
            ["resolve", "1", "paid", "seen \udcff"],
        ],
    )
    async def test_what_no_database_can_hold_is_a_wrong_use(
        self, environment: dict[str, str], arguments: list[str]
    ) -> None:
        """It ends with code 2 and with what is wrong, and not with a traceback."""
        ended = await invoke(*arguments, **environment)
        assert (ended.code, ended.out) == (2, "")
        assert "Error: " in ended.err

    @pytest.mark.parametrize(
        "arguments", [["run"], ["check"], ["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]]
    )
    async def test_settings_that_are_not_where_they_are_said_to_be_are_refused(
        self, command: CommandLine, environment: dict[str, str], arguments: list[str]
    ) -> None:
        """A mistyped --env-file would otherwise mean the environment alone, and perhaps another ledger."""
        ended = await command(*arguments, "--env-file", "nowhere.env", **environment)
        assert (ended.code, ended.out) == (2, "")
        assert "'nowhere.env' does not exist" in ended.err


@pytest.mark.parametrize("closed", ["2>&-", "1>&- 2>&-"])
async def test_it_runs_where_nobody_listens(
    closed: str, environment: dict[str, str], slack: LocalSlack, tmp_path: Path
) -> None:
    """Whoever starts it may have closed its output."""
    process = await asyncio.create_subprocess_shell(
        f'exec "{sys.executable}" -m bot run {closed}',
        env={"PYTHONPATH": str(ROOT), **environment},
        cwd=tmp_path,
    )
    try:
        await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
    finally:
        process.terminate()
    assert await process.wait() == 0


async def test_who_cannot_be_asked_is_told_so(tmp_path: Path) -> None:
    """Whoever starts it may have closed its input as well."""
    process = await asyncio.create_subprocess_shell(
        f'exec "{sys.executable}" -m bot setup 0<&-',
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert (process.returncode, b"this is no terminal" in said) == (2, True), said


async def test_a_transcript_writes_nothing_that_a_terminal_obeys() -> None:
    """What is said in the sandbox comes back in the transcript, as people and the API wrote it."""
    said = await invoke("sandbox", "--say", "alice: /pay vps\x9b2J \x7f\u202e10101\x1b[2J")
    assert r"alice: /pay vps\u009b2J \u007f\u202e10101\u001b[2J" in said.out
    assert not set(said.out) & set("\x1b\x9b\x7f\u202e")


def test_it_needs_no_home_directory() -> None:
    """A container's user may have no name and no home, and Slack's library asks for one."""
    program = (
        "import pwd, sys; sys.argv = ['bot', 'sandbox', '--say', 'alice: /pay help']\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "from bot.__main__ import main; main()"
    )
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "/pay" in done.stdout
