"""The cards, and the invitation to decide on one. Pure: ledger rows in, blocks and text out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from bot.domain.payment import Payment, State
from bot.payments.approvals import ApprovalStatus
from bot.payments.timing import Timing
from bot.slack.blocks import Block, Message, button, confirm, context, section
from bot.slack.next_step import next_step
from bot.slack.text import (
    amount,
    day,
    description,
    due,
    escape,
    link,
    mention,
    mentions,
    moment,
    place,
    quote,
    standing,
    subject,
)

APPROVE, DENY, WITHDRAW = "payment_approve", "payment_deny", "payment_cancel"
"""The action ids of the buttons. For their values, see `decisions.Clicked`."""

ASK_AGAIN = "payment_ask_again"
"""That of the button by which the same is requested anew."""

ASKED_AGAIN_FROM = frozenset({State.DECLINED, State.DENIED, State.EXPIRED})
"""What may be wanted all the same: nobody took it back, and nothing says that it cannot be paid."""

WAS_PAID, WAS_NOT_PAID = "payment_was_paid", "payment_was_not_paid"
"""Those of the buttons by which a person settles what the bot could not find out."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A payment with what a message about it needs.

    now: to tell what is overdue. settled: how long after a call whose answer is not known it is known what
    became of it. team_url: of the workspace, for links. bot_name: what to type after /invite @. daily:
    approvers are told once a day what waits for them.
    """

    payment: Payment
    approvals: ApprovalStatus
    now: datetime
    timing: Timing
    settled: timedelta
    team_url: str
    bot_name: str
    daily: bool = False

    @property
    def today(self) -> date:
        """The day, in UTC."""
        return self.now.date()


def request_card(scene: Scene) -> Message:
    """The root message in the channel of the request."""
    payment = scene.payment
    elsewhere = payment.request.approved_elsewhere
    blocks = [section(_facts(scene)), section(_standing(scene, asks=not elsewhere))]
    if payment.state is State.PENDING_APPROVAL:
        buttons = [] if elsewhere else decision_buttons(payment, scene.approvals)
        blocks.append({"type": "actions", "block_id": "decide", "elements": [*buttons, _withdraw(payment)]})
    blocks += _resolution(payment)
    if payment.state in ASKED_AGAIN_FROM:
        again = button(ASK_AGAIN, "Ask again", value_of(payment))
        blocks.append({"type": "actions", "block_id": "again", "elements": [again]})
    if elsewhere and payment.request.cards.approval_channel and payment.request.cards.approval_ts:
        where = link(
            scene.team_url, payment.request.cards.approval_channel, payment.request.cards.approval_ts
        )
        blocks.append(
            context(f"Approvals: <{where}|the card> in {place(payment.request.cards.approval_channel)}")
        )
    return Message(_fallback(payment), blocks)


def approval_card(scene: Scene) -> Message:
    """The card in the approval channel, where that is another one."""
    payment = scene.payment
    blocks = [section(_facts(scene)), section(_standing(scene))]
    if payment.state is State.PENDING_APPROVAL:
        blocks.append(
            {"type": "actions", "block_id": "decide", "elements": decision_buttons(payment, scene.approvals)}
        )
    blocks += _resolution(payment)
    if payment.request.cards.ts:
        where = link(scene.team_url, payment.request.channel, payment.request.cards.ts)
        blocks.append(context(f"Requested in {place(payment.request.channel)}: <{where}|the thread>"))
    return Message(_fallback(payment), blocks)


def _fallback(payment: Payment) -> str:
    return (
        f"Payment request {subject(payment)}, {amount(payment.invoice)},"
        f" by {mention(payment.request.requester)}: {standing(payment)[1]}"
    )


def _facts(scene: Scene) -> str:
    payment, invoice = scene.payment, scene.payment.invoice
    lines = [f"*{subject(payment)} · {amount(invoice)}*"]
    if invoice is not None:
        if described := description(invoice, 300, whole=True):
            lines.append(escape(described))
        if invoice.due is not None:
            paid = payment.state is State.PAID
            lines.append(f"Due {day(invoice.due) if paid else due(invoice.due, scene.today)}")
    elif payment.listed is False:
        lines.append("Not in the list of unpaid invoices")
    lines.append(f"Asked for by {mention(payment.request.requester)}")
    if payment.request.note:
        lines.append(quote(payment.request.note, 1000))
    return "\n".join(lines)


def _standing(scene: Scene, *, asks: bool = True) -> str:
    payment = scene.payment
    emoji, words = standing(payment)
    lines = [f"{emoji} *{words}*"]
    if payment.state is State.PENDING_APPROVAL:
        lines.append(waiting(scene, asks=asks, daily=scene.daily))
    elif payment.request.approvals_required and scene.approvals.counted:
        lines.append(f"Approved by {', '.join(mention(one) for one in scene.approvals.counted)}")
    if scene.approvals.denied_by:
        lines.append(f"Denied by {mention(scene.approvals.denied_by)}")
    told = payment.state in (State.DENIED, State.CANCELLED, State.EXPIRED) and not payment.withdrawn
    if told and payment.reason:
        lines.append(quote(payment.reason, 1000))
    if (step := next_step(payment, scene.now, scene.timing, scene.settled)) is not None:
        lines.append(step)
    return "\n".join(lines)


def waiting(scene: Scene, *, asks: bool = True, daily: bool = False) -> str:
    """How many approvals are missing. asks: whoever may give them is mentioned, and so notified.

    daily: they are told once a day, and not here.
    """
    payment, approvals = scene.payment, scene.approvals
    so_far = ", ".join(mention(one) for one in approvals.counted)
    named = mentions(approvals.asked) if approvals.asked else "somebody whom the rules name"
    whom = f"from {named}" if asks else f"in {place(str(payment.request.cards.approval_channel))}"
    if asks and daily:
        whom = "from those who may give it: they are told once a day"
    lines = [f"Needs {more_approvals(approvals)} {whom}"]
    if so_far:
        lines.append(f"Approved so far by {so_far}")
    lines.append(f"Expires {moment(payment.request.expires_at)}")
    return "\n".join(line for line in lines if line)


def more_approvals(approvals: ApprovalStatus) -> str:
    """How many approvals a payment waits for."""
    return "1 more approval" if approvals.awaited == 1 else f"{approvals.awaited} more approvals"


def decision_buttons(payment: Payment, approvals: ApprovalStatus) -> list[Block]:
    """Approve, which asks once more, and Deny, which asks why."""
    once_more = confirm("Approve this payment?", _question(payment, approvals), "Approve")
    value = value_of(payment)
    return [
        button(APPROVE, "Approve", f"{value} {payment.price}", style="primary", confirm=once_more),
        button(DENY, "Deny", value, style="danger"),
    ]


def _question(payment: Payment, approvals: ApprovalStatus) -> str:
    """What Approve asks: about how much, and what follows from it."""
    which = f"{payment.ref.module} invoice {payment.ref.number}"
    known = payment.invoice is not None
    lines = [
        f"Pay {amount(payment.invoice)} for {which}?" if known else f"Pay {which}, whatever its amount is?"
    ]
    lines.append(what_follows(approvals))
    if not known:
        lines.append("If its amount can be read by then, you are asked again.")
    return "\n".join(lines)


def what_follows(approvals: ApprovalStatus) -> str:
    """What becomes of a payment that one more person approves."""
    after, given = approvals.awaited - 1, len(approvals.counted) + 1
    which = f"You are {given} of {given + after}; it" if given + after > 1 else "It"
    if after:
        return f"{which} is paid after {'one' if after == 1 else after} more."
    return f"{which} is paid at once and cannot be undone."


def value_of(payment: Payment) -> str:
    """What a button carries of the payment that it is about; Approve also its price."""
    return f"{payment.request.id}:{payment.request.mark}"


def _resolution(payment: Payment) -> list[Block]:
    """The buttons of what is unknown; each opens a form that asks how the person knows."""
    if payment.state is not State.UNKNOWN:
        return []
    buttons = [
        button(WAS_PAID, "It was paid", value_of(payment)),
        button(WAS_NOT_PAID, "It was not paid", value_of(payment)),
    ]
    return [{"type": "actions", "block_id": "resolve", "elements": buttons}]


def _withdraw(payment: Payment) -> Block:
    question = f"{subject(payment)} will not be paid. Only the person who asked can do this."
    once_more = confirm("Withdraw this request?", question, "Withdraw")
    return button(WITHDRAW, "Withdraw", value_of(payment), confirm=once_more)


def invitation(scene: Scene) -> Message:
    """What an approver is told directly, with a link to the card."""
    payment, cards = scene.payment, scene.payment.request.cards
    channel, ts = cards.approval_channel or payment.request.channel, cards.approval_ts or cards.ts
    assert ts is not None, "bug: people are invited to a card that stands"
    text = (
        f"{mention(payment.request.requester)} asks for your approval of {subject(payment)},"
        f" {amount(payment.invoice)}."
    )
    where = link(scene.team_url, channel, ts)
    lines = [
        text,
        *([quote(payment.request.note, 1000)] if payment.request.note else []),
        f"<{where}|Decide on its card> in {place(channel)}, or on my Home tab.",
    ]
    return Message(text, [section("\n".join(lines))])
