"""Replies: within Slack's limits and harmless, whatever stands in them; what happened and how to go on."""

from __future__ import annotations

import html
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain import events
from bot.domain.events import DomainEvent
from bot.domain.payment import State
from bot.ledger.rows import Event
from bot.sandbox.local_slack.messages import visible_texts
from bot.slack import event_text
from bot.slack.card import Scene
from tests.slack.scenes import (
    UNTOLD,
    answered,
    check,
    event_of,
    outside,
    payment_in,
    said,
    scene_of,
    scenes,
    words,
)


def anything(known: type[Any]) -> st.SearchStrategy[Any]:
    """An event of this type, with whatever people or the API may have said in it."""
    said: dict[str, st.SearchStrategy[Any]] = {
        "status": st.none() | outside,
        "status_text": st.none() | outside,
        "note": outside,
        "reason": outside if known is events.Denied else words,
        "channel": st.just("C1"),
        "other": st.just("#41"),
        "ask": st.sampled_from([None, "U2", "S1, U2"]),
        "other_channel": st.just("C1"),
        "other_ts": st.just("1700000000.000001"),
        "error": st.sampled_from(["not_in_channel", "is_archived"]) | words,
        "kind": st.sampled_from(["card", "step"]),
        "verdict": st.sampled_from(["PAID", "DECLINED"]),
    }
    by_type: tuple[tuple[type, st.SearchStrategy[Any]], ...] = (
        (str, words),
        (bool, st.booleans()),
        (int, st.integers(0, 20)),
    )

    def value(name: str, hint: Any) -> st.SearchStrategy[Any]:
        kinds = (hint, *get_args(hint))
        return said[name] if name in said else st.one_of([drawn for kind, drawn in by_type if kind in kinds])

    hints = get_type_hints(known)
    return st.builds(known, **{field.name: value(field.name, hints[field.name]) for field in fields(known)})


BY_PEOPLE = (events.Approved, events.Denied, events.LeftOut)


MOVES_IT = (events.Answered, events.Reconciled, events.Resolved, events.Corrected)
"""What is told with the state that it leads to."""


replies = st.one_of(
    [
        st.builds(
            event_of,
            anything(known),
            st.sampled_from([State.PAID, State.DECLINED]) if known in MOVES_IT else st.none(),
            st.sampled_from(["U1", "U2"] + ["policy", "operator:root"] * (known not in BY_PEOPLE)),
            st.sampled_from([None, 1, 2]),
        )
        for known in get_args(events.KnownEvent)
    ]
)


@given(replies, scenes)
@example(answered(State.PAID, None, "&" * 4000), scene_of(payment_in(State.PAID)))
@example(answered(State.UNKNOWN, "<" * 100, "&\n" * 4000), scene_of(payment_in(State.UNKNOWN)))
@settings(max_examples=120)
def test_a_reply_is_fit_for_slack(event: Event, scene: Scene) -> None:
    """In the thread and as a direct message, and what has no words there says so."""
    try:
        told = event_text.thread_reply(event, scene)
    except event_text.Untold:
        assert isinstance(event.what, UNTOLD)
    else:
        check(told)
        check(event_text.direct(event, scene))


class TestTheAnswer:
    """What the billing API said, and what it means."""

    def test_the_answer_is_told_verbatim(self) -> None:
        """In the blocks and in the text, and harmless in both."""
        hostile = "Paid café & <b>bold</b> <!channel> <@U0EVIL0001> https://example.com"
        message = event_text.thread_reply(
            answered(State.PAID, "ok", hostile), scene_of(payment_in(State.PAID))
        )
        assert f"> {hostile}" in said(message)
        assert hostile in html.unescape(message.text)
        assert "<!channel>" not in message.text
        assert all("<!channel>" not in text for text in visible_texts(message.blocks))
        assert all(block["text"]["verbatim"] for block in message.blocks if block["type"] == "section")

    def test_ok_and_error_look_different_in_words_too(self) -> None:
        """Nobody has to know the emoji, and nobody has to read the API's words."""
        text = "Please contact support."
        paid = event_text.thread_reply(answered(State.PAID, "ok", text), scene_of(payment_in(State.PAID)))
        declined = event_text.thread_reply(
            answered(State.DECLINED, "error", text), scene_of(payment_in(State.DECLINED))
        )
        assert paid.text.startswith("#42: Paid.")
        assert declined.text.startswith("#42: Declined; nothing was paid.")
        assert said(paid).splitlines()[0] == ":white_check_mark: *Paid*"
        assert said(declined).splitlines()[0] == ":x: *Declined; nothing was paid*"
        assert "status `ok`" in said(paid)
        assert "status `error`" in said(declined)

    def test_unknown_is_said_honestly(self) -> None:
        """That it may have been paid, until when it is known, what not to do, and how it can be settled."""
        lost = answered(State.UNKNOWN, None, None, "ReadTimeout: no answer in time")
        message = event_text.thread_reply(lost, scene_of(payment_in(State.UNKNOWN)))
        words = (
            "it may have been paid. I am checking; expect an answer by <!date^1772443020^{time}|09:17 UTC>."
            " Do not pay it here or in MyAdmin."
        )
        assert f"The answer was lost; {words}" in said(message)
        assert f"#42: Unknown; do not pay it again. The answer was lost; {words}" in message.text
        assert "`/pay resolve 42 paid`" in said(message)
        assert "ReadTimeout: no answer in time" in said(message)
        died = event_text.thread_reply(
            event_of(events.LeaseRanOut("one"), State.UNKNOWN), scene_of(payment_in(State.UNKNOWN))
        )
        assert f"The answer was lost, as the bot stopped meanwhile; {words}" in said(died)

    def test_an_odd_status_is_shown_with_its_text(self) -> None:
        """The API said something that nobody knows: all of it is told."""
        odd = answered(
            State.UNKNOWN, "pending", "Queued.", "answered with a status that is neither ok nor error"
        )
        message = event_text.thread_reply(odd, scene_of(payment_in(State.UNKNOWN)))
        assert "> Queued." in said(message)
        assert "neither ok nor error" in said(message)
        assert "The answer was unclear; it may have been paid." in said(message)

    def test_an_answer_that_nobody_could_read_is_not_called_lost(self) -> None:
        """It came: the API may know more than the bot understood."""
        page = events.Answered("UNKNOWN", None, None, "Fault: the API answered with a fault", 1, unclear=True)
        message = event_text.thread_reply(event_of(page, State.UNKNOWN), scene_of(payment_in(State.UNKNOWN)))
        assert "The answer was unclear; it may have been paid." in said(message)
        assert "lost" not in said(message)

    @pytest.mark.parametrize(
        ("attempt", "follows"),
        [
            (1, "Next try <!date^1772442060^{time}|09:01 UTC>, 3 left."),
            (3, "Next try <!date^1772442900^{time}|09:15 UTC>, 1 left."),
            (4, "That was the last try."),
        ],
    )
    def test_not_sent_says_that_nothing_was_paid_and_what_follows(self, attempt: int, follows: str) -> None:
        """By the try that it tells of, also where more were made by the time it is told."""
        event = event_of(events.Answered("NOT_SENT", None, None, "login refused", attempt), State.NOT_SENT)
        message = event_text.thread_reply(event, scene_of(payment_in(State.NOT_SENT, tries=9)))
        assert f"Nothing was sent, so nothing was paid. {follows}" in said(message)

    def test_declined_says_how_to_go_on(self) -> None:
        """With the command to type, when the API said no and when the invoice was read as unpaid."""
        scene = scene_of(payment_in(State.DECLINED))
        declined = event_text.thread_reply(answered(State.DECLINED, "error", "Card declined."), scene)
        read = events.Reconciled("the invoice is still unpaid 17 minutes after the call", "2026-03-02")
        for message in (declined, event_text.thread_reply(event_of(read, State.DECLINED), scene)):
            assert "`/pay vps 10101`" in said(message)
            assert "lost" not in said(message)


@pytest.mark.parametrize(("state", "asked"), [(State.PENDING_APPROVAL, True), (State.DENIED, False)])
def test_who_approved_without_the_amount_is_asked_again_while_it_waits(state: State, asked: bool) -> None:
    """Where Slack was told late, that is decided; why nothing of before counted is told all the same."""
    message = event_text.thread_reply(
        event_of(events.AskedAgain(), None, "executor"), scene_of(payment_in(state))
    )
    assert "The amount is known now: 10.00 USD. Nobody knew it when this was approved." in said(message)
    assert ("Please decide again" in said(message)) is asked


def no_card(error: str) -> events.NoCard:
    return events.NoCard("the card could not be posted", error, "C1")


class TestDirectly:
    """Where there is no thread to reply in."""

    def test_no_card_says_how_to_invite_the_bot(self) -> None:
        """With the words to type; where an invitation does not help, with Slack's word."""
        scene = scene_of(payment_in(State.CANCELLED, card_ts=None))
        message = event_text.direct(event_of(no_card("not_in_channel"), State.CANCELLED), scene)
        assert "Nothing was paid" in said(message)
        assert "`/invite @invoice-pay`" in said(message)
        message = event_text.direct(event_of(no_card("is_archived"), State.CANCELLED), scene)
        assert "/invite" not in said(message)
        assert "is_archived" in said(message)

    def test_nobody_is_told_to_invite_the_bot_to_a_direct_message(self) -> None:
        """Slack takes nobody in there, and knows no name for it that could be shown."""
        scene = scene_of(payment_in(State.CANCELLED, card_ts=None, channel="D1"))
        there = replace(no_card("channel_not_found"), channel="D1")
        message = event_text.direct(event_of(there, State.CANCELLED), scene)
        assert said(message).startswith("Nothing was paid: I cannot post in a direct message, so #")
        assert "Ask again in a channel that I am in" in said(message)
        assert "/invite" not in said(message)
        assert "#D1" not in said(message) + message.text

    def test_where_the_rules_name_the_channel_it_is_no_use_to_ask_in_another(self) -> None:
        """Who asks again elsewhere is led to the same channel for approvals."""
        scene = scene_of(payment_in(State.CANCELLED, approval_channel="C2"))
        there = replace(no_card("is_archived"), channel="C2")
        message = event_text.thread_reply(event_of(there, State.CANCELLED), scene)
        assert "another channel for approvals. Slack says: is_archived." in said(message)
        message = event_text.thread_reply(event_of(no_card("not_in_channel"), State.CANCELLED), scene)
        assert "`/invite @invoice-pay`" in said(message)

    def test_what_is_cancelled_says_who_may_ask_for_it(self) -> None:
        """By mention, after what else helps."""
        scene = scene_of(payment_in(State.CANCELLED))
        above = events.Cancelled("Above.", ask="S1, U2")
        message = event_text.thread_reply(event_of(above, State.CANCELLED), scene)
        assert said(message) == "Cancelled: Above.\nNothing was paid.\nAsk <!subteam^S1> or <@U2>."
        tomorrow = events.Cancelled("Above.", remedy="Try again tomorrow.", ask="U2")
        message = event_text.thread_reply(event_of(tomorrow, State.CANCELLED), scene)
        assert said(message).endswith("\nTry again tomorrow. Or ask <@U2>.")

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            (State.CANCELLED, "Cancelled: I could not post its card"),
            (State.EXPIRED, "Expired: I could not look it up"),
        ],
    )
    def test_what_came_to_nothing_in_time_is_told(self, state: State, words: str) -> None:
        """What was approved already is cancelled then, and did not expire."""
        message = event_text.direct(
            event_of(events.Stranded(), state), scene_of(payment_in(state, card_ts=None))
        )
        assert f"{words} in time. Nothing was paid." in said(message)

    def test_a_direct_message_says_what_it_is_about(self) -> None:
        """It stands alone, so it names the payment and the channel."""
        message = event_text.direct(answered(State.PAID, "ok", "Paid."), scene_of(payment_in(State.PAID)))
        assert "#42 · vps invoice 10101 in <#C1>" in said(message)
        assert "#42 · vps invoice 10101 in <#C1>" in message.text


@pytest.mark.parametrize("what", [events.Retry(), events.Unrecognized("postponed", "{}")])
def test_an_event_that_no_thread_is_told_of_raises(what: DomainEvent) -> None:
    """A silent message would be posted otherwise."""
    with pytest.raises(event_text.Untold):
        event_text.thread_reply(event_of(what), scene_of(payment_in(State.APPROVED)))
