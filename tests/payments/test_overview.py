"""What waits for approval, by whom it waits for."""

from __future__ import annotations

from datetime import date

from bot.domain.payment import InvoiceRef
from bot.domain.policy import Tier
from bot.domain.schedule import PayOn
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


async def test_what_is_to_be_paid_on_a_day_comes_in_the_order_of_the_days(office: Office) -> None:
    """What was decided on, and what waits for that; what is paid at once is not among it."""
    office.rules(policy(tiers=(Tier(None, 1),)))
    days = [date(2026, 3, 9), date(2026, 3, 7), date(2026, 3, 8), date(2026, 3, 6), None]
    for number, day in enumerate(days, start=1):
        office.billing.add_invoice("mail", number)
        await office.looked_up(InvoiceRef("mail", number), pay_on=None if day is None else PayOn(day))
    for number in (1, 2):
        await office.desk.approve(BOB, number)
    found = await Overview(office.ledger, office.authority).scheduled()
    assert [[one.request.id for one in each] for each in (found.approved, found.asked)] == [[2, 1], [4, 3]]
