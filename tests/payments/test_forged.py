"""Rows that were written past the bot: they approve nothing, and let nothing be paid again."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bot.domain.payment import InvoiceRef, State
from bot.domain.rule import Tier
from bot.ledger import database
from bot.payments.desk import CONTRADICTED
from tests.conftest import Clock
from tests.payments.conftest import ALICE, BOB, CAROL, VPS, Office, policy

TWO = (Tier(None, 2),)


async def forge(url: str, *statements: str) -> None:
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()


@pytest.mark.parametrize("given", [0, 1])
async def test_approvals_written_by_hand_pay_nothing(office: Office, ledger_url: str, given: int) -> None:
    """With the state set as well: whose word is in no event does not count, also beside one that is."""
    office.rules(policy(tiers=TWO))
    payment = await office.looked_up()
    if given:
        await office.desk.approve(BOB, payment.id)
    names = (CAROL,) if given else (BOB, CAROL)
    await forge(
        ledger_url,
        *(
            "INSERT INTO approvals (payment_id, approver, decision, at) "
            f"VALUES ({payment.id}, '{one.id}', 'approve', '2026-03-02 09:00:00.000000')"
            for one in names
        ),
        f"UPDATE payments SET state = 'APPROVED' WHERE id = {payment.id}",
    )
    await office.execute()
    assert office.billing.payments_received("vps", VPS.number) == 0
    assert not (await office.ledger.verify()).whole


async def test_who_was_forged_to_have_approved_cannot_complete_it(office: Office, ledger_url: str) -> None:
    """A forged row of his stands in the way of his own word, so he is told that it does not count."""
    office.rules(policy(tiers=TWO))
    payment = await office.looked_up()
    await forge(
        ledger_url,
        "INSERT INTO approvals (payment_id, approver, decision, at) "
        f"VALUES ({payment.id}, '{CAROL.id}', 'approve', '2026-03-02 09:00:00.000000')",
    )
    await office.desk.approve(BOB, payment.id)
    assert (await office.now(payment)).state is State.PENDING_APPROVAL
    await office.desk.approve(CAROL, payment.id)
    assert (await office.now(payment)).state is State.PENDING_APPROVAL


@pytest.mark.parametrize("change", ["state = 'CANCELLED'", "state = 'DECLINED'", "number = 4711"])
async def test_a_paid_invoice_whose_row_lets_go_of_it_is_not_paid_again(
    office: Office, ledger_url: str, change: str
) -> None:
    """Its events still say that it was paid, so the next request is refused, which the trail tells."""
    payment = await office.pay()
    assert payment.state is State.PAID
    office.billing.add_invoice("vps", VPS.number)
    await forge(ledger_url, f"UPDATE payments SET {change} WHERE id = {payment.id}")
    answer = await office.desk.request(ALICE, "C1", VPS, trigger_id="again")
    assert answer == CONTRADICTED
    assert await office.refusals() == [(ALICE.id, "ledger_contradicted")]
    assert len(await office.ledger.recent()) == 1
    await office.look()
    await office.execute()
    assert office.billing.payments_received("vps", VPS.number) == 1


async def test_an_amount_that_nobody_can_read_stops_no_other_payment(
    office: Office, clock: Clock, ledger_url: str
) -> None:
    """It is left alone and logged, not told as anything it is not; all others are paid and shown."""
    bad = await office.looked_up()
    good = await office.looked_up(InvoiceRef("vps", 10102))
    await forge(ledger_url, f"UPDATE payments SET amount = 'abc' WHERE id = {bad.id}")
    with capture_logs() as logs:
        await office.execute()
    assert {"error"} == {entry["log_level"] for entry in logs if "cannot be read" in entry["event"]}
    assert [bad.id] in [entry.get("payments") for entry in logs]
    assert (await office.now(good)).state is State.PAID
    assert office.billing.payments_received("vps", VPS.number) == 0
    assert [one.id for one in await office.ledger.recent()] == [good.id]
    assert [one.id for one in await office.ledger.concerning(ALICE.id, State)] == [good.id]
    assert set(await office.ledger.live("vps")) == {10102}
    with capture_logs() as logs:
        await office.execute()
    assert logs == [], "it is put aside for a while"
    clock.advance(minutes=1)
    await office.execute()
    assert not (await office.ledger.verify()).whole


@pytest.mark.parametrize("state", ["SENDING", "NOT_SENT", "UNKNOWN", "PENDING_APPROVAL"])
async def test_whatever_its_state_is_said_to_be(
    office: Office, clock: Clock, ledger_url: str, state: str
) -> None:
    """Those who look for orphans, retries, lost answers and expired requests go on as well."""
    bad = await office.looked_up()
    good = await office.looked_up(InvoiceRef("vps", 10102))
    past = "2026-01-01 00:00:00.000000"
    await forge(
        ledger_url,
        f"UPDATE payments SET amount = 'abc', state = '{state}', due_at = '{past}', lease_until = '{past}'"
        f" WHERE id = {bad.id}",
    )
    await office.timekeeper.look()
    await office.reconcile()
    await office.execute()
    assert (await office.now(good)).state is State.PAID
    assert bad.id in await office.ledger.ids(State(state))
    assert office.billing.payments_received("vps", VPS.number) == 0
