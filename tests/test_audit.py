"""`audit` and `resolve` on the command line: what they print, and the exit codes that scripts rely on."""

from __future__ import annotations

import asyncio
import os
import pwd
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bot.domain.events import Denied
from bot.domain.payment import InvoiceRef, State
from bot.ledger import exported
from bot.ledger.opening import open_ledger
from tests.command_line import ROOT, CommandLine, Ended, invoke
from tests.fixture_types import NewDatabase
from tests.ledger.making import request_in


def tamper(url: str, *statements: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("DROP TRIGGER IF EXISTS events_no_update")
        for statement in statements:
            database.execute(statement)
        database.commit()


class TestAudit:
    """The trail is printed, and the ledger proved by it."""

    async def test_audit_prints_the_trail_and_finds_tampering(self, environment: dict[str, str]) -> None:
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

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM chain",
            "UPDATE chain SET last_event = 'last'",
            "UPDATE chain SET last_event = x'00'",
            "UPDATE chain SET last_event = 9e999",
        ],
    )
    async def test_an_end_of_the_trail_that_cannot_be_read_is_found(
        self, environment: dict[str, str], statement: str
    ) -> None:
        """It is what the proof is of, and not what it begins with."""
        url = environment["LEDGER_URL"]
        async with open_ledger(url) as ledger:
            await request_in(ledger, State.PAID)
        tamper(url, statement)
        for command in (["audit"], ["audit", "verify"]):
            broken = await invoke(*command, **environment)
            assert (broken.code, "The hash chain is BROKEN at event" in broken.err) == (1, True)

    async def test_audit_verify_prints_only_what_it_found(self, environment: dict[str, str]) -> None:
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
            "INSERT INTO approvals (request_id, approver, decision, at) "
            "VALUES (1, 'U2', 'approve', '2026-03-02')",
        )
        forged = await invoke("audit", "verify", **environment)
        assert (forged.code, forged.out) == (1, "")
        assert forged.err.splitlines()[:-1] == [
            "FORGED #1: its state is CANCELLED, its events say PAID",
            "FORGED #1: an approval by U2 is in no event",
        ]

    async def test_audit_needs_only_the_address_of_the_ledger(
        self, command: CommandLine, ledger_url: str, tmp_path: Path
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
        wrong = await invoke("audit", "verify", LEDGER_URL="mysql://bot:hunter2@db/pay")
        assert wrong.code == 2
        assert wrong.err.startswith(
            "The ledger cannot be used:\n  LEDGER_URL: must be sqlite:///FILE or postgresql://"
        )
        assert "hunter2" not in wrong.err

    async def test_audit_of_a_payment_that_there_is_not_says_so(self, environment: dict[str, str]) -> None:
        """Otherwise "the hash chain is whole" would be all the answer to a mistyped number."""
        async with open_ledger(environment["LEDGER_URL"]) as ledger:
            await request_in(ledger, State.PAID)
        ended = await invoke("audit", "--payment", "77", **environment)
        assert (ended.code, ended.err) == (2, "The trail says nothing of a payment #77.\n")
        assert "the hash chain is whole" in ended.out
        tamper(environment["LEDGER_URL"], "UPDATE payments SET state = 'CANCELLED'")
        assert (await invoke("audit", "--payment", "77", **environment)).code == 1

    async def test_a_trail_that_nobody_can_have_written_is_printed_all_the_same(
        self,
        environment: dict[str, str],
    ) -> None:
        """Without ruling the terminal, and without a traceback."""
        async with open_ledger(environment["LEDGER_URL"]) as ledger:
            await request_in(ledger, State.DENIED)
        tamper(
            environment["LEDGER_URL"],
            "UPDATE events SET detail = '[', to_state = 'NOWHERE', actor = 'x' || char(27) || '[2J' "
            "WHERE id = 2",
        )
        ended = await invoke("audit", **environment)
        assert ended.code == 1
        assert r"x\u001b[2J" in ended.out
        assert "NOWHERE" in ended.out

    @pytest.mark.parametrize("arguments", ["audit", "audit verify", "audit list", "audit verify --file t"])
    @pytest.mark.parametrize("where", [">/dev/full", ">/dev/full 2>&1"])
    async def test_what_cannot_be_written_is_no_forgery(
        self, ledger_url: str, tmp_path: Path, arguments: str, where: str
    ) -> None:
        """A full disk ends it with code 2, which is for what could not be looked at."""
        async with open_ledger(ledger_url) as ledger:
            await request_in(ledger, State.PAID)
            lines = [line async for line in exported.trail(ledger)]
        (tmp_path / "t").write_text("".join(f"{line}\n" for line in lines))
        process = await asyncio.create_subprocess_shell(
            f'exec "{sys.executable}" -m bot {arguments} {where}',
            env={"PYTHONPATH": str(ROOT), "LEDGER_URL": ledger_url},
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        assert process.returncode == 2, err
        assert err in (b"", b"What was found cannot be written: No space left on device\n")

    async def test_audit_writes_nothing_that_a_terminal_obeys(self, environment: dict[str, str]) -> None:
        """What people and the billing API wrote stands in the trail; it moves nobody's cursor."""
        async with open_ledger(environment["LEDGER_URL"]) as ledger, ledger.transaction() as transaction:
            await transaction.record(Denied("\x1b[2J\x9b1m\x7f\u202ecod"), actor="U1\x9b2J")
        shown = await invoke("audit", **environment)
        assert shown.code == 0
        assert r"U1\u009b2J denied" in shown.out
        assert r"\u001b[2J\u009b1m\u007f\u202ecod" in shown.out
        assert not set(shown.out) & set("\x1b\x9b\x7f\u202e")


class TestResolve:
    """A lost answer is settled by an operator."""

    async def test_an_operator_is_named_by_the_system_and_not_by_the_environment(
        self, command: CommandLine, environment: dict[str, str]
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

    async def test_an_operator_settles_a_lost_answer_once(self, environment: dict[str, str]) -> None:
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


class TestALedgerThatCannotBeUsed:
    """Code 2 and a sentence: 1 would say that the ledger was forged."""

    @pytest.mark.parametrize(
        "query", ["foo=bar", "sslmode=bogus", "connect_timeout=abc", "autocommit=1", "host=a&host=b"]
    )
    async def test_an_address_that_no_driver_takes_ends_with_code_2(
        self, environment: dict[str, str], query: str
    ) -> None:
        """In a sentence without the password; 1 would say that the ledger was forged."""
        nowhere = environment | {"LEDGER_URL": f"postgresql://bot:hunter2@127.0.0.1:1/ledger?{query}"}
        for arguments in (["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]):
            ended = await invoke(*arguments, **nowhere)
            assert (ended.code, ended.out) == (2, ""), ended
            assert ended.err.startswith("The ledger cannot be used: ")
            assert "hunter2" not in ended.err

    async def test_a_table_that_is_gone_ends_with_code_2_and_a_sentence(
        self, new_postgresql: NewDatabase
    ) -> None:
        """What cannot be read is not proved forged."""
        url = new_postgresql(migrated=True)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE deliveries, attempts CASCADE")
        ended = await invoke("audit", "verify", LEDGER_URL=url)
        assert (ended.code, ended.out) == (2, ""), ended
        assert ended.err.startswith("The ledger cannot be used: ")

    async def test_where_there_is_no_ledger_none_is_made(
        self, environment: dict[str, str], tmp_path: Path
    ) -> None:
        """Neither by an audit nor by a resolve: a sentence says which file was looked for."""
        nowhere = environment | {"LEDGER_URL": f"sqlite:///{tmp_path / 'typo.db'}"}
        for arguments in (["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"]):
            ended = await invoke(*arguments, **nowhere)
            assert (ended.code, ended.out) == (2, "")
            assert f"The ledger cannot be used: there is no ledger at {tmp_path / 'typo.db'}" in ended.err
        assert not (tmp_path / "typo.db").exists()

    async def test_every_command_refuses_a_later_version_in_a_sentence(
        self, command: CommandLine, environment: dict[str, str]
    ) -> None:
        """After a downgrade nobody is shown a traceback, and nothing is done."""
        tamper(environment["LEDGER_URL"], "UPDATE alembic_version SET version_num = '9999'")
        read = (["audit"], ["audit", "verify"], ["resolve", "1", "paid", "seen"])
        for ended in (
            await command("run", **environment),
            *[await invoke(*arguments, **environment) for arguments in read],
        ):
            assert ended.code == 2, ended
            assert "the ledger is of a later version than this bot ('9999'); upgrade the bot" in ended.err
            assert "Traceback" not in ended.err

    async def test_a_ledger_that_cannot_be_opened_ends_with_code_2(self, environment: dict[str, str]) -> None:
        """The address is not told, as it may hold a password."""
        nowhere = environment | {"LEDGER_URL": "postgresql://bot:hunter2@127.0.0.1:1/ledger"}
        audit = await invoke("audit", **nowhere)
        resolve = await invoke("resolve", "1", "paid", "seen", **nowhere)
        for ended in (audit, resolve):
            assert (ended.code, ended.out) == (2, "")
            assert "The ledger cannot be used: " in ended.err
            assert "hunter2" not in ended.err
