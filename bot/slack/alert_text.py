"""What operators are told, in words: what is so, since when, and what to do next. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain import events
from bot.domain.payment import State
from bot.domain.slack_ids import is_channel
from bot.ledger.notices import Notice, Topic
from bot.ledger.rows import Event
from bot.ledger.watching import Line
from bot.payments.alarms import span_in
from bot.slack.blocks import Message, paragraph
from bot.slack.listing import listing
from bot.slack.text import harmless, moment, person_or_operator, place
from bot.slack.web_api import NO_UPDATE

_SHOWN = 10
"""Payments that are named one by one."""

_WORD = 200
"""Characters that are told of what stands in the ledger and was written by others."""


def unknown(lines: Sequence[Line]) -> Message | None:
    """It is not known whether these were paid; None where that is known by now."""
    still = [one for one in lines if one.state == State.UNKNOWN.value]
    if not still:
        return None
    which, it = ("1 payment has", "it") if len(still) == 1 else (f"{len(still):,} payments have", "them")
    first = still[0]
    told = f"`/pay resolve {first.request_id} {_invoice(first)} paid` or `not-paid`, and how you know"
    return listing(
        f":grey_question: *{which} been unknown for over an hour: do not pay {it} again*",
        [f"{_subject(one)}, since {moment(one.since)}" for one in still[:_SHOWN]],
        endings=[f"Look in MyAdmin, and say on the card what you saw, or type {told}."],
        left_out=len(still) - len(still[:_SHOWN]),
    )


def settled(lines: Sequence[Line]) -> Message:
    """What became of what was told to be unknown."""
    known = [one for one in lines if one.state != State.UNKNOWN.value]
    shown = [f"{_subject(one)}: {_state(one)}" for one in known[:_SHOWN]]
    return listing(
        ":white_check_mark: *Settled: it is known what became of it*",
        shown,
        left_out=len(known) - len(shown),
    )


def pausing(event: Event) -> Message | None:
    """Somebody paused or resumed sending."""
    who = person_or_operator(event.actor)
    match event.what:
        case events.Paused(reason):
            why = f": {harmless(reason, _WORD)}" if reason else ""
            return paragraph(
                f":double_vertical_bar: *Sending is paused* since {moment(event.at)} by {who}{why}\n"
                "People may go on asking and approving. When it may go on, type `/pay resume`, or run"
                " `python -m bot resume`."
            )
        case events.Resumed():
            return paragraph(
                f":arrow_forward: *Sending goes on* since {moment(event.at)}, by {who}.\n"
                "What was approved meanwhile is paid now, or on its day."
            )
    return None


def not_told(event: Event) -> Message | None:
    """Slack would not take something."""
    if not isinstance(event.what, events.NotTold):
        return None
    what = event.what
    where = f"in {place(what.channel)}" if is_channel(what.channel) else "to a person directly"
    if what.error in NO_UPDATE:
        remedy = "Somebody deleted its card, or it can no longer be changed; nothing is to be done."
    elif is_channel(what.channel):
        remedy = "Invite the bot there, or bring the channel back."
    else:
        remedy = "See whether that account is still there, and in the rules."
    return paragraph(
        f":mailbox_with_no_mail: *Slack does not take a message* {where} about #{event.request_id}"
        f" (`{harmless(what.error, _WORD)}`), so it was given up.\n"
        f"{remedy} What else is given up there today stands in the trail as not_told: `python -m bot audit`."
    )


def standing_for_itself(notice: Notice) -> Message | None:
    """What needs nothing but what was written down."""
    since = moment(notice.created_at)
    match notice.topic:
        case Topic.REFUSED:
            return paragraph(
                f":lock: *The billing API refuses the bot's login* since {since}, so nothing can be paid.\n"
                "What is approved waits. Correct BILLING_USERNAME or BILLING_PASSWORD, try them with"
                " `python -m bot check --online`, and start the bot again."
            )
        case Topic.ACCEPTED:
            return paragraph(
                f":white_check_mark: *The billing API accepts the bot's login again* since {since}.\n"
                "What waited goes on by itself."
            )
        case Topic.AWAY:
            began, ended = span_in(notice.detail)
            minutes = max(round((ended - began).total_seconds() / 60), 1)
            return paragraph(
                f":file_cabinet: *The ledger was away* from {moment(began)} to {moment(ended)}"
                f" ({minutes:,} min), and is back.\n"
                "Without it no payment is begun; what waited goes on by itself. The bot's log says what the"
                " database answered: see that it has room and can be reached."
            )
        case Topic.CONTRADICTED:
            about = f"#{notice.key}" if notice.key.isdecimal() else harmless(notice.key, _WORD)
            return paragraph(
                f":rotating_light: *The ledger contradicts its own audit trail* about {about}: somebody"
                " changed it past the bot, which sends nothing more for it.\n"
                "Type `/pay pause` to stop everything else, and run `python -m bot audit verify`, which says"
                " where."
            )
    return None


def _invoice(line: Line) -> str:
    return f"{harmless(line.module, _WORD)} {line.number}"


def _subject(line: Line) -> str:
    return f"*#{line.request_id}* · {harmless(line.module, _WORD)} invoice {line.number}"


def _state(line: Line) -> str:
    return harmless(line.state.lower().replace("_", " "), _WORD)
