"""Cards and replies: within Slack's limits and harmless, whatever stands in them; clear at a glance."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain import events
from bot.domain.events import DomainEvent
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.ledger.rows import Event
from bot.payments.approvals import ApprovalStatus
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.sandbox.local_slack.messages import visible_texts
from bot.slack import event_text
from bot.slack.blocks import Message
from bot.slack.card import APPROVE, CANCEL, DENY, Scene, approval_card, invitation, request_card
from bot.slack.text import STATES, escape, quote

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TEAM_URL = "https://acme.slack.com/"
OURS = re.compile(
    r"@U[1-9]|!subteam\^S[0-9]+|@U[0-9]{2,3}|#C[12]|!date\^[0-9]+\^[^<>]*"
    r"|https://acme\.slack\.com/archives/C[12]/p[0-9]+\|[A-Za-z ]+",
    re.ASCII,
)
"""What the bot itself may put between angle brackets here."""

HOSTILE = [
    "<!channel>",
    "<!here>",
    "<@U0EVIL0001>",
    "<#C0EVIL0001>",
    "<https://evil.example|Pay here>",
    "&lt;",
]
PIECES = [*HOSTILE, "\n", "&", "<", ">", "`", "*", " > ", "word ", "\u2028", "\N{PILE OF POO}"]
outside = st.one_of(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=10), max_size=12).map("".join),
    st.builds(str.__mul__, st.sampled_from(PIECES), st.integers(200, 5_000)),
)
"""Text from outside: hostile, odd, empty or far too long."""

words = outside.map(lambda text: f"because {text}"[:300])
"""The bot's own words, which may quote a little from outside."""


def payment_in(state: State, **fields: Any) -> Payment:
    values: dict[str, Any] = {name: None for name in Payment.__dataclass_fields__}
    values |= {
        "id": 42,
        "team": "T1",
        "channel": "C1",
        "requester": "U1",
        "ref": InvoiceRef("vps", 10101),
        "state": state,
        "version": 3,
        "trigger_id": "1.2",
        "looked_up_at": NOW,
        "listed": True,
        "invoice": Invoice(
            InvoiceRef("vps", 10101), "KVM Linux VPS", Decimal("10.00"), "USD", date(2026, 3, 9)
        ),
        "rule": "default",
        "approvals_required": 2,
        "tries": 1,
        "card_ts": "1700000000.000001",
        "card_lost": False,
        "created_at": NOW,
        "updated_at": NOW,
        "expires_at": NOW + timedelta(days=3),
        "due_at": NOW,
    }
    return Payment(**(values | fields))


def scene_of(payment: Payment, **fields: Any) -> Scene:
    approvers: Sequence[str] = fields.pop("approvers", ["U2"])
    may_approve = fields.pop("may_approve", frozenset({"U3", "S1"}))
    values: dict[str, Any] = {
        "approvals": ApprovalStatus(payment.approvals_required, tuple(approvers), may_approve=may_approve),
        "today": date(2026, 3, 2),
        "team_url": TEAM_URL,
        "bot_name": "invoice-pay",
    }
    return Scene(payment=payment, **(values | fields))


def event_of(what: DomainEvent, to: State | None = None, actor: str = "executor") -> Event:
    return Event(7, NOW, 42, actor, what, State.SENDING if to else None, to)


def answered(to: State, status: str | None, status_text: str | None, evidence: str = "status ok") -> Event:
    return event_of(events.Answered(to.value, status, status_text, evidence), to, "billing")


def texts(message: Message) -> list[str]:
    """Everything in it that people can read or hear."""
    return [message.text, *visible_texts(message.blocks)]


def check(message: Message) -> None:
    """It keeps Slack's limits, has a text, and nothing between angle brackets that is not ours."""
    checked_blocks(message.blocks)
    assert len(message.text.strip()) > 0
    assert len(message.text) <= 4_000
    for text in texts(message):
        tokens = re.findall(r"<([^<>]*)>", text)
        assert all(OURS.fullmatch(token) for token in tokens), tokens
        rest = re.sub(r"<[^<>]*>", "", text)
        assert "<" not in rest
        assert not re.search(r">(?! )", re.sub(r"(?m)^> ", "", rest)), "a bare > only marks a quotation"
        assert re.fullmatch(r"(?:[^&]|&(?:amp|lt|gt);)*", rest), "no half of an entity is left"


# -- whatever stands in them ------------------------------------------------------------------------

scenes = st.builds(
    scene_of,
    st.builds(
        payment_in,
        st.sampled_from(State),
        note=st.none() | outside,
        reason=st.none() | outside,
        status=st.none() | outside,
        status_text=st.none() | outside,
        invoice=st.none()
        | st.builds(
            Invoice,
            st.just(InvoiceRef("vps", 10101)),
            outside,
            st.decimals(0, 10**12 - 1, places=2),
            st.sampled_from(["USD", "EUR"]),
            st.none() | st.dates(),
        ),
        approvals_required=st.integers(0, 20),
        approval_channel=st.sampled_from([None, "C1", "C2"]),
        approval_ts=st.sampled_from([None, "1700000000.000002"]),
        listed=st.sampled_from([None, True, False]),
    ),
    approvers=st.lists(st.sampled_from([f"U{number}" for number in range(1, 21)]), unique=True, max_size=20),
    may_approve=st.frozensets(st.integers(1, 999).map("U{}".format) | st.integers(0, 99).map("S{}".format)),
)


@given(scenes, st.integers(0, 300))
@settings(deadline=None, max_examples=60)
def test_a_card_is_fit_for_slack(scene: Scene, more: int) -> None:
    """Whatever the API, the requester and the policy put into it."""
    crowd = scene.approvals.may_approve | {f"U{number}" for number in range(100, 100 + more)}
    scene = replace(scene, approvals=replace(scene.approvals, may_approve=crowd))
    check(request_card(scene))
    check(approval_card(scene))
    check(invitation(scene))


def anything(known: type[Any]) -> st.SearchStrategy[Any]:
    """An event of this type, with whatever people or the API may have said in it."""
    said: dict[str, st.SearchStrategy[Any]] = {
        "status": st.none() | outside,
        "status_text": st.none() | outside,
        "note": outside,
        "reason": outside if known is events.Denied else words,
        "channel": st.just("C1"),
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


UNTOLD = (
    events.Requested,
    events.Refused,
    events.LookedUp,
    events.ApprovalComplete,
    events.Retry,
)
"""What a thread is not told of: the card shows it, or another reply says it."""

BY_PEOPLE = (events.Approved, events.Denied)

MOVES_IT = (events.Answered, events.Reconciled, events.Resolved, events.Corrected)
"""What is told with the state that it leads to."""

replies = st.one_of(
    [
        st.builds(
            event_of,
            anything(known),
            st.sampled_from([State.PAID, State.DECLINED]) if known in MOVES_IT else st.none(),
            st.sampled_from(["U1", "U2"] + ["policy", "operator:root"] * (known not in BY_PEOPLE)),
        )
        for known in get_args(events.KnownEvent)
    ]
)


@given(replies, scenes)
@example(answered(State.PAID, None, "&" * 4000), scene_of(payment_in(State.PAID)))
@example(answered(State.UNKNOWN, "<" * 100, "&\n" * 4000), scene_of(payment_in(State.UNKNOWN)))
@settings(deadline=None, max_examples=120)
def test_a_reply_is_fit_for_slack(event: Event, scene: Scene) -> None:
    """In the thread and as a direct message, and what has no words there says so."""
    try:
        told = event_text.thread_reply(event, scene)
    except event_text.Untold:
        assert isinstance(event.what, UNTOLD)
    else:
        check(told)
        check(event_text.direct(event, scene))


@given(outside, st.integers(10, 3_000))
@settings(deadline=None)
def test_a_quotation_keeps_to_its_length(text: str, most: int) -> None:
    """It may be a mark and an ellipsis longer than asked for, and every line of it is marked."""
    quoted = quote(text, most)
    assert len(quoted) <= most + 4
    assert all(line.startswith("> ") for line in quoted.split("\n"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Zl", "Zp", "Cs"]), max_size=1_000))
@settings(deadline=None)
def test_what_fits_is_quoted_verbatim(text: str) -> None:
    """Not a character of it is lost or changed."""
    assert html.unescape(quote(text, 10_000).removeprefix("> ")) == text


def test_a_long_text_is_cut_at_its_end_only() -> None:
    """An ampersand near the beginning is no reason to drop what comes after it."""
    text = "Terms & Conditions: " + "x" * 3_000
    quoted = html.unescape(quote(text, 2_000))
    assert quoted.startswith("> Terms & Conditions: xxx")
    assert len(quoted) > 1_900
    assert quoted.endswith("…")
    assert quote("x" * 9 + "&", 10) == "> xxxxxxxxx…"


def test_a_crowd_is_counted() -> None:
    """Who would not fit into the paragraph is not named one by one."""
    crowd = frozenset(f"U{number}" for number in range(100, 200))
    card = request_card(scene_of(payment_in(State.PENDING_APPROVAL), may_approve=crowd))
    assert "or 50 others" in said(card)
    assert "<@U149>" in said(card)
    assert "<@U150>" not in said(card)


def test_the_three_characters_that_slack_reads_are_escaped() -> None:
    """Slack's own list."""
    assert escape("<&>") == "&lt;&amp;&gt;"


# -- what they say ----------------------------------------------------------------------------------


def said(message: Message) -> str:
    """What the blocks say, as people read it."""
    return html.unescape("\n".join(visible_texts(message.blocks)))


@pytest.mark.parametrize("state", sorted(State))
def test_every_state_has_a_card(state: State) -> None:
    """With an emoji of its own and its words, in the blocks and in the text."""
    message = request_card(scene_of(payment_in(state)))
    emoji, words = STATES[state]
    assert f"{emoji} *{words}*" in said(message)
    assert message.text.endswith(words)
    assert {other for other in STATES.values() if other[0] == emoji} == {(emoji, words)}


def test_the_card_tells_all_there_is_to_know() -> None:
    """Who, which invoice, how much, until when, what for."""
    message = request_card(scene_of(payment_in(State.PAID, note="for <June>")))
    for word in (
        "#42",
        "vps invoice 10101",
        "10.00 USD",
        "Due 9 Mar 2026",
        "KVM Linux VPS",
        "<@U1>",
        "<June>",
    ):
        assert word in said(message)
    assert message.text == "Payment request #42 · vps invoice 10101, 10.00 USD, by <@U1>: Paid"


def test_an_overdue_invoice_is_called_so() -> None:
    """From the day after it was due, until it is paid."""
    late, today = date(2026, 3, 1), date(2026, 3, 2)
    for due, state, overdue in (
        (late, State.APPROVED, True),
        (today, State.APPROVED, False),
        (late, State.DENIED, True),
        (late, State.PAID, False),
    ):
        invoice = Invoice(InvoiceRef("vps", 1), "", Decimal(1), "USD", due)
        card = request_card(scene_of(payment_in(state, invoice=invoice)))
        assert ("(overdue)" in said(card)) is overdue


def test_an_amount_that_was_not_told_is_called_so() -> None:
    """And whether the invoice was in the list at all."""
    card = request_card(scene_of(payment_in(State.APPROVED, invoice=None, listed=None)))
    assert "amount unknown" in said(card)
    assert "Not in the list" not in said(card)
    card = request_card(scene_of(payment_in(State.APPROVED, invoice=None, listed=False)))
    assert "Not in the list of unpaid invoices" in said(card)


def test_only_what_waits_has_buttons() -> None:
    """A card in any other state offers nothing to press."""
    for state in State:
        blocks = request_card(scene_of(payment_in(state))).blocks
        actions = [
            element["action_id"]
            for block in blocks
            for element in block.get("elements", ())
            if "action_id" in element
        ]
        expected = [APPROVE, DENY, CANCEL]
        assert actions == (expected if state is State.PENDING_APPROVAL else [])


def test_the_buttons_stand_where_approvals_are_given() -> None:
    """With an approval channel, the requester's card keeps only the button to take it back."""
    payment = payment_in(State.PENDING_APPROVAL, approval_channel="C2", approval_ts="1700000000.000002")
    own, other = request_card(scene_of(payment)), approval_card(scene_of(payment))
    assert "https://acme.slack.com/archives/C2/p1700000000000002" in said(own)
    assert "https://acme.slack.com/archives/C1/p1700000000000001" in said(other)
    assert [each["action_id"] for each in own.blocks[2]["elements"]] == [CANCEL]
    assert [each["action_id"] for each in other.blocks[2]["elements"]] == [APPROVE, DENY]


def test_the_answer_is_told_verbatim() -> None:
    """In the blocks and in the text, and harmless in both."""
    hostile = "Paid café & <b>bold</b> <!channel> <@U0EVIL0001> https://example.com"
    message = event_text.thread_reply(answered(State.PAID, "ok", hostile), scene_of(payment_in(State.PAID)))
    assert f"> {hostile}" in said(message)
    assert hostile in html.unescape(message.text)
    assert "<!channel>" not in message.text
    assert all("<!channel>" not in text for text in visible_texts(message.blocks))
    assert all(block["text"]["verbatim"] for block in message.blocks if block["type"] == "section")


def test_ok_and_error_look_different_in_words_too() -> None:
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


def test_unknown_is_said_honestly() -> None:
    """That it may have been paid, not to pay it again, its number, and how it can be settled."""
    lost = answered(State.UNKNOWN, None, None, "ReadTimeout: no answer in time")
    message = event_text.thread_reply(lost, scene_of(payment_in(State.UNKNOWN)))
    words = "The answer was lost; it may have been paid; do not pay it again"
    assert f"{words}; #42" in said(message)
    assert words in message.text
    assert "`/pay resolve 42 paid`" in said(message)
    assert "ReadTimeout: no answer in time" in said(message)
    died = event_text.thread_reply(
        event_of(events.LeaseRanOut("one"), State.UNKNOWN), scene_of(payment_in(State.UNKNOWN))
    )
    assert f"{words}; #42" in said(died)


def test_an_odd_status_is_shown_with_its_text() -> None:
    """The API said something that nobody knows: all of it is told."""
    odd = answered(State.UNKNOWN, "pending", "Queued.", "answered with a status that is neither ok nor error")
    message = event_text.thread_reply(odd, scene_of(payment_in(State.UNKNOWN)))
    assert "> Queued." in said(message)
    assert "neither ok nor error" in said(message)


def test_not_sent_says_that_nothing_was_paid() -> None:
    """And that nobody has to do anything."""
    event = answered(State.NOT_SENT, None, None, "login refused")
    message = event_text.thread_reply(event, scene_of(payment_in(State.NOT_SENT)))
    assert "Nothing was sent, so nothing was paid. It is tried again by itself." in said(message)


def no_card(error: str) -> events.NoCard:
    return events.NoCard("the card could not be posted", error, "C1")


def test_no_card_says_how_to_invite_the_bot() -> None:
    """With the words to type; where an invitation does not help, with Slack's word."""
    scene = scene_of(payment_in(State.CANCELLED, card_ts=None))
    message = event_text.direct(event_of(no_card("not_in_channel"), State.CANCELLED), scene)
    assert "Nothing was paid" in said(message)
    assert "`/invite @invoice-pay`" in said(message)
    message = event_text.direct(event_of(no_card("is_archived"), State.CANCELLED), scene)
    assert "/invite" not in said(message)
    assert "is_archived" in said(message)


@pytest.mark.parametrize(("state", "word"), [(State.CANCELLED, "Cancelled"), (State.EXPIRED, "Expired")])
def test_whose_card_never_came_is_told_what_became_of_it(state: State, word: str) -> None:
    """What was approved already is cancelled then, and did not expire."""
    message = event_text.direct(event_of(events.Stranded(), state), scene_of(payment_in(state, card_ts=None)))
    assert f"{word}: I could not post its card in time. Nothing was paid." in said(message)


def test_a_direct_message_says_what_it_is_about() -> None:
    """It stands alone, so it names the payment and the channel."""
    message = event_text.direct(answered(State.PAID, "ok", "Paid."), scene_of(payment_in(State.PAID)))
    assert "#42 · vps invoice 10101 in <#C1>" in said(message)
    assert "#42 · vps invoice 10101 in <#C1>" in message.text


@pytest.mark.parametrize("what", [events.Retry(), events.Unrecognized("postponed", "{}")])
def test_an_event_that_no_thread_is_told_of_raises(what: DomainEvent) -> None:
    """A silent message would be posted otherwise."""
    with pytest.raises(event_text.Untold):
        event_text.thread_reply(event_of(what), scene_of(payment_in(State.APPROVED)))
