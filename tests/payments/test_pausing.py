"""The kill switch: nothing is sent while sending is paused, on any instance, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.billing.client import BillingClient
from bot.domain.payment import PAUSED, Payment, State
from bot.ledger import database
from bot.payments.pausing import Paused, Resumed
from bot.slack.replies import of_pausing
from tests.fixture_types import Clock
from tests.ledger.forging import forge
from tests.payments.conftest import ALICE, BOB, MALLORY, ONE, PAY, Office, policy, refused


async def test_what_is_approved_waits_until_it_is_resumed(office: Office) -> None:
    """It says why, and is paid at once then."""
    payment = await office.looked_up()
    assert isinstance(
        await office.desk.pause(ALICE, "the account is being moved", trigger_id="pause.1"), Paused
    )
    await office.execute()
    held = await office.now(payment)
    assert (held.state, held.reason) == (State.APPROVED, f"{PAUSED}: the account is being moved")
    assert PAY not in office.calls()
    assert isinstance(await office.desk.resume(ALICE, trigger_id="resume.1"), Resumed)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID
    assert (await office.ledger.verify()).whole


@pytest.mark.parametrize(("expires_in", "again_in"), [(timedelta(days=1), 600), (timedelta(minutes=3), 180)])
async def test_what_a_pause_holds_is_looked_at_seldom_but_when_it_expires(
    office: Office, clock: Clock, expires_in: timedelta, again_in: int
) -> None:
    """Hundreds that wait for days cost next to nothing, and ending the pause has them tried at once."""
    office.rules(policy(expires_after=expires_in))
    payment = await office.looked_up()
    await office.desk.pause(ALICE, "", trigger_id="pause.2")
    await office.execute()
    assert (await office.now(payment)).due_at == clock.now + timedelta(seconds=again_in)
    await office.desk.resume(ALICE, trigger_id="resume.1")
    assert (await office.now(payment)).due_at == clock.now


async def test_a_command_that_slack_delivers_again_begins_no_pause_after_its_own(office: Office) -> None:
    """Who let it go on was told that it does; the same words typed anew are meant anew."""
    assert isinstance(await office.desk.pause(ALICE, "a look", trigger_id="typed once"), Paused)
    await office.desk.resume(ALICE, trigger_id="resume.9")
    assert await office.desk.pause(ALICE, "a look", trigger_id="typed once") == Resumed(None)
    assert await office.ledger.paused() is None
    assert isinstance(await office.desk.pause(ALICE, "a look", trigger_id="typed anew"), Paused)
    assert (await office.ledger.verify()).whole


async def test_a_command_that_slack_delivers_again_ends_no_pause_that_came_after_it(office: Office) -> None:
    """Whoever typed it meant the pause before; who paused since is not overruled."""
    await office.desk.pause(ALICE, "first", trigger_id="pause.3")
    assert isinstance(await office.desk.resume(ALICE, trigger_id="typed once"), Resumed)
    await office.desk.pause(ALICE, "second", trigger_id="pause.4")
    again = await office.desk.resume(ALICE, trigger_id="typed once")
    assert isinstance(again, Paused)
    assert (again.before, again.pause.by, again.pause.reason) == (True, ALICE.id, "second")
    assert "It was paused" in of_pausing(again)
    assert isinstance(await office.desk.resume(ALICE, trigger_id="typed anew"), Resumed)
    assert await office.desk.resume(ALICE, trigger_id="typed anew") == Resumed(None)
    assert (await office.ledger.verify()).whole


async def test_a_pause_after_the_check_stops_what_was_about_to_be_sent(office: Office) -> None:
    """It stands in the trail before any intent that comes after it."""

    async def pause(point: str, _payment: int) -> None:
        if point == "checked":
            await office.desk.pause(ALICE, "", trigger_id="pause.5")

    office.checkpoint = pause
    office.rules(office.authority.policy)
    payment = await office.looked_up()
    await office.execute()
    assert (await office.now(payment)).state is State.APPROVED
    assert PAY not in office.calls()


async def test_what_was_resumed_since_the_check_is_not_held_nor_said_to_be(office: Office) -> None:
    """Whoever resumed it was told that it is paid now."""
    await office.desk.pause(ALICE, "", trigger_id="pause.6")

    async def resume(point: str, _payment: int) -> None:
        if point == "checked":
            await office.desk.resume(ALICE, trigger_id="resume.2")

    office.checkpoint = resume
    office.rules(office.authority.policy)
    payment = await office.looked_up()
    await office.execute()
    assert "held" not in await office.actions(payment)
    await office.execute()
    assert (await office.now(payment)).state is State.PAID


async def test_who_pauses_is_told_what_is_being_sent_already(office: Office) -> None:
    """Its call was begun before, and nobody can call it back."""
    paused = []

    async def pause(point: str, _payment: int) -> None:
        if point == "intended":
            paused.append(await office.desk.pause(ALICE, "", trigger_id="pause.7"))

    office.checkpoint = pause
    office.rules(office.authority.policy)
    payment = await office.looked_up()
    await office.execute()
    assert (await office.now(payment)).state is State.PAID
    (told,) = paused
    assert isinstance(told, Paused)
    assert told.sending == 1
    assert "One payment is being sent already, and may still be paid." in of_pausing(told)
    again = await office.desk.pause(ALICE, "", trigger_id="pause.8")
    assert isinstance(again, Paused)
    assert (again.sending, "being sent" in of_pausing(again)) == (0, False)


async def test_another_instance_sends_nothing_either(
    office: Office, other_client: BillingClient, clock: Clock
) -> None:
    """The ledger says so to all."""
    other = Office(office.ledger, clock, office.billing, other_client, office.register, instance="two")
    payment: Payment = await office.looked_up()
    await office.desk.pause(ALICE, "", trigger_id="pause.9")
    await other.execute()
    assert (await office.now(payment)).state is State.APPROVED
    assert PAY not in office.calls()


async def test_requests_and_approvals_go_on(office: Office) -> None:
    """Only the sending waits."""
    office.rules(ONE)
    await office.desk.pause(BOB, "", trigger_id="pause.10")
    payment = await office.looked_up()
    await office.desk.approve(BOB, payment.request.id, seen=payment.price)
    assert (await office.now(payment)).state is State.APPROVED


async def test_paused_twice_it_is_one_pause_and_resumed_twice_one_resumption(office: Office) -> None:
    """Each answer says how it was before."""
    first = await office.desk.pause(ALICE, "first", trigger_id="pause.11")
    again = await office.desk.pause(ALICE, "second", trigger_id="pause.12")
    assert isinstance(first, Paused)
    assert isinstance(again, Paused)
    assert (first.before, again.before, again.pause.reason) == (False, True, "first")
    assert await office.desk.resume(ALICE, trigger_id="resume.3") == Resumed(again.pause)
    assert await office.desk.resume(ALICE, trigger_id="resume.4") == Resumed(None)


async def test_only_approvers_may_or_requesters_where_there_are_none(office: Office) -> None:
    """Whoever may pay nothing stops nothing."""
    assert refused(await office.desk.pause(MALLORY, "", trigger_id="pause.13")) == "not_an_approver"
    office.rules(ONE)
    assert refused(await office.desk.pause(ALICE, "", trigger_id="pause.14")) == "not_an_approver"
    assert refused(await office.desk.resume(ALICE, trigger_id="resume.5")) == "not_an_approver"
    assert isinstance(await office.desk.pause(BOB, "", trigger_id="pause.15"), Paused)
    office.rules(policy())
    assert isinstance(await office.desk.resume(ALICE, trigger_id="resume.6"), Resumed)
    assert [who for who, _ in await office.refusals()] == [MALLORY.id, ALICE.id, ALICE.id]


@pytest.fixture
async def engine(ledger_url: str, office: Office) -> AsyncIterator[AsyncEngine]:
    """Past the ledger, which is made by now."""
    assert office
    made = database.engine_for(ledger_url)
    yield made
    await made.dispose()


@pytest.mark.parametrize("paused", [True, False])
async def test_who_forges_it_is_found(office: Office, engine: AsyncEngine, paused: bool) -> None:
    """A pause that nobody made, or one that somebody lifted past the bot."""
    if paused:
        await office.desk.pause(ALICE, "", trigger_id="pause.16")
        await forge(engine, "UPDATE chain SET paused_by = NULL, paused_at = NULL")
    else:
        await forge(engine, "UPDATE chain SET paused_by = 'U1', paused_at = '2026-03-02'")
    (flaw,) = (await office.ledger.verify()).flaws
    assert "paused, and no event says so" in flaw


async def test_who_forges_why_is_found(office: Office, engine: AsyncEngine) -> None:
    """It is told to everybody who waits, and would stand in the trail by that."""
    await office.desk.pause(ALICE, "month end", trigger_id="pause.17")
    assert (await office.ledger.verify()).whole
    await forge(engine, "UPDATE chain SET paused_reason = 'ask U9'")
    assert (await office.ledger.verify()).flaws == (
        "sending is paused, and no event says so, by whom and why",
    )
