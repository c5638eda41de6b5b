"""An event in words: the reply in the thread that tells it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from bot.domain import events
from bot.domain.batch import SENT, Batch, amounts_in
from bot.domain.payment import Payment, State
from bot.domain.slack_ids import is_group, is_user
from bot.domain.wording import shorten
from bot.ledger.rows import Event
from bot.slack.blocks import Message, context, paragraph, section
from bot.slack.card import Scene, waiting
from bot.slack.invoice_table import all_invoices
from bot.slack.listing import paragraphs
from bot.slack.next_step import ask_again, checking, not_sent
from bot.slack.schedule_text import sent_on
from bot.slack.text import (
    added_up,
    amount,
    asking,
    cost_of,
    escape,
    harmless,
    link,
    mention,
    mentions,
    person_or_operator,
    place,
    quote,
    standing_of,
    state_line,
    state_words,
    subject_of,
    summed_up,
    totals,
)


class Untold(Exception):
    """An event that has no words in a thread: everybody sees it otherwise, or it is of another version."""


def thread_reply(event: Event, scene: Scene) -> Message:
    """The reply in the thread that tells one event. Raises Untold."""
    payment = scene.batch.of_line(event.line)
    # The late answer is one that came too late to be the outcome.
    if isinstance(event.what, events.Answered) and not isinstance(event.what, events.AnsweredLate):
        return _answered(event.what, event.to_state, event.at, scene, payment)
    if isinstance(event.what, events.LookedUp) and scene.batch.several:
        return all_invoices(scene.batch, scene.today)
    lines = _lines(event, scene, payment)
    number = scene.batch.number
    if scene.batch.several and event.line is not None:
        number, lines[0] = payment.number, f"*{payment.ref}* · {lines[0]}"
    text = "\n".join(lines)
    blocks = [section(one) for one in paragraphs(text.split("\n"))]
    if isinstance(event.what, events.Completed):
        return Message(text, blocks, alone=True)
    return Message(f"{number}: {text}", blocks)


def plain(batch: Batch, reference: str) -> Message:
    """What stands for a message that could not be made: which request, how it stands, what the API said.

    reference: stands in the log, with what went wrong.
    """
    told = [one.status_text for one in batch.payments if one.status_text]
    said = f" The billing API says: {harmless(told[0], 2000)}" if told and not batch.several else ""
    text = (
        f"{subject_of(batch)}: {standing_of(batch)[1]}.{said}"
        f" More was to be said here; ask the people who run this bot, reference {reference}."
    )
    return paragraph(text)


def direct(event: Event, scene: Scene) -> Message:
    """The same, for the requester alone, where the thread cannot be reached."""
    told = thread_reply(event, scene)
    if isinstance(event.what, events.NoCard):
        return told  # it names the channel and the invoice itself
    where = f"{subject_of(scene.batch)} in {place(scene.batch.request.channel)}"
    return Message(f"{told.text} ({where})", [context(where), *told.blocks])


def _answered(
    answer: events.Answered, state: State | None, at: datetime, scene: Scene, payment: Payment
) -> Message:
    """The API's status_text, verbatim and harmless, under what it means; of several, in one paragraph."""
    assert state is not None, "bug: an answer moves the state"
    said = answer.status_text
    head = state_line(state)
    if scene.batch.several:
        head = f"{head} · `{payment.ref}` · *{amount(payment.invoice)}*"
    parts = [head]
    text = f"{payment.number}: {state_words(state)}"
    if said is not None:
        parts.append(("" if scene.batch.several else "The billing API says:\n") + quote(said))
        text += f". The billing API says: {harmless(said, 3000)}"
    if (follows := _after(answer, state, at, scene, payment)) is not None:
        parts.append("\n".join(follows))
        text += f"{'' if text.endswith('.') else '.'} {follows[0]}"
    if answer.status is not None and state in (State.PAID, State.DECLINED):
        small = f"status `{escape(shorten(answer.status, 80))}`"
    else:
        small = escape(shorten(answer.evidence, 500))
    if scene.batch.several:
        if said is None:
            parts.append(small)
        return Message(text, [section(one) for one in paragraphs("\n".join(parts).split("\n"))])
    return Message(text, [*map(section, parts), context(small)])


def _after(
    answer: events.Answered, state: State, at: datetime, scene: Scene, payment: Payment
) -> list[str] | None:
    """What follows an answer, and when; None where it was paid. at: when it came."""
    match state:
        case State.UNKNOWN:
            unclear = answer.unclear or (answer.status, answer.status_text) != (None, None)
            return _unknown(
                "The answer was unclear" if unclear else "The answer was lost", at, scene, payment
            )
        case State.NOT_SENT:
            return [not_sent(answer.attempt or payment.tries, at, scene.timing)]
        case State.DECLINED:
            again = ask_again(payment)
            return [f"Nothing was paid. When what the billing API says is mended, ask again: {again}."]
        case _:
            return None


def _unknown(why: str, at: datetime, scene: Scene, payment: Payment) -> list[str]:
    return [
        f"{why}; it may have been paid. {checking(at, scene.settled)}",
        "Whoever knows what became of it can say so on the card, or type"
        f" `/pay resolve {_which(payment)} paid` or `not-paid`, and how you know.",
    ]


def _which(payment: Payment) -> str:
    """What to type after `/pay resolve`."""
    request = payment.request
    return f"{request.id}" if request.size == 1 else f"{request.id} {payment.ref}"


def _lines(event: Event, scene: Scene, payment: Payment) -> list[str]:  # noqa: PLR0911, PLR0912 - a case an event
    """What the thread is told. Raises Untold."""
    batch = scene.batch
    match event.what:
        case events.Approved(given, required):
            last = ". That is all it needs." if given >= required else ""
            return [
                f"Approved by {mention(event.actor)} ({given} of {required}){last}",
                *(_scheduled(batch, event.at) if last else []),
            ]
        case events.AskedAgain():
            return [
                f"The amount is known now: {cost_of(batch)}. Nobody knew it when this was approved.",
                *([f"Please decide again. {waiting(scene)}"] if batch.waiting else []),
            ]
        case events.Sending(attempt=attempt):
            again = "Sending it to the billing API now."
            return [again if attempt == 1 else f"Sending it again (try {attempt})."]
        case events.Denied(reason):
            denied = f"Denied by {mention(event.actor)}. {_nothing_paid(batch)}"
            return [denied, *([quote(reason)] if reason else [])]
        case events.Cancelled() as cancelled:
            return _cancelled(cancelled, event.actor, scene)
        case events.LeftOut(reason, price):
            left = f" What is left costs {added_up(amounts_in(price))}." if price else ""
            return [f"Left out by {mention(event.actor)}; it is not paid.{left}", quote(reason)]
        case events.Completed():
            return _completed(batch)
        case events.Expired():
            return [
                f"Expired: there were not enough approvals in time. {_nothing_paid(batch)}",
                "Ask again if it is still wanted.",
            ]
        case events.Reminded():
            return [f"Reminder: {waiting(scene)}"]
        case events.Held(reason):
            return [f"Waiting: {escape(reason)}. Nothing was sent; it is tried again by itself."]
        case events.AnsweredLate() as answer:
            return _answered_late(answer, payment)
        case events.Stranded():
            no_card = event.to_state is State.CANCELLED
            why = "Cancelled: I could not post its card" if no_card else "Expired: I could not look it up"
            return [
                f"{why} in time. Nothing was paid.",
                "Ask again if it is still wanted.",
            ]
        case events.LeaseRanOut():
            return [
                state_line(State.UNKNOWN),
                *_unknown("The answer was lost, as the bot stopped meanwhile", event.at, scene, payment),
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
            whom = mentions(may_settle) if may_settle else mention(batch.request.requester)
            # Of several unknown payments, people are called by one.
            called = not batch.several or payment in batch.within((State.UNKNOWN,))[:1]
            look = f"{whom}: look" if called else "Look"
            return [
                f"Still unknown; do not pay it again. {escape(reading).capitalize()}.",
                f"{look} in MyAdmin, and say on the card what you saw, or type"
                f" `/pay resolve {_which(payment)} paid` or `not-paid`, and how you know.",
            ]
        case events.NoCard() as no_card:
            return _no_card(no_card, scene)
        case events.NotTold(kind=kind, error=error):
            what = "end the workflow's step" if kind == "step" else "bring its card up to date"
            return [
                f"{standing_of(batch)[0]} *{standing_of(batch)[1]}*",
                f"For days I could not {what}: Slack says {escape(error)}.",
                "So I tell you here how it stands"
                + ("." if batch.under_way else "; nobody has to do anything."),
            ]
        case (
            events.Requested()
            | events.Refused()
            | events.LookedUp()
            | events.ApprovalComplete()
            | events.Paused()
            | events.Resumed()
            | events.Retry()
            | events.Answered()
            | events.Pruned()
            | events.Unrecognized()
        ):
            raise Untold(event.action)
        case _:
            assert_never(event.what)


def _cancelled(cancelled: events.Cancelled, actor: str, scene: Scene) -> list[str]:
    if actor == scene.batch.request.requester:
        withdrawn = f"Withdrawn by {mention(actor)}, who asked for it."
        return [f"{withdrawn} {_nothing_paid(scene.batch)}"]
    lines = [f"Cancelled: {escape(cancelled.reason)}", "Nothing was paid."]
    # Whatever a forged row names is nobody.
    ask = frozenset(one for one in (cancelled.ask or "").split(", ") if is_user(one) or is_group(one))
    if cancelled.remedy or ask:
        lines.append(asking(cancelled.remedy, ask))
    if cancelled.other and cancelled.other_channel and cancelled.other_ts:
        card = link(scene.team_url, cancelled.other_channel, cancelled.other_ts)
        lines.append(f"See <{card}|{escape(cancelled.other)}>.")
    return lines


def _scheduled(batch: Batch, at: datetime) -> list[str]:
    """When it is sent that was approved at this time, where that is not at once."""
    if (when := sent_on(one for one in batch.held if one.too_early(at))) is None:
        return []
    which = "What waits for its day is" if batch.several else "It is"
    return [f"{which} sent {when}; until then {mention(batch.request.requester)} can withdraw it."]


def _nothing_paid(batch: Batch) -> str:
    """What was paid of a request that ended before all of it was sent."""
    return "What was not sent is not paid." if batch.several and batch.within(SENT) else "Nothing was paid."


def _completed(batch: Batch) -> list[str]:
    """What became of several, when none is under way any more."""
    lines = [
        f"{words}: {len(payments)} · {totals(one.invoice for one in payments)}"
        for words, payments in summed_up(batch).items()
    ]
    everything = totals(one.invoice for one in batch.payments)
    heading = f"*{batch.number} is done: {len(batch.payments)} payments · {everything}*"
    if batch.under_way:
        heading = f"*{batch.number}: nothing is under way any more, but not all is known*"
    return [heading, *lines]


def _answered_late(answer: events.AnsweredLate, payment: Payment) -> list[str]:
    """What the API said after the payment had been settled otherwise, or in the same way."""
    said, number = answer.status_text, payment.number
    words = ["The billing API says:", quote(said)] if said is not None else []
    paid, called_paid = answer.verdict == State.PAID, payment.state is State.PAID
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
    who = person_or_operator(event.actor)
    corrected = isinstance(event.what, events.Corrected)
    before = f"It had been called {state_words(was).lower()}. " if corrected else ""
    return [state_line(state), f"{before}Settled by {who}:", quote(note)]


def _no_card(no_card: events.NoCard, scene: Scene) -> list[str]:
    where = place(no_card.channel)
    first = f"Nothing was paid: I cannot post in {where}, so {subject_of(scene.batch)} was cancelled."
    if no_card.channel.startswith("D"):
        return [first, "Ask again in a channel that I am in: nobody can be invited to a direct message."]
    if no_card.error in ("not_in_channel", "channel_not_found"):
        return [first, f"Type `/invite @{escape(scene.bot_name)}` there, then ask again."]
    said = f"Slack says: {escape(no_card.error)}."
    if no_card.channel != scene.batch.request.channel:
        # The rules name it: to ask elsewhere leads there again.
        return [first, f"Ask the people who run this bot to name another channel for approvals. {said}"]
    return [first, f"Ask again in another channel. {said}"]
