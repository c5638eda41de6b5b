"""What happened to a payment, in words: one line an event, with its time and who did it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.ledger.rows import Event
from bot.slack.text import escape, mention, moment, shorten

_LONGEST = 300
"""Characters of what somebody wrote or the API answered, in one line."""


def lines(events: Sequence[Event]) -> list[str]:
    """The events in order, each as mrkdwn. What has no words, a refused click, is left to the audit trail."""
    return [f"{moment(event.at)} {_WORDS[event.action](event)}" for event in events if event.action in TOLD]


def _who(event: Event) -> str:
    return mention(event.actor) if event.actor[:1] in "UW" else escape(event.actor)


def _said(event: Event, name: str) -> str:
    value = event.detail.get(name)
    return f": {escape(shorten(' '.join(str(value).split()), _LONGEST))}" if value else ""


def _looked_up(event: Event) -> str:
    amount, currency = event.detail.get("amount"), event.detail.get("currency")
    required = event.detail.get("approvals_required")
    told = escape(f"{amount} {currency}") if amount is not None else "its amount was not told"
    return f"looked up: {told}; {escape(f'approvals needed: {required}') if required else 'no approval'}"


def _approved(event: Event) -> str:
    count = escape(f"({event.detail.get('given')} of {event.detail.get('required')})")
    return f"approved by {_who(event)} {count}"


def _answered(event: Event) -> str:
    state = str(event.to_state).lower().replace("_", " ") if event.to_state else "answered late"
    return f"{state}{_said(event, 'status_text') or _said(event, 'evidence')}"


_WORDS: dict[str, Callable[[Event], str]] = {
    "requested": lambda event: f"requested by {_who(event)}{_said(event, 'note')}",
    "looked_up": _looked_up,
    "approved": _approved,
    "asked_again": lambda _: "asked again, as the amount was not known when it was approved",
    "approval_complete": lambda event: (
        "approval complete" if event.detail.get("approvers") else "approved by the rules"
    ),
    "denied": lambda event: f"denied by {_who(event)}{_said(event, 'reason')}",
    "cancelled": lambda event: f"cancelled by {_who(event)}{_said(event, 'reason')}",
    "expired": lambda _: "expired: not enough approvals in time",
    "reminded": lambda _: "reminded those who may approve",
    "held": lambda event: f"waits{_said(event, 'reason')}",
    "sending": lambda _: "sent to the billing API",
    "answered": _answered,
    "answered_late": _answered,
    "retry": lambda _: "tried again: nothing had been sent",
    "lease_ran_out": lambda _: "the answer was lost: the bot stopped while the call was under way",
    "reconciled": lambda event: f"{_answered(event)} (the invoice was read again)",
    "unsettled": lambda event: f"still unknown{_said(event, 'reading')}",
    "resolved": lambda event: f"settled by {_who(event)}{_said(event, 'note')}",
    "corrected": lambda event: f"corrected by {_who(event)}{_said(event, 'note')}",
    "stranded": lambda event: "ended: its card could not be posted in time",
    "no_card": lambda event: f"cancelled: its card could not be posted{_said(event, 'error')}",
    "not_told": lambda event: f"could not be told where it belongs{_said(event, 'error')}",
}

TOLD = frozenset(_WORDS)
"""The actions that have words."""
