"""The head of the audit trail: told once a day, and nothing where there is nothing new."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select

from bot.domain.digest_plan import DigestPlan
from bot.domain.payment import InvoiceRef
from bot.ledger.opening import open_ledger
from bot.ledger.schema import events
from bot.ledger.store import Ledger
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.audit_head import HeadTeller
from bot.slack.connection import workspace_of
from bot.slack.once import Once
from bot.slack.pace import Pace
from bot.slack.telling_once import EVERY_DAY
from bot.slack.web_api import web_client
from tests.fixture_types import QUICK, Clock, StartBot
from tests.ledger.making import request
from tests.slack.acting import shown

_numbers = itertools.count(1)

NewTeller = Callable[..., HeadTeller]


@pytest.fixture
async def new_teller(ledger: Ledger, slack: LocalSlack) -> AsyncIterator[NewTeller]:
    """Makes tellers on one ledger whose clock is moved by hand."""
    client = web_client(slack.bot_token, slack.api_url)
    workspace = await workspace_of(client)

    def make(instance: str = "one") -> HeadTeller:
        pace = Pace(posts=1000, burst=1000)
        plan = DigestPlan(ids.APPROVALS, EVERY_DAY, time(9), UTC, timedelta(0), approvers=False)
        return HeadTeller(plan, Once("", ledger, client, workspace, QUICK, pace, instance))

    yield make
    slack.heal()


async def an_event(ledger: Ledger) -> None:
    await request(ledger, InvoiceRef("vps", next(_numbers)), team=ids.TEAM_ID)


async def tell(*tellers: HeadTeller) -> None:
    """Let each do all that it can do now."""
    await asyncio.gather(*(one.poll_once() for one in tellers))
    await asyncio.gather(*(one.pool.drain(10) for one in tellers))


def told(slack: LocalSlack) -> list[str]:
    return [shown(one) for one in slack.messages("#approvals")]


async def test_it_is_told_once_a_day_by_several(
    slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
) -> None:
    """When its time has come: the count, the hash that the trail ends with, and what it is good for."""
    await an_event(ledger)
    clock.set(minutes=-1)
    await tell(new_teller())
    assert told(slack) == []
    clock.set(minutes=1)
    await tell(new_teller(), new_teller("two"))
    await an_event(ledger)
    clock.advance(hours=5)
    await tell(new_teller("three"))
    (text,) = told(slack)
    assert "*Audit trail, 2 Mar 2026: 1 event*" in text
    first = (await ledger._all(select(events.c.hash).order_by(events.c.id)))[0]["hash"]
    assert f"the last with the hash `{first}`" in text
    assert f"python -m bot audit verify --since-head {first}" in text


async def test_nothing_is_told_where_there_is_nothing_new(
    slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock
) -> None:
    """An empty trail has no head; and what came up later on a day stands in the next."""
    await tell(new_teller())
    await an_event(ledger)
    clock.advance(hours=1)
    await tell(new_teller())
    assert told(slack) == []
    for _ in range(3):
        clock.advance(days=1)
        await tell(new_teller())
    assert len(told(slack)) == 1


@pytest.mark.parametrize("mode", ["drop-after", "drop-before", "error:not_in_channel"])
async def test_what_is_tried_again_is_the_same(
    slack: LocalSlack, ledger: Ledger, new_teller: NewTeller, clock: Clock, mode: str
) -> None:
    """Whether it arrived or not; what was not told at all is told on the next day, although it is not new."""
    await an_event(ledger)
    slack.fail("chat.postMessage", mode, times=1)
    for _ in range(3):
        await tell(new_teller())
        await an_event(ledger)
        clock.advance(seconds=31)
    if mode.startswith("error"):
        assert told(slack) == []
        clock.advance(days=1)
        await tell(new_teller())
        assert "4 events" in told(slack)[0]
    else:
        assert "1 event*" in told(slack)[0]
    assert len(told(slack)) == 1


async def test_a_running_bot_tells_it_every_day(
    slack: LocalSlack, start_bot: StartBot, ledger_url: str
) -> None:
    """At the digest's time, also on a day on which no digest is told."""
    async with open_ledger(ledger_url) as ledger:
        await an_event(ledger)
    another_day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(datetime.now(UTC).weekday() + 3) % 7]
    await start_bot(
        timing=replace(QUICK, digest=0.05),
        PAY_DIGEST=f"{ids.RANDOM} {another_day} 00:00 UTC",
        PAY_AUDIT_CHANNEL=ids.APPROVALS,
    )
    (text,) = await slack.wait_for(lambda: told(slack))
    assert "Audit trail" in text
    assert slack.messages("#random") == []
