"""An event in words: the reply in the thread that tells it, and its line in a payment's history. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bot.domain.payment import FINAL, Payment, State
from bot.domain.wording import shorten
from bot.ledger.rows import Event
from bot.slack.blocks import Block, Message, context, paragraph, section
from bot.slack.card import Scene, waiting
from bot.slack.text import (
    amount,
    escape,
    harmless,
    link,
    mention,
    mentions,
    moment,
    place,
    quote,
    state_line,
    state_words,
    subject,
)

_LONGEST = 300
"""Characters of what somebody wrote or the API answered, in one line of a history."""


def thread_reply(event: Event, scene: Scene) -> Message:
    """The reply in the thread that tells one event. Raises KeyError for an event that nobody tells."""
    if event.action == "answered":
        return _answered(event, scene)
    lines = _REPLIES[event.action](event, scene)
    text = "\n".join(lines)
    return Message(f"{scene.payment.number}: {text}", [section(text)])


def plain(payment: Payment, reference: str) -> Message:
    """What stands for a message that could not be made: which payment, how it stands, what the API said.

    reference: stands in the log, with what went wrong.
    """
    said = f" The billing API says: {harmless(payment.status_text, 2000)}" if payment.status_text else ""
    text = (
        f"{subject(payment)}: {state_words(payment.state)}.{said}"
        f" More was to be said here; ask the people who run this bot, reference {reference}."
    )
    return paragraph(text)


def direct(event: Event, scene: Scene) -> Message:
    """The same, for the requester alone, where the thread cannot be reached."""
    told = thread_reply(event, scene)
    if event.action == "no_card":
        return told  # it names the channel and the invoice itself
    where = f"{subject(scene.payment)} in {place(scene.payment.channel)}"
    return Message(f"{told.text} ({where})", [context(where), *told.blocks])


def _answered(event: Event, scene: Scene) -> Message:
    """The API's status_text, verbatim and harmless, under what it means."""
    state = event.to_state
    assert state is not None, "bug: an answer moves the state"
    said = event.detail["status_text"]
    status = event.detail["status"]
    heading = state_line(state)
    plain = state_words(state)
    blocks: list[Block] = [section(heading)]
    text = f"{scene.payment.number}: {plain}"
    if said is not None:
        blocks.append(section("The billing API says:\n" + quote(str(said))))
        text += f". The billing API says: {harmless(str(said), 3000)}"
    if state is State.UNKNOWN:
        warning = (
            "The answer was lost; it may have been paid; do not pay it again; "
            f"{scene.payment.number}.\nThe invoice will be read again, and what is found is told here. "
            "Whoever knows can settle it: "
            f"`/pay resolve {scene.payment.id} paid` or `not-paid`, and how you know."
        )
        if said is None:
            text += ". The answer was lost; it may have been paid; do not pay it again."
        blocks.append(section(warning))
    if state is State.NOT_SENT:
        blocks.append(section("Nothing was sent, so nothing was paid. It is tried again by itself."))
    if status is not None and state in (State.PAID, State.DECLINED):
        blocks.append(context(f"status `{escape(shorten(str(status), 80))}`"))
    else:
        blocks.append(context(escape(shorten(str(event.detail["evidence"]), 500))))
    return Message(text, blocks)


def _approved(event: Event, scene: Scene) -> list[str]:
    given, required = event.detail["given"], event.detail["required"]
    enough = isinstance(given, int) and isinstance(required, int) and given >= required
    last = ". That is all it needs." if enough else ""
    count = escape(f"({given} of {required})")
    return [f"Approved by {mention(event.actor)} {count}{last}"]


def _asked_again(event: Event, scene: Scene) -> list[str]:
    return [
        f"The amount is known now: {amount(scene.payment.invoice)}. Nobody knew it when this was approved.",
        f"Please decide again. {waiting(scene)}",
    ]


def _sending(event: Event, scene: Scene) -> list[str]:
    tries = event.detail["try"]
    return [
        "Sending it to the billing API now." if tries == 1 else escape(f"Sending it again (try {tries}).")
    ]


def _denied(event: Event, scene: Scene) -> list[str]:
    reason = str(event.detail["reason"])
    return [f"Denied by {mention(event.actor)}", *([quote(reason)] if reason else [])]


def _cancelled(event: Event, scene: Scene) -> list[str]:
    by_person = event.actor == scene.payment.requester
    if by_person:
        return [f"Cancelled by {mention(event.actor)}, who asked for it. Nothing was paid."]
    remedy = event.detail.get("remedy")
    lines = [f"Cancelled: {escape(str(event.detail['reason']))}", "Nothing was paid."]
    if remedy:
        lines.append(escape(str(remedy)))
    other, channel, ts = (event.detail.get(name) for name in ("other", "other_channel", "other_ts"))
    if other and channel and ts:
        lines.append(f"See <{link(scene.team_url, str(channel), str(ts))}|{other}>.")
    return lines


def _expired(event: Event, scene: Scene) -> list[str]:
    return [
        "Expired: there were not enough approvals in time. Nothing was paid.",
        "Ask again if it is still wanted.",
    ]


def _reminded(event: Event, scene: Scene) -> list[str]:
    return [f"Reminder: {waiting(scene)}"]


def _answered_late(event: Event, scene: Scene) -> list[str]:
    """What the API said after the payment had been settled otherwise, or in the same way."""
    said, number = event.detail["status_text"], scene.payment.number
    words = ["The billing API says:", quote(str(said))] if said is not None else []
    paid, called_paid = event.detail["verdict"] == State.PAID, scene.payment.state is State.PAID
    if paid == called_paid:
        return [f"The answer to the call for {number} came late, and says the same.", *words]
    if paid:
        return [
            ":warning: *It was paid after all; do not pay it again.*",
            f"The answer came after {number} had been called not paid.",
            *words,
        ]
    return [
        ":warning: *The billing API says that it was not paid.*",
        f"The answer came after {number} had been called paid. Look in MyAdmin.",
        *words,
    ]


def _stranded(event: Event, scene: Scene) -> list[str]:
    ended = "Cancelled" if event.to_state is State.CANCELLED else "Expired"
    return [
        f"{ended}: I could not post its card in time. Nothing was paid.",
        "Ask again if it is still wanted.",
    ]


def _held(event: Event, scene: Scene) -> list[str]:
    return [f"Waiting: {escape(str(event.detail['reason']))}. Nothing was sent; it is tried again by itself."]


def _lease_ran_out(event: Event, scene: Scene) -> list[str]:
    return [
        state_line(State.UNKNOWN),
        f"The answer was lost; it may have been paid; do not pay it again; {scene.payment.number}.",
        "The bot stopped while the call was under way. The invoice will be read again, and what is"
        " found is told here.",
    ]


def _reconciled(event: Event, scene: Scene) -> list[str]:
    state = event.to_state
    assert state is not None, "bug: a reading that settles moves the state"
    outcome = "It was paid." if state is State.PAID else "Not charged."
    return [
        state_line(state),
        f"{outcome} The answer had been lost; the invoice was read again.",
        f"Evidence: {escape(str(event.detail['evidence']))}.",
    ]


def _resolved(event: Event, scene: Scene) -> list[str]:
    state = event.to_state
    assert state is not None, "bug: settling moves the state"
    who = mention(event.actor) if event.actor[:1] in "UW" else "the operator"
    return [state_line(state), f"Settled by {who}:", quote(str(event.detail["note"]))]


def _corrected(event: Event, scene: Scene) -> list[str]:
    was = event.from_state
    assert was is not None, "bug: a correction moves the state"
    state, settled, *why = _resolved(event, scene)
    return [state, f"It had been called {state_words(was).lower()}. {settled}", *why]


def _unsettled(event: Event, scene: Scene) -> list[str]:
    whom = (
        mentions(scene.approvals.may_approve)
        if scene.approvals.may_approve
        else mention(scene.payment.requester)
    )
    return [
        f"Still unknown; do not pay it again. {escape(str(event.detail['reading'])).capitalize()}.",
        f"{whom}: look in MyAdmin, then type `/pay resolve {scene.payment.id} paid` or `not-paid`,"
        " and how you know.",
    ]


def _no_card(event: Event, scene: Scene) -> list[str]:
    payment = scene.payment
    where = place(str(event.detail.get("channel", payment.channel)))
    first = f"Nothing was paid: I cannot post in {where}, so {subject(payment)} was cancelled."
    if event.detail["error"] in ("not_in_channel", "channel_not_found"):
        return [first, f"Type `/invite @{escape(scene.bot_name)}` there, then ask again."]
    return [first, f"Ask again in another channel. Slack says: {escape(str(event.detail['error']))}."]


def _not_told(event: Event, scene: Scene) -> list[str]:
    what = "end the workflow's step" if event.detail["kind"] == "step" else "bring its card up to date"
    return [
        state_line(scene.payment.state),
        f"For days I could not {what}: Slack says {escape(str(event.detail['error']))}.",
        "So I tell you here how it stands"
        + ("; nobody has to do anything." if scene.payment.state in FINAL else "."),
    ]


_REPLIES: dict[str, Callable[[Event, Scene], list[str]]] = {
    "approved": _approved,
    "asked_again": _asked_again,
    "sending": _sending,
    "denied": _denied,
    "cancelled": _cancelled,
    "expired": _expired,
    "reminded": _reminded,
    "held": _held,
    "answered_late": _answered_late,
    "stranded": _stranded,
    "no_card": _no_card,
    "lease_ran_out": _lease_ran_out,
    "reconciled": _reconciled,
    "resolved": _resolved,
    "corrected": _corrected,
    "unsettled": _unsettled,
    "not_told": _not_told,
}


def history(events: Sequence[Event]) -> list[str]:
    """The events in order, each as mrkdwn. What has no words, a refused click, is left to the audit trail."""
    return [f"{moment(event.at)} {_LINES[event.action](event)}" for event in events if event.action in _LINES]


def _who(event: Event) -> str:
    return mention(event.actor) if event.actor[:1] in "UW" else escape(event.actor)


def _said(event: Event, name: str) -> str:
    value = event.detail.get(name)
    return f": {escape(shorten(' '.join(str(value).split()), _LONGEST))}" if value else ""


def _looked_up_line(event: Event) -> str:
    amount, currency = event.detail.get("amount"), event.detail.get("currency")
    required = event.detail.get("approvals_required")
    told = escape(f"{amount} {currency}") if amount is not None else "amount unknown"
    return f"looked up: {told}; {escape(f'approvals needed: {required}') if required else 'no approval'}"


def _approved_line(event: Event) -> str:
    count = escape(f"({event.detail.get('given')} of {event.detail.get('required')})")
    return f"approved by {_who(event)} {count}"


def _answered_line(event: Event) -> str:
    state = str(event.to_state).lower().replace("_", " ") if event.to_state else "answered late"
    return f"{state}{_said(event, 'status_text') or _said(event, 'evidence')}"


_LINES: dict[str, Callable[[Event], str]] = {
    "requested": lambda event: f"requested by {_who(event)}{_said(event, 'note')}",
    "looked_up": _looked_up_line,
    "approved": _approved_line,
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
    "answered": _answered_line,
    "answered_late": _answered_line,
    "retry": lambda _: "tried again: nothing had been sent",
    "lease_ran_out": lambda _: "the answer was lost: the bot stopped while the call was under way",
    "reconciled": lambda event: f"{_answered_line(event)} (the invoice was read again)",
    "unsettled": lambda event: f"still unknown{_said(event, 'reading')}",
    "resolved": lambda event: f"settled by {_who(event)}{_said(event, 'note')}",
    "corrected": lambda event: f"corrected by {_who(event)}{_said(event, 'note')}",
    "stranded": lambda event: "ended: its card could not be posted in time",
    "no_card": lambda event: f"cancelled: its card could not be posted{_said(event, 'error')}",
    "not_told": lambda event: f"could not be told where it belongs{_said(event, 'error')}",
}
