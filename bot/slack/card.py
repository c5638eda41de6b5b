"""The cards, and the invitation to decide on one. Pure: ledger rows in, blocks and text out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from bot.domain.batch import SENT, SHOWN_LINES, Batch
from bot.domain.payment import Payment, PaymentRequest, State
from bot.domain.schedule import IN_UTC, Mornings
from bot.payments.approvals import ApprovalStatus
from bot.payments.timing import Timing
from bot.slack.blocks import QUESTION, Block, Message, button, confirm, context, section
from bot.slack.listing import paragraphs
from bot.slack.next_step import next_steps
from bot.slack.schedule_text import to_be_sent
from bot.slack.text import (
    cost_of,
    day,
    description,
    due,
    escape,
    invoice_line,
    link,
    mention,
    mentions,
    moment,
    place,
    quote,
    standing,
    standing_of,
    subject_of,
    when_due,
)

APPROVE, DENY, WITHDRAW = "payment_approve", "payment_deny", "payment_cancel"
"""The action ids of the buttons. For their values, see `decisions.Clicked`."""

REMOVE = "payment_remove"
"""That of the button by which some of several invoices are taken out."""

ASK_AGAIN = "payment_ask_again"
"""That of the button by which the same is requested anew."""

ASKED_AGAIN_FROM = frozenset({State.DECLINED, State.DENIED, State.EXPIRED})
"""What may be wanted all the same: nobody took it back, and nothing says that it cannot be paid."""

NOTICED = frozenset({State.UNKNOWN, State.DECLINED, State.NOT_SENT, State.CANCELLED})
"""What a card shows before the others, where it cannot show all of them."""

WAS_PAID, WAS_NOT_PAID = "payment_was_paid", "payment_was_not_paid"
"""Those of the buttons by which a person settles what the bot could not find out."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A request with what a message about it needs.

    now, mornings: to tell what is overdue. settled: how long after a call whose answer is not known it is
    known what became of it. team_url: of the workspace, for links. bot_name: what to type after /invite @.
    daily: approvers are told once a day what waits for them.
    """

    batch: Batch
    approvals: ApprovalStatus
    now: datetime
    timing: Timing
    settled: timedelta
    team_url: str
    bot_name: str
    daily: bool = False
    mornings: Mornings = IN_UTC

    @property
    def today(self) -> date:
        """The day that it is for the people who pay."""
        return self.mornings.today(self.now)


def request_card(scene: Scene) -> Message:
    """The root message in the channel of the request."""
    batch, request = scene.batch, scene.batch.request
    elsewhere = request.approved_elsewhere
    blocks = [*map(section, _facts(scene)), *map(section, _standing(scene, asks=not elsewhere))]
    if batch.waiting:
        buttons = [] if elsewhere else decision_buttons(batch, scene.approvals)
        buttons += [*_remove(batch), _withdraw(batch)]
        blocks.append({"type": "actions", "block_id": "decide", "elements": buttons})
    elif any(one.pay_day is not None for one in batch.within((State.APPROVED, State.NOT_SENT))):
        # Until it is sent, as they were told: also where its morning came, and nothing could be sent.
        blocks.append({"type": "actions", "block_id": "withdraw", "elements": [_withdraw(batch)]})
    blocks += _resolution(batch)
    if may_ask_again(batch):
        again = button(ASK_AGAIN, "Ask again", value_of(request))
        blocks.append({"type": "actions", "block_id": "again", "elements": [again]})
    if elsewhere and request.cards.approval_channel and request.cards.approval_ts:
        where = link(scene.team_url, request.cards.approval_channel, request.cards.approval_ts)
        blocks.append(context(f"Approvals: <{where}|the card> in {place(request.cards.approval_channel)}"))
    return Message(_fallback(batch), blocks)


def may_ask_again(batch: Batch) -> bool:
    """Whether anything of it may be asked for anew: when nothing is under way any more."""
    return not batch.under_way and bool(batch.within(ASKED_AGAIN_FROM))


def approval_card(scene: Scene) -> Message:
    """The card in the approval channel, where that is another one."""
    batch, request = scene.batch, scene.batch.request
    blocks = [*map(section, _facts(scene)), *map(section, _standing(scene))]
    if batch.waiting:
        buttons = [*decision_buttons(batch, scene.approvals), *_remove(batch)]
        blocks.append({"type": "actions", "block_id": "decide", "elements": buttons})
    blocks += _resolution(batch)
    if request.cards.ts:
        where = link(scene.team_url, request.channel, request.cards.ts)
        blocks.append(context(f"Requested in {place(request.channel)}: <{where}|the thread>"))
    return Message(_fallback(batch), blocks)


def _fallback(batch: Batch) -> str:
    return (
        f"Payment request {subject_of(batch)}, {cost_of(batch)},"
        f" by {mention(batch.request.requester)}: {standing_of(batch)[1]}"
    )


def _facts(scene: Scene) -> Iterator[str]:
    """What is asked for, in paragraphs."""
    batch = scene.batch
    lines = [f"*{subject_of(batch)} · {cost_of(batch)}*"]
    if not batch.several:
        lines += _of_one(batch.first, scene.today)
    lines.append(f"Asked for by {mention(batch.request.requester)}")
    if batch.waiting and (when := to_be_sent(batch.waiting)) is not None:
        lines.append(f"*To be sent {when}*")
    if batch.request.note:
        lines.append(quote(batch.request.note, 1000))
    yield "\n".join(lines)
    if batch.several:
        # What did not go as it should may be any of them, and is what people look for.
        first = sorted(batch.payments, key=lambda one: one.state not in NOTICED)[:SHOWN_LINES]
        shown = [line_of(one, batch, scene.today) for one in sorted(first, key=lambda one: one.line)]
        left = len(batch.payments) - len(shown)
        yield from paragraphs([*shown, *([f"… and {left} more; all are in the thread."] if left else [])])


def _of_one(payment: Payment, today: date) -> Iterator[str]:
    """What the only payment is for, and when it is due."""
    invoice = payment.invoice
    if invoice is not None:
        if described := description(invoice, 300, whole=True):
            yield escape(described)
        if invoice.due is not None:
            yield f"Due {day(invoice.due) if payment.state is State.PAID else due(invoice.due, today)}"
    elif payment.listed is False:
        yield "Not in the list of unpaid invoices"


def line_of(payment: Payment, batch: Batch, today: date) -> str:
    """One of several payments in a line; with its state, where they are in more than one."""
    when = "" if payment.state is State.PAID else when_due(payment.invoice, today)
    line = invoice_line(str(payment.ref), payment.invoice, when)
    if len({one.state for one in batch.payments}) == 1:
        return line
    emoji, words = standing(payment)
    return f"{emoji} {words.partition(';')[0]} · {line}"


def _standing(scene: Scene, *, asks: bool = True) -> Iterator[str]:
    """How it stands and what follows, in paragraphs: many may have to approve it."""
    batch = scene.batch
    emoji, words = standing_of(batch)
    lines = [f"{emoji} *{words}*"]
    if batch.waiting:
        lines.append(waiting(scene, asks=asks, daily=scene.daily))
    elif batch.request.approvals_required and scene.approvals.counted:
        lines.append(f"Approved by {', '.join(mention(one) for one in scene.approvals.counted)}")
    if scene.approvals.denied_by:
        lines.append(f"Denied by {mention(scene.approvals.denied_by)}")
    ended = batch.ended_together
    reasons = dict.fromkeys(one.reason for one in batch.payments if one.state is ended and one.reason)
    if ended is not None and not batch.withdrawn and len(reasons) == 1:
        lines.append(quote(next(iter(reasons)), 1000))
    lines += next_steps(batch, scene.now, scene.timing, scene.settled)
    yield from paragraphs("\n".join(lines).split("\n"))


def waiting(scene: Scene, *, asks: bool = True, daily: bool = False) -> str:
    """How many approvals are missing. asks: whoever may give them is mentioned, and so notified.

    daily: they are told once a day, and not here.
    """
    request, approvals = scene.batch.request, scene.approvals
    so_far = ", ".join(mention(one) for one in approvals.counted)
    named = mentions(approvals.asked) if approvals.asked else "somebody whom the rules name"
    whom = f"from {named}" if asks else f"in {place(str(request.cards.approval_channel))}"
    if asks and daily:
        whom = "from those who may give it: they are told once a day"
    lines = [f"Needs {more_approvals(approvals)} {whom}"]
    if so_far:
        lines.append(f"Approved so far by {so_far}")
    lines.append(f"Expires {moment(request.expires_at)}")
    return "\n".join(line for line in lines if line)


def more_approvals(approvals: ApprovalStatus) -> str:
    """How many approvals a payment waits for."""
    return "1 more approval" if approvals.awaited == 1 else f"{approvals.awaited} more approvals"


def decision_buttons(batch: Batch, approvals: ApprovalStatus) -> list[Block]:
    """Approve, which asks once more, and Deny, which asks why."""
    title = f"Approve {len(batch.asked_about)} payments?" if batch.several else "Approve this payment?"
    once_more = confirm(title, _question(batch, approvals), "Approve")
    value = value_of(batch.request)
    return [
        button(APPROVE, "Approve", f"{value} {batch.price}", style="primary", confirm=once_more),
        button(DENY, "Deny", value, style="danger"),
    ]


def _question(batch: Batch, approvals: ApprovalStatus) -> str:
    """What Approve asks: about how much, and what follows from it."""
    known = all(one.invoice is not None for one in batch.asked_about)
    if batch.several:
        lines = [f"Pay {cost_of(batch)} for {len(batch.asked_about)} invoices?"]
    else:
        which = f"{batch.first.ref.module} invoice {batch.first.ref.number}"
        lines = [f"Pay {cost_of(batch)} for {which}?" if known else f"Pay {which}, whatever its amount is?"]
    unread = [] if known else ["If its amount can be read by then, you are asked again."]
    question = "\n".join([*lines, what_follows(batch, approvals), *unread])
    if len(question) > QUESTION:
        return "\n".join([*lines, what_follows(batch, approvals, brief=True), *unread])
    return question


def what_follows(batch: Batch, approvals: ApprovalStatus, *, brief: bool = False) -> str:
    """What becomes of a request that one more person approves. brief: its days stand on the card."""
    after, given = approvals.awaited - 1, len(approvals.counted) + 1
    it_is = "they are" if batch.several else "it is"
    which = f"You are {given} of {given + after}; {it_is}" if given + after > 1 else it_is.capitalize()
    when = to_be_sent(batch.waiting)
    if when and brief:
        when = "when the card says"
    if after:
        then = f", {when}" if when else ""
        return f"{which} paid after {'one' if after == 1 else after} more{then}."
    if when:
        return f"{which} paid {when}. Until it is sent the request can be withdrawn."
    return f"{which} paid at once and cannot be undone."


def value_of(request: PaymentRequest) -> str:
    """What a button carries of the request that it is about; Approve also its price."""
    return f"{request.id}:{request.mark}"


def _resolution(batch: Batch) -> list[Block]:
    """The buttons of what is unknown; each opens a form that asks how the person knows."""
    if not batch.within((State.UNKNOWN,)):
        return []
    value = value_of(batch.request)
    buttons = [button(WAS_PAID, "It was paid", value), button(WAS_NOT_PAID, "It was not paid", value)]
    return [{"type": "actions", "block_id": "resolve", "elements": buttons}]


def _remove(batch: Batch) -> list[Block]:
    """The button that opens a form, while several wait: the last one is denied or withdrawn."""
    if len(batch.waiting) < 2:
        return []
    return [button(REMOVE, "Remove…", value_of(batch.request), accessibility_label="Remove invoices")]


def _withdraw(batch: Batch) -> Block:
    what = f"What was not sent of {subject_of(batch)}" if batch.within(SENT) else subject_of(batch)
    question = f"{what} will not be paid. Only the person who asked can do this."
    once_more = confirm("Withdraw this request?", question, "Withdraw")
    return button(WITHDRAW, "Withdraw", value_of(batch.request), confirm=once_more)


def invitation(scene: Scene) -> Message:
    """What an approver is told directly, with a link to the card."""
    request = scene.batch.request
    assert request.decided_on is not None, "bug: people are invited to a card that stands"
    channel, ts = request.decided_on
    text = (
        f"{mention(request.requester)} asks for your approval of {subject_of(scene.batch)},"
        f" {cost_of(scene.batch)}."
    )
    where = link(scene.team_url, channel, ts)
    lines = [
        text,
        *([quote(request.note, 1000)] if request.note else []),
        f"<{where}|Decide on its card> in {place(channel)}, or on my Home tab.",
    ]
    return Message(text, [section("\n".join(lines))])
