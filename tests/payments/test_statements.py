"""What many payments of one request cost the database: so much for each, and not more the more there are."""

from __future__ import annotations

from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, State
from bot.payments.answers import Done, Requested
from tests import asked
from tests.payments.conftest import ALICE, BOB, ONE, Office

READS_THE_TRAIL = '"before".hash'


async def ask(office: Office, count: int) -> Batch:
    """So many new invoices in one request."""
    await office.client.prepare()
    refs = [InvoiceRef("vps", 20_000 + each) for each in range(count)]
    for ref in refs:
        office.billing.add_invoice(ref.module, ref.number, amount=10.0)
    answer = await office.desk.request(ALICE, "C1", refs, typed_there=True, trigger_id="many")
    assert isinstance(answer, Requested), answer
    return answer.batch


async def now(office: Office, batch: Batch) -> Batch:
    found = await office.ledger.of_request(batch.request.id)
    assert found is not None
    return found


def trail_reads(sent: list[str]) -> int:
    return sum(READS_THE_TRAIL in one for one in sent)


async def test_a_look_up_reads_the_trail_once_for_all_of_them(office: Office) -> None:
    """Each is moved by itself, and what the events say of the request is read for the first of them."""
    office.rules(ONE)
    batch = await ask(office, 12)
    with asked.statements() as sent:
        await office.look()
    assert {one.state for one in (await now(office, batch)).payments} == {State.PENDING_APPROVAL}
    assert trail_reads(sent) == 1


async def test_one_transaction_of_a_payment_reads_the_trail_once(office: Office) -> None:
    """The intent and its outcome, however much is asked of the trail in each."""
    office.rules(ONE)
    batch = await ask(office, 2)
    await office.look()
    batch = await now(office, batch)
    with asked.statements() as sent:
        answer = await office.desk.approve(BOB, batch.request.id, mark=batch.request.mark, seen=batch.price)
    assert isinstance(answer, Done)
    assert trail_reads(sent) == 1
    with asked.statements() as sent:
        await office.execute()
    assert {one.state for one in (await now(office, batch)).payments} == {State.PAID}
    assert trail_reads(sent) == 2 * 2


async def test_no_statement_is_compiled_each_time(office: Office) -> None:
    """On the whole way of a payment, from the request to the outcome, what was made once is used again."""
    office.rules(ONE)
    with asked.compiled_each_time() as sent:
        batch = await ask(office, 2)
        await office.look()
        batch = await now(office, batch)
        await office.desk.approve(BOB, batch.request.id, mark=batch.request.mark, seen=batch.price)
        await office.execute()
    assert {one.state for one in (await now(office, batch)).payments} == {State.PAID}
    assert sent == set()
