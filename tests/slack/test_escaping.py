"""Nothing from outside becomes a mention, a link or a command in Slack, wherever it stands."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import pytest

from bot.domain import events
from bot.domain.batch import MOST_LINES, Batch
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.ledger.rows import Event
from bot.payments.approvals import ApprovalStatus
from bot.payments.overview import Concerns, Pending, Waiting
from bot.payments.unpaid import Listing, Unpaid
from bot.sandbox.local_slack.messages import visible_texts
from bot.slack import event_text, home, lists, replies
from bot.slack.blocks import Message
from bot.slack.card import Scene, approval_card, invitation, request_card
from bot.slack.history_text import history
from tests.slack.scenes import UNTOLD, event_of, outside_tables, payment_in, scene_of

EVIL = "<!channel> <@U0EVIL0001> <https://evil.example|Pay here> & <module>"
ID = "X> <!channel> <https://evil.example"
"""What somebody may have written where an id is expected."""

REF = InvoiceRef("vps", 10101)
OURS = re.compile(
    r"@[UWX][^<>]*|#[CX][^<>]*|!subteam\^S[^<>]*|!date\^\d+\^[^<>]*|https://acme\.slack\.com/[^<>]*"
)


def hostile_payment(state: State, **fields: Any) -> Payment:
    values: dict[str, Any] = {
        "channel": ID,
        "requester": ID,
        "note": EVIL,
        "reason": EVIL,
        "status": EVIL,
        "status_text": EVIL,
        "rule": EVIL,
        "approval_channel": ID,
        "approval_ts": "17.1",
        "invoice": Invoice(REF, EVIL, Decimal("10.00"), "<!here>", date(2026, 3, 1)),
    }
    return payment_in(state, **(values | fields))


def hostile_scene(*states: State) -> Scene:
    """Of a request for one payment in that state, or for several in those."""
    one = hostile_payment(states[0], size=len(states))
    lines = tuple(
        replace(one, line=line, state=state, ref=InvoiceRef("vps", 10100 + line))
        for line, state in enumerate(states, start=1)
    )
    return scene_of(Batch(lines), approvers=[ID], may_approve=frozenset({ID, "S1"}), bot_name=EVIL)


SEVERAL = [State.UNKNOWN, State.PAID, State.DECLINED, State.CANCELLED]
WAITING = [State.PENDING_APPROVAL] * MOST_LINES


def every_event(line: int | None = None) -> list[Event]:
    """One of each, with something hostile in every word of it. line: of the payment that it is about."""
    found = []
    for known in get_args(events.KnownEvent):
        values: dict[str, Any] = {
            name: hostile
            for name, hint in get_type_hints(known).items()
            for kind, hostile in ((bool, True), (int, 1), (str, EVIL))
            if kind in (hint, *get_args(hint))
        }
        places = {name: ID for name in ("channel", "other_channel") if name in values}
        found.append(event_of(known(**(values | places)), State.UNKNOWN, ID, line))
    return found


def harmless(*texts: str) -> None:
    for text in texts:
        assert all(OURS.fullmatch(token) for token in re.findall(r"<([^<>]*)>", text)), text
        assert "<" not in re.sub(r"<[^<>]*>", "", text), text


def mrkdwn(blocks: list[dict[str, Any]]) -> list[str]:
    """All texts in which Slack looks for mentions."""
    found: list[str] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("type") == "mrkdwn":
                found.append(node["text"])
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(blocks)
    return found


def check(message: Message) -> None:
    # In the cells of a table nothing is marked up.
    harmless(message.text, *mrkdwn(message.blocks), *visible_texts(outside_tables(message.blocks)))


@pytest.mark.parametrize(
    "states", [*([state] for state in State), SEVERAL, WAITING], ids=lambda states: "-".join(states[:2])
)
def test_cards_and_invitations(states: list[State]) -> None:
    """Descriptions, notes, reasons, currencies, names; ids too, which a workflow's author may write."""
    scene = hostile_scene(*states)
    check(request_card(scene))
    check(approval_card(scene))
    check(invitation(scene))
    check(event_text.plain(scene.batch, "abcd"))


@pytest.mark.parametrize(
    ("event", "states"),
    [
        *((event, [State.UNKNOWN]) for event in every_event()),
        *((event, SEVERAL) for line in (None, 2) for event in every_event(line)),
    ],
    ids=lambda one: f"{one.action}-{one.line}" if isinstance(one, Event) else str(len(one)),
)
@pytest.mark.parametrize("actor", [ID, f"{ID}2"], ids=["requester", "another"])
def test_replies_and_histories(event: Event, states: list[State], actor: str) -> None:
    """Every word of every event, whoever did it, of a request for one and for several."""
    event = replace(event, actor=actor)
    scene = hostile_scene(*states)
    told = isinstance(event.what, events.LookedUp) and scene.batch.several
    if told or not isinstance(event.what, UNTOLD):
        check(event_text.thread_reply(event, scene))
        check(event_text.direct(event, scene))
    harmless(*history([event]))


def test_lists_and_the_home_tab() -> None:
    """What one person is shown."""
    payment = hostile_payment(State.PENDING_APPROVAL)
    today = date(2026, 3, 2)
    one = Unpaid(payment.invoice, None) if payment.invoice else None
    assert one is not None
    check(lists.unpaid(Listing((one,) * 500, (EVIL,)), None, today))
    check(lists.unpaid(Listing((), (EVIL,)), EVIL, today))
    check(lists.mine([], "https://acme.slack.com/"))
    batch = Batch((payment,))
    check(lists.mine([batch], "https://acme.slack.com/"))
    waiting = Waiting(batch, ApprovalStatus(2), True)
    found = Pending((batch,) * 3, (batch,), 1)
    check(lists.pending(found, [waiting], "https://acme.slack.com/"))
    check(lists.status(batch, every_event(), "https://acme.slack.com/", date(2026, 3, 2)))
    concerns = Concerns(found, (waiting,), (batch,), (batch,))
    tab = home.Tab(concerns, "https://acme.slack.com/", today, may_ask=True)
    harmless(*mrkdwn(home.home(tab)["blocks"]))


def test_the_bot_s_own_words() -> None:
    """Also what the bot says of itself: a placeholder in angle brackets is escaped like anything else."""
    constants = [value for value in vars(replies).values() if isinstance(value, str)]
    harmless(*(one for one in constants if one is not replies.__doc__))
    assert "`/pay &lt;module&gt; &lt;invoice&gt;`" in replies.NO_FORM
    assert all("`/pay &lt;module&gt; &lt;invoice&gt;`" in text for text in mrkdwn(lists.mine([], "").blocks))
