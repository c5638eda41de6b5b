"""Rows that were written past the bot: they approve nothing, and let nothing be paid again."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from bot.domain.payment import InvoiceRef, State
from bot.domain.policy import Tier
from bot.ledger import database
from bot.payments.answers import AlreadyRequested, Done
from bot.payments.desk_part import CONTRADICTED
from bot.payments.preflight import DISPROVED
from tests.fixture_types import Clock
from tests.ledger.making import attempts, stored
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
        await office.desk.approve(BOB, payment.request.id)
    names = (CAROL,) if given else (BOB, CAROL)
    await forge(
        ledger_url,
        *(
            "INSERT INTO approvals (request_id, approver, decision, at) "
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
        "INSERT INTO approvals (request_id, approver, decision, at) "
        f"VALUES ({payment.id}, '{CAROL.id}', 'approve', '2026-03-02 09:00:00.000000')",
    )
    await office.desk.approve(BOB, payment.request.id)
    assert (await office.now(payment)).state is State.PENDING_APPROVAL
    await office.desk.approve(CAROL, payment.request.id)
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
    answer = await office.desk.request(ALICE, "C1", [VPS], trigger_id="again")
    assert answer == CONTRADICTED
    assert await office.refusals() == [(ALICE.id, "ledger_contradicted")]
    assert len(await office.ledger.recent()) == 1
    await office.look()
    await office.execute()
    assert office.billing.payments_received("vps", VPS.number) == 1


async def test_another_invoice_that_was_written_into_its_row_is_not_paid(
    office: Office, ledger_url: str
) -> None:
    """It is unpaid and costs the same, so nothing but the trail says that nobody approved it."""
    office.billing.add_invoice("vps", 4711, amount=10.0)
    payment = await office.looked_up()
    await forge(ledger_url, f"UPDATE payments SET number = 4711 WHERE id = {payment.id}")
    await office.execute()
    payment = await office.now(payment)
    assert (payment.state, payment.reason) == (State.APPROVED, DISPROVED.reason)
    assert office.billing.payments_received("vps", 4711) == 0
    assert office.billing.payments_received("vps", VPS.number) == 0


@pytest.mark.parametrize(
    "written",
    [
        "payments SET amount = 'abc'",
        "payments SET version = 'abc'",
        "payments SET version = 9223372036854775807",
        "payments SET updated_at = 'now'",
        "payments SET due_at = '2026-01-32 00:00:00.000000'",
        "payments SET reason = x'ff00'",
        "requests SET channel = x'ff00'",
        "requests SET trigger_id = x'ff00'",
    ],
)
async def test_what_nobody_can_read_stops_no_other_payment(
    office: Office, clock: Clock, ledger_url: str, written: str
) -> None:
    """It is left alone and logged, not told as anything it is not; all others are paid and shown. The proof
    that the log asks for names it."""
    bad = await office.looked_up()
    good = await office.looked_up(InvoiceRef("vps", 10102))
    await forge(ledger_url, f"UPDATE {written} WHERE id = 1")
    with capture_logs() as logs:
        await office.execute()
    assert {"error"} == {entry["log_level"] for entry in logs if "cannot be read" in entry["event"]}
    assert [bad.id] in [entry.get("payments") for entry in logs]
    assert (await office.now(good)).state is State.PAID
    assert office.billing.payments_received("vps", VPS.number) == 0
    assert [one.first.id for one in await office.ledger.recent()] == [good.id]
    assert [one.first.id for one in await office.ledger.concerning(ALICE.id, State)] == [good.id]
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
    await office.maintenance.poll_once()
    await office.reconcile()
    await office.execute()
    assert (await office.now(good)).state is State.PAID
    assert bad.id in await office.ledger.ids(State(state))
    assert office.billing.payments_received("vps", VPS.number) == 0


@pytest.mark.parametrize("state", ["APPROVED", "NOT_SENT", "PENDING_APPROVAL"])
async def test_a_forged_state_is_not_laundered_by_the_requesters_cancel(
    office: Office, ledger_url: str, state: str
) -> None:
    """The lost answer goes on to hold its invoice, and nobody sends a second call."""
    payment = await office.lost_unread()
    await forge(ledger_url, f"UPDATE payments SET state = '{state}' WHERE id = {payment.id}")
    received = office.billing.payments_received("vps", VPS.number)
    assert await office.desk.withdraw(ALICE, payment.request.id) == CONTRADICTED
    assert await office.refusals() == [(ALICE.id, "ledger_contradicted")]
    office.billing.heal()
    answer = await office.desk.request(ALICE, "C1", [VPS], trigger_id="again", typed_there=True)
    assert isinstance(answer, AlreadyRequested)
    await office.execute()
    assert office.billing.payments_received("vps", VPS.number) == received


async def test_a_state_forged_while_the_call_is_under_way_keeps_the_invoice(
    office: Office, ledger_url: str
) -> None:
    """The cancel is refused, and the answer of the call is written down."""
    answers: list[object] = []

    async def forged(step: str, payment_id: int) -> None:
        if step == "intended":
            await forge(ledger_url, f"UPDATE payments SET state = 'APPROVED' WHERE id = {payment_id}")
            answers.append(await office.desk.withdraw(ALICE, payment_id))

    office.checkpoint = forged
    office.rules(policy())
    payment = await office.pay()
    assert answers == [CONTRADICTED]
    assert stored(await office.last(payment))["verdict"] == "PAID"
    answer = await office.desk.request(ALICE, "C1", [VPS], trigger_id="again", typed_there=True)
    assert isinstance(answer, AlreadyRequested)


async def test_an_answer_is_kept_although_the_trail_says_that_no_call_was_begun(
    office: Office, ledger_url: str
) -> None:
    """Nothing moves on what somebody put into the trail, and the reply is not lost."""

    async def forged(step: str, payment_id: int) -> None:
        if step == "answered":
            await forge(
                ledger_url,
                "DROP TRIGGER events_no_update" + ("" if ledger_url.startswith("sqlite") else " ON events"),
                f"UPDATE events SET actor = 'U9' WHERE request_id = {payment_id} AND action = 'sending'",
            )

    office.checkpoint = forged
    office.rules(policy())
    payment = await office.pay()
    last = await office.last(payment)
    assert (payment.state, last.action, stored(last)["verdict"]) == (State.SENDING, "answered_late", "PAID")
    (attempt,) = await attempts(office.ledger, payment.id)
    assert attempt.verdict is not None


@pytest.mark.parametrize("decide", ["approve", "deny"])
async def test_nobody_decides_on_a_state_that_was_forged(
    office: Office, ledger_url: str, decide: str
) -> None:
    """A lost answer that is shown as waiting for approval stays what its events say."""
    office.rules(policy(tiers=(Tier(None, 1),)))
    payment = await office.looked_up()
    assert isinstance(await office.desk.withdraw(ALICE, payment.request.id), Done)
    await forge(ledger_url, f"UPDATE payments SET state = 'PENDING_APPROVAL' WHERE id = {payment.id}")
    before = await office.actions(payment)
    if decide == "approve":
        answer = await office.desk.approve(BOB, payment.request.id)
    else:
        answer = await office.desk.deny(BOB, payment.request.id, "no")
    assert answer == CONTRADICTED
    assert await office.actions(payment) == before


async def test_nobody_settles_what_was_forged_to_be_unknown(office: Office, ledger_url: str) -> None:
    """A paid invoice is not let go of on somebody's word."""
    payment = await office.pay()
    await forge(ledger_url, f"UPDATE payments SET state = 'UNKNOWN' WHERE id = {payment.id}")
    assert await office.desk.resolve(BOB, payment.request.id, paid=False, note="I looked") == CONTRADICTED


async def test_what_never_moved_cannot_be_corrected(office: Office, ledger_url: str) -> None:
    """No event says who settled it, so there is no word that another could stand against."""
    payment = await office.request()
    await forge(ledger_url, f"UPDATE payments SET state = 'DECLINED' WHERE id = {payment.id}")
    assert await office.desk.resolve(BOB, payment.request.id, paid=True, note="I looked") == CONTRADICTED


async def test_a_forged_state_does_not_expire_by_the_executor(
    office: Office, clock: Clock, ledger_url: str
) -> None:
    """It is held, and its thread is told."""
    payment = await office.lost_unread()
    await forge(ledger_url, f"UPDATE payments SET state = 'APPROVED' WHERE id = {payment.id}")
    clock.advance(days=4)
    await office.execute()
    now = await office.now(payment)
    assert (now.state, now.reason) == (State.APPROVED, DISPROVED.reason)
    assert (await office.last(payment)).action == "held"


@pytest.mark.parametrize("state", ["SENDING", "NOT_SENT", "PENDING_APPROVAL"])
async def test_one_forged_payment_does_not_stop_the_chores(
    office: Office, clock: Clock, ledger_url: str, state: str
) -> None:
    """It is left as it is, and not looked at again at once; what is due beside it is done."""
    office.rules(policy(tiers=(Tier(None, 1),)))
    forged, other = await office.looked_up(), await office.looked_up(InvoiceRef("vps", 10102))
    await office.desk.withdraw(ALICE, forged.request.id)
    await forge(
        ledger_url,
        f"UPDATE payments SET state = '{state}', tries = 9, due_at = '2020-01-01 00:00:00.000000',"
        f" lease_until = '2020-01-01 00:00:00.000000' WHERE id = {forged.id}",
    )
    clock.advance(days=4)
    with capture_logs() as logs:
        await office.maintenance.poll_once()
        await office.maintenance.poll_once()
    assert [log["payment"] for log in logs if log["log_level"] == "error"] == [forged.number]
    assert (await office.now(forged)).state.value == state
    assert (await office.now(other)).state is State.EXPIRED


async def test_a_forged_stranded_payment_is_left_and_the_others_are_not(
    office: Office, clock: Clock, ledger_url: str
) -> None:
    """Neither stops the chores, nor is the forged one looked at again at once."""
    forged, other = await office.request(), await office.request(InvoiceRef("vps", 10102))
    await office.desk.withdraw(ALICE, forged.request.id)
    await forge(ledger_url, f"UPDATE payments SET state = 'APPROVED' WHERE id = {forged.id}")
    clock.advance(days=4)
    with capture_logs() as logs:
        await office.maintenance.poll_once()
        await office.maintenance.poll_once()
    assert [log["payment"] for log in logs if log["log_level"] == "error"] == [forged.number]
    assert (await office.now(other)).state is State.EXPIRED


@pytest.mark.parametrize(
    "how",
    [
        "UPDATE attempts SET verdict = 'DECLINED'",
        "DELETE FROM attempts",
        "UPDATE payments SET number = 4711 WHERE id = 1",
        "INSERT INTO events (id, at, request_id, actor, action, from_state, to_state, detail, previous, hash)"
        " VALUES (999999, '2026-03-02 09:00:00.000000', 1, 'U2', 'resolved', 'UNKNOWN', 'DECLINED', '{}',"
        " 'x', 'y')",
    ],
)
async def test_what_another_payment_says_for_it_is_believed_only_where_it_is_proved(
    office: Office, clock: Clock, ledger_url: str, how: str
) -> None:
    """A doubt about an earlier call cannot be written away."""
    office.billing.add_invoice("vps", VPS.number)
    payment = await office.lost_unread()
    office.billing.heal()
    clock.advance(minutes=40)
    await office.reconcile()
    clock.advance(minutes=40)
    async with office.ledger.transaction() as transaction:
        await transaction.bring_forward()
    await office.reconcile()
    assert (await office.now(payment)).state is State.DECLINED
    office.billing.fail("unreadable")
    before = office.billing.payments_received("vps", VPS.number)
    await forge(ledger_url, how)
    again = await office.pay()
    assert (again.state, again.reason) == (State.APPROVED, DISPROVED.reason)
    assert office.billing.payments_received("vps", VPS.number) == before


async def test_another_payment_that_was_written_into_a_request_is_not_paid(
    office: Office, ledger_url: str
) -> None:
    """Nor is the one that was asked for; nobody decides on a request of which it is not known what it is."""
    office.rules(policy(tiers=TWO))
    payment = await office.looked_up()
    columns = "module, state, version, tries, looked_up_at, listed, amount, currency, updated_at, due_at"
    await forge(
        ledger_url,
        f"INSERT INTO payments (request_id, line, number, {columns})"
        f" SELECT request_id, 2, 10102, {columns} FROM payments WHERE id = {payment.id}",
        "UPDATE payments SET state = 'APPROVED' WHERE line = 2",
    )
    assert await office.desk.withdraw(ALICE, payment.request.id) is CONTRADICTED
    for person in (BOB, CAROL):
        await office.desk.approve(person, payment.request.id)
    await office.execute()
    for number in (10101, 10102):
        assert office.billing.payments_received("vps", number) == 0
    assert (await office.ledger.verify()).flaws == (
        f"#{payment.request.id}: no event asks for payment 2 of it",
    )


@pytest.mark.parametrize(
    "forged",
    [
        "DELETE FROM attempts",
        "UPDATE attempts SET verdict = 'PAID', finished_at = '2026-03-02 09:00:00.000000'",
    ],
)
async def test_an_answer_is_stored_and_told_whatever_became_of_the_rows_of_the_call(
    office: Office, ledger_url: str, forged: str
) -> None:
    """Only an event says that it was stored before."""

    async def checkpoint(point: str, payment: int) -> None:
        if point == "answered":
            await forge(ledger_url, forged)

    office.checkpoint = checkpoint
    office.rules(policy())
    payment = await office.looked_up()
    await office.execute()
    payment = await office.now(payment)
    assert payment.state is State.PAID
    assert payment.status_text
