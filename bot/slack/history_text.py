"""The history of a request in words, a line an event. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import assert_never

from bot.domain import events
from bot.domain.payment import State
from bot.domain.schedule import PayOn
from bot.domain.wording import money, shorten
from bot.ledger.rows import Event
from bot.slack.schedule_text import asked_for
from bot.slack.text import (
    escape,
    is_in_slack,
    mention,
    moment,
)

_LONGEST = 300
"""Characters of what somebody wrote or the API answered, in one line of a history."""


def history(trail: Sequence[Event]) -> list[str]:
    """The events in order, each as mrkdwn. What has no words, a refused click, is left to the audit trail."""
    told = ((event, _line(event)) for event in trail)
    return [
        f"{moment(event.at)} {line}{f' (payment {event.line})' if event.line is not None else ''}"
        for event, line in told
        if line is not None
    ]


def _line(event: Event) -> str | None:  # noqa: PLR0911, PLR0912 - a case an event
    """An event in a few words; None where it has none."""
    somebody = is_in_slack(event.actor)
    who = mention(event.actor) if somebody else escape(event.actor)
    match event.what:
        case events.Requested(note=note, pay_on=pay_on):
            return f"requested by {who}{_day(pay_on)}{_said(note)}"
        case events.LookedUp(amount=figure, currency=currency, approvals_required=required):
            told = escape(_money(figure, currency)) if figure is not None else "amount unknown"
            return f"looked up: {told}; {f'approvals needed: {required}' if required else 'no approval'}"
        case events.Approved(given, required):
            return f"approved by {who} ({given} of {required})"
        case events.AskedAgain():
            return "what was approved so far does not count: the amount was not known then, or is another"
        case events.ApprovalComplete(approvers=approvers):
            return "approval complete" if approvers else "approved by the rules"
        case events.Denied(reason):
            return f"denied by {who}{_said(reason)}"
        case events.Cancelled(reason):
            return f"withdrawn by {who}" if somebody else f"cancelled by {who}{_said(reason)}"
        case events.LeftOut(reason):
            return f"left out by {who}{_said(reason)}"
        case events.Completed():
            return "none is under way any more"
        case events.Expired():
            return "expired: not enough approvals in time"
        case events.Reminded():
            return "reminded those who may approve"
        case events.Held(reason):
            return f"waits{_said(reason)}"
        case events.Sending():
            return "sent to the billing API"
        case events.Answered() as answer:
            return f"{_became(event) or 'answered late'}{_said(answer.status_text or answer.evidence)}"
        case events.Retry():
            return "tried again: nothing had been sent"
        case events.LeaseRanOut():
            return "the answer was lost: the bot stopped while the call was under way"
        case events.Reconciled(evidence):
            return f"{_became(event)}{_said(evidence)} (the invoice was read again)"
        case events.Unsettled(reading):
            return f"still unknown{_said(reading)}"
        case events.Resolved(note=note):
            how = "corrected" if isinstance(event.what, events.Corrected) else "settled"
            return f"{how} by {who}{_said(note)}"
        case events.Stranded():
            no_card = event.to_state is State.CANCELLED
            return (
                f"ended: {'its card could not be posted' if no_card else 'it could not be looked up'} in time"
            )
        case events.NoCard(error=error):
            return f"cancelled: its card could not be posted{_said(error)}"
        case events.NotTold(error=error):
            return f"could not be told where it belongs{_said(error)}"
        case events.Pruned():
            return f"people's ids, notes and reasons erased by {who}"
        case events.Refused() | events.Paused() | events.Resumed() | events.Unrecognized():
            return None
        case _:
            assert_never(event.what)


def _became(event: Event) -> str:
    return event.to_state.lower().replace("_", " ") if event.to_state else ""


def _day(pay_on: str | None) -> str:
    """The day for which it was asked; what was forged is shown as it stands."""
    if pay_on is None:
        return ""
    try:
        return f", to be sent {asked_for(PayOn.read(pay_on))}"
    except ValueError:
        return f", to be sent on {escape(shorten(pay_on, 20))}"


def _said(words: str | None) -> str:
    return f": {escape(shorten(' '.join(words.split()), _LONGEST))}" if words else ""


def _money(figure: str, currency: str | None) -> str:
    """An amount as the trail keeps it, in whatever digits; a forged one may be none."""
    try:
        amount = Decimal(figure)
    except InvalidOperation:
        return figure
    return money(amount, currency or "").strip() if amount.is_finite() else figure
