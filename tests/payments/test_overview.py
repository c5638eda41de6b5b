"""What waits for approval, by whom it waits for."""

from __future__ import annotations

from bot.domain.payment import InvoiceRef
from bot.domain.policy import Tier
from bot.payments.authority import Person
from bot.payments.overview import Overview
from tests.payments.conftest import ALICE, BOB, CAROL, Office, policy

REFS = [InvoiceRef("vps", 10101), InvoiceRef("vps", 10102)]
GROUP = "S1"


async def pending(office: Office, person: Person) -> tuple[list[int], list[int], int]:
    """The requests that wait for this person and for others, and how many Slack says nothing of."""
    found = await Overview(office.ledger, office.authority).pending(person)
    return [one.request.id for one in found.mine], [one.request.id for one in found.others], found.unsure


async def test_what_somebody_asked_for_or_approved_waits_for_others(office: Office) -> None:
    """The oldest first."""
    office.rules(policy(tiers=(Tier(None, 2),)))
    for ref in REFS:
        await office.looked_up(ref)
    await office.desk.approve(BOB, 1)
    assert await pending(office, BOB) == ([2], [1], 0)
    assert await pending(office, CAROL) == ([1, 2], [], 0)
    assert await pending(office, ALICE) == ([], [1, 2], 0)


async def test_what_slack_says_nothing_of_is_counted(office: Office) -> None:
    """Nobody takes it for none of theirs."""
    office.rules(policy(tiers=(Tier(None, 1),), approvers=frozenset({GROUP})))
    office.register.groups[GROUP] = {BOB.id}
    for ref in REFS:
        await office.looked_up(ref)
    assert await pending(office, BOB) == ([1, 2], [], 0)
    office.register.silent = True
    assert await pending(office, BOB) == ([], [1, 2], 2)
