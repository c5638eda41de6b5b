"""The rule's limits: a day is the day of the request, and they are checked again right before sending."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Policy, Rule, Tier
from bot.domain.schedule import PayOn
from tests.fixture_types import Clock
from tests.ledger.making import stored
from tests.payments.conftest import ALICE, BOB, CAROL, PAY, VPS, Office, policy

MIDNIGHT = datetime(2026, 3, 3, tzinfo=UTC)
NUMBERS = (90001, 90002, 90003)
FIFTY_A_DAY = ("limit_per_person_per_day", "limit_per_rule_per_day")


async def requested(office: Office) -> list[Payment]:
    """Three requests of 49.00 USD, which nobody looked up yet."""
    for number in NUMBERS:
        office.billing.add_invoice("vps", number, amount=49.0)
    return [await office.request(InvoiceRef("vps", number)) for number in NUMBERS]


async def states(office: Office, payments: list[Payment]) -> list[State]:
    return [(await office.now(payment)).state for payment in payments]


class TestWhoseDayItIs:
    @pytest.mark.parametrize("limit", FIFTY_A_DAY)
    async def test_what_is_looked_up_after_midnight_counts_on_the_day_before(
        self, office: Office, clock: Clock, limit: str
    ) -> None:
        """Requests of one day cannot escape its limit by being slow."""
        office.rules(policy(**{limit: Decimal(50)}))
        clock.now = MIDNIGHT - timedelta(seconds=2)
        payments = await requested(office)
        clock.now = MIDNIGHT + timedelta(seconds=2)
        await office.look()
        assert sorted(await states(office, payments)) == [State.APPROVED, State.CANCELLED, State.CANCELLED]

    @pytest.mark.parametrize("limit", FIFTY_A_DAY)
    async def test_the_new_day_is_not_charged_with_the_old_one(
        self, office: Office, clock: Clock, limit: str
    ) -> None:
        """Nor the old one with the new: each side of midnight has its own limit, whoever is looked up
        first."""
        office.rules(policy(**{limit: Decimal(50)}))
        office.billing.add_invoice("vps", 90000, amount=49.0)
        clock.now = MIDNIGHT - timedelta(seconds=1)
        before = await office.request(InvoiceRef("vps", 90000))
        async with office.ledger.transaction() as transaction:
            await transaction.change(before, due_at=MIDNIGHT + timedelta(seconds=1))
        clock.now = MIDNIGHT
        after = await requested(office)
        await office.look()
        assert sorted(await states(office, after)) == [State.APPROVED, State.CANCELLED, State.CANCELLED]
        clock.now = MIDNIGHT + timedelta(seconds=1)
        await office.look()
        assert await states(office, [before]) == [State.APPROVED]


@pytest.mark.parametrize("limit", FIFTY_A_DAY)
async def test_a_rule_that_gets_another_name_begins_no_new_day(office: Office, limit: str) -> None:
    """What was asked for under a rule that is gone counts under each; under one that is there it does not."""
    fifty = {limit: Decimal(50)}
    vps = {"modules": frozenset({"vps"})}
    office.rules(policy(**fifty))
    first, second, third = await requested(office)
    await office.desk.withdraw(ALICE, third.request.id)
    await office.desk.withdraw(ALICE, second.request.id)
    await office.look()
    office.rules(policy(name="renamed", **fifty))
    again = await office.looked_up(second.ref)
    assert await states(office, [first, again]) == [State.APPROVED, State.CANCELLED]
    office.rules(Policy((*policy(name="new", **fifty, **vps).rules, *policy(**fifty).rules)))
    assert (await office.looked_up(third.ref)).state is State.APPROVED


async def approved(office: Office, ref: InvoiceRef = VPS) -> Payment:
    """A payment that Bob approved by a rule without limits."""
    office.rules(policy(tiers=(Tier(None, 1),)))
    payment = await office.looked_up(ref)
    await office.desk.approve(BOB, payment.request.id)
    payment = await office.now(payment)
    assert payment.state is State.APPROVED
    return payment


class TestRightBeforeSending:
    @pytest.mark.parametrize(
        ("stricter", "why"),
        [
            (
                {"limit_per_payment": Decimal(1)},
                "10.00 USD is above the limit of 1.00 USD for one payment; waiting will not help.",
            ),
            ({"currencies": frozenset({"EUR"})}, "This invoice is in USD; only EUR may be paid here."),
            ({"limit_per_person_per_day": Decimal(9)}, "above your whole daily limit of 9.00 USD"),
            ({"limit_per_rule_per_day": Decimal(9)}, "above everybody's whole daily limit of 9.00 USD"),
        ],
        ids=["payment", "currency", "person", "rule"],
    )
    async def test_what_the_rule_as_it_is_now_forbids_is_not_sent(
        self, office: Office, stricter: dict[str, Any], why: str
    ) -> None:
        """It was approved by another; it is cancelled, and its card says why."""
        payment = await approved(office)
        office.rules(policy(tiers=(Tier(None, 1),), **stricter))
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.CANCELLED
        assert why in str(payment.reason)
        assert PAY not in office.calls()
        event = await office.last(payment)
        assert (event.actor, event.action, stored(event)["reason"]) == (
            "executor",
            "cancelled",
            payment.reason,
        )
        assert stored(event)["remedy"]

    async def test_an_unknown_amount_is_not_sent_where_a_limit_came_up(self, office: Office) -> None:
        """What cannot be compared with the limit is not paid under it."""
        office.billing.fail("unreadable")
        payment = await approved(office)
        office.rules(policy(tiers=(Tier(None, 1),), limit_per_payment=Decimal(1000)))
        await office.execute()
        payment = await office.now(payment)
        assert payment.state is State.CANCELLED
        assert payment.reason == "The amount of this invoice is not known, and a limit applies to it."

    async def test_what_stays_within_the_limits_is_sent(self, office: Office) -> None:
        """To the cent, and its own amount is counted once."""
        payment = await approved(office)
        exactly = {name: Decimal(10) for name in ("limit_per_payment", *FIFTY_A_DAY)}
        office.rules(policy(tiers=(Tier(None, 1),), requesters=frozenset({ALICE.id}), **exactly))
        await office.execute()
        assert (await office.now(payment)).state is State.PAID


async def test_who_is_above_a_limit_is_told_who_may_pay_more(office: Office) -> None:
    """By mention, in the thread; the trail keeps whom."""
    more = Rule("more", frozenset({CAROL.id, ALICE.id}))
    office.rules(Policy((*policy(limit_per_person_per_day=Decimal(9)).rules, more)))
    payment = await office.looked_up()
    assert payment.reason == "10.00 USD is above your whole daily limit of 9.00 USD; waiting will not help."
    told = stored(await office.last(payment))
    assert told == {"reason": payment.reason, "ask": CAROL.id}


@pytest.mark.parametrize(("most", "fits"), [(150, True), (149, False)])
@pytest.mark.parametrize("limit", FIFTY_A_DAY)
async def test_what_falls_under_another_rule_since_is_added_up_there(
    office: Office, clock: Clock, limit: str, most: int, fits: bool
) -> None:
    """All were for a later day, and a rule with a limit was put above theirs since.

    What stays under theirs, which is still there, does not count.
    """
    office.rules(policy())
    for module, amount in (("vps", 20.0), ("mail", 90.0)):
        office.billing.add_invoice(module, 91000, amount=amount)
    tomorrow = PayOn((clock.now + timedelta(days=1)).date())
    payments = [
        await office.looked_up(InvoiceRef(module, number), pay_on=tomorrow)
        for module, number in (("mail", 91000), ("vps", 91000), ("vps", 10101), ("vps", 10103))
    ]
    vps = {"modules": frozenset({"vps"}), "channels": frozenset({"C1"})}
    above = policy(name="new", **{limit: Decimal(most)}, **vps)
    office.rules(Policy((*above.rules, *policy().rules)))
    clock.advance(days=1)
    await office.execute()
    stays, *moved = await states(office, payments)
    assert stays is State.PAID
    assert (set(moved) == {State.PAID}) is fits
    assert set(moved) <= {State.PAID, State.CANCELLED}
