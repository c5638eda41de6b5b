"""Who approves and who denies: whoever may is counted once, whoever may not is refused and recorded."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest

from bot.domain.batch import Batch
from bot.domain.events import Approved
from bot.domain.payment import State
from bot.domain.policy import Tier
from bot.payments.answers import (
    AlreadyApproved,
    AlreadyDecided,
    Done,
    NotFound,
)
from bot.payments.approvals import shown
from bot.payments.authority import Person
from bot.payments.overview import Overview
from bot.slack import home, lists, replies
from bot.slack.card import Scene, request_card
from tests.fixture_types import Clock
from tests.ledger.making import stored
from tests.payments.conftest import (
    ALICE,
    BOB,
    CAROL,
    MALLORY,
    SETTLED,
    TIMING,
    Office,
    policy,
    refused,
)


class TestApprove:
    async def test_enough_approvals_approve(self, strict: Office) -> None:
        """Each is recorded with its number; the last one lets the payment go."""
        payment = await strict.looked_up()
        assert payment.request.approvals_required == 2
        first = await strict.desk.approve(BOB, payment.request.id)
        assert isinstance(first, Done)
        assert first.batch.first.state is State.PENDING_APPROVAL
        await strict.execute()
        assert strict.billing.payments_received("vps", 10101) == 0
        second = await strict.desk.approve(CAROL, payment.request.id)
        assert isinstance(second, Done)
        assert second.batch.first.state is State.APPROVED
        event = await strict.last(payment)
        assert (event.action, stored(event)["approvers"]) == ("approval_complete", "U2, U3")
        await strict.execute()
        assert (await strict.now(payment)).state is State.PAID

    async def test_one_person_counts_once(self, strict: Office) -> None:
        """However often they click."""
        payment = await strict.looked_up()
        await strict.desk.approve(BOB, payment.request.id)
        answer = await strict.desk.approve(BOB, payment.request.id)
        assert isinstance(answer, AlreadyApproved)
        assert answer.approvals.counted == (BOB.id,)
        assert (await strict.actions(payment)).count("approved") == 1

    async def test_clicks_at_the_same_moment_each_count_once(self, strict: Office) -> None:
        """Two people and many clicks: two approvals, one payment."""
        payment = await strict.looked_up()
        people = [BOB, CAROL, BOB, CAROL, Person("U4", "T1")]
        await asyncio.gather(*(strict.desk.approve(person, payment.request.id) for person in people))
        assert (await strict.now(payment)).state is State.APPROVED
        assert (await strict.actions(payment)).count("approval_complete") == 1
        await strict.execute()
        assert strict.billing.payments_received("vps", 10101) == 1

    @pytest.mark.parametrize(
        ("person", "reason"),
        [
            (ALICE, "own_request"),
            (MALLORY, "not_an_approver"),
            (Person(BOB.id, "T9"), "other_team"),
        ],
    )
    async def test_who_may_not_approve_is_refused_and_recorded(
        self, strict: Office, person: Person, reason: str
    ) -> None:
        """The requester too, although the rule names them."""
        payment = await strict.looked_up()
        for answer in (
            await strict.desk.approve(person, payment.request.id),
            await strict.desk.deny(person, payment.request.id, "no"),
            await strict.desk.may_decide(person, payment.request.id),
        ):
            assert refused(answer) == reason
        assert (await strict.now(payment)).state is State.PENDING_APPROVAL
        assert await strict.refusals() == [(person.id, reason)] * 3

    async def test_nothing_is_approved_before_its_amount_is_known(self, strict: Office) -> None:
        """Until the look-up is done, nobody can know what they approve."""
        payment = await strict.request()
        answer = await strict.desk.approve(BOB, payment.request.id)
        assert isinstance(answer, AlreadyDecided)
        assert await strict.ledger.approvers(payment.request.id) == []

    async def test_an_approval_that_no_longer_counts_is_not_counted(self, strict: Office) -> None:
        """Bob approved and was removed from the approvers: Carol's approval is the first."""
        payment = await strict.looked_up()
        await strict.desk.approve(BOB, payment.request.id)
        strict.rules(policy(tiers=(Tier(None, 2),), approvers=frozenset({CAROL.id, "U4"})))
        answer = await strict.desk.approve(CAROL, payment.request.id)
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.PENDING_APPROVAL
        answer = await strict.desk.approve(Person("U4", "T1"), payment.id)
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.APPROVED

    async def test_a_rule_that_got_stricter_counts(self, strict: Office) -> None:
        """And one that got laxer does not: what was asked for stays asked for."""
        office = strict
        payment = await office.looked_up()
        office.rules(policy(tiers=(Tier(None, 1),), approvers=frozenset({BOB.id, CAROL.id})))
        answer = await office.desk.approve(BOB, payment.request.id)
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.PENDING_APPROVAL, "two were asked for when it was requested"

    async def test_how_many_are_missing_is_the_same_wherever_it_is_told(self, office: Office) -> None:
        """A rule that asks for three instead of one, and one approval given: two are missing."""
        office.rules(policy(tiers=(Tier(None, 1),)))
        payment = await office.looked_up()
        office.rules(policy(tiers=(Tier(None, 3),), approvers=frozenset({BOB.id, CAROL.id, "U4"})))
        await office.desk.approve(BOB, payment.request.id)
        assert (await office.last(payment)).what == Approved(1, 3, "10.00 USD")
        again = await office.desk.approve(BOB, payment.request.id)
        assert "waits for 2 more people" in str(replies.said(again, ""))
        overview = Overview(office.ledger, office.authority)
        concerns = await overview.of(CAROL, most=1)
        assert "2 missing" in str(lists.pending(concerns.pending, concerns.waiting, "").blocks)
        tab = home.home(home.Tab(concerns, "", date(2026, 3, 2), may_ask=True))
        assert "needs 2 more approvals" in str(tab)
        approvals = await shown(office.ledger, office.authority, Batch((payment,)))
        card = Scene(Batch((payment,)), approvals, office.clock.now, TIMING, SETTLED, "", "")
        assert "Needs 2 more approvals from" in str(request_card(card).blocks)

    async def test_an_approval_that_does_not_count_any_more_is_missing_everywhere(
        self, strict: Office
    ) -> None:
        """Who was removed from the approvers may have approved before; nobody is told that it helps."""
        payment = await strict.looked_up()
        await strict.desk.approve(BOB, payment.request.id)
        strict.rules(policy(tiers=(Tier(None, 2),), approvers=frozenset({CAROL.id, "U4"})))
        (waiting,) = (await Overview(strict.ledger, strict.authority).of(CAROL, most=1)).waiting
        assert (waiting.approvals.counted, waiting.approvals.missing, waiting.mine) == ((), 2, True)

    async def test_what_expired_cannot_be_approved(self, strict: Office, clock: Clock) -> None:
        """Also if maintenance has not come by yet."""
        payment = await strict.looked_up()
        await strict.desk.approve(BOB, payment.request.id)
        clock.advance(days=3)
        answer = await strict.desk.approve(CAROL, payment.request.id)
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.EXPIRED

    async def test_what_is_decided_stays_decided(self, strict: Office) -> None:
        """A stale button does nothing, and its answer says how the payment stands."""
        payment = await strict.looked_up()
        denied = await strict.desk.deny(BOB, payment.request.id, "too much")
        assert isinstance(denied, Done)
        for answer in (
            await strict.desk.approve(CAROL, payment.request.id),
            await strict.desk.deny(CAROL, payment.request.id, "no"),
            await strict.desk.withdraw(ALICE, payment.request.id),
            await strict.desk.may_decide(CAROL, payment.request.id),
        ):
            assert answer == AlreadyDecided(denied.batch)
        assert await strict.desk.approve(BOB, 999) == NotFound(999)
        assert await strict.desk.deny(BOB, 999, "no") == NotFound(999)

    async def test_a_requester_who_was_removed_has_nothing_left_to_approve(self, strict: Office) -> None:
        """The click finds it out, and the payment is cancelled."""
        payment = await strict.looked_up()
        strict.rules(policy(requesters=frozenset({"U7"}), tiers=(Tier(None, 2),)))
        answer = await strict.desk.approve(BOB, payment.request.id)
        assert isinstance(answer, AlreadyDecided)
        assert answer.batch.first.state is State.CANCELLED


class TestDeny:
    async def test_one_no_is_final(self, strict: Office) -> None:
        """With its reason, cut to what fits; an approval before it does not help."""
        payment = await strict.looked_up()
        await strict.desk.approve(CAROL, payment.request.id)
        answer = await strict.desk.deny(BOB, payment.request.id, "  wrong invoice " + "x" * 600)
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.DENIED
        assert answer.batch.first.reason is not None
        assert answer.batch.first.reason.startswith("wrong invoice")
        assert len(answer.batch.first.reason) == 500
        assert (await strict.last(payment)).actor == BOB.id

    async def test_who_may_decide_is_told_so(self, strict: Office) -> None:
        """Nothing speaks against it: None, and nothing is recorded."""
        payment = await strict.looked_up()
        assert await strict.desk.may_decide(BOB, payment.request.id) is None
        assert await strict.refusals() == []
