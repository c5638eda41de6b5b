"""Payments and events as the cards and replies are made of them, and what a message must keep to."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from bot.domain import events
from bot.domain.batch import MOST_LINES, Batch
from bot.domain.events import DomainEvent
from bot.domain.payment import Cards, Invoice, InvoiceRef, Payment, PaymentRequest, State
from bot.ledger.rows import Event
from bot.payments.approvals import ApprovalStatus
from bot.payments.timing import Timing
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.sandbox.local_slack.messages import visible_texts
from bot.slack.blocks import Message
from bot.slack.card import Scene
from tests.domain.made import NOW, payment_with, request_with

TEAM_URL = "https://acme.slack.com/"


OURS = re.compile(
    r"@U[1-9]|!subteam\^S[0-9]+|@U[0-9]{2,3}|#C[12]|!date\^[0-9]+\^[^<>]*"
    r"|https://acme\.slack\.com/archives/C[12]/p[0-9]+\|(?:[A-Za-z ]+|#[0-9]+(?: · [0-9]+ payments)?)",
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


def payment_in(
    state: State,
    card_ts: str | None = "1700000000.000001",
    approval_channel: str | None = None,
    approval_ts: str | None = None,
    **fields: Any,
) -> Payment:
    theirs = PaymentRequest.__dataclass_fields__.keys() & fields.keys()
    cards = Cards(card_ts, False, approval_channel, approval_ts)
    request = {"approvals_required": 2, "cards": cards} | {name: fields.pop(name) for name in theirs}
    invoice = Invoice(InvoiceRef("vps", 10101), "KVM Linux VPS", Decimal("10.00"), "USD", date(2026, 3, 9))
    whole = {"state": state, "version": 3, "invoice": invoice, "tries": 1} | fields
    return payment_with(request=request_with(**request), **whole)


def batch_of(*states: State, **fields: Any) -> Batch:
    """A request of several, a payment for each state."""
    lines = range(1, len(states) + 1)
    refs = [InvoiceRef("vps", 10100 + line) for line in lines]
    given = fields.pop("invoice", None)
    return Batch(
        tuple(
            payment_in(
                state,
                line=line,
                ref=ref,
                size=len(states),
                invoice=replace(given, ref=ref)
                if given
                else Invoice(ref, f"KVM {line}", Decimal(10 * line), "USD", date(2026, 3, 9)),
                **fields,
            )
            for line, ref, state in zip(lines, refs, states, strict=True)
        )
    )


def scene_of(about: Payment | Batch, **fields: Any) -> Scene:
    batch = about if isinstance(about, Batch) else Batch((about,))
    approvers: Sequence[str] = fields.pop("approvers", ["U2"])
    may_approve = fields.pop("may_approve", frozenset({"U3", "S1"}))
    values: dict[str, Any] = {
        "approvals": ApprovalStatus(
            batch.request.approvals_required, tuple(approvers), may_approve=may_approve
        ),
        "now": NOW,
        "timing": Timing(),
        "settled": timedelta(minutes=17),
        "team_url": TEAM_URL,
        "bot_name": "invoice-pay",
    }
    return Scene(batch=batch, **(values | fields))


def event_of(
    what: DomainEvent, to: State | None = None, actor: str = "executor", line: int | None = None
) -> Event:
    return Event(7, NOW, 42, line, actor, what, State.SENDING if to else None, to)


def answered(to: State, status: str | None, status_text: str | None, evidence: str = "status ok") -> Event:
    return event_of(events.Answered(to.value, status, status_text, evidence), to, "billing")


def texts(message: Message) -> list[str]:
    """Everything in it that people can read or hear, and in which Slack looks for mentions."""
    return [message.text, *visible_texts(outside_tables(message.blocks))]


def outside_tables(blocks: Sequence[Any]) -> list[Any]:
    """Without what nothing is marked up in."""
    return [block for block in blocks if block["type"] != "table"]


def said(message: Message) -> str:
    """What the blocks say, as people read it."""
    return html.unescape("\n".join(visible_texts(message.blocks)))


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


invoices = st.builds(
    Invoice,
    st.just(InvoiceRef("vps", 10101)),
    outside,
    st.decimals(0, 10**12 - 1, places=2),
    st.sampled_from(["USD", "EUR"]),
    st.none() | st.dates(),
)


said_of_it: dict[str, st.SearchStrategy[Any]] = {
    "note": st.none() | outside,
    "reason": st.none() | outside,
    "status": st.none() | outside,
    "status_text": st.none() | outside,
    "invoice": st.none() | invoices,
    "approvals_required": st.integers(0, 20),
    "approval_channel": st.sampled_from([None, "C1", "C2"]),
    "approval_ts": st.sampled_from([None, "1700000000.000002"]),
    "listed": st.sampled_from([None, True, False]),
}


batches = st.lists(st.sampled_from(State), min_size=2, max_size=MOST_LINES).flatmap(
    lambda states: st.builds(batch_of, *map(st.just, states), **said_of_it)
)
"""Requests of several, up to as many as there may be; all of them with what is said of one."""


scenes = st.builds(
    scene_of,
    st.builds(payment_in, st.sampled_from(State), **said_of_it) | batches,
    approvers=st.lists(st.sampled_from([f"U{number}" for number in range(1, 21)]), unique=True, max_size=20),
    may_approve=st.frozensets(st.integers(1, 999).map("U{}".format) | st.integers(0, 99).map("S{}".format)),
)


UNTOLD = (
    events.Requested,
    events.Refused,
    events.LookedUp,
    events.ApprovalComplete,
    events.Retry,
    events.Paused,
    events.Resumed,
    events.Pruned,
)
"""What a thread is not told of: the card shows it, or another reply says it."""
