"""Alarms: what operators have to know is written down once, however many instances see it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.domain.login import Login
from bot.domain.payment import InvoiceRef, State
from bot.errors import BillingError, LedgerUnavailable
from bot.ledger.notices import ALERTS, Notice, Topic
from bot.ledger.rows import Kind
from bot.ledger.schema import notices
from bot.ledger.store import Ledger
from bot.payments.alarms import Alarms, ids_in, span_in
from bot.payments.cards import Undeliverable
from bot.payments.desk_part import CONTRADICTED
from tests.ledger.forging import forge, past_the_ledger
from tests.ledger.making import claimed as deliveries_claimed
from tests.ledger.making import moved, request, request_in, trail
from tests.payments.conftest import ALICE, Office


class Books:
    """A billing API of which only the last login is known."""

    def __init__(self) -> None:
        self.login: Login | None = None


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def alarms(office: Office, books: Books) -> Alarms:
    return Alarms(office.ledger, books, office.timing)  # type: ignore[arg-type]  # it asks for no more


async def written(ledger: Ledger, *topics: Topic) -> list[tuple[str, str]]:
    """The topic and the detail of each that is about these, in their order."""
    statement = select(notices.c.topic, notices.c.detail).order_by(notices.c.id)
    rows = await ledger._all(statement.where(notices.c.topic.in_(topics or tuple(ALERTS))))
    return [(row["topic"], row["detail"]) for row in rows]


async def claimed(ledger: Ledger) -> Notice:
    async with ledger.transaction() as transaction:
        found = await transaction.notices.claim(ALERTS, owner="one", lease=timedelta(seconds=30))
    assert found is not None
    return found


async def told(ledger: Ledger) -> Notice:
    """The next is told."""
    notice = await claimed(ledger)
    async with ledger.transaction() as transaction:
        await transaction.notices.end(notice, "told", ts="1.1")
    return notice


class TestUnknown:
    async def test_after_an_hour_and_once(self, office: Office, alarms: Alarms) -> None:
        """Not before; and by as many instances as there are."""
        payment = await request_in(office.ledger, State.UNKNOWN)
        office.clock.advance(minutes=59)
        await alarms.look()
        assert await written(office.ledger) == []
        office.clock.advance(minutes=1)
        await asyncio.gather(*(alarms.look() for _ in range(3)))
        await alarms.look()
        assert await written(office.ledger) == [("unknown", str(payment.id))]

    async def test_those_of_one_hour_are_told_together(self, office: Office, alarms: Alarms) -> None:
        """And what comes later by itself, while the first are still unknown."""
        first = [
            await request_in(office.ledger, State.UNKNOWN, InvoiceRef("vps", number)) for number in (1, 2)
        ]
        office.clock.advance(hours=1)
        await alarms.look()
        later = await request_in(office.ledger, State.UNKNOWN, InvoiceRef("vps", 3))
        office.clock.advance(hours=1)
        await alarms.look()
        details = [detail for _, detail in await written(office.ledger)]
        assert list(map(ids_in, details)) == [[one.id for one in first], [later.id]]

    async def test_what_somebody_wrote_in_place_of_them_keeps_nobody_from_hearing_of_others(
        self, office: Office, alarms: Alarms, ledger_url: str
    ) -> None:
        """An alert that names no payment is over, and those that are unknown are told of anew."""
        payment = await request_in(office.ledger, State.UNKNOWN)
        office.clock.advance(hours=1)
        await alarms.look()
        async with past_the_ledger(ledger_url) as engine:
            await forge(engine, "UPDATE notices SET detail = 'x,-1,²'")
        for _ in range(2):
            await alarms.look()
        assert await written(office.ledger) == [("unknown", "x,-1,²"), ("unknown", str(payment.id))]

    async def test_when_all_are_settled_that_is_told_once(self, office: Office, alarms: Alarms) -> None:
        """Not while one of them is still unknown."""
        both = [
            await request_in(office.ledger, State.UNKNOWN, InvoiceRef("vps", number)) for number in (1, 2)
        ]
        office.clock.advance(hours=1)
        await alarms.look()
        await told(office.ledger)
        await moved(office.ledger, both[0], State.PAID)
        await alarms.look()
        assert await written(office.ledger, Topic.SETTLED) == []
        await moved(office.ledger, both[1], State.DECLINED)
        await asyncio.gather(*(alarms.look() for _ in range(3)))
        await alarms.look()
        ids = ",".join(str(one.id) for one in both)
        assert await written(office.ledger, Topic.SETTLED) == [("settled", ids)]

    async def test_who_did_not_hear_of_it_does_not_hear_that_it_is_over(
        self, office: Office, alarms: Alarms
    ) -> None:
        """Whoever was about to tell it finds that it is over."""
        payment = await request_in(office.ledger, State.UNKNOWN)
        office.clock.advance(hours=1)
        await alarms.look()
        notice = await claimed(office.ledger)
        await moved(office.ledger, payment, State.PAID)
        await alarms.look()
        async with office.ledger.transaction() as transaction:
            assert not await transaction.notices.begin(notice, lease=timedelta(seconds=30))
        assert await written(office.ledger, Topic.SETTLED) == []


class TestLogin:
    async def test_a_refused_login_is_told_once_and_that_it_is_over(
        self, office: Office, alarms: Alarms, books: Books
    ) -> None:
        """An instance that was let in before says nothing about now."""
        books.login = Login(refused=False, at=office.clock.boottime())
        office.clock.advance(seconds=10)
        other = Alarms(office.ledger, Books(), office.timing)  # type: ignore[arg-type]
        other.billing.login = Login(refused=True, at=office.clock.boottime())  # type: ignore[misc]
        for _ in range(2):
            await other.look()
            await alarms.look()
        assert await written(office.ledger) == [("login_refused", "")]
        await told(office.ledger)
        office.clock.advance(minutes=5)
        books.login = Login(refused=False, at=office.clock.boottime())
        await alarms.look()
        await other.look()
        await alarms.look()
        assert [topic for topic, _ in await written(office.ledger)] == ["login_refused", "login_accepted"]

    async def test_one_that_comes_and_goes_is_not_told_each_time(
        self, office: Office, alarms: Alarms, books: Books
    ) -> None:
        """But again, where it is refused for good."""
        for refused in (True, False, True):
            books.login = Login(refused, office.clock.boottime())
            office.clock.advance(seconds=20)
            books.login = Login(refused, office.clock.boottime())
            await alarms.look()
        assert len(await written(office.ledger, Topic.REFUSED)) == 1
        office.clock.advance(minutes=10)
        await alarms.look()
        assert len(await written(office.ledger, Topic.REFUSED)) == 2

    @pytest.mark.parametrize("mode", ["login-false", "login-blank"])
    async def test_what_the_api_says_to_a_login_is_known(self, office: Office, mode: str) -> None:
        """Refused, and later not."""
        assert office.client.login is None
        office.billing.fail(mode)
        with pytest.raises(BillingError):
            await office.client.prepare()
        assert office.client.login == Login(refused=True, at=office.clock.boottime())
        office.billing.heal()
        await office.client.prepare()
        assert office.client.login == Login(refused=False, at=office.clock.boottime())

    @pytest.mark.parametrize("mode", ["login-fault", "login-odd"])
    async def test_what_is_no_answer_is_no_refusal(self, office: Office, mode: str) -> None:
        """The API may be away, or be something else."""
        office.billing.fail(mode)
        with pytest.raises(BillingError):
            await office.client.prepare()
        assert office.client.login is None or not office.client.login.refused


class TestLedger:
    async def test_that_it_was_away_is_told_when_it_is_back(self, office: Office, alarms: Alarms) -> None:
        """From when to when; once, although each instance saw it."""
        await away(office, minutes=15)
        await alarms.look()
        assert await written(office.ledger) == []
        office.clock.advance(minutes=1)
        await alarms.look()
        await alarms.look()
        ((_, detail),) = await written(office.ledger, Topic.AWAY)
        began, ended = span_in(detail)
        assert ended - began == timedelta(minutes=15)
        assert ended == office.clock.now - timedelta(minutes=1)
        again = office.ledger.outage
        again.began, again._failed = began + timedelta(seconds=1), ended + timedelta(seconds=2)
        await alarms.look()
        assert len(await written(office.ledger, Topic.AWAY)) == 1

    async def test_another_time_is_told_again(self, office: Office, alarms: Alarms) -> None:
        """It is another outage where it was there for longer than a minute."""
        for _ in range(2):
            await away(office, minutes=2)
            office.clock.advance(minutes=1, seconds=1)
            await alarms.look()
        assert len(await written(office.ledger, Topic.AWAY)) == 2

    async def test_what_lasted_for_seconds_is_not_told(self, office: Office, alarms: Alarms) -> None:
        """A lock that was waited for is no outage."""
        await away(office, seconds=59)
        office.clock.advance(minutes=5)
        await alarms.look()
        assert await written(office.ledger) == []
        assert office.ledger.outage.began is None


async def away(office: Office, **span: float) -> None:
    """The ledger fails at the beginning and at the end of that span."""
    for step in ({}, span):
        office.clock.advance(**step)
        with pytest.raises(LedgerUnavailable):
            async with office.ledger.outage.noted():
                raise OSError("away")


async def test_a_pause_and_its_end_are_written_down_where_they_are_made(office: Office) -> None:
    """Each once; a second pause is none."""
    await office.desk.pause(ALICE, "an audit", trigger_id="pause.17")
    await office.desk.pause(ALICE, "again", trigger_id="pause.18")
    await office.desk.resume(ALICE, trigger_id="resume.7")
    await office.desk.resume(ALICE, trigger_id="resume.8")
    assert [topic for topic, _ in await written(office.ledger)] == ["paused", "resumed"]


async def test_what_is_given_up_in_one_place_is_told_once_a_day(office: Office) -> None:
    """However much it is: where one thing is not taken nothing is."""
    for number, days, person in ((1, 0, "U5"), (2, 0, "U5"), (3, 0, "U6"), (4, 1, "U5")):
        office.clock.advance(days=days)
        payment = await request(office.ledger, InvoiceRef("vps", number))
        async with office.ledger.transaction() as transaction:
            await transaction.outbox.add(payment.request, Kind.INVITATION, channel=person)
        (delivery,) = await deliveries_claimed(office.ledger)
        await Undeliverable(office.ledger).refused(delivery, payment.request, "user_not_found")
    events = [one.id for one in await trail(office.ledger) if one.action == "not_told"]
    assert len(events) == 4
    assert [detail for _, detail in await written(office.ledger)] == [str(events[n]) for n in (0, 2, 3)]


class TestContradicted:
    @pytest.fixture
    async def engine(self, ledger_url: str) -> AsyncIterator[AsyncEngine]:
        async with past_the_ledger(ledger_url) as engine:
            yield engine

    async def test_what_is_not_sent_for_it(self, office: Office, engine: AsyncEngine) -> None:
        """Once, however often it is tried again."""
        payment = await office.looked_up()
        await forge(engine, f"UPDATE payments SET number = 10102 WHERE id = {payment.id}")
        for _ in range(3):
            await office.execute()
            office.clock.advance(minutes=1)
        assert await written(office.ledger) == [("contradicted", "")]

    async def test_what_a_person_is_refused_for_it(self, office: Office, engine: AsyncEngine) -> None:
        """It is the same thing when they try again, and when the bot comes upon it."""
        payment = await office.lost_unread()
        await forge(engine, f"UPDATE payments SET state = 'APPROVED' WHERE id = {payment.id}")
        for _ in range(2):
            assert await office.desk.withdraw(ALICE, payment.request.id) == CONTRADICTED
        await office.execute()
        assert await written(office.ledger) == [("contradicted", "")]

    async def test_a_row_that_cannot_be_read(self, office: Office, engine: AsyncEngine) -> None:
        """It is put aside, and told of."""
        payment = await office.looked_up()
        await forge(engine, f"UPDATE payments SET amount = 'much' WHERE id = {payment.id}")
        for _ in range(2):
            await office.execute()
            office.clock.advance(minutes=2)
        assert await written(office.ledger) == [("contradicted", "")]
