"""Lists for one person: unpaid invoices, own requests, what waits, and the history of one payment.

Every list keeps Slack's limits, whatever the numbers: it shows the first, and says how many more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from bot.domain.payment import InvoiceRef, Payment
from bot.ledger.rows import Event
from bot.payments.overview import Waiting
from bot.payments.unpaid import Listing, Unpaid
from bot.slack import history
from bot.slack.messages import Message, section
from bot.slack.text import SECTION, STATES, amount, day, escape, link, mention, moment, shorten, subject

ROOM = 10_000
"""Characters of a list in all; Slack takes 12,000 in the blocks of a message."""


def unpaid(listing: Listing, module: str | None, today: date) -> Message:
    """The unpaid invoices, the longest due first. module: the one that was asked for; None for all."""
    of = f" of {escape(module)}" if module else ""
    lines = [_invoice(one, today) for one in listing.invoices]
    count = len(lines)
    heading = f"*{count} unpaid invoice{'' if count == 1 else 's'}{of}*"
    if not lines:
        heading = "" if listing.unread else f"There is no unpaid invoice{of}."
    problems = []
    if listing.unread:
        names = escape(", ".join(listing.unread))
        problems.append(f"Could not be read now: {names}.\nTry again in a minute; paying works all the same.")
    remedy = "" if module else " Type `/pay list &lt;module&gt;` to see one module's."
    return _message(heading, lines, remedy, problems)


def _invoice(one: Unpaid, today: date) -> str:
    invoice = one.invoice
    parts = [f"`{invoice.ref}`", f"*{amount(invoice)}*"]
    if invoice.due is not None:
        parts.append(
            f"*overdue* since {day(invoice.due)}" if invoice.due < today else f"due {day(invoice.due)}"
        )
    if invoice.description.strip():
        parts.append(escape(shorten(" ".join(invoice.description.split()), 100)))
    if one.requested is not None:
        parts.append(f"_requested already, {one.requested.number}_")
    return " · ".join(parts)


def mine(payments: Sequence[Payment], team_url: str) -> Message:
    """Somebody's own requests, the newest first."""
    lines = [_payment(one, team_url) for one in payments]
    heading = (
        "*Your latest requests*"
        if lines
        else "You have asked for nothing yet.\nType `/pay &lt;module&gt; &lt;invoice&gt;`."
    )
    return _message(heading, lines)


def pending(waiting: Sequence[Waiting], team_url: str) -> Message:
    """What waits for approval."""
    lines = []
    for one in waiting:
        payment = one.payment
        line = (
            f"{_payment(payment, team_url)} · asked for by {mention(payment.requester)}"
            f" · {one.approvals.awaited} missing · until {moment(payment.expires_at)}"
        )
        lines.append(f"*Waits for you* · {line}" if one.mine else line)
    heading = "*Waiting for approval*" if lines else "Nothing waits for approval."
    return _message(heading, lines)


def status(payment: Payment, events: Sequence[Event], team_url: str) -> Message:
    """How a payment stands, and how that came about."""
    heading = f"{_payment(payment, team_url)} · asked for by {mention(payment.requester)}"
    return _message(heading, history.lines(events))


def never_requested(ref: InvoiceRef) -> Message:
    """Nobody asked for this invoice here."""
    return simple(
        f"Nobody has asked for {ref.module} invoice {ref.number} here.\nType `/pay {ref}` to ask for it."
    )


def simple(text: str) -> Message:
    """A text that needs no list."""
    return Message(text, [section(text)])


def _payment(payment: Payment, team_url: str) -> str:
    emoji, words = STATES[payment.state]
    what = subject(payment)
    ts = payment.card_ts
    linked = f"<{link(team_url, payment.channel, ts)}|{what}>" if ts else what
    return f"{linked} · {amount(payment.invoice)} · {emoji} {words}"


def _message(heading: str, lines: Sequence[str], remedy: str = "", endings: Sequence[str] = ()) -> Message:
    kept, room = [], ROOM
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(lines) - len(kept)
    more = [f"… and {left} more.{remedy}"] if left else []
    blocks = [section(text) for text in _paragraphs([heading, *kept, *more, *endings])]
    return Message(heading.replace("*", "") or endings[0], blocks)


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    """The lines in as few texts as a section takes."""
    text = ""
    for line in filter(None, lines):
        if text and len(text) + 1 + len(line) > SECTION:
            yield text
            text = ""
        text = f"{text}\n{line}" if text else line
    yield text
