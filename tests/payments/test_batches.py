"""Several invoices in one request: asked for, decided on and told as one, and each paid at most once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bot.domain import events
from bot.domain.batch import Batch
from bot.domain.payment import InvoiceRef, State
from bot.domain.policy import Tier
from bot.payments.answers import AlreadyDecided, AlreadyRequested, Done, Outdated, Requested, WhichInvoice
from bot.payments.authority import OTHER_RULE
from tests.payments.conftest import ALICE, BOB, CAROL, MALLORY, ONE, PAY, UNPAID, VPS, Office, policy, refused

TENS = [InvoiceRef("vps", number) for number in (10101, 10102, 10103)]
"""Unpaid at the start: 10.00, 49.99 and 120.00 USD."""


async def ask(office: Office, *refs: InvoiceRef, trigger_id: str = "b1") -> Batch:
    answer = await office.desk.request(ALICE, "C1", refs or TENS, typed_there=True, trigger_id=trigger_id)
    assert isinstance(answer, Requested), answer
    return answer.batch


async def looked_up(office: Office, *refs: InvoiceRef) -> Batch:
    batch = await ask(office, *refs)
    await office.look()
    return await now(office, batch)


async def now(office: Office, batch: Batch) -> Batch:
    found = await office.ledger.of_request(batch.request.id)
    assert found is not None
    return found


def states(batch: Batch) -> list[State]:
    return [one.state for one in batch.payments]


class TestAsking:
    async def test_several_invoices_are_one_request_with_one_number(self, office: Office) -> None:
        """Its lines are numbered, and each is named by the request and its invoice."""
        batch = await ask(office)
        assert (batch.request.size, [one.line for one in batch.payments]) == (3, [1, 2, 3])
        assert [one.number for one in batch.payments] == [f"#{batch.request.id} {ref}" for ref in TENS]
        assert (await office.ledger.verify()).whole

    async def test_delivered_again_it_is_the_same_request(self, office: Office) -> None:
        """Slack delivers again what it thinks was lost."""
        assert await ask(office) == await ask(office)

    async def test_what_another_request_holds_is_left_out_and_named(self, office: Office) -> None:
        """The rest is asked for all the same."""
        held = await office.request(TENS[1])
        answer = await office.desk.request(ALICE, "C1", TENS, typed_there=True, trigger_id="b1")
        assert isinstance(answer, Requested)
        assert [one.ref for one in answer.batch.payments] == [TENS[0], TENS[2]]
        assert [one.id for one in answer.held] == [held.id]
        assert (await office.refusals()) == [(ALICE.id, "already_requested")]

    async def test_where_all_are_held_nothing_is_requested(self, office: Office) -> None:
        """And no number is used up."""
        await ask(office)
        answer = await office.desk.request(ALICE, "C1", TENS, typed_there=True, trigger_id="b2")
        assert isinstance(answer, AlreadyRequested)
        assert (await office.request(InvoiceRef("mail", 10301))).request.id == 2

    async def test_what_stands_under_two_rules_is_no_one_request(self, office: Office) -> None:
        """Whoever asks splits it by rule."""
        first = policy(name="vps", modules=frozenset({"vps"})).rules[0]
        office.rules(type(ONE)((first, policy().rules[0])))
        answer = await office.desk.request(
            ALICE, "C1", [VPS, InvoiceRef("mail", 10301)], typed_there=True, trigger_id="b1"
        )
        assert refused(answer) == "another_rule_than_the_rest"


class TestLookingUp:
    async def test_a_modules_list_is_read_once_for_all_of_them(self, office: Office) -> None:
        """However many invoices of it are asked for."""
        office.billing.log.clear()
        await looked_up(office)
        assert office.calls().count(UNPAID) == 1

    async def test_the_total_decides_how_many_must_approve(self, office: Office) -> None:
        """Splitting into many small ones does not help."""
        office.rules(policy(tiers=(Tier(Decimal(150), 0), Tier(None, 2))))
        batch = await looked_up(office)
        assert (batch.request.approvals_required, set(states(batch))) == (2, {State.PENDING_APPROVAL})

    async def test_one_that_is_not_unpaid_is_cancelled_and_stops_no_other(self, office: Office) -> None:
        """The others go on."""
        batch = await looked_up(office, *TENS, InvoiceRef("vps", 999))
        assert states(batch) == [*[State.APPROVED] * 3, State.CANCELLED]
        assert (await office.ledger.verify()).whole

    async def test_a_limit_a_day_counts_the_other_lines(self, office: Office) -> None:
        """As if each had been asked for by itself."""
        office.rules(policy(limit_per_person_per_day=Decimal(60)))
        assert states(await looked_up(office)) == [State.APPROVED, State.APPROVED, State.CANCELLED]


class TestDeciding:
    async def test_one_approval_approves_all(self, office: Office) -> None:
        """By one event, and each is paid once."""
        office.rules(ONE)
        batch = await looked_up(office)
        assert set(states(batch)) == {State.PENDING_APPROVAL}
        answer = await office.desk.approve(BOB, batch.request.id, mark=batch.request.mark, seen=batch.price)
        assert isinstance(answer, Done)
        assert set(states(answer.batch)) == {State.APPROVED}
        await office.execute()
        assert set(states(await now(office, batch))) == {State.PAID}
        assert office.calls().count(PAY) == 3
        actions = await office.actions(batch.first)
        assert (
            actions.count("approved"),
            actions.count("approval_complete"),
            actions.count("completed"),
        ) == (
            1,
            1,
            1,
        )
        assert (await office.ledger.verify()).whole

    async def test_a_click_that_shows_no_price_or_another_approves_nothing(self, office: Office) -> None:
        """Nobody approves what they did not see."""
        office.rules(ONE)
        batch = await looked_up(office)
        for seen in (None, batch.first.price, batch.price.replace("3 payments", "2 payments")):
            answer = await office.desk.approve(BOB, batch.request.id, seen=seen)
            assert isinstance(answer, Outdated), seen

    async def test_what_stands_under_another_rule_by_now_is_told_so(self, office: Office) -> None:
        """Whoever asked may still ask for it, alone: the next click lets it go, and says that."""
        office.rules(ONE)
        batch = await looked_up(office, VPS, InvoiceRef("mail", 10301))
        of_mail = policy(name="mail", modules=frozenset({"mail"})).rules[0]
        office.rules(type(ONE)((of_mail, *ONE.rules)))
        assert isinstance(await office.desk.approve(BOB, batch.request.id, seen=batch.price), Outdated)
        batch = await now(office, batch)
        assert states(batch) == [State.PENDING_APPROVAL, State.CANCELLED]
        told = (await office.last(batch.first)).what
        assert isinstance(told, events.Cancelled)
        assert (told.reason, told.remedy) == (OTHER_RULE.text, OTHER_RULE.remedy)
        assert isinstance(await office.desk.approve(BOB, batch.request.id, seen=batch.price), Done)

    async def test_denying_ends_all(self, office: Office) -> None:
        """By one event."""
        office.rules(ONE)
        batch = await looked_up(office)
        await office.desk.deny(BOB, batch.request.id, "no money")
        assert (await now(office, batch)).ended_together is State.DENIED
        assert (await office.actions(batch.first)).count("denied") == 1
        assert (await office.ledger.verify()).whole

    async def test_withdrawing_ends_what_was_not_sent(self, office: Office) -> None:
        """And frees the invoices."""
        batch = await looked_up(office)
        answer = await office.desk.withdraw(ALICE, batch.request.id)
        assert isinstance(answer, Done)
        assert answer.batch.withdrawn
        assert isinstance(
            await office.desk.request(ALICE, "C1", TENS, typed_there=True, trigger_id="b2"), Requested
        )

    async def test_it_expires_as_one(self, office: Office) -> None:
        """With one word in the thread."""
        office.rules(ONE)
        batch = await looked_up(office)
        office.clock.advance(days=4)
        await office.maintenance.poll_once()
        assert (await now(office, batch)).ended_together is State.EXPIRED
        assert (await office.actions(batch.first)).count("expired") == 1

    async def test_it_is_reminded_of_once(self, office: Office) -> None:
        """Not once a line."""
        office.rules(ONE)
        batch = await looked_up(office)
        office.clock.advance(days=2)
        for _ in range(3):
            await office.maintenance.poll_once()
        assert (await office.actions(batch.first)).count("reminded") == 1


class TestLeavingOut:
    async def test_approvals_given_stay_where_it_got_cheaper(self, office: Office) -> None:
        """And what was left out is never paid."""
        office.rules(policy(tiers=(Tier(None, 2),)))
        batch = await looked_up(office)
        await office.desk.approve(BOB, batch.request.id, seen=batch.price)
        answer = await office.desk.leave_out(ALICE, batch.request.id, [TENS[1]], "not ours")
        assert isinstance(answer, Done)
        left = answer.batch
        assert states(left) == [State.PENDING_APPROVAL, State.CANCELLED, State.PENDING_APPROVAL]
        assert isinstance(await office.desk.approve(CAROL, batch.request.id, seen=batch.price), Outdated)
        assert isinstance(await office.desk.approve(CAROL, batch.request.id, seen=left.price), Done)
        await office.execute()
        assert states(await now(office, batch)) == [State.PAID, State.CANCELLED, State.PAID]
        assert (await office.ledger.verify()).whole

    async def test_an_approver_may_and_nobody_else(self, office: Office) -> None:
        """Nor from a request of one, which is denied or withdrawn instead."""
        office.rules(ONE)
        batch = await looked_up(office)
        assert isinstance(await office.desk.leave_out(BOB, batch.request.id, [TENS[0]], "dear"), Done)
        assert refused(await office.desk.leave_out(MALLORY, batch.request.id, [TENS[1]], "x"))
        alone = await office.looked_up(InvoiceRef("mail", 10301))
        answer = await office.desk.leave_out(ALICE, alone.request.id, [alone.ref], "x")
        assert isinstance(answer, AlreadyDecided)

    async def test_several_go_at_once_and_what_cannot_is_left(self, office: Office) -> None:
        """One transaction; each has its event, with what was left after it; the last leaves nothing."""
        office.rules(ONE)
        batch = await looked_up(office)
        other = InvoiceRef("mail", 10301)
        answer = await office.desk.leave_out(BOB, batch.request.id, [TENS[0], other, TENS[2]], "dear")
        assert isinstance(answer, Done)
        assert states(answer.batch) == [State.CANCELLED, State.PENDING_APPROVAL, State.CANCELLED]
        again = await office.desk.leave_out(BOB, batch.request.id, [TENS[0]], "dear")
        assert isinstance(again, AlreadyDecided)
        await office.desk.leave_out(BOB, batch.request.id, TENS, "dear")
        assert (await now(office, batch)).ended_together is State.CANCELLED
        left = [one.what for one in await office.ledger.history(batch.request.id)]
        assert [one.price for one in left if isinstance(one, events.LeftOut)] == [
            "169.99 USD; 2 payments",
            "49.99 USD; 1 payments",
            None,
        ]
        assert (await office.ledger.verify()).whole


class TestPaying:
    @pytest.mark.parametrize("size", [1, 2, 3])
    async def test_several_are_summed_up_once_they_are_over_and_one_is_not(
        self, office: Office, size: int
    ) -> None:
        """Of one alone, what became of it says all."""
        batch = await looked_up(office, *TENS[:size])
        await office.execute()
        assert set(states(await now(office, batch))) == {State.PAID}
        actions = await office.actions(batch.first)
        assert actions.count("completed") == (1 if size > 1 else 0)

    async def test_one_that_is_declined_stops_no_other(self, office: Office) -> None:
        """Each has its own outcome."""
        batch = await looked_up(office)
        office.billing.fail("declined", operation=PAY, times=1)
        await office.execute()
        assert sorted(states(await now(office, batch))) == [State.DECLINED, State.PAID, State.PAID]

    async def test_a_lost_answer_is_settled_by_its_invoice(self, office: Office) -> None:
        """Which of several is meant must be said where more than one is unknown."""
        office.rules(policy())
        batch = await looked_up(office)
        office.billing.fail("reset-before", operation=PAY, times=2)
        await office.execute()
        batch = await now(office, batch)
        unknown = batch.within((State.UNKNOWN,))
        assert len(unknown) == 2
        asked = await office.desk.resolve(ALICE, batch.request.id, paid=True, note="seen")
        assert not isinstance(asked, Done)
        office.rules(ONE)
        assert isinstance(
            await office.desk.resolve(BOB, batch.request.id, paid=True, note="seen"), WhichInvoice
        )
        settled = await office.desk.resolve(BOB, batch.request.id, paid=True, note="x", ref=unknown[0].ref)
        assert isinstance(settled, Done)
        assert settled.batch.of_line(settled.line).state is State.PAID
        assert settled.batch.within((State.UNKNOWN,)) == (unknown[1],)

    async def test_an_amount_that_becomes_known_is_asked_about_again_with_all_of_it(
        self, office: Office
    ) -> None:
        """What was approved as of unknown amount was a blank cheque; the total was another one then."""
        office.rules(ONE)
        office.billing.fail("unreadable")
        batch = await looked_up(office)
        office.billing.heal()
        assert all(one.invoice is None for one in batch.payments)
        await office.desk.approve(BOB, batch.request.id, seen=batch.price)
        await office.execute()
        batch = await now(office, batch)
        assert set(states(batch)) == {State.PENDING_APPROVAL}
        assert PAY not in office.calls()
        while (batch := await now(office, batch)).waiting:
            await office.desk.approve(BOB, batch.request.id, seen=batch.price)
            await office.execute()
            office.clock.advance(seconds=31)
        while (batch := await now(office, batch)).under_way:
            await office.execute()
            office.clock.advance(seconds=31)
        assert set(states(batch)) == {State.PAID}
        assert (await office.ledger.verify()).whole

    async def test_amounts_that_become_known_are_asked_about_once(self, office: Office) -> None:
        """All that one list tells: of a dozen invoices nobody is asked a dozen times."""
        office.rules(ONE)
        refs = [InvoiceRef("vps", number) for number in range(20_001, 20_013)]
        for ref in refs:
            office.billing.add_invoice(ref.module, ref.number)
        office.billing.fail("unreadable")
        batch = await looked_up(office, *refs)
        office.billing.heal()
        approvals = 0
        while (batch := await now(office, batch)).under_way:
            if batch.waiting:
                approvals += 1
                await office.desk.approve(BOB, batch.request.id, seen=batch.price)
            await office.execute()
            office.clock.advance(seconds=31)
        assert (approvals, set(states(batch))) == (2, {State.PAID})
        assert (await office.actions(batch.first)).count("asked_again") == 1
        assert (await office.ledger.verify()).whole

    async def test_of_amounts_that_become_known_a_limit_forbids_only_what_is_above_it(
        self, office: Office
    ) -> None:
        """Each is asked about with those before it; the others are decided on anew."""
        office.rules(ONE)
        refs = [InvoiceRef("vps", number) for number in range(20_001, 20_004)]
        for ref in refs:
            office.billing.add_invoice(ref.module, ref.number)
        office.billing.fail("unreadable")
        batch = await looked_up(office, *refs)
        office.billing.heal()
        await office.desk.approve(BOB, batch.request.id, seen=batch.price)
        office.rules(policy(tiers=(Tier(None, 1),), limit_per_person_per_day=Decimal(25)))
        await office.execute()
        batch = await now(office, batch)
        assert sorted(states(batch)) == [State.CANCELLED, *[State.PENDING_APPROVAL] * 2]
        assert (await office.ledger.verify()).whole

    async def test_a_changed_amount_cancels_that_line_alone(self, office: Office) -> None:
        """What was approved is what is executed."""
        office.rules(ONE)
        batch = await looked_up(office)
        await office.desk.approve(BOB, batch.request.id, seen=batch.price)
        office.clock.advance(seconds=11)
        office.billing._service.books.add("vps", TENS[0].number, amount=99.0)
        await office.execute()
        assert states(await now(office, batch)) == [State.CANCELLED, State.PAID, State.PAID]


@pytest.mark.parametrize("forged", ["APPROVED", "PAID"])
async def test_a_line_whose_state_was_forged_takes_no_other_along(office: Office, forged: str) -> None:
    """One decision moves all that are in a state by the trail; where the rows differ, it moves none."""
    office.rules(ONE)
    batch = await looked_up(office)
    async with office.ledger.transaction() as transaction:
        await transaction.change(batch.payments[1], state=forged)
    answer = await office.desk.approve(BOB, batch.request.id, seen=(await now(office, batch)).price)
    assert refused(answer) == "ledger_contradicted"
    await office.execute()
    assert PAY not in office.calls()
