"""The text after `/pay`: read into one command, or into a sentence that helps.

What is typed here ends in a payment, so nothing is guessed. A number is taken only as the very digits
that were typed, and a near miss is shown as a suggestion, never acted on. `parse` raises for no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot.domain.near_commands import (
    WORDS,
    instead_of,
    listed_anyway,
    without_needless_words,
)
from bot.domain.payment import InvoiceRef
from bot.domain.schedule import PayOn
from bot.domain.typed_day import ends_with_a_day, split_day
from bot.domain.typed_invoices import (
    close_name,
    example,
    read_due,
    read_invoice,
    read_invoices,
    read_number,
    split_module,
    unknown_module,
)
from bot.domain.typed_note import day_in_note, split_note
from bot.domain.typed_words import Misunderstood, Typed, begins_like_a_number, normal, read_words
from bot.domain.wording import quote

MAX_TEXT = 3_000
"""Characters. Longer texts are refused unread; the longest sensible one asks for a hundred invoices."""

MAX_NOTE = 500
"""Characters of the note of `resolve`; it is kept in the audit trail and shown in Slack."""

HELP: tuple[tuple[str, str], ...] = (
    ("/pay <module> <invoice>", "asks for one invoice to be paid, for example /pay vps 12345"),
    ("/pay <module> <invoice> <invoice> … note: <why>", "asks for several at once, after a look at them"),
    ("/pay <module> overdue", "asks for what is overdue; due 7d: due within 7 days; all: every module"),
    ("/pay <module> <invoice> on due date", "is decided now and paid when it is due; or on 2026-12-05"),
    ("/pay", "opens a form to pick invoices"),
    ("/pay list [module]", "shows the unpaid invoices"),
    ("/pay status <module> <invoice>", "tells what became of an invoice"),
    ("/pay status 42", "tells what became of payment #42"),
    ("/pay mine", "shows your own requests"),
    ("/pay pending", "shows what waits for approval"),
    ("/pay scheduled", "shows what waits for its day"),
    (
        "/pay resolve 42 [module invoice] paid|not-paid <note>",
        "settles payment #42, whose answer was lost; the note says how you know",
    ),
    ("/pay report [2026-11]", "sums up what was asked for in a month, and what became of it"),
    (
        "/pay pause [reason]",
        "stops all sending, until /pay resume; what is approved waits, while its time lasts",
    ),
    ("/pay resume", "lets sending go on"),
    ("/pay help", "shows what you may do, and this"),
)
"""Every way to use the command, as (usage, explanation) rows of plain text."""


@dataclass(frozen=True, slots=True)
class Help:
    """Show `HELP`."""


@dataclass(frozen=True, slots=True)
class OpenForm:
    """Nothing was typed: open the form."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for these invoices to be paid; each stands in it once. note: for those who approve.

    pay_on: None: at once.
    """

    refs: tuple[InvoiceRef, ...]
    note: str | None = None
    pay_on: PayOn | None = None


@dataclass(frozen=True, slots=True)
class RequestDue:
    """Ask for what is unpaid of these modules, or of all (None), and due within so many days.

    within: None: only what is overdue. note, pay_on: as of a `Request`.
    """

    modules: tuple[str, ...] | None
    within: int | None
    note: str | None = None
    pay_on: PayOn | None = None


@dataclass(frozen=True, slots=True)
class ListUnpaid:
    """Show the unpaid invoices of one module, or of all of them (None)."""

    module: str | None


@dataclass(frozen=True, slots=True)
class StatusOfInvoice:
    """Tell what became of an invoice."""

    ref: InvoiceRef


@dataclass(frozen=True, slots=True)
class StatusOfPayment:
    """Tell what became of a payment request, by the number it is shown with (`#42`)."""

    request_id: int


@dataclass(frozen=True, slots=True)
class Mine:
    """Show the person's own requests."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Show what waits for approval."""


@dataclass(frozen=True, slots=True)
class Report:
    """Sum up a month. month: its first day; None: this one."""

    month: date | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop all sending. reason: one line, may be empty."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Let sending go on."""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Show what waits for its day."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """Settle a payment whose outcome is unknown. note: one line, never empty. ref: which of several."""

    request_id: int
    paid: bool
    note: str
    ref: InvoiceRef | None = None


Command = (
    Help
    | OpenForm
    | Request
    | RequestDue
    | ListUnpaid
    | StatusOfInvoice
    | StatusOfPayment
    | Mine
    | Pending
    | Scheduled
    | Resolve
    | Report
    | Pause
    | Resume
    | Misunderstood
)


def parse(text: str, modules: Sequence[str]) -> Command:
    """Read what was typed after `/pay`.

    text: as Slack sends it, so `&`, `<` and `>` may be `&amp;`, `&lt;` and `&gt;`.
    modules: the names the API knows, each one that `InvoiceRef` accepts. A module that is called like
    one of the bot's own words cannot be reached: the word wins.
    """
    if len(text) > MAX_TEXT:
        return Misunderstood(
            f"That is longer than {MAX_TEXT} characters, so it was not read.",
            f"Type a short command, for example /pay {example(modules)} 12345.",
        )
    typed = read_words(text)
    words = typed.words
    if not words:
        return OpenForm()
    if (read := _OWN_WORDS.get(normal(words[0]))) is not None:
        return read(typed, modules)
    asked = _read_request(typed, modules)
    if isinstance(asked, Misunderstood):
        return _near_command(words, modules) or asked
    return asked


def _read_request(typed: Typed, modules: Sequence[str]) -> Request | RequestDue | Misunderstood:
    """Read what is to be paid, and the note behind it."""
    noted = split_note(typed, modules, MAX_NOTE)
    if isinstance(noted, Misunderstood):
        return noted
    words, note = noted
    split = split_day(words)
    if isinstance(split, Misunderstood):
        return split
    words, pay_on = split
    if pay_on is None and note is not None and ends_with_a_day(note):
        return day_in_note(modules)
    due = read_due(words, modules, _OWN_WORDS)
    if isinstance(due, Misunderstood):
        return due
    if due is not None:
        return RequestDue(*due, note, pay_on)
    refs = read_invoices(words, modules, _OWN_WORDS)
    return refs if isinstance(refs, Misunderstood) else Request(refs, note, pay_on)


def _near_command(words: list[str], modules: Sequence[str]) -> Misunderstood | None:
    """What to type instead of a word that people expect to work; None where it is a slip of another kind."""
    if split_module(words, modules)[0] is not None or any("<" in word or ">" in word for word in words):
        return None
    shorter = without_needless_words([normal(word) for word in words])
    if 0 < len(shorter) < len(words):
        refs = read_invoices(shorter, modules, _OWN_WORDS)
        if not isinstance(refs, Misunderstood):
            return Misunderstood(
                f"The word {quote(words[0])} is not needed.", f"Type /pay {' '.join(shorter)}."
            )
        return _near_command(shorter, modules) or refs
    # The word itself, or a slip of one, if it is no slip of a module or of another word.
    close = close_name(words, (*modules, *_OWN_WORDS, *WORDS))
    first = close if close in WORDS else normal(words[0])
    answer = instead_of([first, *words[1:]], example(modules))
    return None if answer is None else Misunderstood(*answer)


def _read_list(words: list[str], modules: Sequence[str]) -> ListUnpaid | Misunderstood:
    if not words:
        return ListUnpaid(None)
    module, rest = split_module(words, modules)
    if module is None:
        anyway = listed_anyway(normal(words[0]))
        return Misunderstood(*anyway) if anyway else unknown_module(words, modules, "/pay list")
    if rest:
        return Misunderstood(
            f"I do not know what {quote(rest[0])} means after /pay list {module}.",
            f"Type /pay list {module}, or /pay list for every module.",
        )
    return ListUnpaid(module)


def _read_status(
    words: list[str], modules: Sequence[str]
) -> StatusOfInvoice | StatusOfPayment | Misunderstood:
    if not words:
        return Misunderstood(
            "The status of what?",
            f"Type /pay status {example(modules)} 12345 for an invoice, or /pay status 42 for payment #42.",
        )
    if len(words) == 1 and begins_like_a_number(words[0]):
        request_id = read_number(words[0], "a payment number")
        return request_id if isinstance(request_id, Misunderstood) else StatusOfPayment(request_id)
    ref = read_invoice(words, modules, "/pay status")
    return ref if isinstance(ref, Misunderstood) else StatusOfInvoice(ref)


def _read_resolve(typed: Typed, modules: Sequence[str]) -> Resolve | Misunderstood:
    usage = "Type /pay resolve 42 paid <note> or /pay resolve 42 not-paid <note>."
    words = typed.words[1:]
    if not words:
        return Misunderstood("Which payment is to be resolved?", usage)
    request_id = read_number(words[0], "a payment number")
    if isinstance(request_id, Misunderstood):
        return request_id
    ref = None
    module, rest = split_module(words[1:], modules)
    if module is not None:
        # Which of several; the number comes before the outcome.
        number = (
            read_number(rest[0], "an invoice number")
            if rest
            else Misunderstood(
                f"Which invoice of {module}?", f"Type /pay resolve {request_id} {module} 12345 paid <note>."
            )
        )
        if isinstance(number, Misunderstood):
            return number
        ref, rest = InvoiceRef(module, number), rest[1:]
    taken = len(typed.words) - len(rest)
    match [normal(word) for word in rest[:2]]:
        case ["paid", "not"]:
            return Misunderstood(f"Was payment #{request_id} paid, or not?", usage)
        case ["paid", *_]:
            paid, before_note = True, taken + 1
        case ["not_paid", *_]:
            paid, before_note = False, taken + 1
        case ["not", "paid"]:
            paid, before_note = False, taken + 2
        case _:
            return Misunderstood(f"Was payment #{request_id} paid, or not?", usage)
    note = typed.from_word(before_note)
    if not note:
        return Misunderstood(
            "A note is missing: how do you know?",
            f"Type /pay resolve {request_id} {'paid' if paid else 'not-paid'} <note>; "
            "the note is kept in the audit trail.",
        )
    if len(note) > MAX_NOTE:
        return Misunderstood(f"The note is longer than {MAX_NOTE} characters.", "Shorten it, and try again.")
    return Resolve(request_id, paid, note, ref)


def _too_many(keyword: str, rest: list[str]) -> Misunderstood:
    return Misunderstood(
        f"I do not know what {quote(rest[0])} means after /pay {keyword}.",
        f"Type /pay {keyword} alone.",
    )


def _alone(asked: Callable[[], Command]) -> Callable[[Typed, Sequence[str]], Command]:
    """For a word after which nothing is to come."""

    def read(typed: Typed, _modules: Sequence[str]) -> Command:
        word, *rest = typed.words
        return _too_many(normal(word), rest) if rest else asked()

    return read


def _read_pause(typed: Typed, _modules: Sequence[str]) -> Pause | Misunderstood:
    reason = typed.from_word(1)
    if len(reason) > MAX_NOTE:
        return Misunderstood(
            f"The reason is longer than {MAX_NOTE} characters.", "Shorten it, and try again."
        )
    return Pause(reason)


def _read_report(typed: Typed, _modules: Sequence[str]) -> Report | Misunderstood:
    rest = typed.words[1:]
    if not rest:
        return Report(None)
    found = re.fullmatch(r"(2[0-9]{3})-(0[1-9]|1[0-2])", rest[0], re.ASCII)
    if len(rest) > 1 or found is None:
        return Misunderstood(
            f"{quote(' '.join(rest))} is no month.",
            "Type /pay report 2026-11, or /pay report for this month.",
        )
    return Report(date(int(found[1]), int(found[2]), 1))


_OWN_WORDS: Mapping[str, Callable[[Typed, Sequence[str]], Command]] = {
    "help": lambda _typed, _modules: Help(),
    "mine": _alone(Mine),
    "pending": _alone(Pending),
    "scheduled": _alone(Scheduled),
    "resume": _alone(Resume),
    "pause": _read_pause,
    "report": _read_report,
    "list": lambda typed, modules: _read_list(typed.words[1:], modules),
    "status": lambda typed, modules: _read_status(typed.words[1:], modules),
    "resolve": _read_resolve,
}
"""How the rest is read after one of the bot's own words; a module of that name cannot be reached."""
