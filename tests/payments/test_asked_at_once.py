"""Commands that come at the same moment: taken down by few transactions, each as if it had come alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from bot.domain.payment import InvoiceRef, State
from bot.errors import LedgerUnavailable
from bot.ledger import asked as new_rows
from bot.payments.answers import AlreadyRequested, Requested
from tests import asked
from tests.fixture_types import NewDatabase
from tests.ledger.forging import forge, past_the_ledger
from tests.ledger.making import claimed, trail
from tests.payments.conftest import ALICE, MALLORY, ONE, Office, refused


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """All of these run on both."""
    new: NewDatabase = request.getfixturevalue(f"new_{request.param}")
    return new


def refs(count: int, first: int = 30_001) -> list[InvoiceRef]:
    return [InvoiceRef("vps", first + each) for each in range(count)]


async def ask(office: Office, ref: InvoiceRef, **fields: Any) -> object:
    return await office.desk.request(
        fields.pop("person", ALICE),
        "C1",
        [ref],
        typed_there=True,
        trigger_id=fields.pop("trigger_id", f"t{office.triggers()}"),
        **fields,
    )


async def ask_all(office: Office, asked_for: list[InvoiceRef]) -> list[object]:
    return list(await asyncio.gather(*(ask(office, ref) for ref in asked_for)))


async def test_each_is_taken_down_as_if_it_had_come_alone(office: Office) -> None:
    """Numbers without a gap, rows and events that prove each other, and one event each."""
    answers = [await ask(office, ref, note=f"no {ref.number}") for ref in refs(1)]
    together = refs(30, first=40_001)
    answers += await asyncio.gather(*(ask(office, ref, note=f"no {ref.number}") for ref in together))
    batches = [answer.batch for answer in answers if isinstance(answer, Requested)]
    assert [batch.first.ref for batch in batches] == refs(1) + together
    assert sorted(batch.request.id for batch in batches) == list(range(1, 32))
    assert [batch.request.note for batch in batches] == [f"no {batch.first.ref.number}" for batch in batches]
    assert Counter(event.request_id for event in await trail(office.ledger)) == Counter(range(1, 32))
    for batch in batches:
        assert await office.ledger.of_request(batch.request.id) == batch
    assert (await office.ledger.verify()).whole


async def test_each_that_nobody_has_to_approve_has_its_card_at_once(office: Office) -> None:
    """And no other has: its card waits until it is known who has to be asked."""
    await ask_all(office, refs(6))
    assert await office.ledger.undelivered() == 6
    assert [card.request_id for card in await claimed(office.ledger)] == [1]
    office.rules(ONE)
    await ask_all(office, refs(6, first=40_001))
    assert await office.ledger.undelivered() == 6


async def test_thirty_cost_few_statements(office: Office) -> None:
    """Two transactions, and not thirty: the first is alone, and the others wait for it."""
    with asked.statements() as sent:
        answers = await ask_all(office, refs(30))
    assert all(isinstance(answer, Requested) for answer in answers)
    assert len(sent) <= 24


async def test_one_invoice_is_requested_once_however_often_it_is_asked_for(office: Office) -> None:
    """Whoever comes later in the same moment hears who was first."""
    answers = await ask_all(office, [*refs(5), *refs(5), *refs(5)])
    kinds = Counter(type(answer) for answer in answers)
    assert kinds == {Requested: 5, AlreadyRequested: 10}
    held = [answer.payment.ref for answer in answers if isinstance(answer, AlreadyRequested)]
    assert Counter(held) == Counter({ref: 2 for ref in refs(5)})
    assert len(await office.ledger.ids(State.REQUESTED)) == 5
    assert (await office.ledger.verify()).whole


async def test_those_who_ask_for_what_is_held_are_told_by_the_same_transaction(office: Office) -> None:
    """Forty commands for ten invoices cost few more statements than ten; each refusal is in the trail."""
    with asked.statements() as sent:
        answers = await ask_all(office, refs(10) * 4)
    assert Counter(type(answer) for answer in answers) == {Requested: 10, AlreadyRequested: 30}
    assert len(sent) <= 30
    refusals = [event for event in await trail(office.ledger) if event.action == "refused"]
    assert len(refusals) == 30
    assert {event.request_id for event in refusals} == set(range(1, 11))
    assert (await office.ledger.verify()).whole


async def test_a_command_that_slack_sends_again_at_once_is_one_request(office: Office) -> None:
    """By its trigger_id: both are told of the same request."""
    coming = [ask(office, ref, trigger_id=f"same {ref.number}") for ref in [*refs(4), *refs(4)]]
    answers = await asyncio.gather(*coming)
    ids = [answer.batch.request.id for answer in answers if isinstance(answer, Requested)]
    assert ids[:4] == ids[4:]
    assert len(set(ids)) == 4


async def test_what_is_known_of_one_is_no_matter_of_the_others(office: Office) -> None:
    """One is live already, one was let go, one is held by its events against its row, one may not ask."""
    live, let_go, forged = [await office.request(ref) for ref in refs(3)]
    await office.desk.withdraw(ALICE, let_go.request.id)
    async with past_the_ledger(office.ledger._engine.url.render_as_string(hide_password=False)) as engine:
        await forge(engine, f"UPDATE payments SET state = 'CANCELLED' WHERE id = {forged.id}")
    coming = [ask(office, ref) for ref in [*refs(2, first=50_001), *refs(3), *refs(2, first=60_001)]]
    *others, stranger = await asyncio.gather(*coming, ask(office, refs(1, 70_001)[0], person=MALLORY))
    kinds = [type(answer) for answer in others[:2] + others[5:]]
    assert kinds == [Requested] * 4
    assert isinstance(others[2], AlreadyRequested)
    assert others[2].payment.id == live.id
    assert isinstance(others[3], Requested)
    assert refused(others[4]) == "ledger_contradicted"
    assert refused(stranger) == "person_not_allowed"


async def test_where_the_ledger_fails_nobody_is_told_that_it_is_requested(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a transaction hear of it, and those of the next are served."""

    async def fail(*_: object) -> None:
        raise LedgerUnavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(new_rows, "insert_fresh", fail)
        coming = [ask(office, ref) for ref in refs(6)]
        first, *others = await asyncio.gather(*coming, return_exceptions=True)
    assert isinstance(first, Requested)
    assert all(isinstance(one, LedgerUnavailable) for one in others)
    assert len(await office.ledger.ids(State.REQUESTED)) == 1
    assert all(isinstance(one, Requested) for one in await ask_all(office, refs(6)[1:]))
