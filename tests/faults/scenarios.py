"""Ways that a payment can go, each told as what people and the billing API do. Bots may die meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.schedule import MORNING
from bot.sandbox.local_billing.service import PAYMENT, Call
from tests.faults.installation import Installation
from tests.faults.people import (
    approves,
    approves_as_shown,
    approves_at_home,
    asks_for_several,
    asks_in_the_form,
    denies,
    takes_back,
    takes_out,
    the_payment,
)

WAITS_S = 0.5
"""Seconds that a payment is given to be sent before its day."""

Act = Callable[[Installation], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way that a payment can go.

    act: what happens from outside; it must bear that nobody answers for a while.
    options: what the bots are told beside the usual. ends: the states that are right in the end.
    settable: it sets the ledger's clock. anew: points at which it is killed although other ways come to them.
    """

    name: str
    act: Act
    ends: Collection[State]
    options: Mapping[str, Any] = field(default_factory=dict)
    settable: bool = False
    anew: Collection[str] = ()


async def _paid(installation: Installation) -> None:
    await installation.asks("alice", "payments", "vps", 10101)


async def _declined(installation: Installation) -> None:
    installation.billing.fail("declined")
    await installation.asks("alice", "payments", "vps", 10101)


async def _answer_lost_after(installation: Installation) -> None:
    installation.billing.fail("reset-after")
    await installation.asks("alice", "payments", "vps", 10101)


async def _answer_lost_before(installation: Installation) -> None:
    installation.billing.fail("timeout-before")
    await installation.asks("alice", "payments", "vps", 10101)


async def _not_sent_at_first(installation: Installation) -> None:
    """Once the invoice was read, nobody can connect: to pay it, or after a kill to read it again."""

    def shut(call: Call) -> None:
        if call.operation.endswith("_invoices"):
            installation.billing.on_call = None
            installation.billing.refuse_connections()

    installation.billing.on_call = shut
    await installation.asks("alice", "payments", "vps", 10101)
    tried = {State.NOT_SENT, State.PAID}
    await _until(installation, lambda payment: payment.state in tried or payment.reason is not None)
    installation.billing.heal()


async def _settled_by_hand(installation: Installation) -> None:
    def shut(call: Call) -> None:
        if call.operation == PAYMENT:
            installation.billing.fail("unreadable")

    installation.billing.on_call = shut
    installation.billing.fail("reset-after", times=1)
    await installation.asks("alice", "payments", "vps", 10101)
    lost = await _until(installation, lambda payment: payment.state is State.UNKNOWN)
    row = installation.billing.row("vps", 10101)
    seen = "paid" if row and row["invoices_paid"] else "not-paid"
    await installation.types("alice", "payments", f"/pay resolve {lost.id} {seen} looked it up")


async def _approved(installation: Installation) -> None:
    await installation.asks("alice", "payments", "vps", 10101)
    await approves(installation, "bob")


async def _approved_by_two(installation: Installation) -> None:
    """In a channel of their own where one of them is not, who is invited; and not before a reminder."""
    installation.slack.world.leave("approvals", "carol")
    await installation.asks("alice", "payments", "vps", 10101)
    await installation.happens(
        lambda: "Reminder" in str(installation.slack.messages("approvals")), "a reminder"
    )
    await approves(installation, "bob", "approvals")
    await approves_at_home(installation, "carol")


async def _denied(installation: Installation) -> None:
    await installation.asks("alice", "payments", "vps", 10101)
    await denies(installation, "bob", "not this month")


async def _taken_back(installation: Installation) -> None:
    await asks_in_the_form(installation, "alice", "payments", "vps", 10101)
    await takes_back(installation, "alice")


async def _asked_by_workflows(installation: Installation) -> None:
    """Two of them for one invoice: the second has nothing to pay, so its step fails at once."""
    for _ in range(2):
        await installation.runs_step("alice", "payments", "vps", 10101)


SEVERAL = [InvoiceRef("vps", number) for number in (10101, 10102, 10103)]


async def _several(installation: Installation) -> None:
    await asks_for_several(installation, "alice", "payments", SEVERAL)


async def _several_with_one_taken_out(installation: Installation) -> None:
    await asks_for_several(installation, "alice", "payments", SEVERAL)
    await takes_out(installation, "alice", SEVERAL[1])
    await approves_as_shown(installation, "bob")


async def _scheduled(installation: Installation) -> None:
    """Asked for on the day before it is sent; its morning comes soon after."""
    now = datetime.now(UTC)
    day = now.date() + timedelta(days=2)
    until_morning = (datetime.combine(day, MORNING, UTC) - now).total_seconds()
    await installation.set_ledger_clock(until_morning - 10 * 3600)
    await installation.types("alice", "payments", f"/pay vps 10101 on {day}")
    installation.acknowledged.append(("vps", 10101))
    await _until(installation, lambda payment: payment.scheduled)
    await asyncio.sleep(WAITS_S)
    assert installation.billing.payments_received("vps", 10101) == 0, "its day has not come"
    await installation.set_ledger_clock(until_morning + 1)


async def _no_card(installation: Installation) -> None:
    await installation.asks("alice", "random", "vps", 10101)


async def _until(installation: Installation, condition: Callable[[Payment], bool]) -> Payment:
    ledger = await installation.ledger()
    for _ in range(150):
        payment = await the_payment(ledger)
        if payment is not None and condition(payment):
            return payment
        await asyncio.sleep(0.1)
    raise AssertionError(f"what was waited for did not happen: {payment}")


WITH_APPROVAL = {"PAY_APPROVERS": "U0BOB00001,U0CAROL001", "PAY_APPROVALS_REQUIRED": "1"}

TWO_ELSEWHERE = """
[[rule]]
name = "two"
requesters = ["U0ALICE001"]
approvers = ["U0BOB00001", "U0CAROL001"]
approvals = 2
approval_channel = "C0APPROVAL"
remind_every = "1s"
"""

SCENARIOS = (
    Scenario("paid", _paid, {State.PAID}),
    Scenario("declined", _declined, {State.DECLINED}),
    Scenario("answer lost after the payment", _answer_lost_after, {State.PAID}),
    Scenario("answer lost before the payment", _answer_lost_before, {State.DECLINED}),
    Scenario("not sent at first", _not_sent_at_first, {State.PAID}),
    Scenario("settled by hand", _settled_by_hand, {State.PAID}),
    Scenario("approved", _approved, {State.PAID}, {"settings": WITH_APPROVAL}),
    Scenario("approved by two", _approved_by_two, {State.PAID}, {"policy": TWO_ELSEWHERE}),
    Scenario("denied", _denied, {State.DENIED}, {"settings": WITH_APPROVAL}),
    Scenario("taken back", _taken_back, {State.CANCELLED}, {"settings": WITH_APPROVAL}),
    Scenario("asked by workflows", _asked_by_workflows, {State.PAID}),
    Scenario("expired", _paid, {State.EXPIRED}, {"settings": WITH_APPROVAL | {"PAY_EXPIRES_AFTER": "1s"}}),
    Scenario("several", _several, {State.PAID}),
    Scenario(
        "several with one taken out",
        _several_with_one_taken_out,
        {State.PAID, State.CANCELLED},
        {"settings": WITH_APPROVAL},
    ),
    Scenario(
        "scheduled",
        _scheduled,
        {State.PAID},
        settable=True,
        anew=("after the commit of LookUp.handle", "before make_payment"),
    ),
    Scenario("nowhere to post", _no_card, {State.CANCELLED}),
)
