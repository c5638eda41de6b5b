"""The Home tab: what waits for this person's approval, their requests, and what became of things. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from bot.domain.payment import FINAL, Payment
from bot.payments.overview import Concerns, Waiting
from bot.slack.messages import Block, context, decision_buttons, more_approvals, section
from bot.slack.text import amount, day, escape, link, mention, moment, quote, shorten, state_line, subject

MOST = 10
"""Payments in each part; a view takes a hundred blocks."""

View = dict[str, Any]


def home(concerns: Concerns, team_url: str, today: date) -> View:
    """The tab of somebody who may see payments. today: to tell what is overdue."""
    open_requests = [one for one in concerns.requested if one.state not in FINAL]
    blocks = [
        _heading("Waiting for your approval"),
        *(block for one in concerns.waiting for block in _waiting(one, team_url, today)),
        *([] if concerns.waiting else [context("Nothing waits for you.")]),
        *_list(
            "Your open requests", open_requests, team_url, "You have no open request. Type `/pay` to ask."
        ),
        *_list("Recent outcomes", concerns.outcomes, team_url, "Nothing yet."),
    ]
    return {"type": "home", "blocks": blocks}


def closed(text: str) -> View:
    """The tab of somebody who has nothing to see here, or cannot be told from somebody who has."""
    return {"type": "home", "blocks": [section(text)]}


def _heading(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _waiting(one: Waiting, team_url: str, today: date) -> list[Block]:
    payment, invoice = one.payment, one.payment.invoice
    lines = [f"*{_linked(payment, team_url)} · {amount(invoice)}*"]
    if invoice is not None and invoice.description.strip():
        lines.append(escape(shorten(" ".join(invoice.description.split()), 200)))
    if invoice is not None and invoice.due is not None:
        lines.append(f"Due {day(invoice.due)}{' (overdue)' if invoice.due < today else ''}")
    needs = more_approvals(one.approvals)
    lines.append(
        f"Asked for by {mention(payment.requester)} · needs {needs} · expires {moment(payment.expires_at)}"
    )
    if payment.note:
        lines.append(quote(payment.note, 500))
    buttons = {"type": "actions", "block_id": f"decide:{payment.id}", "elements": decision_buttons(payment)}
    return [section("\n".join(lines)), buttons]


def _list(title: str, payments: Sequence[Payment], team_url: str, none: str) -> list[Block]:
    lines = [
        f"{_linked(one, team_url)} · {amount(one.invoice)} · {state_line(one.state)}" for one in payments
    ]
    return [_heading(title), section("\n".join(lines)) if lines else context(none)]


def _linked(payment: Payment, team_url: str) -> str:
    """Its name, which leads to the card that the person can act on."""
    places = ((payment.approval_channel, payment.approval_ts), (payment.channel, payment.card_ts))
    for channel, ts in places:
        if channel and ts:
            return f"<{link(team_url, channel, ts)}|{subject(payment)}>"
    return subject(payment)
