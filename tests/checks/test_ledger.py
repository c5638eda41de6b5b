"""Whether the record can be kept: looked at without making, changing or keeping anything."""

from __future__ import annotations

import glob
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bot import app
from bot.checks import of_ledger
from bot.checks.findings import Verdict
from tests.fixture_types import NewDatabase
from tests.ledger.released import release
from tests.postgresql import Databases


async def said(url: str) -> tuple[Verdict, str]:
    (finding,) = await of_ledger.look(url)
    return finding.verdict, f"{finding.what}. {finding.remedy}"


async def test_a_good_one(new_sqlite: NewDatabase) -> None:
    """All of it is said in one line."""
    url = new_sqlite(migrated=True)
    verdict, text = await said(url)
    assert verdict is Verdict.OK, text
    assert "of this version, takes writes, and keeps what it took" in text


async def test_a_server_that_does_not_wait_for_the_disk(new_postgresql: NewDatabase) -> None:
    """As that of the tests: all else is well with it, and what it took would not last."""
    verdict, text = await said(new_postgresql(migrated=True))
    assert verdict is Verdict.WRONG
    assert text == "PostgreSQL's fsync is off. A crash could lose payments that were made."


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes databases of one kind, and then of the other."""
    new: NewDatabase = request.getfixturevalue(f"new_{request.param}")
    return new


async def test_one_that_a_bot_runs_on(bot: app.Bot, ledger_url: str) -> None:
    """Beside it, without a word to it."""
    assert (await said(ledger_url))[0] is Verdict.OK


async def test_none_yet(either: NewDatabase) -> None:
    """The first start makes it; a look makes nothing."""
    url = either(migrated=False)
    for _ in range(2):
        verdict, text = await said(url)
        assert verdict is Verdict.NOTE
        assert text.endswith("The first start of the bot makes it.")
    assert not glob.glob(f"{url.removeprefix('sqlite:///')}*")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "of a later version than this bot"),
        ("DROP TABLE notices", "no such table: notices"),
    ],
)
async def test_one_that_does_not_fit(new_sqlite: NewDatabase, statement: str, words: str) -> None:
    """Told, and neither brought up to date nor mended."""
    url = new_sqlite(migrated=True)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement)
        connection.commit()
    verdict, text = await said(url)
    assert verdict is Verdict.WRONG
    assert words in text


async def test_one_of_an_earlier_version(new_sqlite: NewDatabase) -> None:
    """Nothing to mend: the bot brings it up to date when it starts. A look does not."""
    url = new_sqlite(migrated=False)
    await release(url)
    for _ in range(2):
        verdict, text = await said(url)
        assert verdict is Verdict.NOTE
        assert "of an earlier version (0002). The next start of the bot brings it up to date." in text


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """Not one byte of it is changed."""
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = file.read_bytes()
    verdict, text = await said(f"sqlite:///{file}")
    assert verdict is Verdict.WRONG
    assert "another program" in text
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == [file.name]


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """None could be made."""
    verdict, text = await said(f"sqlite:///{tmp_path}/no/ledger.db")
    assert verdict is Verdict.WRONG
    assert "none can be made there" in text


async def test_a_server_that_is_away(databases: Databases) -> None:
    """In one line, without the password."""
    verdict, text = await said("postgresql://someone:hunter2@127.0.0.1:1/ledger")
    assert verdict is Verdict.WRONG
    assert "hunter2" not in text


async def test_a_user_who_may_not_write(new_postgresql: NewDatabase) -> None:
    """The rights are tried, table by table, with no row written."""
    url = new_postgresql(migrated=True)
    with psycopg.connect(url) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    try:
        with_user = url.replace("postgresql://postgres:@", "postgresql://reader@").replace(
            "postgresql://postgres@", "postgresql://reader@"
        )
        assert "reader" in with_user, url
        verdict, text = await said(with_user)
        assert verdict is Verdict.WRONG
        assert "permission denied" in text
    finally:
        with psycopg.connect(url) as connection:
            connection.execute("DROP OWNED BY reader")
            connection.execute("DROP ROLE reader")


async def test_a_database_that_cannot_hold_every_name(
    databases: Databases, new_postgresql: NewDatabase
) -> None:
    """UTF8 is asked for, as when the bot starts."""
    with psycopg.connect(new_postgresql(migrated=False), autocommit=True) as connection:
        how = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        connection.execute(f"CREATE DATABASE latin {how}".encode())
        try:
            verdict, text = await said(databases.address("latin"))
        finally:
            connection.execute("DROP DATABASE latin WITH (FORCE)")
    assert verdict is Verdict.WRONG
    assert "server_encoding is LATIN1" in text
