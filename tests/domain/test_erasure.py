"""What is left of an event when the people in it are erased."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.domain.erasure import Numbered, addressed, is_person, without_people
from bot.domain.events import Cancelled, Denied, Held, NotTold, encode
from bot.ledger.rows import Pause
from bot.payments.preflight import paused


@pytest.mark.parametrize(
    ("actor", "person"),
    [("U0ALICE", True), ("root@host", True), ("look-up", False), ("billing", False), ("erased-1", False)],
)
def test_the_bots_own_parts_are_nobody(actor: str, person: bool) -> None:
    """They have plain words for names; and who is erased is somebody no more."""
    assert is_person(actor) is person


def test_a_channel_is_nobody() -> None:
    """A person is, and so is a direct message with one."""
    people = Numbered()
    assert [addressed(one, people) for one in ("C1", "U1", "W2", "D3", "U1")] == [
        "C1",
        "erased-1",
        "erased-2",
        "erased-3",
        "erased-1",
    ]


def test_a_name_is_found_where_it_stands_alone() -> None:
    """Not inside of a longer one."""
    people = Numbered()
    people("U1")
    assert people.within("<@U1> and U12 and AU1, said U1.") == "<@erased-1> and U12 and AU1, said erased-1."


def test_numbers_that_a_text_holds_already_are_given_to_nobody_else() -> None:
    """What was erased before names people by them."""
    people = Numbered()
    people.known("erased-2 asked erased-7")
    assert people("U1") == "erased-8"


def test_all_else_of_an_event_stays_letter_for_letter() -> None:
    """As it was written, in its order and its alphabet."""
    told = NotTold("card", "U0ALICE", "odd é")
    assert without_people(told.action, encode(told), Numbered()) == encode(
        NotTold("card", "erased-1", "odd é")
    )
    in_a_channel = encode(NotTold("card", "C1", "odd é")).replace(", ", ",")
    assert without_people(told.action, in_a_channel, Numbered()) == in_a_channel


def test_what_somebody_wrote_is_gone() -> None:
    """Whether or not it names anybody."""
    assert "too" not in without_people(Denied.action, encode(Denied("too much")), Numbered())


@pytest.mark.parametrize("event", [Held, Cancelled])
def test_why_somebody_paused_is_gone_from_what_it_held_up(event: type[Held | Cancelled]) -> None:
    """Whoever paused wrote it, and each payment that waited for it tells it; that they waited stays."""
    told = event(paused(Pause(datetime.now(UTC), "U1", "Fred lost the card")).reason)
    assert without_people(told.action, encode(told), Numbered()) == encode(
        event("payments are paused: (erased)")
    )


@pytest.mark.parametrize(
    ("detail", "left"),
    [
        ('{"line": 2, "who": "U1"}', '{"line": 2}'),
        ('{"who": "U1"}', "{}"),
        ('{"line": "U1"}', "{}"),
        ('{"line": true}', "{}"),
        ('["line"]', "{}"),
        ("no JSON", "{}"),
    ],
)
def test_of_an_event_that_nobody_knows_nothing_is_left_but_its_payment(detail: str, left: str) -> None:
    """A later version wrote it, so anything in it may be personal."""
    assert without_people("of_a_later_version", detail, Numbered()) == left
