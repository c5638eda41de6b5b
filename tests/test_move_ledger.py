"""`move-ledger`: to another database and back, whole or not at all, and never paid from in two places."""

from __future__ import annotations

import asyncio
import shlex
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import cast

import psycopg
import pytest
from sqlalchemy import text

from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerUnfit
from bot.ledger import moving
from bot.ledger.database import one_process
from bot.ledger.notices import Topic
from bot.ledger.opening import open_ledger
from bot.ledger.proof import Verification
from bot.ledger.store import Ledger
from tests.command_line import ROOT, CommandLine, invoke
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import approved, request, request_in, with_card
from tests.ledger.pruned import pruned, settle_deliveries
from tests.ledger.released import fill, release


async def filled(url: str, clock: Clock) -> Verification:
    """With every kind of row, times to the microsecond, texts of all sorts, something erased and a pause."""
    await fill(url)
    clock.advance(days=60, microseconds=123_456)
    async with open_ledger(url, clock=clock) as ledger:
        await settle_deliveries(ledger)
        await with_card(ledger, await request(ledger, InvoiceRef("mail", 77), note="café ☕ 'quoted' \\n"))
        one = await request(ledger, InvoiceRef("mail", 78), also=[InvoiceRef("mail", 79)])
        await approved(ledger, one, "UBOB")
        async with ledger.transaction() as transaction:
            await transaction.notices.begin_day(Topic.DIGEST, clock.now.date(), ["C1", "U2"], ended="told")
            await transaction.pause("for a while", actor="UBOB")
        await settle_deliveries(ledger)
        clock.advance(days=60)
        assert await pruned(ledger, clock.now)
        return await ledger.verify()


async def rows(ledger: Ledger) -> list[str]:
    """Everything in it, as a text."""
    found: list[str] = []
    async with ledger.snapshot() as connection:
        for table in moving._TABLES:
            async for some in moving._rows(connection, table):
                found += [f"{table.name} {moving._plain(table, row)}" for row in some]
    return found


@pytest.fixture
def source(new_sqlite: NewDatabase) -> str:
    """The address of a SQLite ledger."""
    return new_sqlite(migrated=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes databases of one kind, and then of the other."""
    return cast(NewDatabase, request.getfixturevalue(f"new_{request.param}"))


@pytest.fixture
def target(new_postgresql: NewDatabase) -> str:
    """The address of an empty database."""
    return new_postgresql(migrated=False)


async def test_what_cannot_be_said_of_it_is_no_forgery(source: str, tmp_path: Path) -> None:
    """It is moved, and a full disk takes no word of that: code 2; running it again tells where it is."""
    python = shlex.quote(sys.executable)
    process = await asyncio.create_subprocess_shell(
        f"exec {python} -m bot move-ledger {shlex.quote(source)} new.db >/dev/full",
        env={"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (2, b"What was found cannot be written: No space left on device\n")
    again = await invoke("move-ledger", source, str(tmp_path / "new.db"))
    assert (again.code, again.err) == (0, "")
    assert f"It was moved to {tmp_path / 'new.db'} before" in again.out


async def test_it_moves_to_postgresql_and_back(
    source: str, target: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row and every hash; the new place goes on where the old one ended, and the old one says where."""
    monkeypatch.setattr(moving, "_ROWS", 7)
    before = await filled(source, clock)
    async with open_ledger(source, clock=clock) as ledger:
        was, identity = await rows(ledger), ledger.identity
    moved = await invoke("move-ledger", source.removeprefix("sqlite:///"), target)
    assert (moved.code, moved.err) == (0, ""), moved
    assert f"{before.events} events, whole. Last hash: {before.last_hash}" in moved.out
    assert "Set LEDGER_URL to it, and start the bot." in moved.out
    async with open_ledger(target, clock=clock) as ledger:
        assert ledger.identity == identity
        assert await rows(ledger) == was
        assert await ledger.verify() == before
        again = await request(ledger, InvoiceRef("mail", 80))
        assert again.request.id == max(one.request.id for one in await ledger.recent(limit=None))
        await approved(ledger, again, "UBOB")
        await with_card(ledger, again)
        assert (await ledger.verify()).whole
    with pytest.raises(LedgerUnfit, match=r"was moved to PostgreSQL at .*set LEDGER_URL to that one"):
        async with open_ledger(source):
            pass
    verified = await invoke("audit", "verify", LEDGER_URL=source)
    assert (verified.code, verified.err) == (0, "")
    back = tmp_path / "back%20 again.db"
    returned = await invoke("move-ledger", target, str(back))
    assert (returned.code, returned.err) == (0, ""), returned
    assert "#" not in returned.err
    assert (await invoke("audit", "verify", LEDGER_URL=f"sqlite:///{tmp_path}/back%2520 again.db")).code == 0
    refused = await invoke("audit", "prune", "--before", "2020-01-01", "--export", "x", LEDGER_URL=target)
    assert refused.code == 2
    assert f"this ledger was moved to {back}" in refused.err


async def test_a_bot_on_the_moved_ledger_writes_nothing_more(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """Also one that was started just before, and whose check came too early."""
    source, target = new_postgresql(migrated=True), new_postgresql(migrated=False)
    async with open_ledger(source, clock=clock) as ledger:
        payment = await request_in(ledger, State.APPROVED)
        assert (await invoke("move-ledger", source, target)).code == 0
        with pytest.raises(LedgerUnfit, match="was moved to"):
            async with ledger.transaction() as transaction:
                await transaction.postpone(payment, until=clock.now)
    async with open_ledger(target, clock=clock) as ledger:
        assert await ledger.payment(payment.id) == payment


async def test_a_late_write_to_a_moved_file_is_refused(source: str, clock: Clock, tmp_path: Path) -> None:
    """Nothing that the trail would have to tell is added to it."""
    async with open_ledger(source, clock=clock) as ledger:
        assert (await invoke("move-ledger", source, str(tmp_path / "to.db"))).code == 0
        with pytest.raises(LedgerUnfit, match="was moved to"):
            await request(ledger)


async def test_a_bot_that_runs_is_not_moved_away_from(
    source: str, target: str, new_postgresql: NewDatabase, clock: Clock
) -> None:
    """Neither on a file nor on PostgreSQL."""
    with one_process(source):
        ended = await invoke("move-ledger", source, target)
    assert (ended.code, ended.out) == (2, "")
    assert "another process runs on the ledger" in ended.err
    running = new_postgresql(migrated=True)
    async with open_ledger(running, instance="one", clock=clock):
        ended = await invoke("move-ledger", running, target)
    assert (ended.code, ended.out) == (2, "")
    assert "a bot runs on the ledger that is to be moved; stop it first" in ended.err
    assert tables(target) == 0


def tables(url: str) -> int:
    """How many there are in a PostgreSQL."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert found is not None
    return int(found[0])


async def test_only_an_empty_place_is_moved_to(
    source: str, new_postgresql: NewDatabase, new_sqlite: NewDatabase, target: str, tmp_path: Path
) -> None:
    """Another ledger, another program's tables and the place itself stay as they are."""
    for other in (new_postgresql(migrated=True), new_sqlite(migrated=True)):
        ended = await invoke("move-ledger", source, other)
        assert (ended.code, ended.out) == (2, "")
        assert "there is something already where it is to be moved to" in ended.err
        assert (await invoke("audit", "verify", LEDGER_URL=other)).code == 0
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (id int)")
    assert "there is something already" in (await invoke("move-ledger", source, target)).err
    assert tables(target) == 1
    same = await invoke("move-ledger", source, source)
    assert (same.code, same.err) == (2, "The ledger was not moved: both are the same place; name a new one\n")
    nowhere = await invoke("move-ledger", str(tmp_path / "typo.db"), target)
    assert nowhere.code == 2
    assert "there is no ledger at" in nowhere.err
    async with open_ledger(source):
        pass


async def test_an_earlier_version_is_brought_up_to_date_first(new_sqlite: NewDatabase, target: str) -> None:
    """By the bot, which does so with care; and the source is left as it is."""
    source = new_sqlite(migrated=False)
    await release(source)
    ended = await invoke("move-ledger", source, target)
    assert (ended.code, ended.out) == (2, "")
    assert "no ledger yet" in ended.err or "earlier version" in ended.err
    assert tables(target) == 0


async def test_what_is_not_whole_is_not_moved(source: str, target: str, clock: Clock) -> None:
    """A forgery does not get a new home."""
    await filled(source, clock)
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE payments SET state = 'CANCELLED' WHERE id = 1")
        connection.commit()
    ended = await invoke("move-ledger", source, target)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "The ledger was not moved: it is not whole; run `python -m bot audit verify`\n"
    assert tables(target) == 0


@pytest.mark.parametrize(
    ("value", "code"), [("'x' || char(0) || 'y'", 2), ("printf('%.*c', 65, 'x')", 2), ("x'ff'", 1)]
)
async def test_what_the_other_database_cannot_hold_moves_nothing(
    source: str, target: str, clock: Clock, value: str, code: int
) -> None:
    """A sentence, an empty target, and a source that a bot starts on; what no bot wrote is not whole."""
    await filled(source, clock)
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection:
        connection.execute(f"UPDATE payments SET lease_owner = {value} WHERE id = 1")
        connection.commit()
    ended = await invoke("move-ledger", source, target)
    assert (ended.code, ended.out) == (code, ""), ended
    assert ended.err.startswith("The ledger was not moved: ")
    assert tables(target) == 0
    async with open_ledger(source):
        pass


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("mysql://bot:hunter2@db/pay", 2),
        ("postgresql://bot:hunter2@127.0.0.1:1/ledger", 2),
        ("postgresql://bot:hunter2@127.0.0.1:1/ledger?foo=bar", 2),
        ("postgresql://bot:hunter2@[::1/ledger", 2),
        ("postgresql:/bot:hunter2@db/ledger", 2),
        ("postgresql:hunter2", 2),
        ("bot:hunter2@db/ledger", 2),
        ("host=db password=hunter2", 2),
    ],
)
async def test_no_password_is_told(source: str, place: str, code: int) -> None:
    """Whatever is wrong with an address."""
    for pair in ((source, place), (place, source)):
        ended = await invoke("move-ledger", *pair)
        assert (ended.code, ended.out) == (code, ""), ended
        assert "hunter2" not in ended.err


KILLED = """
import os, signal
from bot.ledger import moving

def dying(name, calls):
    whole, made = getattr(moving, name), []
    async def until(*given):
        made.append(1)
        if len(made) == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return await whole(*given)
    setattr(moving, name, until)

moving._ROWS = 50
dying({name!r}, {calls})
"""


@pytest.mark.parametrize(
    ("dies_at", "starts_on_source", "said"),
    [
        (("_say", 1), True, "there is no ledger yet"),
        (("_say", 2), True, "the ledger was being moved here, and that was broken off"),
        (("_finish", 1), False, "the ledger was being moved here, and that was broken off"),
    ],
)
async def test_who_is_killed_leaves_one_place_at_most_and_goes_on(
    command: CommandLine,
    source: str,
    clock: Clock,
    new_database: NewDatabase,
    dies_at: tuple[str, int],
    starts_on_source: bool,
    said: str,
) -> None:
    """Before the source says that it was moved it is as it was; then neither is used until it is done."""
    before = await filled(source, clock)
    target = new_database(migrated=False)
    name, calls = dies_at
    dying = KILLED.format(name=name, calls=calls)
    process = await command.start("move-ledger", source, target, before=dying)
    _, err = await process.communicate()
    assert process.returncode == -9, err
    with pytest.raises(LedgerUnfit, match=said):
        async with open_ledger(target, begin=False):
            pass
    if starts_on_source:
        async with open_ledger(source, clock=clock) as ledger:
            await fresh(ledger)
            before = await ledger.verify()
    else:
        with pytest.raises(LedgerUnfit, match="was moved to"):
            async with open_ledger(source):
                pass
    moved = await invoke("move-ledger", source, target)
    assert (moved.code, moved.err) == (0, ""), moved
    async with open_ledger(target, clock=clock) as ledger:
        assert await ledger.verify() == before
    again = await invoke("move-ledger", source, target)
    assert again.code == 0
    assert "was moved to" in again.out


async def fresh(ledger: Ledger) -> None:
    """The bot goes on for a while where it was."""
    async with ledger.transaction() as transaction:
        await transaction.resume(actor="UBOB")
    await request(ledger, InvoiceRef("mail", 90))


async def test_a_ledger_that_is_lost_where_it_was_moved_is_not_moved_again(
    source: str, target: str, clock: Clock
) -> None:
    """What was paid there since is not known here: that would pay it twice."""
    await filled(source, clock)
    assert (await invoke("move-ledger", source, target)).code == 0
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    ended = await invoke("move-ledger", source, target)
    assert (ended.code, ended.out) == (2, "")
    assert "is not there any more; restore its backup there" in ended.err
    assert tables(target) == 0


async def test_who_starts_on_the_target_meanwhile_waits(
    source: str, target: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And finds the ledger, not a new one."""
    before = await filled(source, clock)
    same, begun = moving._same, asyncio.Event()

    async def slowly(*given: object, **named: bool) -> None:
        begun.set()
        await asyncio.sleep(1)
        await same(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(moving, "_same", slowly)
    moved = asyncio.create_task(moving.move(source, target, lambda _read, _total: None))
    await begun.wait()

    async def start() -> Verification:
        while True:
            try:
                async with open_ledger(target, clock=clock) as ledger:
                    return await ledger.verify()
            except LedgerUnfit as unfinished:
                assert "was being moved here" in str(unfinished)  # noqa: PT017

    assert await start() == before
    await moved


async def test_a_check_tells_where_it_went(environment: dict[str, str], tmp_path: Path) -> None:
    """`check` is asked when something does not work."""
    url = environment["LEDGER_URL"]
    assert (await invoke("move-ledger", url, str(tmp_path / "to.db"))).code == 0
    from bot.checks import of_ledger

    (finding,) = await of_ledger.look(url)
    assert "this ledger was moved to" in str(finding)
    async with open_ledger(f"sqlite:///{tmp_path}/to.db") as ledger, ledger.snapshot() as connection:
        assert (await connection.execute(text("SELECT moved_to FROM chain"))).scalar_one() is None
