"""What is proved of one payment before money moves: its rows and events alone, by an index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.domain.events import ApprovalComplete, Sending
from bot.domain.payment import InvoiceRef, Payment, State
from bot.errors import LedgerContradicted
from bot.ledger import audit, holders, precedents, proof
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.slack.text import amount, description
from tests.ledger.forging import (
    OF_OTHERS,
    OF_PAYMENTS,
    all_of,
    disproved,
    disproved_in,
    forge,
    forge_in,
    in_state,
)
from tests.ledger.making import approved, happened, request, request_in

OF_READABLE = [
    (statement, flaw)
    for statement, flaw in OF_PAYMENTS[:-3] + OF_OTHERS[:-1]
    if "'BLAH'" not in statement and "'much'" not in statement
]
"""Those that leave a row which can be read, and are about what is proved of one payment."""


async def moved_in(transaction: Transaction, payment: Payment) -> Payment:
    return await transaction.move(payment, State.APPROVED, ApprovalComplete("default", ""), actor="policy")


class TestDisproved:
    @pytest.mark.parametrize(("statement", "flaw"), OF_READABLE)
    async def test_one_payment_is_disproved_by_itself(
        self, tables: AsyncConnection, statement: str, flaw: str
    ) -> None:
        """What the whole check finds of its rows, the check before it is sent finds as well."""
        await forge_in(tables, statement)
        number = int(flaw[1:].split(":", maxsplit=1)[0])
        assert str(await disproved_in(tables, number)).startswith(flaw)

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE events SET detail = '{}' WHERE id = 1",
            "UPDATE events SET to_state = 'CANCELLED' WHERE id = 5",
            "UPDATE events SET hash = previous WHERE id = 5",
            "UPDATE events SET previous = hash WHERE id = 5",
            "UPDATE events SET previous = hash WHERE id = 6",
            "DELETE FROM events WHERE id = 6",
            "DELETE FROM events WHERE id = 4",
        ],
    )
    async def test_an_event_that_does_not_fit_between_its_neighbours_proves_nothing(
        self, tables: AsyncConnection, statement: str
    ) -> None:
        """Payment 1 has the events 1 to 5: each is hashed again, and compared with those beside it."""
        await forge_in(tables, statement)
        assert "#1" in str(await disproved_in(tables, 1))

    async def test_an_event_put_in_at_the_end_approves_nothing(
        self, released: Ledger, engine: AsyncEngine
    ) -> None:
        """Its own hash may be right: the end of the chain does not know it."""
        async with released.transaction() as transaction:
            payment = await transaction.payment(34)
            assert payment is not None
            await moved_in(transaction, payment)
        await forge(
            engine,
            "UPDATE chain SET last_event = 170, last_hash = (SELECT previous FROM events WHERE id = 171)",
        )
        assert await disproved(released, 34) == "#34: event 171 does not fit into the audit trail"

    async def test_a_transaction_may_move_a_payment_twice(self, released: Ledger) -> None:
        """Its own events prove it as those do that were there before."""
        payment = await in_state(released, State.REQUESTED)
        async with released.transaction() as transaction:
            payment = await moved_in(transaction, payment)
            assert await transaction.disproved(payment) is None
            await transaction.move(payment, State.CANCELLED, happened("cancelled"), actor="U1")
            assert await transaction.disproved(payment) is None
        assert (await released.verify()).whole

    async def test_what_is_added_to_a_forged_end_moves_nothing(
        self, released: Ledger, engine: AsyncEngine
    ) -> None:
        """Its own event does not fit into the trail: nobody is told by it what state a payment is in."""
        payment = await in_state(released, State.REQUESTED)
        # Another request's event is the last one, so that its own say nothing against it before.
        await request(released, InvoiceRef("vps", 777))
        await forge(engine, "UPDATE chain SET last_hash = 'a'")
        async with released.transaction() as transaction:
            payment = await moved_in(transaction, payment)
            with pytest.raises(LedgerContradicted):
                await transaction.move(payment, State.CANCELLED, happened("cancelled"), actor="U1")

    async def test_an_approval_without_its_event_is_nobodys_word(
        self, released: Ledger, engine: AsyncEngine
    ) -> None:
        """A row written by hand is read by nobody: not by who counts, nor by who shows."""
        payment = await in_state(released, State.PENDING_APPROVAL)
        before = await released.approvers(payment.request.id)
        await forge(
            engine,
            "INSERT INTO approvals (request_id, approver, decision, at) "
            f"VALUES ({payment.id}, 'U7', 'approve', '2026-03-02')",
        )
        assert await released.approvers(payment.request.id) == before
        async with released.transaction() as transaction:
            assert await transaction.approvers(payment.request.id) == before
        assert await approved(released, payment, "U8")
        assert await released.approvers(payment.request.id) == [*before, "U8"]

    @pytest.mark.parametrize("number", [0, 2, -1, "1", None])
    async def test_an_answer_to_a_call_that_was_not_made_is_a_flaw(
        self, released: Ledger, number: Any
    ) -> None:
        """An answer is booked on the call that it names, and on no other."""
        payment = await request_in(released, State.APPROVED, InvoiceRef("vps", 777))
        async with released.transaction() as transaction:
            sending = await transaction.move(
                payment,
                State.SENDING,
                Sending("one", 1),
                actor="executor",
                tries=1,
            )
            await transaction.start_attempt(sending, "one")
            late = happened("answered_late", **{"try": number})
            event_id = await transaction.record(late, actor="executor", payment=sending)
        assert f"event {event_id} is the answer to no call" in str(
            await disproved(released, payment.request.id)
        )


async def test_a_forged_amount_without_a_currency_can_be_put_into_words(
    released: Ledger, engine: AsyncEngine
) -> None:
    """The proof names it; the card must be told all the same."""
    payment = await request_in(released, State.PENDING_APPROVAL, InvoiceRef("vps", 777))
    await forge(engine, f"UPDATE payments SET amount = '1.00' WHERE id = {payment.id}")
    forged = await released.payment(payment.id)
    assert forged is not None
    assert forged.invoice is not None
    assert (amount(forged.invoice), description(forged.invoice, 100)) == ("1.00", "")
    assert "its amount is 1.00" in str(await disproved(released, payment.request.id))


class TestHeldByTheTrail:
    @pytest.mark.parametrize(
        "change", ["state = 'CANCELLED'", "state = 'DECLINED'", "number = 4711", "module = 'mail'"]
    )
    @pytest.mark.parametrize("state", [State.PAID, State.UNKNOWN, State.SENDING, State.PENDING_APPROVAL])
    async def test_an_invoice_that_is_held_by_the_trail_cannot_be_asked_for_again(
        self, released: Ledger, engine: AsyncEngine, change: str, state: State
    ) -> None:
        """Whatever was done to the row that held it: nothing is written, and it is said which payment
        it is."""
        held = await in_state(released, state)
        await forge(engine, f"UPDATE payments SET {change} WHERE id = {held.id}")
        with pytest.raises(LedgerContradicted, match=rf"request #{held.id} holds {held.ref}; its row says"):
            await request(released, held.ref)
        assert len(await all_of(released)) == 33
        async with released.transaction() as transaction:
            assert await holders.holder(transaction._connection, held.ref) == held.request.id

    async def test_an_invoice_that_was_let_go_can_be_asked_for_again(self, released: Ledger) -> None:
        """Also one whose number begins like that of a paid one."""
        for state in (State.DECLINED, State.DENIED, State.CANCELLED, State.EXPIRED):
            payment = await in_state(released, state)
            async with released.transaction() as transaction:
                held = await holders.holder(transaction._connection, payment.ref)
            assert (held is None) or await released.live("vps", [payment.ref.number])
        await request(released, InvoiceRef("vps", 1010))
        await request(released, InvoiceRef("vps", 1))


def scans(plan: Iterable[Sequence[Any]]) -> list[str]:
    """What SQLite looks through, of what it does for a statement. The chain has one row."""
    steps = [str(step) for *_, step in plan]
    return [step for step in steps if step.startswith("SCAN ") and step != "SCAN chain"]


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
async def test_the_checks_before_money_moves_read_by_an_index(released: Ledger, engine: AsyncEngine) -> None:
    """They cost the same in a ledger of millions of events; how PostgreSQL reads depends on how many."""
    asked: list[tuple[str, Any]] = []

    def listen(*told: Any) -> None:
        asked.append((told[2], told[3]))

    async with engine.connect() as connection:
        event.listen(engine.sync_engine, "before_cursor_execute", listen)
        for statement in (
            *(holders.ASKED_FOR, holders.KNOWN, audit.OF_ONE_REQUEST, precedents.BESIDE),
            *(proof.BELONGING_TO_ONE, proof.PAYMENTS_OF_ONE, proof.APPROVERS),
        ):
            invoices = {"invoice": "vps 1", "invoices": ["vps 1"], "numbers": [1]}
            await connection.execute(statement, {**invoices, "request": 1, "number": 1})
        event.remove(engine.sync_engine, "before_cursor_execute", listen)
        for sql, values in asked:
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)).all()
            assert not scans(plan), plan


@pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
async def test_who_holds_invoices_is_read_by_an_index(released: Ledger, engine: AsyncEngine) -> None:
    """Of several modules as well: nothing that was paid before is looked through."""
    refs = [InvoiceRef("vps", 1), InvoiceRef("vps", 2), InvoiceRef("mail", 1)]
    told: list[Any] = []
    event.listen(released._engine.sync_engine, "before_cursor_execute", lambda *all_: told.append(all_[2:4]))
    async with released.transaction() as transaction:
        await transaction.holding(refs)
    sql, values = told[1]
    async with engine.connect() as connection:
        plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)).all()
    assert not scans(plan), plan
    assert sum("module=? AND number=?" in step for *_, step in plan) == 2, plan
