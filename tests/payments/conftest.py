"""An office: ledger, policy and a real billing API, whose parts are set to work one at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.clocks import Ages
from bot.domain.payment import InvoiceRef, Payment, State
from bot.domain.policy import Policy, Refusal, Rule, Tier
from bot.errors import DirectoryError
from bot.ledger.queues import EXECUTOR, LOOK_UP, RECONCILER, Queue
from bot.ledger.rows import Event
from bot.ledger.store import Ledger
from bot.payments.answers import Requested
from bot.payments.authority import Authority, Person
from bot.payments.desk import Desk
from bot.payments.executor import Checkpoint, Executor, no_checkpoint
from bot.payments.look_up import LookUp
from bot.payments.maintenance import Maintenance
from bot.payments.preflight import Preflight
from bot.payments.reconciler import Reconciler
from bot.payments.settling import Settling
from bot.payments.timing import Timing
from bot.payments.worker import Worker
from bot.sandbox.local_billing import LocalBilling
from tests.fixture_types import Clock
from tests.ledger.making import claimed, stored, trail

TEAM = "T1"
ALICE, BOB, CAROL, MALLORY = (Person(name, TEAM) for name in ("U1", "U2", "U3", "U9"))
VPS = InvoiceRef("vps", 10101)
"""Unpaid at the start, 10.00 USD."""

PAY = "api_make_payment"
UNPAID = "api_vps_get_client_unpaid_invoices"
SETTLED = timedelta(minutes=17)
"""The settling time, the billing time-out, and a second more."""

TIMING = Timing(not_sent=(timedelta(minutes=1), timedelta(minutes=5)))


class Register:
    """What Slack would say of people. groups: their members. guests: everybody who is no full member.

    outside: who is in no channel. silent: it says nothing in time. asked: who and what was looked up.
    """

    def __init__(self) -> None:
        self.groups: dict[str, set[str]] = {}
        self.guests: set[str] = set()
        self.outside: set[str] = set()
        self.silent = False
        self.asked: list[str] = []

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str]:
        self._ask(user_id)
        return frozenset(group for group in groups if user_id in self.groups.get(group, ()))

    async def full_member(self, user_id: str) -> bool:
        self._ask(user_id)
        return user_id not in self.guests

    async def is_in(self, user_id: str, channel: str) -> bool:
        self._ask(user_id)
        return user_id not in self.outside

    def _ask(self, user_id: str) -> None:
        self.asked.append(user_id)
        if self.silent:
            raise DirectoryError("Slack did not answer")


def policy(**fields: Any) -> Policy:
    """One rule: Alice may request, Bob and Carol may approve, and no approval is needed."""
    values: dict[str, Any] = {
        "name": "default",
        "requesters": frozenset({ALICE.id}),
        "approvers": frozenset({BOB.id, CAROL.id}),
    }
    return Policy((Rule(**(values | fields)),))


ONE = policy(tiers=(Tier(None, 1),))
TWO = policy(
    tiers=(Tier(None, 2),), approvers=frozenset({BOB.id, CAROL.id, "U4", ALICE.id}), approval_channel="C2"
)


@dataclass
class Office:
    """Everything behind the desk. `settle` does all that can be done now, cards included."""

    ledger: Ledger
    clock: Clock
    billing: LocalBilling
    client: BillingClient
    register: Register
    instance: str = "one"
    checkpoint: Checkpoint = no_checkpoint
    timing: Timing = TIMING
    account: str | None = None
    triggers: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def __post_init__(self) -> None:
        self.settling = Settling(self.timing.settled_after(60), self.clock.boottime)
        self.rules(policy())

    def rules(self, rules: Policy) -> None:
        """Work by these rules from now on, as after a restart."""
        self.authority = Authority(rules, self.register, TEAM)
        self.desk = Desk(self.ledger, self.authority, Settling(timedelta(0), self.clock.boottime))
        read_at: Ages[int] = Ages(self.clock.boottime)
        ledger, client, timing, instance = self.ledger, self.client, self.timing, self.instance
        self.look_up = LookUp(ledger, client, self.authority, timing, read_at, instance)
        preflight = Preflight(ledger, client, self.authority, timing, read_at, call_timeout=5.0)
        account = self.account
        self.executor = Executor(ledger, client, preflight, timing, instance, self.checkpoint, account)
        self.reconciler = Reconciler(ledger, client, timing, self.settling, instance, account)
        self.maintenance = Maintenance(self.ledger, rules, self.timing, self.instance)
        lease = self.timing.lease
        self.look_up_worker = self._worker(LOOK_UP, self.look_up.handle, lease)
        self.executor_worker = self._worker(EXECUTOR, self.executor.handle, lease)
        self.reconciler_worker = self._worker(RECONCILER, self.reconciler.handle, self.reconciler.lease)

    def patience(self, *, seconds: float) -> None:
        """Let a look-up wait for so long: where no answer comes, so that the test need not wait for more."""
        self.timing = replace(self.timing, look_up=seconds)
        self.rules(self.authority.policy)

    def _worker(self, queue: Queue, handle: Any, lease: timedelta) -> Worker:
        return Worker(self.ledger, queue, handle, instance=self.instance, lease=lease, size=4)

    async def request(self, ref: InvoiceRef = VPS, person: Person = ALICE, **fields: Any) -> Payment:
        """A request that is taken."""
        answer = await self.desk.request(
            person,
            "C1",
            [ref],
            typed_there=True,
            trigger_id=fields.pop("trigger_id", f"t{self.triggers()}"),
            **fields,
        )
        assert isinstance(answer, Requested), answer
        return answer.batch.first

    async def looked_up(self, ref: InvoiceRef = VPS, **fields: Any) -> Payment:
        """A request whose look-up is done and whose card stands."""
        payment = await self.request(ref, **fields)
        await self.look()
        return await self.now(payment)

    async def approved(self, ref: InvoiceRef = VPS) -> Payment:
        """A payment that Bob approved; its snapshot is older than serves as a check."""
        self.rules(ONE)
        payment = await self.looked_up(ref)
        await self.desk.approve(BOB, payment.request.id)
        self.clock.advance(seconds=11)
        self.billing.log.clear()
        return await self.now(payment)

    async def lost(self, ref: InvoiceRef = VPS, *, paid: bool) -> Payment:
        """A payment whose answer was lost just now, after or before it was carried out."""
        self.billing.fail("reset-after" if paid else "reset-before", times=1)
        payment = await self.pay(ref)
        assert payment.state is State.UNKNOWN
        await self.reconciler.observe()
        return payment

    async def lost_unread(self, ref: InvoiceRef = VPS) -> Payment:
        """A lost answer of an account that cannot read its invoices; nothing was paid."""

        async def lose(step: str, payment_id: int) -> None:
            if step == "intended":
                self.billing.fail("reset-before", operation="api_make_payment", times=1)

        self.billing.fail("unreadable")
        self.checkpoint = lose
        self.rules(self.authority.policy)
        payment = await self.pay(ref)
        assert (payment.state, payment.listed) == (State.UNKNOWN, None)
        await self.reconciler.observe()
        self.checkpoint = no_checkpoint
        self.rules(self.authority.policy)
        return payment

    async def look(self) -> None:
        """Look up what is new, and post the cards."""
        await self.look_up_worker.poll_once()
        await self.look_up_worker.pool.drain(10)
        while cards := await claimed(self.ledger):
            for card in cards:
                async with self.ledger.transaction() as transaction:
                    await transaction.outbox.mark_delivered(card, ts=f"1700000000.{card.id:06}")

    async def execute(self) -> None:
        """Pay what is approved."""
        await self.executor_worker.poll_once()
        await self.executor_worker.pool.drain(10)

    async def reconcile(self) -> None:
        """Read again what is unknown."""
        await self.reconciler_worker.poll_once()
        await self.reconciler_worker.pool.drain(10)

    async def pay(self, ref: InvoiceRef = VPS, **fields: Any) -> Payment:
        """From the request to the answer."""
        payment = await self.looked_up(ref, **fields)
        await self.execute()
        return await self.now(payment)

    async def now(self, payment: Payment) -> Payment:
        """The payment as it is now."""
        found = await self.ledger.payment(payment.id)
        assert found is not None
        return found

    async def until(self, payment: Payment, condition: Callable[[Payment], bool]) -> Payment:
        """The payment as soon as it is as wanted; looked at again after every commit."""
        changed = self.ledger.watch()
        async with asyncio.timeout(10):
            while not condition(now := await self.now(payment)):
                await changed.wait()
                changed.clear()
        self.ledger.unwatch(changed)
        return now

    async def last(self, payment: Payment) -> Event:
        """What happened to it last."""
        return (await self.ledger.history(payment.request.id))[-1]

    async def actions(self, payment: Payment) -> list[str]:
        """What happened to it, in order."""
        return [event.action for event in await self.ledger.history(payment.request.id)]

    async def refusals(self) -> list[tuple[str, object]]:
        """Who was refused what, by the trail."""
        refused = [event for event in await trail(self.ledger) if event.action == "refused"]
        return [(event.actor, stored(event)["reason"]) for event in refused]

    def calls(self) -> list[str]:
        """The operations that the billing API was asked for, log-ins left out."""
        return [call.operation for call in self.billing.log if call.operation != "api_login"]


def new_client(billing: LocalBilling, clock: Clock) -> BillingClient:
    """One that has loaded no WSDL yet, and is not logged in."""
    return BillingClient(
        wsdl_url=billing.wsdl_url,
        username=billing.username,
        password=SecretStr(billing.password),
        timeout=5.0,
        clock=clock.boottime,
    )


@pytest.fixture
async def client(billing: LocalBilling, clock: Clock) -> AsyncIterator[BillingClient]:
    client = new_client(billing, clock)
    yield client
    billing.heal()
    await client.close(grace=5.0)


@pytest.fixture
async def other_client(billing: LocalBilling, clock: Clock) -> AsyncIterator[BillingClient]:
    """Of another instance."""
    client = new_client(billing, clock)
    yield client
    billing.heal()
    await client.close(grace=5.0)


@pytest.fixture
def office(ledger: Ledger, clock: Clock, billing: LocalBilling, client: BillingClient) -> Office:
    return Office(ledger, clock, billing, client, Register())


@pytest.fixture
def strict(office: Office) -> Office:
    """An office in which two people must approve."""
    office.rules(TWO)
    return office


def refused(answer: object) -> str:
    """The reason of a refusal."""
    assert isinstance(answer, Refusal), answer
    return answer.reason.value
