"""How far a payment is with its approvals, as people see it: the next click will be asked by the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.batch import Batch
from bot.domain.payment import Payment, State
from bot.domain.policy import Policy, Rule, Tier
from bot.payments.approvals import ApprovalStatus, shown
from tests.payments.conftest import ALICE, BOB, CAROL, TWO, Office


async def status(office: Office, payment: Payment) -> ApprovalStatus:
    return await shown(office.ledger, office.authority, Batch((await office.now(payment),)))


@pytest.mark.parametrize(
    ("required", "counted", "missing", "awaited"),
    [(0, 0, 0, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 2, 0, 1), (3, 1, 2, 2)],
)
def test_what_waits_waits_for_a_click_at_least(
    required: int, counted: int, missing: int, awaited: int
) -> None:
    """More approvals than are needed are not missing either."""
    found = ApprovalStatus(required, tuple(f"U{number}" for number in range(counted)))
    assert (found.missing, found.awaited) == (missing, awaited)


async def test_while_it_waits_it_goes_by_the_rule_as_it_is_now(strict: Office) -> None:
    """Who may not approve any more does not count, and the requester is not among those who may."""
    payment = await strict.looked_up()
    await strict.desk.approve(BOB, payment.id)
    approvers = TWO.rules[0].approvers
    others = approvers - {ALICE.id}
    assert await status(strict, payment) == ApprovalStatus(2, (BOB.id,), may_approve=others)
    named = frozenset({"S1", CAROL.id})
    stricter = Rule("stricter", frozenset({ALICE.id}), named, (Tier(None, 3),), modules=frozenset({"vps"}))
    strict.rules(Policy((stricter, *TWO.rules)))
    assert await status(strict, payment) == ApprovalStatus(3, (), frozenset({BOB.id}), named)


async def test_who_may_not_ask_any_more_is_shown_by_the_rule_it_was_asked_under(strict: Office) -> None:
    """Denying it is still theirs who may approve."""
    payment = await strict.looked_up()
    await strict.desk.approve(BOB, payment.id)
    theirs = replace(TWO.rules[0], requesters=frozenset({"U7"}))
    strict.rules(Policy((theirs,)))
    found = await status(strict, payment)
    assert (found.counted, found.may_approve) == ((BOB.id,), theirs.approvers - {ALICE.id})


async def test_where_the_rule_is_gone_everybody_counts_who_approved(strict: Office) -> None:
    """A rule that is gone asks for what it asked for, and names nobody."""
    payment = await strict.looked_up()
    await strict.desk.approve(BOB, payment.id)
    strict.rules(Policy(()))
    assert await status(strict, payment) == ApprovalStatus(2, (BOB.id,))


async def test_once_it_is_decided_what_was_given_stays(strict: Office) -> None:
    """That somebody may not approve any more does not change who approved."""
    payment = await strict.looked_up()
    for person in (BOB, CAROL):
        await strict.desk.approve(person, payment.id)
    assert (await strict.now(payment)).state is State.APPROVED
    fewer = Rule("default", frozenset({ALICE.id}), frozenset({"S1"}), (Tier(None, 2),))
    strict.rules(Policy((fewer,)))
    found = await status(strict, payment)
    assert (found.counted, found.void) == ((BOB.id, CAROL.id), frozenset())
