"""Nothing is executed with fewer approvals than the strictest reading of the rules asks for.

People click in any order and at the same moment, groups change, guests come and go, rules are replaced,
amounts change, time passes. What counts is worked out here a second time, from the rules' own fields.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Policy, PolicyError, Rule, Tier
from bot.ledger.opening import open_ledger
from bot.payments.answers import AlreadyRequested, Requested
from bot.payments.authority import Person
from bot.sandbox.local_billing import LocalBilling
from tests.effort import drawn
from tests.fixture_types import Clock
from tests.payments.conftest import TEAM, Office, Register

T = TypeVar("T")

PEOPLE = [*(Person(f"U{number}", TEAM) for number in range(1, 5)), Person("U5", "T2")]
"""Four of the team, and one of another organization."""

NAMES = frozenset({*(person.id for person in PEOPLE), "S1", "S2"})
PRICES = [Decimal("10.00"), Decimal("1000.00")]
TIERS = [
    (Tier(None, 1),),
    (Tier(None, 2),),
    (Tier(Decimal(50), 0), Tier(Decimal(500), 1), Tier(None, 2)),
]

APPROVING = [NAMES, frozenset({"S1", "S2"}), frozenset({"U2", "S2"})]
REMOVALS = [
    (what, person)
    for what in ("leaves the groups", "is no approver", "becomes a guest", "goes altogether")
    for person in PEOPLE[1:4]
]
CHANGES: list[tuple[Any, ...]] = [
    *REMOVALS,
    *REMOVALS,
    *(("joins a group", person) for person in PEOPLE),
    *(("is no requester", person) for person in PEOPLE[:2]),
    *(("so many must approve", wanted) for wanted in TIERS),
    *(("another rule comes first", wanted, approvers) for wanted in TIERS for approvers in APPROVING),
    *(("another price", price, currency) for price in PRICES for currency in ("USD", "EUR")),
    *(("time passes", minutes) for minutes in (1, 60 * 24)),
]
"""What may change between two clicks, or between the last click and the payment."""

people = st.sampled_from(PEOPLE)
changes = st.lists(st.sampled_from(CHANGES), max_size=2)


class Company(RuleBasedStateMachine):
    """People, groups, rules and invoices, all of which change; and an executor that must not be misled.

    ref: the invoice that is asked for; the office goes on from run to run.
    approved: everybody who ever pressed Approve on a payment, whatever came of it.
    asked_for: how many approvals the rules wanted when the payment was looked up.
    """

    runner: ClassVar[asyncio.Runner]
    office: ClassVar[Office]
    numbers: ClassVar[Iterator[int]]
    executed: ClassVar[list[int]]

    def __init__(self) -> None:
        super().__init__()
        self.approved: dict[int, set[str]] = {}
        self.asked_for: dict[int, int] = {}
        self.checked: set[int] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize(first=st.sampled_from(TIERS), approvers=st.sampled_from(APPROVING))
    def open(self, first: tuple[Tier, ...], approvers: frozenset[str]) -> None:
        self.register = self.office.register
        self.register.groups, self.register.guests = {"S1": {"U2", "U3"}, "S2": {"U4"}}, set()
        self.replace_rules(Rule("first", NAMES, approvers, first))
        self.new_invoice()

    def new_invoice(self) -> None:
        self.ref = InvoiceRef("vps", next(self.numbers))
        self.row = self.office.billing.add_invoice("vps", self.ref.number, amount=100.0)

    def teardown(self) -> None:
        self.pay()
        self.check_who_approved()
        for payment in self.each():
            requester = Person(payment.request.requester, TEAM)
            self.run(self.office.desk.withdraw(requester, payment.request.id))
        self.row["invoices_deleted"] = 1

    def each(self) -> list[Payment]:
        """The payments of this run."""
        latest = self.run(self.office.ledger.recent(limit=50))
        return [one.first for one in latest if one.first.id in self.approved]

    @rule(
        asks=people,
        clicks=st.lists(people, min_size=1, max_size=3),
        at_once=st.booleans(),
        between=changes,
        stops=st.sampled_from([*[None] * 10, *PEOPLE[1:3]]),
        after=changes,
    )
    def pay_an_invoice(
        self,
        asks: Person,
        clicks: list[Person],
        at_once: bool,
        between: list[tuple[Any, ...]],
        stops: Person | None,
        after: list[tuple[Any, ...]],
    ) -> None:
        """Somebody asks, unless it is asked for; people click, and things change between and after."""
        payment = self.ask(asks)
        for one in between:
            self.change(one)
        if payment is not None:
            self.approve(payment, clicks, at_once)
            if stops is not None:
                self.run(self.office.desk.deny(stops, payment.request.id, "no"))
        for one in after:
            self.change(one)
        self.pay()

    def ask(self, person: Person) -> Payment | None:
        """The payment under way, or a new one; None where the rules refuse it."""
        held = self.run(self.office.ledger.latest(self.ref))
        if held is not None and held.state is State.PAID:
            self.new_invoice()
        trigger = f"t{self.office.triggers()}"
        answer = self.run(self.office.desk.request(person, "C1", [self.ref], trigger_id=trigger))
        if isinstance(answer, Requested):
            self.approved[answer.batch.first.id] = set()
            self.look()
        if isinstance(answer, Requested):
            return answer.batch.first
        return answer.payment if isinstance(answer, AlreadyRequested) else None

    def approve(self, payment: Payment, clicks: list[Person], at_once: bool) -> None:
        """One after the other, or all at the same moment; some of them twice."""
        self.approved[payment.id] |= {person.id for person in clicks if person.team == TEAM}

        async def click() -> None:
            waiting = [self.office.desk.approve(person, payment.request.id) for person in clicks]
            if at_once:
                await asyncio.gather(*waiting)
            else:
                for one in waiting:
                    await one

        self.run(click())
        self.check_who_approved()

    @rule(what=st.sampled_from(CHANGES))
    def change(self, what: tuple[Any, ...]) -> None:
        match what:
            case "leaves the groups" | "goes altogether", person:
                for members in self.register.groups.values():
                    members.discard(person.id)
                if what[0] == "goes altogether":
                    self.change(("is no approver", person))
            case "joins a group", person:
                self.register.groups["S1"].add(person.id)
            case "becomes a guest", person:
                self.register.guests.add(person.id)
            case "is no approver", person:
                self.change_rules(lambda one: replace(one, approvers=one.approvers - {person.id}))
            case "is no requester", person:
                self.change_rules(lambda one: replace(one, requesters=one.requesters - {person.id}))
            case "so many must approve", wanted:
                self.change_rules(lambda one: replace(one, tiers=wanted))
            case "another rule comes first", wanted, approvers:
                new = Rule(f"rule {self.office.triggers()}", frozenset({"U1", "S1"}), approvers, wanted)
                self.replace_rules(new, *self.policy.rules)
            case "another price", price, currency:
                self.row["invoices_amount"], self.row["invoices_currency"] = float(price), currency
            case "time passes", minutes:
                self.office.clock.advance(minutes=minutes)
                self.run(self.office.maintenance.poll_once())

    def change_rules(self, changed: Callable[[Rule], Rule]) -> None:
        self.replace_rules(*map(changed, self.policy.rules))

    def replace_rules(self, *rules: Rule) -> None:
        """A policy that makes no sense is none: the bot would not start with it."""
        with contextlib.suppress(PolicyError):
            self.policy = Policy(rules)
            self.office.rules(self.policy)

    def look(self) -> None:
        """Look up what is new, and post its card."""

        async def look_up() -> None:
            await self.office.look_up_worker.poll_once()
            await self.office.look_up_worker.pool.drain(10)

        async def post(payment: Payment) -> None:
            async with self.office.ledger.transaction() as transaction:
                await transaction.change_request(payment.request, card_ts=f"{payment.id}.0")

        self.run(look_up())
        for payment in self.each():
            if payment.id not in self.asked_for and payment.looked_up_at is not None:
                self.run(post(payment))
                found = self.rule_of(payment.request.requester)
                self.asked_for[payment.id] = self.wanted(found, payment) if found else 0

    def pay(self) -> None:
        """Every call that arrives was approved as the rules, then and now, ask for."""
        self.look()
        before = len(self.office.billing.log)
        self.run(self.office.execute())
        calls = [call for call in self.office.billing.log[before:] if call.operation == "api_make_payment"]
        sent = [payment for payment in self.each() if payment.tries and payment.id not in self.checked]
        assert sorted(call.invoice or 0 for call in calls) == sorted(one.ref.number for one in sent)
        for payment in sent:
            self.checked.add(payment.id)
            self.check(payment)

    def check(self, payment: Payment) -> None:
        now = self.rule_of(payment.request.requester)
        assert now is not None, "the requester may not ask for this any more"
        counting = {
            person
            for person in self.approved[payment.id]
            if person != payment.request.requester and self.stands_for(person, now.approvers)
        }
        needed = max(self.asked_for[payment.id], self.wanted(now, payment))
        assert len(counting) >= needed
        assert payment.state is State.PAID
        if needed:
            self.executed.append(payment.id)

    def check_who_approved(self) -> None:
        """Everybody once, nobody their own, and nothing was sent twice."""
        for payment in self.each():
            approvers = self.run(self.office.ledger.approvers(payment.request.id))
            assert payment.request.requester not in approvers
            assert len(set(approvers)) == len(approvers)
            assert set(approvers) <= self.approved[payment.id]
            assert payment.tries <= 1

    def rule_of(self, requester: str) -> Rule | None:
        """The first rule that names the requester."""
        return next((one for one in self.policy.rules if self.stands_for(requester, one.requesters)), None)

    def stands_for(self, person: str, named: frozenset[str]) -> bool:
        """Named by id, or in a named group and no guest."""
        through_group = any(person in self.register.groups[one] for one in named if one in ("S1", "S2"))
        return person in named or (through_group and person not in self.register.guests)

    def wanted(self, found: Rule, payment: Payment) -> int:
        """How many approvals a rule asks for the amount that was frozen; all, where it cannot compare it."""
        invoice = payment.invoice
        comparable = invoice is not None and (len(found.tiers) == 1 or invoice.currency == "USD")
        if invoice is None or not comparable:
            return max(tier.required for tier in found.tiers)
        return next(
            tier.required for tier in found.tiers if tier.up_to is None or invoice.amount <= tier.up_to
        )


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@contextlib.asynccontextmanager
async def open_office(ledger_url: str) -> AsyncIterator[Office]:
    billing = LocalBilling()
    await billing.start()
    password = SecretStr(billing.password)
    client = BillingClient(wsdl_url=billing.wsdl_url, username=billing.username, password=password)
    clock = Clock()
    async with open_ledger(ledger_url, clock=clock, boot_clock=clock.boottime) as ledger:
        yield Office(ledger, clock, billing, client, Register())
    await client.close(grace=5.0)
    await billing.stop()


def test_no_order_of_events_executes_what_was_not_approved(runner: asyncio.Runner, ledger_url: str) -> None:
    """Clicks, removals, new rules, new prices and time, in any order."""

    class ThisCompany(Company):
        pass

    opened = open_office(ledger_url)
    ThisCompany.runner, ThisCompany.office = runner, runner.run(opened.__aenter__())
    ThisCompany.numbers, ThisCompany.executed = itertools.count(1), []
    try:
        # The check itself is no empty promise: what is approved is executed, and looked at.
        company = ThisCompany()
        company.open(TIERS[1], NAMES)
        twice = [PEOPLE[1], PEOPLE[2], PEOPLE[1]]
        company.pay_an_invoice(PEOPLE[0], twice, True, [], None, [])
        company.teardown()
        assert ThisCompany.executed == [1]
        run_state_machine_as_test(
            ThisCompany,
            settings=settings(
                max_examples=drawn(20, 40),
                stateful_step_count=12,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        runner.run(opened.__aexit__(None, None, None))
