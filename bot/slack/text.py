"""Text for Slack: escaping, amounts, dates, the word and emoji of each state."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from bot.domain.batch import SENT, Batch
from bot.domain.erasure import is_erased
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.domain.slack_ids import is_group
from bot.domain.wording import money, shorten

SECTION = 3000
"""Characters of a section's text that Slack takes."""

_ORDER = re.compile(r"(\(Repeat Invoice: [0-9]+\)) *", re.ASCII)
"""What MyAdmin puts before each description, which tells nobody what it is for."""

_CURRENCIES = 5
"""Currencies that are added up one by one."""

_UNCLEAR = 10
"""Invoices that are named one by one where nobody knows what they cost."""

_NAMED = 50
"""People and groups that are mentioned one by one, and channels."""


@dataclass(frozen=True, slots=True)
class StateWords:
    """How people are told of a state. emoji: always with words.

    counted: the word under which it is counted among several, "3 declined". summed_up: the words under which
    it is counted when several are done.
    """

    emoji: str
    words: str
    counted: str
    summed_up: str


_UNDER_WAY = "under way", "Under way"

_WORDS: dict[State, StateWords] = {
    State.PAID: StateWords(":white_check_mark:", "Paid", "paid", "Paid"),
    State.DECLINED: StateWords(":x:", "Declined; nothing was paid", "declined", "Declined, nothing was paid"),
    State.UNKNOWN: StateWords(
        ":grey_question:", "Unknown; do not pay it again", "unknown", "Unknown; do not pay them again"
    ),
    State.CANCELLED: StateWords(
        ":heavy_minus_sign:", "Cancelled; nothing was paid", "cancelled", "Cancelled or left out"
    ),
    State.DENIED: StateWords(":no_entry:", "Denied; nothing was paid", "cancelled", "Denied"),
    State.EXPIRED: StateWords(":alarm_clock:", "Expired; nothing was paid", "cancelled", "Expired"),
    State.REQUESTED: StateWords(":eyes:", "Looking it up", *_UNDER_WAY),
    State.PENDING_APPROVAL: StateWords(":hourglass_flowing_sand:", "Waiting for approval", *_UNDER_WAY),
    State.APPROVED: StateWords(":ballot_box_with_check:", "Approved, about to be sent", *_UNDER_WAY),
    State.SENDING: StateWords(":outbox_tray:", "Sending", *_UNDER_WAY),
    State.NOT_SENT: StateWords(":repeat:", "Not sent; will be tried again", *_UNDER_WAY),
}
"""In the order in which several are counted and summed up."""

STATES = {state: (said.emoji, said.words) for state, said in _WORDS.items()}
"""One emoji a state, always with its words."""

_SCHEDULED = ":calendar:"
"""Of what is approved and waits for its day."""

_WITHDRAWN = (STATES[State.CANCELLED][0], "Withdrawn; nothing was paid")
"""Of what its requester took back, which nothing else cancelled."""


def escape(text: str) -> str:
    """Make outside text harmless in mrkdwn and in a fallback text: it stays text.

    The three characters are Slack's own list. A blank line of quotes or a mention cannot come out of it.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescaped(text: str) -> str:
    """The same for a place in which nothing is marked up."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def harmless(text: str, most: int) -> str:
    """Outside text, escaped, and cut where it is longer than `most` characters by then."""
    escaped = escape(text)
    # Never cut inside an entity: that would leave `&l` behind.
    return escaped if len(escaped) <= most else re.sub(r"&[a-z]*$", "", escaped[:most]) + "…"


def quote(text: str, most: int = 2000) -> str:
    """Outside text as a quotation: escaped, each line marked. `most` counts escaped characters."""
    kept, room = [], most
    for line in text.splitlines() or [""]:
        if room <= 0:
            break
        cut = harmless(line, room)
        kept.append(f"> {cut}")
        room -= len(cut) + 3
    return "\n".join(kept)


def standing(payment: Payment) -> tuple[str, str]:
    """How a payment stands: the emoji and the words."""
    if payment.scheduled and payment.pay_day is not None:
        return _SCHEDULED, f"Approved, to be sent on {day(payment.pay_day)}"
    return _WITHDRAWN if payment.withdrawn else STATES[payment.state]


def state_words(state: State) -> str:
    """The state in words, for a fallback text."""
    return STATES[state][1]


def state_line(state: State) -> str:
    """The state with its emoji."""
    emoji, words = STATES[state]
    return f"{emoji} *{words}*"


def mention(principal: str) -> str:
    """A person or a user group, ready to be mentioned; or that it is not known any more who it was."""
    if is_erased(principal):
        return "somebody whose name was erased"
    harmless_id = escape(principal)
    return f"<!subteam^{harmless_id}>" if is_group(principal) else f"<@{harmless_id}>"


def is_in_slack(actor: str) -> bool:
    """Whether who acted is somebody in Slack, also where their id is erased by now."""
    return actor[:1] in "UW" or is_erased(actor)


def person_or_operator(actor: str) -> str:
    """Who acted, where it was somebody in Slack or the command line."""
    return mention(actor) if is_in_slack(actor) else "the operator"


def place(channel: str) -> str:
    """A channel, ready to be led to. A workflow's author may have written anything for it."""
    is_direct = is_erased(channel) or channel.startswith("D")
    return "a direct message" if is_direct else f"<#{escape(channel)}>"


def places(channels: frozenset[str]) -> str:
    """Several of them in a stable order. Too many for one paragraph are counted."""
    named = [place(one) for one in sorted(channels)]
    if len(named) > _NAMED:
        named[_NAMED:] = [f"and {len(named) - _NAMED} others"]
    return ", ".join(named)


def mentions(principals: frozenset[str]) -> str:
    """Several of them in a stable order, in words: "a, b or c". Too many for one paragraph are counted."""
    named = [mention(one) for one in sorted(principals)]
    if len(named) > _NAMED:
        named[_NAMED:] = [f"{len(named) - _NAMED} others"]
    *most, last = named
    return f"{', '.join(most)} or {last}" if most else last


def asking(remedy: str | None, whom: frozenset[str]) -> str:
    """How to go on, escaped, and whom to ask; one of both may be missing."""
    if not whom:
        return escape(remedy or "")
    return f"{escape(remedy)} Or ask {mentions(whom)}." if remedy else f"Ask {mentions(whom)}."


def amount(invoice: Invoice | None) -> str:
    """The amount and currency, or that it is unknown."""
    if invoice is None:
        return "amount unknown"
    return money(invoice.amount, escape(invoice.currency)).strip()


def totals(invoices: Iterable[Invoice | None]) -> str:
    """What they add up to in each currency; see `added_up`."""
    return added_up(None if one is None else (one.amount, one.currency) for one in invoices)


def added_up(amounts: Iterable[tuple[Decimal, str] | None]) -> str:
    """Amounts in each currency, as in `2,085.98 USD · 17.50 EUR`; the commonest currency comes first.

    Those that are not known are counted. Empty for none at all.
    """
    sums: dict[str, list[Decimal]] = {}
    unknown = 0
    for one in amounts:
        if one is None:
            unknown += 1
        else:
            sums.setdefault(one[1], []).append(one[0])
    in_order = sorted(sums.items(), key=lambda one: (-len(one[1]), one[0]))
    # Slack takes only so much; what bills in more currencies than this is no billing API.
    parts = [money(sum(each, Decimal(0)), escape(currency)).strip() for currency, each in in_order]
    if len(parts) > _CURRENCIES:
        parts[_CURRENCIES:] = [f"{len(parts) - _CURRENCIES} more currencies"]
    if unknown:
        parts.append(f"{unknown:,} of unknown amount")
    return " · ".join(parts)


def description(invoice: Invoice, most: int, *, whole: bool = False) -> str:
    """What it is for, in one line of at most `most` characters, not escaped; may be empty.

    whole: with the number of the order that MyAdmin puts before it, which comes last here.
    """
    told = " ".join(invoice.description.split())
    order = _ORDER.match(told)
    if order is None:
        return shorten(told, most)
    named = told[order.end() :]
    return shorten(f"{named} {order[1]}" if whole or not named else named, most).strip()


def due(value: date, today: date) -> str:
    """The day it is due, and whether that is over."""
    return f"{day(value)}{' (overdue)' if value < today else ''}"


def day(value: date) -> str:
    """A day, as in 5 Dec 2026; the same in every language setting."""
    return f"{value.day} {month_of(value)}"


def month_of(value: date) -> str:
    """Its month, as in Dec 2026."""
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return f"{months[value.month - 1]} {value.year}"


def moment(value: datetime) -> str:
    """A time that each reader sees in their own zone, with UTC for those who see only text."""
    plain = f"{day(value.date())} {value:%H:%M} UTC"
    return f"<!date^{int(value.timestamp())}^{{date_short_pretty}} {{time}}|{plain}>"


def time_of_day(value: datetime) -> str:
    """The same of a time within a day, such as 08:39."""
    return f"<!date^{int(value.timestamp())}^{{time}}|{value:%H:%M} UTC>"


def subject(payment: Payment) -> str:
    """Which payment: #42 · vps invoice 10101. Module names are checked, so nothing needs escaping."""
    return f"{payment.request.number} · {payment.ref.module} invoice {payment.ref.number}"


def subject_of(batch: Batch) -> str:
    """Which request: as its payment, or #42 · 12 payments."""
    return f"{batch.number} · {len(batch.payments)} payments" if batch.several else subject(batch.first)


def cost_of(batch: Batch) -> str:
    """What a request costs: of what is to be decided on, while there is such, or of what was not let go."""
    if batch.within((State.REQUESTED,)):
        return "amount not read yet" if len(batch.payments) == 1 else "amounts not read yet"
    if not batch.several:
        return amount(batch.first.invoice)
    return totals(one.invoice for one in batch.asked_about or batch.held or batch.payments)


def standing_of(batch: Batch) -> tuple[str, str]:
    """How a request stands: the emoji and the words, which count what became of several."""
    if not batch.several:
        return standing(batch.first)
    if (ended := batch.ended_together) is not None:
        return _WITHDRAWN if batch.withdrawn else STATES[ended]
    if waiting := batch.within((State.REQUESTED, State.PENDING_APPROVAL)):
        emoji, words = STATES[State.PENDING_APPROVAL if batch.waiting else State.REQUESTED]
        left = len(batch.payments) - len(waiting)
        return emoji, f"{words}: {len(waiting)} of {len(batch.payments)}" if left else words
    counts = Counter("scheduled" if one.scheduled else _WORDS[one.state].counted for one in batch.payments)
    if not batch.within(SENT):
        return _all_approved(batch)
    told = [f"{counts['paid']} of {len(batch.payments)} paid"]
    told += [f"{counts[word]} {word}" for word in _COUNTED if counts[word]]
    if counts[_UNDER_WAY[0]]:
        emoji = STATES[State.SENDING][0]
    elif counts["scheduled"]:
        emoji = _SCHEDULED
    else:
        emoji = STATES[next(state for state in (State.UNKNOWN, *STATES) if batch.within((state,)))][0]
    return emoji, ", ".join(told)


def _all_approved(batch: Batch) -> tuple[str, str]:
    """How a request of several stands of which nothing was sent yet."""
    days = sorted({one.pay_day for one in batch.scheduled if one.pay_day is not None})
    if not days or len(batch.scheduled) < len(batch.held):
        return STATES[State.APPROVED]
    span = f"on {day(days[0])}" if len(days) == 1 else f"from {day(days[0])} to {day(days[-1])}"
    return _SCHEDULED, f"Approved, to be sent {span}"


_, *_OTHERS, _LAST = dict.fromkeys(said.counted for said in _WORDS.values())
_COUNTED = (*_OTHERS, "scheduled", _LAST)
"""The order in which they are counted, behind what was paid."""


def summed_up(batch: Batch) -> dict[str, list[Payment]]:
    """The payments of a request by the words under which they are counted when they are done, in order."""
    found = {said.summed_up: list[Payment]() for said in _WORDS.values()}
    for payment in batch.payments:
        found[_WORDS[payment.state].summed_up].append(payment)
    return {words: payments for words, payments in found.items() if payments}


def invoice_line(code: str, invoice: Invoice | None, when: str = "", *, most: int = 60) -> str:
    """An invoice in a line: what can be typed for it, its amount, `when` it is due, and what it is for.

    when: empty where that does not matter. most: characters of what it is for.
    """
    described = escape(description(invoice, most)) if invoice is not None else ""
    return " · ".join(filter(None, [f"`{code}`", f"*{amount(invoice)}*", when, described]))


def unclear_amounts(refs: Sequence[InvoiceRef]) -> str:
    """What is in the lists of unpaid invoices and cannot be summed up there."""
    named = [f"`{one}`" for one in refs[:_UNCLEAR]]
    if len(refs) > _UNCLEAR:
        named.append(f"{len(refs) - _UNCLEAR:,} more")
    return f"Unpaid as well, with an amount that cannot be read: {', '.join(named)}. Look at them in MyAdmin."


def when_due(invoice: Invoice | None, today: date) -> str:
    """When it is due, and whether that is over; empty where that is not known."""
    return f"due {due(invoice.due, today)}" if invoice is not None and invoice.due is not None else ""


def overdue_or_due(value: date | None, today: date) -> str:
    """Since when it is overdue, or when it is due; empty where that is not known."""
    if value is None:
        return ""
    return f"*overdue* since {day(value)}" if value < today else f"due {day(value)}"


def linked(batch: Batch, team_url: str) -> str:
    """Which request, leading to the card on which it is decided, where one stands."""
    card = batch.request.decided_on
    return subject_of(batch) if card is None else f"<{link(team_url, *card)}|{subject_of(batch)}>"


def link(team_url: str, channel: str, ts: str) -> str:
    """The permalink of a message, as Slack makes it; no call is needed for it.

    Of a direct message that is erased, no more than where Slack is.
    """
    begin = escape(team_url).rstrip("/")
    return (
        begin if is_erased(channel) else f"{begin}/archives/{escape(channel)}/p{escape(ts).replace('.', '')}"
    )
