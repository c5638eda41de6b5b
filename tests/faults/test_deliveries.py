"""What stands in Slack in the end is what the ledger says, and it stands there once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.domain.payment import State
from tests.faults.conftest import DATABASES, StageOn
from tests.faults.counts import Tally
from tests.faults.invariants import compare
from tests.faults.scenarios import WITH_APPROVAL


@pytest.mark.parametrize("database", DATABASES)
async def test_a_card_that_was_posted_unnoticed_is_brought_up_to_date(
    stage_on: StageOn, tally: Tally, database: str
) -> None:
    """A card whose post was never noted down shows what happened while nobody knew of it."""
    orders: dict[str, Any] = {"settings": WITH_APPROVAL | {"PAY_EXPIRES_AFTER": "1s"}}
    async with stage_on(database) as stage:
        bot = await stage.start(kill_at="after chat.postMessage #1", **orders)
        await stage.asks("alice", "payments", "vps", 10101)
        await bot.end(5)
        await asyncio.sleep(1)  # it expires meanwhile
        await stage.start(**orders)
        await stage.rest()
        found = await compare(stage)
        tally.add(found)
        assert not found.wrong
        assert set(await (await stage.ledger()).by_state()) == {State.EXPIRED}


async def test_who_waited_too_long_for_their_turn_leaves_the_post_to_whoever_has_it_now(
    stage_on: StageOn, tally: Tally
) -> None:
    """Two instances post nothing twice, even where one waits for its turn for longer than its lease."""
    async with stage_on("postgres") as stage:
        for _ in range(2):
            await stage.start(lease=1.0, posts=0.5, burst=1)
        await stage.asks("alice", "payments", "vps", 10101)
        await stage.asks("alice", "payments", "vps", 10102)
        await stage.rest(30)
        found = await compare(stage)
        tally.add(found)
        assert not found.wrong
