"""What stands in Slack in the end is what the ledger says, and it stands there once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.domain.payment import State
from tests.faults.conftest import DATABASES, InstallationOn
from tests.faults.counts import Counts
from tests.faults.invariants import check_invariants
from tests.faults.scenarios import WITH_APPROVAL


@pytest.mark.parametrize("database", DATABASES)
async def test_a_card_that_was_posted_unnoticed_is_brought_up_to_date(
    installation_on: InstallationOn, counts: Counts, database: str
) -> None:
    """A card whose post was never noted down shows what happened while nobody knew of it."""
    options: dict[str, Any] = {"settings": WITH_APPROVAL | {"PAY_EXPIRES_AFTER": "1s"}}
    async with installation_on(database) as installation:
        bot = await installation.start(kill_at="after chat.postMessage #1", **options)
        await installation.asks("alice", "payments", "vps", 10101)
        await bot.end(5)
        await asyncio.sleep(1)  # it expires meanwhile
        await installation.start(**options)
        await installation.rest()
        found = await check_invariants(installation)
        counts.add(found)
        assert not found.wrong
        assert set(await (await installation.ledger()).by_state()) == {State.EXPIRED}


async def test_who_waited_too_long_for_their_turn_leaves_the_post_to_whoever_has_it_now(
    installation_on: InstallationOn, counts: Counts
) -> None:
    """Two instances post nothing twice, even where one waits for its turn for longer than its lease."""
    async with installation_on("postgres") as installation:
        for _ in range(2):
            await installation.start(lease=1.0, posts=0.5, burst=1)
        await installation.asks("alice", "payments", "vps", 10101)
        await installation.asks("alice", "payments", "vps", 10102)
        await installation.rest(30)
        found = await check_invariants(installation)
        counts.add(found)
        assert not found.wrong
