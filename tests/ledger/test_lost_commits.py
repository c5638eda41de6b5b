"""The answer to a COMMIT is lost: what became of it is read again, and not guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.errors import CommitLost, LedgerUnavailable
from bot.ledger.opening import open_ledger
from bot.ledger.store import Ledger
from tests.fixture_types import NewDatabase
from tests.ledger.making import happened, trail
from tests.lost_commits import CommitWire, commit_wire
from tests.postgresql import Databases


@pytest.fixture
async def wire(databases: Databases) -> AsyncIterator[CommitWire]:
    async with commit_wire(databases) as opened:
        yield opened


@pytest.fixture
async def ledger(new_postgresql: NewDatabase, wire: CommitWire) -> AsyncIterator[Ledger]:
    async with open_ledger(wire.behind(new_postgresql(migrated=True))) as opened:
        yield opened


async def record(ledger: Ledger, action: str) -> None:
    async with ledger.transaction() as transaction:
        await transaction.record(happened(action), actor="test")


async def actions(ledger: Ledger) -> list[str]:
    return [event.action for event in await trail(ledger)]


async def test_a_commit_that_arrived_counts_as_one(ledger: Ledger, wire: CommitWire) -> None:
    """Nobody above hears of it, and whoever waits for it is woken."""
    woken = ledger.watch()
    wire.lose("after", "sealed")
    await record(ledger, "sealed")
    assert wire.lost.is_set()
    assert woken.is_set()
    assert await actions(ledger) == ["sealed"]


async def test_a_commit_that_did_not_arrive_is_known_not_to_count(ledger: Ledger, wire: CommitWire) -> None:
    """It is the error that says so, and no other; nothing stands in the trail, and nobody is woken."""
    woken = ledger.watch()
    wire.lose("before", "sealed")
    with pytest.raises(LedgerUnavailable) as caught:
        await record(ledger, "sealed")
    assert type(caught.value) is LedgerUnavailable
    assert not woken.is_set()
    assert await actions(ledger) == []


async def test_another_event_of_the_same_number_is_not_taken_for_it(ledger: Ledger, wire: CommitWire) -> None:
    """Somebody else was quicker with the next event: it is theirs, and ours does not count."""

    async def somebody_else() -> None:
        await wire.lost.wait()
        await record(ledger, "other")

    wire.lose("before", "sealed")
    other = asyncio.create_task(somebody_else())
    with pytest.raises(LedgerUnavailable):
        await record(ledger, "sealed")
    await other
    assert await actions(ledger) == ["other"]


async def test_a_commit_that_is_still_under_way_is_waited_for(ledger: Ledger, wire: CommitWire) -> None:
    """The server may hear of it later than we ask: not there yet is not a no."""
    wire.lose("held", "sealed")
    recording = asyncio.create_task(record(ledger, "sealed"))
    await wire.lost.wait()
    done, _ = await asyncio.wait({recording}, timeout=0.5)
    assert not done
    wire.release()
    await recording
    assert await actions(ledger) == ["sealed"]


async def test_where_it_cannot_be_read_again_it_is_not_known(ledger: Ledger, wire: CommitWire) -> None:
    """A word of its own, for nobody may call it done or not done; it did arrive here."""
    wire.lose("after", "sealed", and_all=True)
    with pytest.raises(CommitLost):
        await record(ledger, "sealed")
    await wire.heal()
    assert await actions(ledger) == ["sealed"]


async def test_a_commit_that_does_not_arrive_for_long_does_not_count(
    ledger: Ledger, wire: CommitWire
) -> None:
    """Until the server ends the idle transaction, both is possible: that is waited for."""
    wire.lose("held", "sealed")
    with pytest.raises(LedgerUnavailable) as caught:
        await record(ledger, "sealed")
    assert type(caught.value) is LedgerUnavailable
    wire.release()
    assert await actions(ledger) == []


async def test_a_transaction_that_fails_before_its_commit_does_not_count(
    ledger: Ledger, wire: CommitWire
) -> None:
    """There is nothing to ask then."""

    async def fail() -> None:
        async with ledger.transaction() as transaction:
            await transaction.record(happened("sealed"), actor="test")
            raise LedgerUnavailable("on purpose")

    with pytest.raises(LedgerUnavailable, match="on purpose") as caught:
        await fail()
    assert type(caught.value) is LedgerUnavailable
    assert await actions(ledger) == []
