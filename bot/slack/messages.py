"""The cards, and what every message is made of. Pure: ledger rows in, blocks and text out.

Every message has a top-level text, which is what screen readers and notifications read. Text from
outside is escaped in the blocks and in that text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from bot.domain.payment import Payment, State
from bot.payments.approvals import ApprovalStatus
from bot.slack.text import (
    amount,
    day,
    escape,
    link,
    mention,
    mentions,
    moment,
    place,
    quote,
    shorten,
    state_line,
    state_words,
    subject,
)

APPROVE, DENY, CANCEL = "payment_approve", "payment_deny", "payment_cancel"
"""The action ids of the card's buttons; their value is the payment's id."""

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message's blocks, and the text that stands for them."""

    text: str
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class Scene:
    """A payment with what a message about it needs.

    today: to tell what is overdue. team_url: of the workspace, for links. bot_name: what to type after
    /invite @.
    """

    payment: Payment
    approvals: ApprovalStatus
    today: date
    team_url: str
    bot_name: str


def section(text: str) -> Block:
    """A paragraph. `verbatim`: bare addresses and names in it are not turned into links."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def context(text: str) -> Block:
    """A small grey line."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def card(scene: Scene) -> Message:
    """The root message in the channel of the request."""
    payment = scene.payment
    elsewhere = payment.approval_channel not in (None, payment.channel)
    blocks = [section(_facts(scene)), section(_standing(scene, asks=not elsewhere))]
    if payment.state is State.PENDING_APPROVAL:
        buttons = [] if elsewhere else decision_buttons(payment)
        blocks.append({"type": "actions", "block_id": "decide", "elements": [*buttons, _cancel(payment)]})
    if elsewhere and payment.approval_channel and payment.approval_ts:
        where = link(scene.team_url, payment.approval_channel, payment.approval_ts)
        blocks.append(context(f"Approvals: <{where}|the card> in {place(payment.approval_channel)}"))
    return Message(_fallback(payment), blocks)


def approval_card(scene: Scene) -> Message:
    """The card in the approval channel, where that is another one."""
    payment = scene.payment
    blocks = [section(_facts(scene)), section(_standing(scene))]
    if payment.state is State.PENDING_APPROVAL:
        blocks.append({"type": "actions", "block_id": "decide", "elements": decision_buttons(payment)})
    if payment.card_ts:
        where = link(scene.team_url, payment.channel, payment.card_ts)
        blocks.append(context(f"Requested in {place(payment.channel)}: <{where}|the thread>"))
    return Message(_fallback(payment), blocks)


def _fallback(payment: Payment) -> str:
    return (
        f"Payment request {subject(payment)}, {amount(payment.invoice)},"
        f" by {mention(payment.requester)}: {state_words(payment.state)}"
    )


def _facts(scene: Scene) -> str:
    payment, invoice = scene.payment, scene.payment.invoice
    lines = [f"*{subject(payment)} · {amount(invoice)}*"]
    if invoice is not None:
        if invoice.description.strip():
            lines.append(escape(shorten(" ".join(invoice.description.split()), 300)))
        if invoice.due is not None:
            overdue = invoice.due < scene.today and payment.state is not State.PAID
            lines.append(f"Due {day(invoice.due)}{' (overdue)' if overdue else ''}")
    elif payment.listed is False:
        lines.append("Not in the list of unpaid invoices")
    lines.append(f"Asked for by {mention(payment.requester)}")
    if payment.note:
        lines.append(quote(payment.note, 1000))
    return "\n".join(lines)


def _standing(scene: Scene, *, asks: bool = True) -> str:
    payment = scene.payment
    lines = [state_line(payment.state)]
    if payment.state is State.PENDING_APPROVAL:
        lines.append(waiting(scene, asks=asks))
    elif payment.approvals_required and scene.approvals.counted:
        lines.append(f"Approved by {', '.join(mention(one) for one in scene.approvals.counted)}")
    if payment.state in (State.DENIED, State.CANCELLED, State.EXPIRED) and payment.reason:
        lines.append(quote(payment.reason, 1000))
    return "\n".join(lines)


def waiting(scene: Scene, *, asks: bool = True) -> str:
    """How many approvals are missing. asks: whoever may give them is mentioned, and so notified."""
    payment, approvals = scene.payment, scene.approvals
    so_far = ", ".join(mention(one) for one in approvals.counted)
    named = mentions(approvals.may_approve) if approvals.may_approve else "somebody whom the rules name"
    whom = f"from {named}" if asks else f"in {place(str(payment.approval_channel))}"
    lines = [f"Needs {more_approvals(approvals)} {whom}"]
    if so_far:
        lines.append(f"Approved so far by {so_far}")
    lines.append(f"Expires {moment(payment.expires_at)}")
    return "\n".join(line for line in lines if line)


def more_approvals(approvals: ApprovalStatus) -> str:
    """How many approvals a payment waits for."""
    return "1 more approval" if approvals.awaited == 1 else f"{approvals.awaited} more approvals"


def decision_buttons(payment: Payment) -> list[Block]:
    """Approve, which asks once more, and Deny, which asks why."""
    question = f"Pay {amount(payment.invoice)} for {payment.ref.module} invoice {payment.ref.number}?"
    return [
        {
            "type": "button",
            "action_id": APPROVE,
            "value": f"{payment.id} {payment.price}",
            "style": "primary",
            "text": {"type": "plain_text", "text": "Approve"},
            "confirm": {
                "title": {"type": "plain_text", "text": "Approve this payment?"},
                "text": {"type": "mrkdwn", "text": question},
                "confirm": {"type": "plain_text", "text": "Approve"},
                "deny": {"type": "plain_text", "text": "Go back"},
            },
        },
        {
            "type": "button",
            "action_id": DENY,
            "value": str(payment.id),
            "style": "danger",
            "text": {"type": "plain_text", "text": "Deny"},
        },
    ]


def _cancel(payment: Payment) -> Block:
    return {
        "type": "button",
        "action_id": CANCEL,
        "value": str(payment.id),
        "text": {"type": "plain_text", "text": "Cancel"},
        "confirm": {
            "title": {"type": "plain_text", "text": "Take it back?"},
            "text": {
                "type": "mrkdwn",
                "text": f"{subject(payment)} will not be paid. Only the person who asked can do this.",
            },
            "confirm": {"type": "plain_text", "text": "Take it back"},
            "deny": {"type": "plain_text", "text": "Go back"},
        },
    }
