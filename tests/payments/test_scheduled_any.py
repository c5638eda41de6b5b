"""Whatever people, clocks, crashes and the billing API do in whatever order: nothing is sent before its day.

Nor long after it, nor at another amount than was approved, nor after it was taken back, nor twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from bot.clocks import Ages
from bot.domain.login import Login
from bot.domain.payment import Invoice, InvoiceEvidence, InvoiceRef, Outcome, State, Verdict
from bot.domain.policy import Policy
from bot.domain.schedule import IN_UTC, PayOn
from bot.domain.unpaid_list import UnpaidList
from bot.errors import Unreadable
from bot.ledger.opening import open_ledger
from bot.ledger.queues import EXECUTOR, LOOK_UP
from bot.ledger.store import Ledger
from bot.payments.answers import Done, Requested
from bot.payments.authority import Authority
from bot.payments.desk import Desk
from bot.payments.executor import Checkpoint, Executor
from bot.payments.look_up import LookUp
from bot.payments.maintenance import Maintenance
from bot.payments.preflight import Preflight
from bot.payments.settling import Settling
from bot.payments.worker import Worker
from tests.effort import drawn
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import claimed
from tests.payments import conftest
from tests.payments.conftest import ALICE, BOB, ONE, TEAM, Register, policy

T = TypeVar("T")

REFS = [InvoiceRef("vps", number) for number in range(1, 6)] + [InvoiceRef("mail", 6)]
START = date(2026, 3, 2)
TIMING = replace(conftest.TIMING, fresh=timedelta(0))
"""Every invoice is read again before it is sent, so that what was just paid elsewhere is known."""
LASTS = timedelta(days=3)
"""How long a request may be decided on, and how long after its day what it allows is sent."""


@dataclass
class Asked:
    """What a request is for. amount: that was told when it was looked up."""

    request: int
    pay_on: PayOn | None
    created_at: datetime
    amount: Decimal | None = None
    due: date | None = None
    withdrawn: bool = False
    calls: int = 0


class Books:
    """A billing API in memory, which looks at every call as the property says."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.amounts = {ref: Decimal(10) for ref in REFS}
        self.due: dict[InvoiceRef, date | None] = {ref: START + timedelta(days=5) for ref in REFS}
        self.paid: set[InvoiceRef] = set()
        self.readable = True
        self.answer = Verdict.PAID
        self.asked: dict[InvoiceRef, Asked] = {}
        self.before_the_call: Callable[[], None] = lambda: None
        self.wrong: list[str] = []
        self.login: Login | None = None
        self.sent_on_a_day = 0

    async def prepare(self) -> None:
        pass

    async def modules(self) -> tuple[str, ...]:
        return ("vps", "mail")

    async def evidence_of(self, ref: InvoiceRef, *, decisive: bool) -> InvoiceEvidence:
        return InvoiceEvidence(unpaid=ref not in self.paid, paid_flag=None, payment=None)

    async def unpaid_invoices(self, module: str, *, timeout: float | None = None) -> UnpaidList:
        if not self.readable:
            raise Unreadable("not now")
        every = [one for one in REFS if one.module == module and one not in self.paid]
        found = [Invoice(one, "x", self.amounts[one], "USD", self.due[one]) for one in every]
        # There is always another one: an empty list would say nothing.
        return UnpaidList((*found, Invoice(InvoiceRef(module, 99), "other", Decimal(1), "USD", None)))

    def lately_unpaid(self, ref: InvoiceRef, within: timedelta) -> tuple[Invoice, timedelta] | None:
        return None

    async def make_payment(self, ref: InvoiceRef, *, may_begin: Callable[[], bool]) -> Outcome:
        self.before_the_call()
        if not may_begin():
            return Outcome(Verdict.NOT_SENT, None, None, "may not begin")
        asked = self.asked[ref]
        asked.calls += self.answer is not Verdict.NOT_SENT
        self.sent_on_a_day += asked.pay_on is not None
        day = asked.pay_on and (asked.pay_on.day or asked.due)
        morning = IN_UTC.of(day) if day else None
        now = self.clock.now
        self._note(morning is not None and now < morning, f"{ref} before {morning}, at {now}")
        last = max(asked.created_at, morning or asked.created_at) + LASTS
        # What was checked in time is sent within a lease.
        self._note(now >= last + TIMING.lease, f"{ref} after {last}, at {now}")
        self._note(asked.amount is not None and asked.amount != self.amounts[ref], f"{ref}: another amount")
        self._note(asked.withdrawn, f"{ref}, which was withdrawn")
        # Of an account that can never read its invoices the API itself says so.
        self._note(ref in self.paid and self.readable, f"{ref}, which is paid")
        self._note(asked.calls > 1, f"{ref} again")
        if self.answer is Verdict.PAID:
            self.paid.add(ref)
        return Outcome(self.answer, "ok", "x", "said so")

    def _note(self, wrong: bool, what: str) -> None:
        if wrong:
            self.wrong.append(f"sent {what}")


class Days:
    """Two instances on one ledger; each step is one thing that somebody does, or that one of them does."""

    def __init__(self, url: str, rules: Policy) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.clock = Clock()
        self.books = Books(self.clock)
        self.policy = rules
        self.triggers = 0
        ledgers = self.run(self._opened(url))
        self.offices = [Instance(one, self, f"instance {number}") for number, one in enumerate(ledgers)]

    async def _opened(self, url: str) -> list[Ledger]:
        opening = (open_ledger(url, clock=self.clock, boot_clock=self.clock.boottime) for _ in range(2))
        return [await self.stack.enter_async_context(one) for one in opening]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def end(self) -> list[str]:
        """What was sent that should not have been; the trail proves the rest."""
        whole = self.run(self.offices[0].ledger.verify()).whole
        self.run(self.stack.aclose())
        self.runner.close()
        return [*self.books.wrong, *([] if whole else ["the trail is not whole"])]

    def ask(self, ref: InvoiceRef, pay_on: PayOn | None, by: bool, goes_on: int) -> None:
        """goes_on: random steps seldom get far, so some are looked up and approved at once."""
        self.triggers += 1
        answer = self.run(
            self.offices[by].desk.request(
                ALICE, "C1", [ref], trigger_id=f"t{self.triggers}", typed_there=True, pay_on=pay_on
            )
        )
        if isinstance(answer, Requested):
            self.books.asked[ref] = Asked(answer.batch.request.id, pay_on, answer.batch.request.created_at)
            if goes_on > 0:
                self.look_up(by)
            if goes_on > 1:
                self.approve(ref, by)

    def look_up(self, by: bool) -> None:
        self.run(self.offices[by].look())
        for asked in self.books.asked.values():
            batch = self.run(self.offices[by].ledger.of_request(asked.request))
            assert batch is not None
            if batch.first.state is State.REQUESTED or batch.first.looked_up_at is None:
                continue
            if batch.first.invoice is not None:
                asked.amount = batch.first.invoice.amount
                if asked.due is None:
                    asked.due = batch.first.invoice.due

    def approve(self, ref: InvoiceRef, by: bool) -> None:
        if ref in self.books.asked:
            desk, ledger = self.offices[by].desk, self.offices[by].ledger
            batch = self.run(ledger.of_request(self.books.asked[ref].request))
            assert batch is not None
            self.run(desk.approve(BOB, batch.request.id, seen=batch.price))

    def withdraw(self, ref: InvoiceRef, by: bool) -> None:
        if ref in self.books.asked:
            answer = self.run(self.offices[by].desk.withdraw(ALICE, self.books.asked[ref].request))
            self.books.asked[ref].withdrawn |= isinstance(answer, Done)

    def execute(self, by: bool, after: timedelta | None, jumps: int, at_the_call: bool) -> None:
        """after: so long after the morning of the next day.

        jumps: days by which the ledger's clock is set, after the check or right before the call.
        """
        if after is not None:
            self.wait_for_a_day(after)
        office = self.offices[by]
        done: list[int] = []

        def jump() -> None:
            if not done:
                done.append(jumps)
                self.clock.set(days=jumps)

        async def after_the_check(step: str, _payment: int) -> None:
            if step == "checked":
                jump()

        self.books.before_the_call = jump if at_the_call else lambda: None
        office.checkpoint = None if at_the_call else after_the_check
        self.run(office.execute())
        self.books.before_the_call, office.checkpoint = lambda: None, None

    def keep(self, by: bool, starts: bool) -> None:
        """The chores of an instance, or its start; and the look for what became due."""
        self.run(self.offices[by].keep(starts))

    def wait_for_a_day(self, after: timedelta) -> None:
        """The next that anything is to be paid on."""
        days = [one.pay_on.day or one.due for one in self.books.asked.values() if one.pay_on]
        moments = [IN_UTC.of(day) + after for day in days if day is not None]
        if to_come := [one for one in moments if one > self.clock.now]:
            self.clock.until(min(to_come))


class Instance:
    """One bot, whose parts are set to work one at a time."""

    def __init__(self, ledger: Ledger, world: Days, name: str) -> None:
        self.ledger = ledger
        self.checkpoint: Checkpoint | None = None
        clock, books = world.clock, world.books
        authority = Authority(self._rules(world.policy), Register(), TEAM)
        read_at: Ages[int] = Ages(clock.boottime)
        self.desk = Desk(ledger, authority, Settling(timedelta(0), clock.boottime))
        look_up = LookUp(ledger, books, authority, TIMING, read_at, name)
        preflight = Preflight(ledger, books, authority, TIMING, read_at, call_timeout=2.0)
        executor = Executor(ledger, books, preflight, TIMING, name, self._at)
        self.maintenance = Maintenance(ledger, authority.policy, TIMING, name)
        lease = TIMING.lease
        self.looking_up = Worker(ledger, LOOK_UP, look_up.handle, instance=name, lease=lease, size=4)
        self.paying = Worker(ledger, EXECUTOR, executor.handle, instance=name, lease=lease, size=1)

    @staticmethod
    def _rules(rules: Policy) -> Policy:
        assert all(one.expires_after == LASTS for one in rules.rules)
        return rules

    async def _at(self, step: str, payment: int) -> None:
        if self.checkpoint is not None:
            await self.checkpoint(step, payment)

    async def look(self) -> None:
        await self.looking_up.poll_once()
        await self.looking_up.pool.drain(10)
        while cards := await claimed(self.ledger):
            for card in cards:
                async with self.ledger.transaction() as transaction:
                    await transaction.outbox.mark_delivered(card, ts=f"1700000000.{card.id:06}")

    async def execute(self) -> None:
        await self.paying.poll_once()
        await self.paying.pool.drain(10)

    async def keep(self, starts: bool) -> None:
        if starts:
            await self.maintenance.take_over()
        await self.ledger.wake_due()
        await self.maintenance.poll_once()


def _step(days: Days, chance: random.Random) -> None:
    """One thing that happens; what leads on happens more often."""
    either, ref, day = (
        chance.random() < 0.5,
        chance.choice(REFS),
        START + timedelta(days=chance.randint(-2, 15)),
    )
    match chance.choices(range(10), (9, 12, 2, 1, 3, 1, 1, 1, 1, 1))[0]:
        case 0:
            pay_on = chance.choice([None, PayOn(), PayOn(day), PayOn(day)])
            days.ask(ref, pay_on, either, chance.choice([2, 2, 2, 1, 0]))
        case 1:
            soon = timedelta(minutes=chance.randint(0, 90))
            after = chance.choice(
                [None, soon, soon, timedelta(seconds=-1), LASTS - timedelta(seconds=1), LASTS]
            )
            days.execute(either, after, chance.choice([0, 0, 0, 0, -1, -6, 6]), chance.random() < 0.5)
        case 2:
            days.look_up(either)
            days.approve(ref, either)
        case 3:
            days.withdraw(ref, either)
        case 4:
            days.keep(either, chance.random() < 0.3)
        case 5:
            days.clock.advance(hours=chance.choice([0.01, 1, 7, 24, 72]))
        case 6:
            days.clock.set(hours=chance.choice([-200, -24, -1, 1, 24, 200]))
        case 7:
            days.books.amounts[ref] = chance.choice([Decimal(10), Decimal(11)])
        case 8:
            days.books.due[ref] = chance.choice([None, day, day, date.max])
        case _:
            days.books.readable = chance.random() < 0.7
            days.books.answer = chance.choice([*[Verdict.PAID] * 4, *Verdict])
            days.books.paid |= {ref} if chance.random() < 0.3 else set()


@pytest.mark.parametrize(("kind", "seeds"), [("sqlite", drawn(8, 15)), ("postgresql", drawn(2, 3))])
def test_nothing_is_sent_before_its_day(request: pytest.FixtureRequest, kind: str, seeds: int) -> None:
    """Any sequence of steps, on both databases; and what may be sent is sent, or nothing would be proved."""
    new_database: NewDatabase = request.getfixturevalue(f"new_{kind}")
    sent = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        days = Days(new_database(migrated=True), chance.choice([ONE, policy()]))
        for _ in range(50):
            _step(days, chance)
        assert days.end() == [], f"seed {seed}"
        sent += days.books.sent_on_a_day
    assert sent > seeds / 4
