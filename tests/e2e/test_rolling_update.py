"""A rolling update: the bot of before and the one of a later version on one PostgreSQL, and one Slack."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
import structlog

from bot import app
from bot.domain.payment import State
from bot.ledger.version import newest
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack.pace import Pace
from tests.fixture_types import QUICK, NewDatabase, NewSettings, StartBot
from tests.slack.acting import card, pay, shown, thread, when_paying


def take_over(url: str, by: str) -> None:
    """The tables are brought to a version, as whoever starts with it does."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        connection.execute("UPDATE alembic_version SET version_num = %s", (by,))


def rows(url: str) -> list[tuple[object, ...]]:
    """Whatever an instance could have changed."""
    found: list[tuple[object, ...]] = []
    with psycopg.connect(url) as connection:
        for table in ("requests", "payments", "attempts", "approvals", "events", "deliveries", "chain"):
            found += connection.execute(f"SELECT * FROM {table} ORDER BY id".encode()).fetchall()
    return found


@pytest.mark.parametrize("moment", ["before it is sent", "while it is sent"])
async def test_the_bot_of_before_stops_and_the_later_one_finishes_its_work(
    slack: LocalSlack,
    billing: LocalBilling,
    settings: NewSettings,
    start_bot: StartBot,
    new_postgresql: NewDatabase,
    moment: str,
) -> None:
    """It writes nothing more and pays nothing more; nothing is paid twice, and everybody is told."""
    url = new_postgresql(migrated=True)
    pace = Pace(posts=1000, updates=1000, burst=1000)
    before = 1 if moment == "while it is sent" else 0
    with structlog.testing.capture_logs() as logs:
        async with app.running(settings(LEDGER_URL=url), timing=QUICK, pace=pace) as old:
            if before:
                when_paying(billing, lambda: take_over(url, "9999"))
                await pay(slack)
            else:
                take_over(url, "9999")
            async with asyncio.timeout(15):
                await old.broken.wait()
            was = rows(url)
            await slack.person("alice").types("#payments", "/pay vps 10102")
            await asyncio.sleep(1)
            assert rows(url) == was
    said = "\n".join(str(one) for one in logs)
    assert "a later version of the bot has taken the ledger over (9999), so this one stops" in said
    assert billing.payments_made("vps", 10101) == before
    billing.on_call = None
    take_over(url, newest())
    new = await start_bot(LEDGER_URL=url)
    if not before:
        await pay(slack)
    async with asyncio.timeout(30):
        while await new.ledger.by_state() != {State.PAID: 1} or await new.ledger.undelivered():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert billing.payments_made("vps", 10101) == 1
    assert billing.payments_made("vps", 10102) == 0
    assert "Paid" in shown(card(slack))
    assert "Paid" in "\n".join(thread(slack))
    assert (await new.ledger.verify()).whole
