"""What one person is told at once: what is wrong, how to go on, and nothing that could harm."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import command
from bot.domain.batch import Batch
from bot.domain.payment import DOCUMENTED_MODULES, State
from bot.domain.policy import Reason, Refusal
from bot.domain.typed_words import Misunderstood
from bot.ledger.rows import Pause
from bot.payments import answers
from bot.payments.answers import Answer
from bot.payments.approvals import ApprovalStatus
from bot.payments.pausing import Resumed
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.slack import replies
from bot.slack.blocks import paragraph
from bot.slack.text import STATES
from tests.domain.made import NOW
from tests.slack.scenes import HOSTILE, payment_in

TEAM_URL = "https://acme.slack.com/"
LINK = "<https://acme.slack.com/archives/C1/p1700000000000001|See its card>"
PAID = payment_in(State.PAID)
REFUSAL = Refusal(Reason.PERSON, "You <may> not.", "Ask & see.", ask=frozenset({"U2", "S1"}))

PAUSE = Pause(NOW, "U1", "the card was stolen")

ANSWERS: dict[str, Answer] = {
    "already requested": answers.AlreadyRequested(payment_in(State.SENDING)),
    "already paid": answers.AlreadyRequested(PAID),
    "not found": answers.NotFound(42),
    "not yours": answers.NotYours(Batch((PAID,))),
    "decided": answers.AlreadyDecided(Batch((PAID,))),
    "approved before": answers.AlreadyApproved(
        Batch((payment_in(State.PENDING_APPROVAL),)), ApprovalStatus(2, ("U2",))
    ),
    "done": answers.Done(Batch((PAID,))),
    "refused": REFUSAL,
}


def tokens(text: str) -> list[str]:
    return re.findall(r"<([^<>]*)>", text)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_says_what_happened_and_how_to_go_on(name: str) -> None:
    """In two lines, in markup and in plain words."""
    said = replies.said(ANSWERS[name], TEAM_URL)
    assert said is not None
    assert len(said.splitlines()) == 2
    assert all(line.strip() for line in said.splitlines())
    plain = replies.in_plain_words(ANSWERS[name])
    assert plain
    assert not re.search(r"<[@#!h]|&amp;", plain)


def test_who_is_in_the_wrong_channel_is_led_to_the_right_ones() -> None:
    """To each of a few; of hundreds to as many as Slack takes, and the others are counted."""
    for count in (1, 3, 400):
        channels = frozenset(f"C{number:024}" for number in range(count))
        refusal = Refusal(Reason.CHANNEL, "Not here.", "Elsewhere.", channels=channels)
        checked_blocks(paragraph(replies.refused(refusal)).blocks)
        assert len(tokens(replies.refused(refusal))) == min(count, 50)
    assert replies.refused(refusal).endswith("and 350 others")


def test_a_request_that_is_taken_needs_no_words() -> None:
    """The card says it all."""
    assert replies.said(answers.Requested(Batch((PAID,))), TEAM_URL) is None


def test_a_second_request_links_to_the_first_card() -> None:
    """Once it stands; and says whether it was paid."""
    said = replies.said(answers.AlreadyRequested(PAID), TEAM_URL)
    assert said == (f"vps invoice 10101 was already paid; it is #42.\n:white_check_mark: Paid. {LINK}.")
    said = replies.said(answers.AlreadyRequested(payment_in(State.PENDING_APPROVAL, card_ts=None)), TEAM_URL)
    assert said is not None
    assert "was already requested; it is #42" in said
    assert said.endswith("Its card follows.")


@pytest.mark.parametrize("state", sorted(State))
def test_how_a_payment_stands_is_said_for_every_state(state: State) -> None:
    """With its words, never by emoji alone."""
    for answer in (
        answers.AlreadyDecided(Batch((payment_in(state),))),
        answers.AlreadyRequested(payment_in(state)),
    ):
        assert STATES[state][1] in str(replies.said(answer, TEAM_URL))
        assert STATES[state][1] in replies.in_plain_words(answer)


def test_a_refusal_says_whom_to_ask_and_where_it_is_allowed() -> None:
    """By mentions; its own words are escaped."""
    refusal = Refusal(Reason.CHANNEL, "Not <here>.", "Go there:", frozenset({"U2"}), frozenset({"C2", "C1"}))
    assert replies.refused(refusal) == "Not &lt;here&gt;.\nGo there: <#C1>, <#C2> <@U2> may know."
    assert replies.refused(REFUSAL).endswith("<!subteam^S1> or <@U2> may know.")


@pytest.mark.parametrize(
    ("remedy", "ask", "said"),
    [
        ("", {"U2"}, "Ask <@U2>."),
        ("Try again tomorrow.", {"U2", "U3"}, "Try again tomorrow. Or ask <@U2> or <@U3>."),
        ("Ask the people who run this bot.", set(), "Ask the people who run this bot."),
    ],
)
def test_who_may_not_pay_so_much_is_told_who_may(remedy: str, ask: set[str], said: str) -> None:
    """Also in a form, where nobody can be mentioned."""
    refusal = Refusal(Reason.PERSON_LIMIT, "Above.", remedy, frozenset(ask))
    assert replies.refused(refusal) == f"Above.\n{said}"
    assert replies.in_plain_words(refusal) == f"Above. {remedy or 'Ask somebody who may pay more.'}"


@given(
    st.lists(
        st.sampled_from([*HOSTILE, "vps", "pay", "10101", "#", "status"]) | st.text(max_size=20), max_size=6
    )
)
def test_what_was_typed_is_never_more_than_text(words: list[str]) -> None:
    """Whatever is misunderstood is quoted without its powers, shortly."""
    asked = command.parse(" ".join(words), DOCUMENTED_MODULES)
    if isinstance(asked, Misunderstood):
        said = replies.misunderstood(asked)
        assert tokens(said) == []
        assert "<" not in said
        assert len(said.splitlines()) == 2
        assert len(said) < 1_000


def test_an_unexpected_error_gives_a_reference() -> None:
    """To be found in the log."""
    assert "reference 1234abcd" in replies.unexpected("1234abcd")


def test_who_ends_a_pause_is_not_told_that_what_waits_for_its_day_is_paid_now() -> None:
    """It is approved as well, and goes on waiting."""
    assert "What is approved is paid now, or on its day" in replies.of_pausing(Resumed(PAUSE))
