"""Approvers who are named by id, but are not where the card stands: each is asked directly, once.

Members of a group are not: the mention on the card reaches them. Where Slack does not say who is in the
channel, everybody named by id is asked: being told twice is better than never being told.
"""

from __future__ import annotations

from bot.domain.payment import Payment, State
from bot.domain.slack_ids import is_group
from bot.errors import DirectoryError
from bot.ledger.rows import Delivery, Kind
from bot.slack.directory import SlackDirectory
from bot.slack.messages import Message, Scene, section
from bot.slack.text import amount, link, mention, place, quote, subject


def asks_for_decisions(delivery: Delivery, payment: Payment) -> bool:
    """Whether this is the card with the buttons to approve and deny."""
    here = payment.approval_channel in (None, payment.channel)
    return payment.state is State.PENDING_APPROVAL and delivery.kind is (
        Kind.CARD if here else Kind.APPROVAL_CARD
    )


async def absent(directory: SlackDirectory, channel: str, scene: Scene) -> list[str]:
    """Those who may approve, are named by id, and would not see a card in this channel."""
    named = sorted(one for one in scene.approvals.may_approve if not is_group(one))
    if not named:
        return []
    try:
        members = await directory.members_of(channel)
    except DirectoryError:
        return named
    return [one for one in named if one not in members]


def invitation(scene: Scene) -> Message:
    """What an approver is told directly, with a link to the card."""
    payment = scene.payment
    channel, ts = payment.approval_channel or payment.channel, payment.approval_ts or payment.card_ts
    assert ts is not None, "bug: people are invited to a card that stands"
    text = (
        f"{mention(payment.requester)} asks for your approval of {subject(payment)},"
        f" {amount(payment.invoice)}."
    )
    where = link(scene.team_url, channel, ts)
    lines = [
        text,
        *([quote(payment.note, 1000)] if payment.note else []),
        f"<{where}|Decide on its card> in {place(channel)}, or on my Home tab.",
    ]
    return Message(text, [section("\n".join(lines))])
