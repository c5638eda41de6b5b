"""During a rolling update an instance of before and one of a later version run on one PostgreSQL.

The later one brings the tables to its version when it starts. From that moment on the other writes nothing:
what it has begun counts, and what it begins afterwards is refused in a sentence.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, text

from bot.domain.events import Held
from bot.domain.payment import State
from bot.errors import LedgerUnfit
from bot.ledger import database, version
from bot.ledger.opening import open_ledger
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import request, request_in, trail
from tests.ledger.test_migrations import _somebody_waits

LATER = "UPDATE alembic_version SET version_num = '9999'"


def _bring_up_to_date(connection: Connection) -> None:
    connection.execute(text(LATER))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later version does with the tables when it starts; this one does not know of it."""
    monkeypatch.setattr(version, "_bring_up_to_date", _bring_up_to_date)


async def take_over(url: str) -> None:
    """A later version starts."""
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        await connection.run_sync(version.one_at_a_time)
        await connection.run_sync(version.make_newest, version.newest())
    await engine.dispose()


@pytest.mark.usefixtures("later")
async def test_an_instance_of_before_writes_nothing_once_a_later_one_took_over(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """Neither an event nor a lease, nor what Slack was told."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url, instance="before", clock=clock) as ledger:
        payment = await request_in(ledger, State.APPROVED)
        events = len(await trail(ledger))
        await take_over(url)
        sentence = r"a later version of the bot has taken the ledger over \(9999\), so this one stops"
        with pytest.raises(LedgerUnfit, match=sentence):
            async with ledger.transaction() as transaction:
                await transaction.postpone(payment, until=clock.now)
        with pytest.raises(LedgerUnfit, match=sentence):
            await request(ledger)
        assert await ledger.payment(payment.id) == payment
        assert len(await trail(ledger)) == events
    with pytest.raises(LedgerUnfit, match="of a later version than this bot"):
        async with open_ledger(url):
            pass


@pytest.mark.usefixtures("later")
async def test_what_was_begun_before_counts_and_is_waited_for(
    new_postgresql: NewDatabase, clock: Clock
) -> None:
    """A transaction that was let in ends before the tables change."""
    url = new_postgresql(migrated=True)
    async with open_ledger(url, instance="before", clock=clock) as ledger:
        payment = await request_in(ledger, State.APPROVED)
        async with ledger.transaction() as transaction:
            taking_over = asyncio.create_task(take_over(url))
            await _somebody_waits(url)
            event_id = await transaction.record(Held("for a moment"), actor="executor", payment=payment)
        await taking_over
        assert (await ledger.event(event_id)).what == Held("for a moment")
        assert (await ledger.verify()).whole
