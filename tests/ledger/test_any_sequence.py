"""Whatever people and the bot do in whatever order: the ledger agrees with a model made of the table."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.domain.payment import MOVES, RELEASED, IllegalMove, InvoiceRef, Payment, State
from bot.ledger.locked_reads import Stale
from bot.ledger.opening import open_ledger
from bot.ledger.queues import LOOK_UP, RECONCILER, REMIND, RETRY, Queue
from bot.ledger.store import Ledger
from tests.effort import drawn
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import happened, request

T = TypeVar("T")

REFS = [InvoiceRef("vps", 1), InvoiceRef("vps", 2), InvoiceRef("mail", 1)]
OWNERS = ["one", "two"]
STATES = {
    LOOK_UP: State.REQUESTED,
    REMIND: State.PENDING_APPROVAL,
    RETRY: State.NOT_SENT,
    RECONCILER: State.UNKNOWN,
}
"""The state of what is in a queue."""


class Desks(RuleBasedStateMachine):
    """Two instances on one ledger, people who ask, and a model of what must be true.

    states: what each payment's state must be. moves: every state that each came to, in order.
    """

    new_database: ClassVar[NewDatabase]
    readings = Bundle("readings")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.clock = Clock()
        self.states: dict[int, State] = {}
        self.moves: dict[int, list[State]] = {}
        self.refs: dict[int, InvoiceRef] = {}
        self.held: dict[int, tuple[str, float]] = {}
        self.triggers: list[str] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        url = self.new_database(migrated=True)

        async def opened() -> list[Ledger]:
            return [await self.stack.enter_async_context(open_ledger(url, clock=self.clock)) for _ in OWNERS]

        self.ledgers = self.run(opened())

    def teardown(self) -> None:
        if self.states:
            self.run(self.check_the_trail())
        self.run(self.stack.aclose())
        self.runner.close()

    @rule(target=readings, ref=st.sampled_from(REFS), by=st.sampled_from([0, 1]), again=st.booleans())
    def ask(self, ref: InvoiceRef, by: int, again: bool) -> Any:
        """A request succeeds exactly where the invoice is free and the command is new."""
        trigger = self.triggers[-1] if again and self.triggers else f"trigger {len(self.triggers)}"
        held = {self.refs[each] for each, state in self.states.items() if state not in RELEASED}
        try:
            payment = self.run(request(self.ledgers[by], ref, trigger_id=trigger))
        except AssertionError:
            assert ref in held or trigger in self.triggers
            return multiple()
        assert ref not in held
        assert trigger not in self.triggers
        self.triggers.append(trigger)
        self.states[payment.id] = payment.state
        self.moves[payment.id] = []
        self.refs[payment.id] = ref
        return payment

    @rule(target=readings, reading=readings, to=st.sampled_from(State), by=st.sampled_from([0, 1]))
    def move(self, reading: Payment, to: State, by: int) -> Any:
        """A move on an up-to-date reading follows the table; on an outdated one it is stale."""
        return self.try_to_move(reading, to, by)

    @rule(target=readings, reading=consumes(readings), by=st.sampled_from([0, 1]), way=st.integers(0, 3))
    def go_on(self, reading: Payment, by: int, way: int) -> Any:
        """Random tries seldom get far; this takes a way that leads on."""
        following = sorted(MOVES[reading.state])
        if not following:
            return multiple()
        return self.try_to_move(reading, following[way % len(following)], by)

    def try_to_move(self, reading: Payment, to: State, by: int) -> Any:
        async def moving() -> Payment:
            async with self.ledgers[by].transaction() as transaction:
                return await transaction.move(reading, to, happened("moved"), actor="model")

        current = self.run(self.ledgers[by].payment(reading.id))
        assert current is not None
        try:
            moved = self.run(moving())
        except IllegalMove:
            assert to not in MOVES[reading.state]
            return multiple()
        except Stale:
            assert current.version != reading.version
            return multiple()
        assert to in MOVES[reading.state]
        assert current.version == reading.version
        assert self.states[reading.id] is reading.state
        self.states[reading.id] = to
        self.moves[reading.id].append(to)
        if to is not State.SENDING:
            self.held.pop(reading.id, None)
        return moved

    @rule(reading=readings, to=st.sampled_from(State), by=st.sampled_from([0, 1]))
    def fail_half_way(self, reading: Payment, to: State, by: int) -> None:
        """A transaction that ends in an error leaves no trace, whatever it did before."""

        async def failing() -> None:
            async with self.ledgers[by].transaction() as transaction:
                await transaction.record(happened("started"), actor="model")
                await transaction.move(reading, to, happened("moved"), actor="model")
                raise RuntimeError("half way")

        with pytest.raises((RuntimeError, IllegalMove, Stale)):
            self.run(failing())

    @rule(queue=st.sampled_from(list(STATES)), by=st.sampled_from([0, 1]), limit=st.integers(1, 3))
    def claim(self, queue: Queue, by: int, limit: int) -> None:
        """Nobody gets what somebody holds, and everybody gets only what is in the queue asked for."""

        async def claiming() -> list[Payment]:
            async with self.ledgers[by].transaction() as transaction:
                return await transaction.claim(
                    queue, owner=OWNERS[by], lease=timedelta(seconds=30), limit=limit
                )

        now = self.clock.now.timestamp()
        for payment in self.run(claiming()):
            assert self.states[payment.id] is STATES[queue]
            assert payment.id not in self.held or self.held[payment.id][1] <= now
            self.held[payment.id] = (OWNERS[by], now + 30)

    @rule(seconds=st.sampled_from([1, 29, 31]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @invariant()
    @precondition(lambda self: self.states)
    def the_ledger_shows_the_states(self) -> None:
        recent = self.run(self.ledgers[0].recent(limit=1000))
        assert {one.first.id: one.first.state for one in recent} == self.states

    @invariant()
    def no_invoice_is_held_twice_or_paid_twice(self) -> None:
        for ref in REFS:
            mine = [each for each in self.states if self.refs[each] == ref]
            assert sum(self.states[each] not in RELEASED for each in mine) <= 1
            assert sum(State.PAID in self.moves[each] for each in mine) <= 1

    async def check_the_trail(self) -> None:
        """Events and states tell the same story, and nobody touched it."""
        ledger = self.ledgers[0]
        for payment_id, moves in self.moves.items():
            asked, *history = await ledger.history(payment_id)
            assert asked.action == "requested"
            assert [event.to_state for event in history] == moves
            assert [event.from_state for event in history] == [State.REQUESTED, *moves][: len(moves)]
        found = await ledger.verify()
        assert (found.whole, found.flaws) == (True, ())
        assert found.events == sum(1 + len(moves) for moves in self.moves.values())


def test_any_sequence(new_database: NewDatabase, request: pytest.FixtureRequest) -> None:
    """Requests, moves, races, failures and claims of two instances, in any order."""

    class OnThisDatabase(Desks):
        def __init__(self) -> None:
            super().__init__()
            type(self).new_database = staticmethod(new_database)

    on_sqlite = "sqlite" in request.node.name
    run_state_machine_as_test(
        OnThisDatabase,
        settings=settings(
            max_examples=drawn(10, 20) if on_sqlite else drawn(4, 8),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
