"""What people may ask for, take back and settle: each wish is done and recorded, or refused and recorded."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.domain.batch import Batch
from bot.domain.payment import Payment, State
from bot.errors import DirectoryError
from bot.ledger.opening import open_ledger
from bot.ledger.store import Ledger
from bot.payments.answers import (
    AlreadyDecided,
    AlreadyRequested,
    Done,
    NotFound,
    NotYours,
    Requested,
)
from bot.payments.authority import Person
from bot.payments.settlement import settle_by_hand
from bot.payments.settling import Settling
from tests.fixture_types import Clock, NewDatabase
from tests.ledger.making import request_in, stored, trail
from tests.payments.conftest import ALICE, BOB, CAROL, MALLORY, TEAM, VPS, Office, policy, refused

GROUP = "S1"

DAVE = Person("U5", TEAM)
"""Another who may ask, and approves nothing."""


class TestRequest:
    async def test_a_request_is_in_the_ledger_with_its_event(self, office: Office, clock: Clock) -> None:
        """Before anything is asked of the billing API or posted."""
        payment = await office.request(response_url="https://example.com/r", note="for June")
        assert (payment.state, payment.ref, payment.request.requester) == (State.REQUESTED, VPS, ALICE.id)
        assert (payment.request.team, payment.request.channel, payment.request.note) == (
            "T1",
            "C1",
            "for June",
        )
        assert payment.request.expires_at == clock.now + timedelta(days=3)
        event = await office.last(payment)
        assert (event.action, event.actor) == ("requested", ALICE.id)
        assert stored(event) == {
            "invoice": "vps 10101",
            "team": "T1",
            "channel": "C1",
            "rule": "default",
            "note": "for June",
            "state": "REQUESTED",
            "approvals_required": 0,
            "expires_at": "2026-03-05 09:00:00.000000",
        }
        assert office.calls() == []

    async def test_the_same_command_twice_is_one_request(self, office: Office) -> None:
        """Slack repeats deliveries; the second is answered as the first was, and nothing more is recorded."""
        first = await office.request(trigger_id="1.2")
        again = await office.request(trigger_id="1.2")
        assert again == first
        assert await office.actions(first) == ["requested"]

    async def test_the_same_invoice_twice_is_refused_with_the_first(self, office: Office) -> None:
        """Whoever asks, and whatever became of the first, unless it came to nothing."""
        first = await office.pay()
        assert first.state is State.PAID
        answer = await office.desk.request(ALICE, "C1", [VPS], trigger_id="other")
        assert answer == AlreadyRequested(first)
        assert await office.refusals() == [(ALICE.id, "already_requested")]
        assert office.billing.payments_received("vps", 10101) == 1

    async def test_a_double_click_makes_one_payment(self, office: Office) -> None:
        """Two commands at the same moment: one request, one refusal, no error."""
        answers = await asyncio.gather(
            *(office.desk.request(ALICE, "C1", [VPS], trigger_id=f"click {number}") for number in range(6))
        )
        assert sum(isinstance(answer, Requested) for answer in answers) == 1
        assert sum(isinstance(answer, AlreadyRequested) for answer in answers) == 5

    async def test_a_refusal_is_recorded_and_requests_nothing(self, office: Office) -> None:
        """Who asked for what and why not; the billing API hears nothing of it."""
        answer = await office.desk.request(MALLORY, "C1", [VPS], trigger_id="1.2")
        assert refused(answer) == "person_not_allowed"
        answer = await office.desk.request(Person(ALICE.id, "T9"), "C1", [VPS], trigger_id="1.3")
        assert refused(answer) == "other_team"
        events = await trail(office.ledger)
        assert [stored(event) for event in events] == [
            {"what": "request vps 10101", "reason": "person_not_allowed", "team": "T1"},
            {"what": "request vps 10101", "reason": "other_team", "team": "T9"},
        ]
        assert await office.ledger.recent() == []
        await office.look()
        await office.execute()
        assert office.billing.log == []

    async def test_a_silent_directory_leaves_nothing_done(self, office: Office) -> None:
        """Neither a request nor a refusal: it can be asked again."""
        office.rules(policy(requesters=frozenset({GROUP})))
        office.register.silent = True
        with pytest.raises(DirectoryError):
            await office.desk.request(ALICE, "C1", [VPS], trigger_id="1.2")
        assert (await office.ledger.verify()).events == 0
        office.register.silent = False
        office.register.groups[GROUP] = {ALICE.id}
        await office.request(trigger_id="1.2")

    async def test_a_refusal_that_was_not_the_policys_is_recorded(self, office: Office) -> None:
        """Such as that of a page or a form."""
        answer = await office.desk.request(MALLORY, "C1", [VPS], trigger_id="1.2")
        assert refused(answer)
        await office.desk.record_refusal(MALLORY, answer, "list")  # type: ignore[arg-type]
        assert len(await office.refusals()) == 2


class TestCancel:
    async def test_a_way_in_that_does_not_say_where_the_channel_came_from_must_show_membership(
        self,
        office: Office,
    ) -> None:
        """Forgetting it is the strict way: as if somebody had named the channel. The refusal is in the
        trail."""
        office.register.outside = {ALICE.id}
        answer = await office.desk.request(ALICE, "C1", [VPS], trigger_id="1.2")
        assert refused(answer) == "not_in_the_channel"
        assert await office.refusals() == [(ALICE.id, "not_in_the_channel")]
        assert await office.ledger.recent() == []

    async def test_who_leaves_the_channel_later_is_paid_for_all_the_same(self, office: Office) -> None:
        """They were in it when they asked, and that is what counts: it is not asked again at the
        execution."""
        payment = await office.looked_up()
        office.register.outside = {ALICE.id}
        await office.execute()
        assert (await office.now(payment)).state is State.PAID

    async def test_who_asked_may_take_it_back(self, strict: Office) -> None:
        """Nothing is sent, and the invoice can be requested again."""
        payment = await strict.looked_up()
        answer = await strict.desk.withdraw(ALICE, payment.request.id)
        assert isinstance(answer, Done)
        assert answer.batch.first.state is State.CANCELLED
        assert answer.batch.first.reason == "withdrawn by its requester"
        assert (await strict.last(payment)).actor == ALICE.id
        await strict.execute()
        assert strict.billing.payments_received("vps", 10101) == 0
        await strict.request()

    @pytest.mark.parametrize("person", [BOB, MALLORY, Person(ALICE.id, "T9")])
    async def test_nobody_else_may(self, strict: Office, person: Person) -> None:
        """Not an approver either, nor somebody of another team with the same id; the try is recorded."""
        payment = await strict.looked_up()
        assert await strict.desk.withdraw(person, payment.request.id) == NotYours(Batch((payment,)))
        assert await strict.now(payment) == payment
        assert await strict.refusals() == [(person.id, "not_the_requester")]

    async def test_what_was_sent_cannot_be_taken_back(self, office: Office) -> None:
        """Whatever became of it."""
        payment = await office.lost(paid=True)
        assert await office.desk.withdraw(ALICE, payment.request.id) == AlreadyDecided(Batch((payment,)))
        assert await office.desk.withdraw(ALICE, 999) == NotFound(999)


async def _waits_for_another(ledger: Ledger) -> None:
    """Until a transaction waits for what another one holds."""
    blocked = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE NOT granted AND datname = current_database()"
    )
    async with asyncio.timeout(10), ledger._reads.connect() as connection:
        while not (await connection.execute(blocked)).scalar_one():  # noqa: ASYNC110 -- another connection waits
            await asyncio.sleep(0.01)


class TestResolve:
    @pytest.mark.parametrize(("paid", "state"), [(True, State.PAID), (False, State.DECLINED)])
    async def test_an_approver_settles_a_lost_answer(self, office: Office, paid: bool, state: State) -> None:
        """On their word, with a note that the trail keeps."""
        payment = await office.lost(paid=True)
        answer = await office.desk.resolve(BOB, payment.request.id, paid=paid, note=" seen in MyAdmin ")
        assert isinstance(answer, Done)
        assert answer.batch.first.state is state
        event = await office.last(payment)
        assert (event.action, event.actor) == ("resolved", BOB.id)
        assert stored(event) == {"paid": paid, "note": "seen in MyAdmin"}

    @pytest.mark.parametrize(
        ("person", "reason"),
        [
            (ALICE, "own_request"),
            (DAVE, "not_an_approver"),
            (MALLORY, "person_not_allowed"),
            (Person(BOB.id, "T9"), "other_team"),
        ],
    )
    async def test_nobody_else_settles_it(self, office: Office, person: Person, reason: str) -> None:
        """Not the requester either, where there are approvers; the try is recorded."""
        office.rules(policy(requesters=frozenset({ALICE.id, DAVE.id})))
        payment = await office.lost(paid=True)
        answer = await office.desk.resolve(person, payment.request.id, paid=False, note="trust me")
        assert refused(answer) == reason
        assert (await office.now(payment)).state is State.UNKNOWN
        assert await office.refusals() == [(person.id, reason)]

    async def test_where_there_are_no_approvers_the_requester_settles_it(self, office: Office) -> None:
        """Somebody has to; nobody else may."""
        office.rules(policy(approvers=frozenset(), requesters=frozenset({ALICE.id, DAVE.id})))
        payment = await office.lost(paid=True)
        answer = await office.desk.resolve(DAVE, payment.request.id, paid=True, note="x")
        assert answer == NotYours(Batch((payment,)))
        answer = await office.desk.resolve(Person(ALICE.id, "T9"), payment.id, paid=True, note="x")
        assert refused(answer) == "other_team"
        assert isinstance(await office.desk.resolve(ALICE, payment.request.id, paid=True, note="x"), Done)

    async def test_a_requester_who_left_does_not_leave_it_unsettled(self, office: Office) -> None:
        """The approvers of its rule may settle what somebody asked for who is not allowed any more."""
        payment = await office.lost(paid=True)
        office.rules(policy(requesters=frozenset({"U7"})))
        answer = await office.desk.resolve(BOB, payment.request.id, paid=True, note="seen")
        assert isinstance(answer, Done)

    async def test_only_the_unknown_can_be_settled(self, office: Office) -> None:
        """What is known needs nobody's word."""
        payment = await office.pay()
        assert await office.desk.resolve(BOB, payment.request.id, paid=False, note="x") == AlreadyDecided(
            Batch((payment,))
        )
        assert await office.desk.resolve(BOB, 999, paid=False, note="x") == NotFound(999)

    async def test_settling_at_the_same_moment_is_done_once(self, office: Office) -> None:
        """Two approvers who contradict each other: the first word stands."""
        payment = await office.lost(paid=True)
        answers = await asyncio.gather(
            office.desk.resolve(BOB, payment.request.id, paid=True, note="yes"),
            office.desk.resolve(CAROL, payment.request.id, paid=False, note="no"),
        )
        assert sum(isinstance(answer, Done) for answer in answers) == 1
        assert sum(isinstance(answer, AlreadyDecided) for answer in answers) == 1

    @pytest.mark.parametrize("first", ["request", "correction"])
    async def test_a_correction_to_paid_and_a_new_request_come_one_after_the_other(
        self, new_postgresql: NewDatabase, clock: Clock, first: str
    ) -> None:
        """Whichever instance was first, the other answers that the invoice is taken."""
        url = new_postgresql(migrated=True)
        async with (
            open_ledger(url, clock=clock, boot_clock=clock.boottime) as one,
            open_ledger(url, clock=clock, boot_clock=clock.boottime) as two,
        ):
            declined = await request_in(one, State.UNKNOWN)
            settling = Settling(timedelta(0), clock.boottime)
            said = await settle_by_hand(
                one, BOB.id, declined.request.id, paid=False, note="no", settling=settling
            )
            assert isinstance(said, Done)
            inserted, go = asyncio.Event(), asyncio.Event()

            async def ask() -> Payment | None:
                async with two.transaction() as transaction:
                    payment = await transaction.insert(
                        [declined.ref],
                        team="T1",
                        channel="C1",
                        requester=ALICE.id,
                        note=None,
                        trigger_id="new",
                        response_url=None,
                        rule="default",
                        approvals_required=0,
                        expires_at=transaction.now + timedelta(days=3),
                    )
                    inserted.set()
                    await go.wait()
                    return payment.first if payment else None

            async def correct() -> object:
                return await settle_by_hand(
                    one, BOB.id, declined.request.id, paid=True, note="yes", settling=settling
                )

            if first == "correction":
                assert isinstance(await correct(), Done)
                go.set()
                assert await ask() is None
                return
            asking = asyncio.create_task(ask())
            await inserted.wait()
            correcting = asyncio.create_task(correct())
            await _waits_for_another(one)
            go.set()
            new = await asking
            assert new is not None
            assert await correcting == AlreadyRequested(new)
