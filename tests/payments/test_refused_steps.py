"""A workflow's step that was refused once is never requested, and one that was requested is never refused."""

from __future__ import annotations

from bot.domain.policy import Refusal
from bot.payments.answers import Requested
from tests.fixture_types import Clock
from tests.payments.conftest import ALICE, VPS, Office

RUN = "Fx1"


async def asks(office: Office) -> object:
    return await office.desk.request(ALICE, "C1", [VPS], trigger_id=f"step:{RUN}", typed_there=True)


async def test_what_was_refused_is_refused_for_good(office: Office) -> None:
    """In the words that were used first."""
    assert await office.desk.refused_step(RUN) is None
    assert await office.desk.refuse_step(RUN, "because") == "because"
    assert await office.desk.refuse_step(RUN, "why else") == "because"
    assert await office.desk.refused_step(RUN) == "because"
    answer = await asks(office)
    assert isinstance(answer, Refusal)
    assert answer.text == "because"
    assert await office.ledger.recent() == []


async def test_what_was_requested_is_not_refused(office: Office) -> None:
    """Another instance took the same event up at the same moment: its payment's end is the step's."""
    assert isinstance(await asks(office), Requested)
    assert await office.desk.refuse_step(RUN, "because") is None
    assert await office.desk.refused_step(RUN) is None
    assert isinstance(await asks(office), Requested)
    assert len(await office.ledger.recent()) == 1


async def test_it_is_remembered_for_months(office: Office, clock: Clock) -> None:
    """A machine that slept reads an event when it wakes; after that it is of no use."""
    await office.desk.refuse_step(RUN, "because")
    clock.advance(days=90)
    await office.maintenance.forget()
    assert await office.desk.refused_step(RUN) == "because"
    clock.advance(seconds=1)
    await office.maintenance.forget()
    assert await office.desk.refused_step(RUN) is None
