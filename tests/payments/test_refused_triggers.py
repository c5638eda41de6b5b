"""What was refused once stays refused when Slack delivers it again, whatever stood in its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from bot.domain.payment import InvoiceRef, State
from bot.domain.policy import Reason, Refusal, Tier
from bot.errors import CommitLost, DirectoryError, LedgerUnavailable
from bot.payments.answers import AlreadyApproved, AlreadyRequested, Done, Requested, TooEarly, is_done
from bot.payments.authority import Person
from bot.payments.desk import Desk
from bot.payments.pausing import Paused, Resumed, begins_or_ends
from tests.fixture_types import Clock
from tests.ledger.making import stored, trail
from tests.payments.conftest import ALICE, BOB, CAROL, VPS, Office, policy

STEP = "step:Fx1"
TYPED = "typed once"


async def asks(office: Office, trigger: str = STEP, *, delivery: str | None = None) -> Any:
    return await office.desk.request(
        ALICE, "C1", [VPS], trigger_id=trigger, delivery=delivery, typed_there=True
    )


async def types(office: Office, trigger: str = TYPED) -> Any:
    """As a command that is typed."""
    return await office.desk.once(trigger, asks(office, trigger), is_done)


def repeated(answer: object) -> bool:
    return isinstance(answer, Refusal) and answer.reason is Reason.REPEATED


async def test_what_was_refused_is_refused_for_good(office: Office) -> None:
    """In the words that were used first."""
    assert await office.desk.refused_before(STEP) is None
    assert await office.desk.refuse(STEP, "because") == "because"
    assert await office.desk.refuse(STEP, "why else") == "because"
    assert await office.desk.refused_before(STEP) == "because"
    answer = await asks(office)
    assert isinstance(answer, Refusal)
    assert answer.text == "because"
    assert await office.ledger.recent() == []


async def test_what_was_requested_is_not_refused(office: Office) -> None:
    """Another instance took the same event up at the same moment: its payment's end is the step's."""
    assert isinstance(await asks(office), Requested)
    assert await office.desk.refuse(STEP, "because") is None
    assert await office.desk.refused_before(STEP) is None
    assert isinstance(await asks(office), Requested)
    assert len(await office.ledger.recent()) == 1


async def test_it_is_remembered_for_months(office: Office, clock: Clock) -> None:
    """A machine that slept reads an event when it wakes; after that it is of no use."""
    await office.desk.refuse(STEP, "because")
    clock.advance(days=90)
    await office.maintenance.forget()
    assert await office.desk.refused_before(STEP) == "because"
    clock.advance(seconds=1)
    await office.maintenance.forget()
    assert await office.desk.refused_before(STEP) is None


async def test_a_command_that_was_refused_is_not_carried_out_when_its_invoice_is_free(office: Office) -> None:
    """The first request was withdrawn; who types anew is served, and the trail tells of the refusal."""
    first = await office.request()
    assert isinstance(await types(office), AlreadyRequested)
    assert isinstance(await types(office), AlreadyRequested)
    assert isinstance(await office.desk.withdraw(ALICE, first.request.id), Done)
    assert repeated(await types(office))
    last = (await trail(office.ledger))[-1]
    assert (last.actor, last.action) == (ALICE.id, "refused")
    assert stored(last)["reason"] == "refused_before"
    assert isinstance(await types(office, "typed anew"), Requested)


async def test_nor_when_the_rules_allow_it_by_then(office: Office) -> None:
    """Nor when Slack had not said in time whether they may: they were told that nothing was done."""
    office.rules(policy(requesters=frozenset({BOB.id})))
    assert isinstance(await types(office), Refusal)
    office.rules(policy())
    assert repeated(await types(office))
    office.rules(policy(requesters=frozenset({"S1"})))
    office.register.silent = True
    with pytest.raises(DirectoryError):
        await types(office, "while Slack says nothing")
    office.rules(policy())
    assert repeated(await types(office, "while Slack says nothing"))
    assert await office.ledger.recent() == []


async def test_among_many_that_come_at_once_as_well(office: Office) -> None:
    """They are taken down by one transaction, which makes no request of what was refused."""
    await office.desk.refuse(TYPED)
    other = InvoiceRef("vps", 10102)
    answers = await asyncio.gather(
        *(
            office.desk.request(ALICE, "C1", [ref], trigger_id=trigger, typed_there=True)
            for ref, trigger in ((other, "another"), (VPS, TYPED), (InvoiceRef("vps", 10103), "a third"))
        )
    )
    assert [repeated(one) for one in answers] == [False, True, False]


async def test_of_a_click_that_asks_for_several_only_what_was_refused_is_not_made_again(
    office: Office,
) -> None:
    """Each of its requests has a trigger of its own, and what was made stays the same request."""
    made = await asks(office, "several:1:a", delivery="click")
    assert isinstance(made, Requested)
    await office.desk.refuse("click")
    assert await asks(office, "several:1:a", delivery="click") == made
    await office.desk.withdraw(ALICE, made.batch.request.id)
    assert repeated(await asks(office, "several:1:b", delivery="click"))
    assert isinstance(await asks(office, "several:1:b", delivery="pressed again"), Requested)


async def test_a_no_that_cannot_be_kept_is_not_told_as_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several requests of one click some may be made, and the others may be when it is delivered again."""

    async def away(*_: object) -> None:
        raise LedgerUnavailable("away")

    monkeypatch.setattr(Desk, "refuse", away)
    await office.request()
    with pytest.raises(CommitLost):
        await types(office)
    office.rules(policy(requesters=frozenset({"S1"})))
    office.register.silent = True
    with pytest.raises(CommitLost):
        await types(office, "while Slack says nothing")


async def test_an_approval_that_was_refused_is_not_counted_later(office: Office) -> None:
    """Slack had not said in time whether they may; they were told that nothing was done."""
    office.rules(policy(tiers=(Tier(None, 2),), approvers=frozenset({"S1"})))
    office.register.groups["S1"] = {BOB.id, CAROL.id}
    payment = await office.looked_up()

    async def approve(person: Person, click: str) -> object:
        approving = office.desk.approve(person, payment.request.id, seen=payment.price, delivery=click)
        return await office.desk.once(click, approving, is_done)

    office.register.silent = True
    with pytest.raises(DirectoryError):
        await approve(BOB, "bob clicks")
    office.register.silent = False
    assert repeated(await approve(BOB, "bob clicks"))
    assert await office.ledger.approvers(payment.request.id) == []
    assert isinstance(await approve(BOB, "bob clicks anew"), Done)
    assert isinstance(await approve(BOB, "bob clicks twice"), AlreadyApproved)
    assert isinstance(await approve(BOB, "bob clicks twice"), AlreadyApproved)
    assert isinstance(await approve(CAROL, "carol clicks"), Done)
    assert (await office.now(payment)).state is State.APPROVED


async def test_a_resumption_that_found_no_pause_ends_none_that_came_after_it(office: Office) -> None:
    """Whoever typed it was told that sending was not paused; somebody paused it since, for a reason."""

    async def resume(trigger: str) -> object:
        return await office.desk.once(trigger, office.desk.resume(ALICE, trigger_id=trigger), begins_or_ends)

    office.rules(policy(approvers=frozenset()))
    assert await resume(TYPED) == Resumed(None)
    assert await resume(TYPED) == Resumed(None)
    assert isinstance(await office.desk.pause(ALICE, "wrong account", trigger_id="p1"), Paused)
    assert repeated(await resume(TYPED))
    assert await office.ledger.paused() is not None
    assert isinstance(await resume("typed anew"), Resumed)


async def test_a_pause_that_came_too_late_begins_none_after_a_resumption(office: Office) -> None:
    """It was paused already when it was typed, and that is over."""

    async def pause(trigger: str) -> object:
        return await office.desk.once(
            trigger, office.desk.pause(ALICE, "why", trigger_id=trigger), begins_or_ends
        )

    office.rules(policy(approvers=frozenset()))
    await office.desk.pause(ALICE, "first", trigger_id="p1")
    assert isinstance(await pause(TYPED), Paused)
    assert isinstance(await pause(TYPED), Paused)
    await office.desk.resume(ALICE, trigger_id="r1")
    assert repeated(await pause(TYPED))
    assert await office.ledger.paused() is None


async def test_a_settling_that_came_too_early_settles_nothing_later(office: Office, clock: Clock) -> None:
    """Whoever looked before the call could not be carried out any more did not see what became of it."""
    payment = await office.lost(paid=False)
    desk = Desk(office.ledger, office.authority, office.settling)

    async def settle(trigger: str) -> object:
        number = payment.request.id
        settling: Awaitable[Any] = desk.resolve(
            BOB, number, paid=False, note="MyAdmin says so", trigger_id=trigger
        )
        return await desk.once(trigger, settling, is_done)

    assert isinstance(await settle(TYPED), TooEarly)
    clock.advance(minutes=18)
    assert repeated(await settle(TYPED))
    assert (await office.now(payment)).state is State.UNKNOWN
    assert isinstance(await settle("typed anew"), Done)
