"""The text after `/pay`: read into one command, or into a sentence that helps.

What is typed here ends in a payment, so nothing is guessed. A number is taken only as the very digits
that were typed, and a near miss is shown as a suggestion, never acted on. `parse` raises for no text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.near_commands import (
    WORDS,
    instead_of,
    listed_anyway,
    of_every_invoice,
    without_needless_words,
)
from bot.domain.payment import MAX_INVOICE, InvoiceRef
from bot.domain.typed_words import Typed, begins_like_a_number, normal, read_words
from bot.domain.wording import quote, shorten

MAX_TEXT = 1_000
"""Characters. Longer texts are refused unread; the longest sensible one is a `resolve` with its note."""

MAX_NOTE = 500
"""Characters of the note of `resolve`; it is kept in the audit trail and shown in Slack."""

HELP: tuple[tuple[str, str], ...] = (
    ("/pay <module> <invoice>", "asks for one invoice to be paid, for example /pay vps 12345"),
    ("/pay", "opens a form to pick the invoice"),
    ("/pay list [module]", "shows the unpaid invoices"),
    ("/pay status <module> <invoice>", "tells what became of an invoice"),
    ("/pay status 42", "tells what became of payment #42"),
    ("/pay mine", "shows your own requests"),
    ("/pay pending", "shows what waits for approval"),
    (
        "/pay resolve 42 paid|not-paid <note>",
        "settles payment #42, whose answer was lost; the note says how you know",
    ),
    ("/pay help", "shows what you may do, and this"),
)
"""Every way to use the command, as (usage, explanation) rows of plain text."""

_KEYWORDS = ("list", "status", "mine", "pending", "resolve", "help")


@dataclass(frozen=True, slots=True)
class Help:
    """Show `HELP`."""


@dataclass(frozen=True, slots=True)
class OpenForm:
    """Nothing was typed: open the form."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for this invoice to be paid."""

    ref: InvoiceRef


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
class Resolve:
    """Settle a payment whose outcome is unknown. note: one line, never empty."""

    request_id: int
    paid: bool
    note: str


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """Nothing is done.

    problem: one line, what is wrong. remedy: one line, how to go on.
    Both are plain text and may quote what was typed; whoever shows them in Slack escapes them.
    """

    problem: str
    remedy: str


Command = (
    Help
    | OpenForm
    | Request
    | ListUnpaid
    | StatusOfInvoice
    | StatusOfPayment
    | Mine
    | Pending
    | Resolve
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
            f"Type a short command, for example /pay {_example(modules)} 12345.",
        )
    typed = read_words(text)
    words = typed.words
    if not words:
        return OpenForm()
    rest = words[1:]
    match normal(words[0]):
        case "help":
            return Help()
        case "mine":
            return Mine() if not rest else _too_many("mine", rest)
        case "pending":
            return Pending() if not rest else _too_many("pending", rest)
        case "list":
            return _read_list(rest, modules)
        case "status":
            return _read_status(rest, modules)
        case "resolve":
            return _read_resolve(typed)
    ref = _read_invoice(words, modules, "/pay")
    if isinstance(ref, InvoiceRef):
        return Request(ref)
    return _near_command(words, modules) or ref


def _near_command(words: list[str], modules: Sequence[str]) -> Misunderstood | None:
    """What to type instead of a word that people expect to work; None where it is a slip of another kind."""
    if _split_module(words, modules)[0] is not None or any("<" in word or ">" in word for word in words):
        return None
    shorter = without_needless_words([normal(word) for word in words])
    if 0 < len(shorter) < len(words):
        ref = _read_invoice(shorter, modules, "/pay")
        if isinstance(ref, InvoiceRef):
            return Misunderstood(f"The word {quote(words[0])} is not needed.", f"Type /pay {ref}.")
        return _near_command(shorter, modules) or ref
    # The word itself, or a slip of one, if it is no slip of a module or of another word.
    close = _close_name(words, (*modules, *_KEYWORDS, *WORDS))
    first = close if close in WORDS else normal(words[0])
    answer = instead_of([first, *words[1:]], _example(modules))
    return None if answer is None else Misunderstood(*answer)


def _read_list(words: list[str], modules: Sequence[str]) -> ListUnpaid | Misunderstood:
    if not words:
        return ListUnpaid(None)
    module, rest = _split_module(words, modules)
    if module is None:
        anyway = listed_anyway(normal(words[0]))
        return Misunderstood(*anyway) if anyway else _unknown_module(words, modules, "/pay list")
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
            f"Type /pay status {_example(modules)} 12345 for an invoice, or /pay status 42 for payment #42.",
        )
    if len(words) == 1 and begins_like_a_number(words[0]):
        request_id = _read_number(words[0], "a payment number")
        return request_id if isinstance(request_id, Misunderstood) else StatusOfPayment(request_id)
    ref = _read_invoice(words, modules, "/pay status")
    return ref if isinstance(ref, Misunderstood) else StatusOfInvoice(ref)


def _read_resolve(typed: Typed) -> Resolve | Misunderstood:
    usage = "Type /pay resolve 42 paid <note> or /pay resolve 42 not-paid <note>."
    words = typed.words[1:]
    if not words:
        return Misunderstood("Which payment is to be resolved?", usage)
    request_id = _read_number(words[0], "a payment number")
    if isinstance(request_id, Misunderstood):
        return request_id
    match [normal(word) for word in words[1:3]]:
        case ["paid", *_]:
            paid, before_note = True, 3
        case ["not_paid", *_]:
            paid, before_note = False, 3
        case ["not", "paid"]:
            paid, before_note = False, 4
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
    return Resolve(request_id, paid, note)


def _read_invoice(words: list[str], modules: Sequence[str], usage: str) -> InvoiceRef | Misunderstood:
    if any("<" in word or ">" in word for word in words):
        return Misunderstood(
            "There is a link, a mention or a bracket in it.",
            f"Type the plain words, for example {usage} {_example(modules)} 12345.",
        )
    module, rest = _split_module(words, modules)
    if module is None:
        return _explain_order(words, modules, usage) or _unknown_module(words, modules, usage)
    if not rest:
        return Misunderstood(
            f"Which invoice of {module}?",
            f"Type {usage} {module} 12345, or /pay list {module} to see the unpaid ones.",
        )
    number = _read_number(rest[0], "an invoice number")
    if isinstance(number, Misunderstood):
        every = of_every_invoice(normal(rest[0]), module)
        return Misunderstood(*every) if every else number
    if len(rest) > 1:
        if begins_like_a_number(rest[1]):
            problem = "One invoice at a time, and no blanks inside its number."
        else:
            problem = f"I do not know what {quote(rest[1])} means after {usage} {module} {number}."
        return Misunderstood(problem, f"For that invoice alone, type {usage} {module} {number}.")
    return InvoiceRef(module, number)


def _read_number(word: str, kind: str) -> int | Misunderstood:
    """Read digits, with at most one `#` before them. kind: "an invoice number" or "a payment number"."""
    digits = word.removeprefix("#")
    remedy = f"Type digits (0 to 9) and nothing else, as in 12345; the highest is {MAX_INVOICE}."
    if not re.fullmatch(r"[0-9]+", digits, re.ASCII):
        return Misunderstood(f"{quote(word)} is not {kind}.", remedy)
    if digits.startswith("0"):
        # Nobody writes an invoice so: 007 is a slip, or the number of something else.
        return Misunderstood(f"{quote(word)} begins with a zero, as {kind} never does.", remedy)
    # The length comes first: int() itself refuses thousands of digits with an exception.
    if len(digits) > len(str(MAX_INVOICE)) or int(digits) > MAX_INVOICE:
        return Misunderstood(f"{quote(word)} is too high for {kind}.", remedy)
    return int(digits)


def _split_module(words: list[str], modules: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split off the module that the words begin with; the longest name that fits is meant.

    `floating ips` and `floating-ips` both are floating_ips: no module's name holds a blank or a hyphen,
    so nothing else can be meant.
    """
    names = [normal(word) for word in words]
    for count in range(len(words), 0, -1):
        name = "_".join(names[:count])
        if name in modules:
            return name, words[count:]
    return None, words


def _explain_order(words: list[str], modules: Sequence[str], usage: str) -> Misunderstood | None:
    """Name the slip where module and number are both there, or only the number is."""
    number = _read_number(words[0], "an invoice number")
    if isinstance(number, int):
        module, rest = _split_module(words[1:], modules)
        if module is not None and not rest:
            return Misunderstood(
                "The module comes first, then the invoice.", f"Type {usage} {module} {number}."
            )
        if len(words) == 1:
            return Misunderstood(
                f"Which module does invoice {number} belong to?",
                f"Type {usage} <module> {number}, or /pay status {number} for payment #{number}."
                f" {_modules_in_words(modules)}",
            )
    glued = re.fullmatch(r"([A-Za-z_-]+)[#:/.,=-]?([1-9][0-9]*)", words[0], re.ASCII)
    if glued and len(words) == 1:
        module, _ = _split_module([glued[1].rstrip("-_")], modules)
        if module is not None:
            return Misunderstood(
                "There is no blank between module and invoice.",
                f"Type {usage} {module} {shorten(glued[2], 40)}.",
            )
    return None


def _unknown_module(words: list[str], modules: Sequence[str], usage: str) -> Misunderstood:
    near = _close_name(words, [*modules, *(_KEYWORDS if usage == "/pay" else ())])
    remedy = _modules_in_words(modules)
    if near in _KEYWORDS:
        remedy = f"Did you mean /pay {near}?"
    elif near:
        number = _read_number(words[-1], "an invoice number")
        suffix = f" {number}" if isinstance(number, int) and usage != "/pay list" else ""
        remedy = f"Did you mean {usage} {near}{suffix}?"
    return Misunderstood(f"I know no module {quote(' '.join(_named(words)))}.", remedy)


def _named(words: list[str]) -> list[str]:
    # "web hosting 12345" should find webhosting, so the words before a last number count as one name.
    return words[:-1] if len(words) > 1 and begins_like_a_number(words[-1]) else words[:1]


def _close_name(words: list[str], names: Sequence[str]) -> str | None:
    """The name that was probably meant."""
    return next(iter(difflib.get_close_matches("_".join(map(normal, _named(words))), names, n=1)), None)


def _too_many(keyword: str, rest: list[str]) -> Misunderstood:
    return Misunderstood(
        f"I do not know what {quote(rest[0])} means after /pay {keyword}.",
        f"Type /pay {keyword} alone.",
    )


def _modules_in_words(modules: Sequence[str]) -> str:
    return f"The modules are: {', '.join(modules)}." if modules else "Type /pay help for help."


def _example(modules: Sequence[str]) -> str:
    return "vps" if "vps" in modules or not modules else modules[0]
