"""An event in words: the reply in the thread that tells it, and its line in a payment's history. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import assert_never

from bot.domain import events
from bot.domain.payment import FINAL, Payment, State
from bot.domain.slack_ids import is_group, is_user
from bot.domain.wording import money, shorten
from bot.ledger.rows import Event
from bot.slack.blocks import Block, Message, context, paragraph, section
from bot.slack.card import Scene, waiting
from bot.slack.next_step import ask_again, checking, not_sent
from bot.slack.text import (
    amount,
    asking,
    escape,
    harmless,
    link,
    mention,
    mentions,
    moment,
    place,
    quote,
    standing,
    state_line,
    state_words,
    subject,
)

_LONGEST = 300
"""Characters of what somebody wrote or the API answered, in one line of a history."""


class Untold(Exception):
    """An event that has no words in a thread: everybody sees it otherwise, or it is of another version."""


def thread_reply(event: Event, scene: Scene) -> Message:
    """The reply in the thread that tells one event. Raises Untold."""
    # The late answer is one that came too late to be the outcome.
    if isinstance(event.what, events.Answered) and not isinstance(event.what, events.AnsweredLate):
        return _answered(event.what, event.to_state, event.at, scene)
    text = "\n".join(_lines(event, scene))
    return Message(f"{scene.payment.number}: {text}", [section(text)])


def plain(payment: Payment, reference: str) -> Message:
    """What stands for a message that could not be made: which payment, how it stands, what the API said.

    reference: stands in the log, with what went wrong.
    """
    said = f" The billing API says: {harmless(payment.status_text, 2000)}" if payment.status_text else ""
    text = (
        f"{subject(payment)}: {standing(payment)[1]}.{said}"
        f" More was to be said here; ask the people who run this bot, reference {reference}."
    )
    return paragraph(text)


def direct(event: Event, scene: Scene) -> Message:
    """The same, for the requester alone, where the thread cannot be reached."""
    told = thread_reply(event, scene)
    if isinstance(event.what, events.NoCard):
        return told  # it names the channel and the invoice itself
    where = f"{subject(scene.payment)} in {place(scene.payment.request.channel)}"
    return Message(f"{told.text} ({where})", [context(where), *told.blocks])


def _answered(answer: events.Answered, state: State | None, at: datetime, scene: Scene) -> Message:
    """The API's status_text, verbatim and harmless, under what it means."""
    assert state is not None, "bug: an answer moves the state"
    said = answer.status_text
    blocks: list[Block] = [section(state_line(state))]
    text = f"{scene.payment.number}: {state_words(state)}"
    if said is not None:
        blocks.append(section("The billing API says:\n" + quote(said)))
        text += f". The billing API says: {harmless(said, 3000)}"
    if (follows := _after(answer, state, at, scene)) is not None:
        blocks.append(section("\n".join(follows)))
        text += f"{'' if text.endswith('.') else '.'} {follows[0]}"
    if answer.status is not None and state in (State.PAID, State.DECLINED):
        blocks.append(context(f"status `{escape(shorten(answer.status, 80))}`"))
    else:
        blocks.append(context(escape(shorten(answer.evidence, 500))))
    return Message(text, blocks)


def _after(answer: events.Answered, state: State, at: datetime, scene: Scene) -> list[str] | None:
    """What follows an answer, and when; None where it was paid. at: when it came."""
    match state:
        case State.UNKNOWN:
            unclear = answer.unclear or (answer.status, answer.status_text) != (None, None)
            return _unknown("The answer was unclear" if unclear else "The answer was lost", at, scene)
        case State.NOT_SENT:
            return [not_sent(answer.attempt or scene.payment.tries, at, scene.timing)]
        case State.DECLINED:
            again = ask_again(scene.payment)
            return [f"Nothing was paid. When what the billing API says is mended, ask again: {again}."]
        case _:
            return None


def _unknown(why: str, at: datetime, scene: Scene) -> list[str]:
    return [
        f"{why}; it may have been paid. {checking(at, scene.settled)}",
        "Whoever knows what became of it can say so on the card, or type"
        f" `/pay resolve {scene.payment.request.id} paid` or `not-paid`, and how you know.",
    ]


def _lines(event: Event, scene: Scene) -> list[str]:  # noqa: PLR0911, PLR0912 - a case an event
    """What the thread is told. Raises Untold."""
    payment = scene.payment
    match event.what:
        case events.Approved(given, required):
            last = ". That is all it needs." if given >= required else ""
            return [f"Approved by {mention(event.actor)} ({given} of {required}){last}"]
        case events.AskedAgain():
            return [
                f"The amount is known now: {amount(payment.invoice)}. Nobody knew it when this was approved.",
                f"Please decide again. {waiting(scene)}",
            ]
        case events.Sending(attempt=attempt):
            again = "Sending it to the billing API now."
            return [again if attempt == 1 else f"Sending it again (try {attempt})."]
        case events.Denied(reason):
            denied = f"Denied by {mention(event.actor)}. Nothing was paid."
            return [denied, *([quote(reason)] if reason else [])]
        case events.Cancelled() as cancelled:
            return _cancelled(cancelled, event.actor, scene)
        case events.Expired():
            return [
                "Expired: there were not enough approvals in time. Nothing was paid.",
                "Ask again if it is still wanted.",
            ]
        case events.Reminded():
            return [f"Reminder: {waiting(scene)}"]
        case events.Held(reason):
            return [f"Waiting: {escape(reason)}. Nothing was sent; it is tried again by itself."]
        case events.AnsweredLate() as answer:
            return _answered_late(answer, scene)
        case events.Stranded():
            ended = "Cancelled" if event.to_state is State.CANCELLED else "Expired"
            return [
                f"{ended}: I could not post its card in time. Nothing was paid.",
                "Ask again if it is still wanted.",
            ]
        case events.LeaseRanOut():
            return [
                state_line(State.UNKNOWN),
                *_unknown("The answer was lost, as the bot stopped meanwhile", event.at, scene),
            ]
        case events.Reconciled(evidence):
            assert event.to_state is not None, "bug: a reading that settles moves the state"
            paid = event.to_state is State.PAID
            return [
                state_line(event.to_state),
                f"{'It was paid' if paid else 'Not charged'}: the invoice was read again.",
                f"Evidence: {escape(evidence)}.",
                *([] if paid else [f"It may be asked for again: {ask_again(payment)}."]),
            ]
        case events.Resolved(note=note):
            return _settled(event, note)
        case events.Unsettled(reading):
            may_settle = scene.approvals.may_approve
            whom = mentions(may_settle) if may_settle else mention(payment.request.requester)
            return [
                f"Still unknown; do not pay it again. {escape(reading).capitalize()}.",
                f"{whom}: look in MyAdmin, and say on the card what you saw, or type"
                f" `/pay resolve {payment.request.id} paid` or `not-paid`, and how you know.",
            ]
        case events.NoCard() as no_card:
            return _no_card(no_card, scene)
        case events.NotTold(kind=kind, error=error):
            what = "end the workflow's step" if kind == "step" else "bring its card up to date"
            return [
                state_line(payment.state),
                f"For days I could not {what}: Slack says {escape(error)}.",
                "So I tell you here how it stands"
                + ("; nobody has to do anything." if payment.state in FINAL else "."),
            ]
        case (
            events.Requested()
            | events.Refused()
            | events.LookedUp()
            | events.ApprovalComplete()
            | events.Retry()
            | events.Answered()
            | events.Unrecognized()
        ):
            raise Untold(event.action)
        case _:
            assert_never(event.what)


def _cancelled(cancelled: events.Cancelled, actor: str, scene: Scene) -> list[str]:
    if actor == scene.payment.request.requester:
        return [f"Withdrawn by {mention(actor)}, who asked for it. Nothing was paid."]
    lines = [f"Cancelled: {escape(cancelled.reason)}", "Nothing was paid."]
    # Whatever a forged row names is nobody.
    ask = frozenset(one for one in (cancelled.ask or "").split(", ") if is_user(one) or is_group(one))
    if cancelled.remedy or ask:
        lines.append(asking(cancelled.remedy, ask))
    if cancelled.other and cancelled.other_channel and cancelled.other_ts:
        card = link(scene.team_url, cancelled.other_channel, cancelled.other_ts)
        lines.append(f"See <{card}|{escape(cancelled.other)}>.")
    return lines


def _answered_late(answer: events.AnsweredLate, scene: Scene) -> list[str]:
    """What the API said after the payment had been settled otherwise, or in the same way."""
    said, number = answer.status_text, scene.payment.number
    words = ["The billing API says:", quote(said)] if said is not None else []
    paid, called_paid = answer.verdict == State.PAID, scene.payment.state is State.PAID
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


def _settled(event: Event, note: str) -> list[str]:
    state, was = event.to_state, event.from_state
    assert state is not None, "bug: settling moves the state"
    assert was is not None, "bug: settling moves the state"
    who = mention(event.actor) if event.actor[:1] in "UW" else "the operator"
    corrected = isinstance(event.what, events.Corrected)
    before = f"It had been called {state_words(was).lower()}. " if corrected else ""
    return [state_line(state), f"{before}Settled by {who}:", quote(note)]


def _no_card(no_card: events.NoCard, scene: Scene) -> list[str]:
    where = place(no_card.channel)
    first = f"Nothing was paid: I cannot post in {where}, so {subject(scene.payment)} was cancelled."
    if no_card.error in ("not_in_channel", "channel_not_found"):
        return [first, f"Type `/invite @{escape(scene.bot_name)}` there, then ask again."]
    return [first, f"Ask again in another channel. Slack says: {escape(no_card.error)}."]


def history(trail: Sequence[Event]) -> list[str]:
    """The events in order, each as mrkdwn. What has no words, a refused click, is left to the audit trail."""
    told = ((event, _line(event)) for event in trail)
    return [f"{moment(event.at)} {line}" for event, line in told if line is not None]


def _line(event: Event) -> str | None:  # noqa: PLR0911, PLR0912 - a case an event
    """An event in a few words; None where it has none."""
    who = mention(event.actor) if event.actor[:1] in "UW" else escape(event.actor)
    match event.what:
        case events.Requested(note=note):
            return f"requested by {who}{_said(note)}"
        case events.LookedUp(amount=figure, currency=currency, approvals_required=required):
            told = escape(_money(figure, currency)) if figure is not None else "amount unknown"
            return f"looked up: {told}; {f'approvals needed: {required}' if required else 'no approval'}"
        case events.Approved(given, required):
            return f"approved by {who} ({given} of {required})"
        case events.AskedAgain():
            return "asked again, as the amount was not known when it was approved"
        case events.ApprovalComplete(approvers=approvers):
            return "approval complete" if approvers else "approved by the rules"
        case events.Denied(reason):
            return f"denied by {who}{_said(reason)}"
        case events.Cancelled(reason):
            return f"withdrawn by {who}" if who.startswith("<") else f"cancelled by {who}{_said(reason)}"
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
            return "ended: its card could not be posted in time"
        case events.NoCard(error=error):
            return f"cancelled: its card could not be posted{_said(error)}"
        case events.NotTold(error=error):
            return f"could not be told where it belongs{_said(error)}"
        case events.Refused() | events.Unrecognized():
            return None
        case _:
            assert_never(event.what)


def _became(event: Event) -> str:
    return event.to_state.lower().replace("_", " ") if event.to_state else ""


def _said(words: str | None) -> str:
    return f": {escape(shorten(' '.join(words.split()), _LONGEST))}" if words else ""


def _money(figure: str, currency: str | None) -> str:
    """An amount as the trail keeps it, in whatever digits; a forged one may be none."""
    try:
        amount = Decimal(figure)
    except InvalidOperation:
        return figure
    return money(amount, currency or "").strip() if amount.is_finite() else figure
