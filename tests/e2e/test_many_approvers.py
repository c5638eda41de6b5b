"""Everybody presses Approve at the same moment, with two instances behind the buttons."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.domain.payment import State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE
from tests.fixture_types import NewDatabase, StartBot

APPROVERS = 30


@pytest.mark.parametrize("required", [1, 3])
async def test_thirty_approvers_decide_once(
    slack: LocalSlack,
    billing: LocalBilling,
    start_bot: StartBot,
    new_postgresql: NewDatabase,
    required: int,
) -> None:
    """It is decided once and executed once, and each click is answered."""
    people = [
        slack.world.add_person(f"approver{number}", f"Approver {number}") for number in range(APPROVERS)
    ]
    for person in people:
        slack.world.join(ids.PAYMENTS, person.id)
    url = new_postgresql(migrated=True)
    rules: dict[str, Any] = {
        "LEDGER_URL": url,
        "PAY_ALLOWED_USERS": ids.ALICE,
        "PAY_APPROVERS": ",".join(person.id for person in people),
        "PAY_APPROVALS_REQUIRED": str(required),
    }
    one, other = await start_bot(**rules), await start_bot(**rules)
    await slack.wait_for(lambda: slack.sockets.connections == 2)
    await slack.person("alice").types("#payments", "/pay vps 10101")
    assert await one.rest(20)
    (card,) = slack.messages("#payments")

    clicks = [slack.person(person.id).clicks(card, APPROVE) for person in people]
    results = await asyncio.gather(*clicks)

    assert all(result.ok for result in results), [result.error for result in results if not result.ok]
    assert await one.rest(30)
    assert await other.rest(30)
    payment = await one.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.PAID
    actions = [event.action for event in await one.ledger.history(1)]
    assert actions.count("approval_complete") == 1
    assert actions.count("approved") == required
    assert billing.payments_received("vps", 10101) == 1
    told = [len(slack.ephemerals(person.name)) for person in people]
    assert told.count(0) == required, "whoever came too late is told so"
