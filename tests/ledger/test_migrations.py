"""The migrations make the tables that the code reads and writes through, and nothing else."""

from __future__ import annotations

import asyncio
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from bot.domain.payment import InvoiceRef, State
from bot.domain.schedule import PayOn
from bot.errors import LedgerUnfit
from bot.ledger import database, schema, version
from bot.ledger.notices import Topic
from bot.ledger.opening import open_ledger
from bot.ledger.watching import to_tell
from tests.command_line import CommandServer, environment_of_a_command
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.forging import forge, past_the_ledger
from tests.ledger.making import request
from tests.ledger.released import release, upgrade

# SQLite's index on what an event's detail names cannot be read back from it; what it is of use for is tested.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index"),
    pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index"),
]


@pytest.fixture
def ledger_url(new_database: NewDatabase) -> str:
    """The LEDGER_URL of an empty database."""
    return new_database(migrated=False)


async def test_the_migrations_make_exactly_the_tables_of_the_schema(ledger_url: str) -> None:
    """Alembic finds nothing to add, to drop or to change after the migrations."""
    engine = database.engine_for(ledger_url)
    await version.migrate(engine)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_the_migrated_tables_are_made_word_for_word_as_the_schema_says(ledger_url: str) -> None:
    """Also what Alembic does not compare is the same: conditions of indexes, unique keys, defaults."""
    engine = database.engine_for(ledger_url)
    await version.migrate(engine)

    def statements(connection: Connection) -> list[str]:
        found = MetaData()
        found.reflect(connection)
        return _statements(found, connection) + _autoincrementing(connection)

    async with engine.connect() as connection:
        migrated = await connection.run_sync(statements)
    async with database.writing(engine).begin() as connection:
        await connection.run_sync(_drop_everything)
        await connection.run_sync(schema.metadata.create_all)
        assert await connection.run_sync(statements) == migrated
    await engine.dispose()


def _statements(metadata: MetaData, connection: Connection) -> list[str]:
    tables = [table for table in metadata.sorted_tables if table.name != "alembic_version"]
    texts = [str(CreateTable(table).compile(connection)) for table in tables]
    texts += [str(CreateIndex(index).compile(connection)) for table in tables for index in table.indexes]
    # SQLite gives a condition back as it was written, and one of the two writes it in brackets.
    return sorted(re.sub(r"WHERE \((.*)\)$", r"WHERE \1", each) for each in texts)


def _autoincrementing(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    found = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"))
    return sorted(found.scalars())


def _drop_everything(connection: Connection) -> None:
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)


async def test_migrating_again_changes_nothing(ledger_url: str) -> None:
    """A restart finds the ledger that it left: the same identity, the same tables."""
    async with open_ledger(ledger_url) as first:
        identity = first.identity
    async with open_ledger(ledger_url) as second:
        assert second.identity == identity


async def test_a_ledger_of_before_holds_a_request_for_every_payment(ledger_url: str, clock: Clock) -> None:
    """With its number, whatever state it is in; also one that an older instance took down in between."""
    await release(ledger_url)
    await upgrade(ledger_url, "0005")
    engine = database.engine_for(ledger_url)
    async with database.writing(engine).begin() as connection:
        before = (await connection.execute(text("SELECT id, state FROM payments ORDER BY id"))).all()
        await connection.execute(
            text("UPDATE payments SET state = 'PENDING_APPROVAL' WHERE state = 'REQUESTED'")
        )
    await engine.dispose()
    assert {state for _, state in before} >= {"REQUESTED", "UNKNOWN", "PAID", "DECLINED", "DENIED"}
    async with open_ledger(ledger_url, clock=clock) as ledger:
        carried = [await ledger.of_request(number) for number, _ in before]
        told = [(one.request.id, str(one.first.state)) for one in carried if one is not None]
        assert told == [tuple(row) for row in before]
        assert {(one.first.line, one.request.size, one.number) for one in carried if one is not None} == {
            (1, 1, f"#{number}") for number, _ in before
        }
        assert (await ledger.verify()).whole
        assert (await request(ledger, InvoiceRef("mail", 5))).request.id == before[-1].id + 1


async def test_what_an_older_instance_writes_meanwhile_is_carried_over(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """A transaction that began before the migration ends before it: what it was told was written stands."""
    url = new_postgresql(migrated=False)
    await release(url)
    await upgrade(url, "0005")
    engine = database.engine_for(url)
    async with engine.connect() as older:
        await older.execute(text("UPDATE payments SET reason = 'in doubt' WHERE id = 1"))
        opening = asyncio.create_task(_open(url, clock))
        await _somebody_waits(url)
        await older.commit()
    await engine.dispose()
    await opening
    async with open_ledger(url, clock=clock) as ledger:
        carried = await ledger.of_request(1)
    assert carried is not None
    assert carried.first.reason == "in doubt"


@pytest.mark.parametrize("before", ["0006", "0007", "0008", "0009", "0010"])
async def test_what_was_asked_for_before_is_for_no_day(ledger_url: str, clock: Clock, before: str) -> None:
    """Whatever version its tables are of, all of it is sent at once as before, and the trail proves that."""
    await release(ledger_url)
    await upgrade(ledger_url, before)
    engine = database.engine_for(ledger_url)
    async with engine.connect() as connection:
        ended = (await connection.execute(text("SELECT last_event, last_hash FROM chain"))).one()
    await engine.dispose()
    async with open_ledger(ledger_url, clock=clock) as ledger:
        carried = await ledger.recent(limit=None)
        assert carried
        assert {(one.request.pay_on, one.first.not_before) for one in carried} == {(None, None)}
        found = await ledger.verify()
        assert (found.whole, found.events, found.last_hash) == (True, *ended)
        (asked,) = [one for one in carried if one.first.state is State.APPROVED][:1]
        async with ledger.transaction() as transaction:
            assert await transaction.disproved(asked.first) is None
        assert (await request(ledger, InvoiceRef("mail", 5), pay_on=PayOn())).request.pay_on == PayOn()
        assert (await ledger.verify()).whole


async def test_what_was_told_before_is_not_told_again(ledger_url: str, clock: Clock) -> None:
    """Of a day's digests: the one that was told, and the one of which that is not known."""
    await release(ledger_url)
    await upgrade(ledger_url, "0010")
    columns = "INSERT INTO digests (day, place, ended, ts, tries, begun, created_at, due_at) VALUES"
    at = "'2026-03-02 09:00:00.000000', '2026-03-02 09:00:00.000000'"
    async with past_the_ledger(ledger_url) as engine:
        await forge(
            engine,
            f"{columns} ('2026-03-02', 'C1', 'told', '1.1', 1, true, {at})",
            f"{columns} ('2026-03-02', 'U2', NULL, NULL, 1, true, {at})",
            f"{columns} ('2026-03-02', 'U3', NULL, NULL, 0, false, {at})",
        )
    async with open_ledger(ledger_url, clock=clock) as ledger:
        assert await to_tell(ledger, Topic.DIGEST, date(2026, 3, 2), "C1") is True
        async with ledger.transaction() as transaction:
            lease = timedelta(seconds=30)
            left = [
                await transaction.notices.claim(
                    {Topic.DIGEST}, owner="one", lease=lease, day=date(2026, 3, 2)
                )
                for _ in range(2)
            ]
    assert [one and one.place for one in left] == ["U3", None]


async def test_a_step_that_was_refused_before_stays_refused(ledger_url: str, clock: Clock) -> None:
    """Whatever else is known to be refused by now, its event may come again after the update."""
    await upgrade(ledger_url, "0014")
    async with past_the_ledger(ledger_url) as engine:
        columns = "INSERT INTO refused_steps (run, why, at) VALUES"
        await forge(engine, f"{columns} ('Fx1', 'because', '2026-03-02 09:00:00')")
    async with open_ledger(ledger_url, clock=clock) as ledger, ledger.transaction() as transaction:
        assert await transaction.refused_triggers.why("step:Fx1") == "because"


@pytest.mark.parametrize("known_as", ["size", "lines"])
async def test_an_instance_of_an_earlier_release_can_read_and_write_no_request(
    ledger_url: str, clock: Clock, known_as: str
) -> None:
    """It may still be running during an update. Of several payments it would pay each by itself, without the
    total; what is erased it would take for forged; and it would go on with a ledger that was moved.

    known_as: what the releases of tables 0006 and 0008 call the number of payments.
    """
    await _open(ledger_url, clock)
    async with past_the_ledger(ledger_url) as engine:
        for statement in (
            f"SELECT payments.id, requests.{known_as} FROM requests JOIN payments"
            " ON requests.id = payments.request_id",
            f"UPDATE requests SET approvals_required = 0 WHERE id = 1 RETURNING id, {known_as}",
            f"INSERT INTO requests (id, {known_as}) VALUES (1, 1)",
        ):
            with pytest.raises(DBAPIError, match=rf"\b{known_as}\b"):
                await forge(engine, statement)


async def test_who_starts_while_another_migrates_waits_for_it(
    new_postgresql: NewDatabase, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for longer than anybody waits for a lock otherwise: a large ledger takes minutes."""
    url = new_postgresql(migrated=False)
    monkeypatch.setitem(database._SESSION, "lock_timeout", "100ms")
    engine = database.engine_for(url)
    async with engine.connect() as first:
        await first.execute(text(f"SELECT pg_advisory_xact_lock({version._MIGRATION_LOCK})"))
        opening = asyncio.create_task(_open(url, clock))
        await _somebody_waits(url)
        await asyncio.sleep(0.3)
        await first.rollback()
    await engine.dispose()
    await opening


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payments WHERE id = 2",
        "UPDATE approvals SET payment_id = 777 WHERE id = 1",
        "UPDATE attempts SET payment_id = 777 WHERE id = 1",
        "UPDATE deliveries SET payment_id = 777 WHERE id = 3",
    ],
)
async def test_a_ledger_of_before_whose_rows_do_not_hang_together_is_left_as_it_is(
    new_sqlite: NewDatabase, clock: Clock, statement: str
) -> None:
    """Whoever starts the bot is told of a row, and what to do."""
    url = new_sqlite(migrated=False)
    await release(url)
    async with past_the_ledger(url) as engine:
        await forge(engine, statement)
    with pytest.raises(LedgerUnfit, match=r"row \d+ of \w+ refers to a row of payments that is missing"):
        await _open(url, clock)
    async with past_the_ledger(url) as engine, engine.connect() as connection:
        found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        assert found.scalars().all() == ["0002"]


async def _open(url: str, clock: Clock) -> None:
    async with open_ledger(url, clock=clock):
        pass


async def _somebody_waits(url: str) -> None:
    """Until a transaction waits for what another one holds."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    engine = database.engine_for(url)
    async with asyncio.timeout(10), database.reading(engine).connect() as connection:
        while not (await connection.execute(waiting)).scalar_one():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await engine.dispose()


async def test_every_ledger_has_an_identity_of_its_own(ledger_url: str) -> None:
    """What is looked for in Slack by its metadata is never another ledger's."""
    async with open_ledger(ledger_url) as one:
        assert len(one.identity) == 36
        engine = database.engine_for(ledger_url)
        async with engine.connect() as connection:
            tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        await engine.dispose()
    assert {"payments", "approvals", "attempts", "events", "chain", "deliveries"} < set(tables)


_START = """
import asyncio, sys
from bot.ledger.notices import Topic
from bot.ledger.opening import open_ledger
from bot.ledger.watching import to_tell

async def main():
    async with open_ledger(sys.argv[1]) as ledger:
        print(ledger.identity)

asyncio.run(main())
"""


async def test_several_instances_may_migrate_at_once(
    ledger_url: str, command_server: CommandServer, tmp_path: Path
) -> None:
    """Three processes that start on one empty database all end up with the same ledger."""
    environment = environment_of_a_command({})
    starting = [
        await command_server.start((ledger_url,), folder=tmp_path, environment=environment, program=_START)
        for _ in range(3)
    ]
    async with asyncio.timeout(30):
        told = [(await process.communicate())[0].strip() for process in starting]
    assert [process.returncode for process in starting] == [0, 0, 0]
    assert len(set(told)) == 1
