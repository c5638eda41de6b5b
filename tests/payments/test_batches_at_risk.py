"""What of several must not be paid, or not yet: the total, what is asked again, and what somebody forged."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from bot.domain.payment import State
from bot.domain.policy import Tier
from bot.ledger.queues import EXECUTOR
from bot.payments.answers import Done, Outdated
from bot.payments.worker import Worker
from tests.payments.conftest import ALICE, BOB, ONE, PAY, Office, policy, refused
from tests.payments.test_batches import TENS, looked_up, now, states

BY_TOTAL = policy(tiers=(Tier(Decimal(175), 1), Tier(None, 2)))


async def execute_one(office: Office) -> None:
    """Pay the first that is due, as where there is one place."""
    worker = Worker(office.ledger, EXECUTOR, office.executor.handle, office.instance, office.timing.lease, 1)
    await worker.poll_once()
    await worker.pool.drain(10)


async def test_what_was_paid_of_it_counts_in_what_the_rest_takes(office: Office) -> None:
    """By rules that changed since the total takes two, until one is let go for that; what is spent counts."""
    office.rules(ONE)
    batch = await looked_up(office)
    await office.desk.approve(BOB, batch.request.id, seen=batch.price)
    await execute_one(office)
    office.rules(BY_TOTAL)
    await execute_one(office)
    assert states(await now(office, batch)) == [State.PAID, State.CANCELLED, State.APPROVED]
    await execute_one(office)
    assert states(await now(office, batch)) == [State.PAID, State.CANCELLED, State.PAID]


async def test_what_was_let_go_of_it_does_not_count(office: Office) -> None:
    """Whoever decides on it is asked about what is left."""
    office.rules(BY_TOTAL)
    batch = await looked_up(office)
    assert batch.request.approvals_required == 2
    again = await office.desk.leave_out(ALICE, batch.request.id, [TENS[2]], "not ours")
    assert isinstance(again, Done)
    assert again.batch.price == "59.99 USD; 2 payments"


async def test_what_was_not_sent_waits_while_the_others_are_asked_about_again(office: Office) -> None:
    """Its approval was given with theirs, and does not count any more."""

    async def goes_down(step: str, _: int) -> None:
        if step == "intended":
            office.billing.fail("down")

    office.billing.fail("unreadable")
    office.checkpoint = goes_down
    office.rules(ONE)
    batch = await looked_up(office)
    await office.desk.approve(BOB, batch.request.id, seen=batch.price)
    await execute_one(office)
    assert states(await now(office, batch)) == [State.NOT_SENT, State.APPROVED, State.APPROVED]
    office.billing.heal()
    await office.execute()
    waiting = [State.PENDING_APPROVAL] * 2
    batch = await now(office, batch)
    assert states(batch) == [State.NOT_SENT, *waiting]
    # Whoever approves those lets it go as well, so they are shown what all of it costs.
    assert batch.price == "169.99 USD, 1 unknown; 3 payments"
    only_those = "169.99 USD; 2 payments"
    assert isinstance(await office.desk.approve(BOB, batch.request.id, seen=only_those), Outdated)
    office.clock.advance(minutes=5)
    await office.maintenance.poll_once()
    office.billing.log.clear()
    await office.execute()
    batch = await now(office, batch)
    assert states(batch) == [State.APPROVED, *waiting]
    assert batch.first.reason == "its request waits for approval again"
    assert PAY not in office.calls()
    await office.desk.deny(BOB, batch.request.id, "no")
    office.clock.advance(minutes=5)
    await office.execute()
    assert states(await now(office, batch)) == [State.CANCELLED, State.DENIED, State.DENIED]
    assert PAY not in office.calls()


async def test_taking_a_credit_out_voids_what_was_approved(office: Office) -> None:
    """The others cost more without it, and nobody approved that."""
    office.rules(policy(tiers=(Tier(None, 2),)))
    batch = await looked_up(office)
    async with office.ledger.transaction() as transaction:
        await transaction.change(batch.payments[1], amount=Decimal(-5))
    batch = await now(office, batch)
    assert isinstance(await office.desk.approve(BOB, batch.request.id, seen=batch.price), Done)
    await office.desk.leave_out(ALICE, batch.request.id, [TENS[1]], "not ours")
    assert await office.ledger.approvers(batch.request.id) == []


@pytest.mark.parametrize("of_it", ["line = 2", "line > 1"])
async def test_a_request_of_which_rows_are_missing_is_not_decided_on(office: Office, of_it: str) -> None:
    """Somebody deleted them, so what is shown is a part of it, and so is its total."""
    office.rules(ONE)
    batch = await looked_up(office)
    async with office.ledger.transaction() as transaction:
        await transaction._connection.execute(text(f"DELETE FROM payments WHERE {of_it}"))
    answer = await office.desk.approve(BOB, batch.request.id, seen=batch.price)
    assert refused(answer) == "ledger_contradicted"
