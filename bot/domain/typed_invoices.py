"""Which invoices were typed: one, several of several modules, or what is due by a day."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence
from itertools import takewhile

from bot.domain.batch import MOST_LINES
from bot.domain.near_commands import of_every_invoice
from bot.domain.payment import MAX_INVOICE, InvoiceRef
from bot.domain.typed_words import Misunderstood, begins_like_a_number, normal
from bot.domain.wording import quote, shorten

_LONGEST_NAME = 4
"""Words of a module's name."""

_THOUSANDS = re.compile(r"#?[0-9]{1,3}(,[0-9]{3})+", re.ASCII)
_DAYS = re.compile(r"([0-9]{1,3})(d|day|days)", re.ASCII)


def read_invoices(
    words: Sequence[str], modules: Sequence[str], own_words: Collection[str] = ()
) -> tuple[InvoiceRef, ...] | Misunderstood:
    """Read `vps 10101 10102 mail 10301`, with commas or without; what is typed twice counts once.

    own_words: what may have been meant in place of a module.
    """
    parted = _without_commas(words)
    if isinstance(parted, Misunderstood):
        return parted
    if not parted:
        return Misunderstood(
            "There is nothing in it but commas.", f"Type /pay {example(modules)} 12345, or more of them."
        )
    found: list[InvoiceRef] = []
    rest, numbers = parted, list[str]()
    while rest:
        module, after = split_module(rest, modules)
        numbers = list(takewhile(begins_like_a_number, after))
        if module is None or not numbers or any("<" in word or ">" in word for word in rest):
            before = [found[-1].module, str(found[-1].number)] if found else []
            slip = read_invoice([*before, *rest], modules, "/pay", own_words)
            assert isinstance(slip, Misunderstood), "bug: it was read above"
            return slip
        for word in numbers:
            number = read_number(word, "an invoice number")
            if isinstance(number, Misunderstood):
                return number
            found.append(InvoiceRef(module, number))
        rest = after[len(numbers) :]
    refs = tuple(dict.fromkeys(found))
    if len(refs) == 1 < len(numbers):
        # 12 12 may be one number that a blank parted; one invoice alone is asked for before it is looked at.
        return Misunderstood(
            f"The number {refs[0].number} is typed {len(numbers)} times.",
            f"For that invoice alone, type /pay {refs[0]}.",
        )
    if len(refs) > MOST_LINES:
        return Misunderstood(
            f"These are {len(refs)} invoices, and I take {MOST_LINES} at once.",
            f"Ask for the first {MOST_LINES}, and then for the others.",
        )
    return refs


def _without_commas(words: Sequence[str]) -> list[str] | Misunderstood:
    """The words that commas part as well."""
    parted: list[str] = []
    for word in words:
        # 10,101 is one number to some and two to others; nothing is guessed.
        if _THOUSANDS.fullmatch(word.strip(",")):
            return Misunderstood(
                f"{quote(word)} may be one number or several.",
                "Type a number without commas in it, and a blank after each comma.",
            )
        parted += [part for part in word.split(",") if part]
    return parted


def read_due(
    words: Sequence[str], modules: Sequence[str], own_words: Collection[str]
) -> tuple[tuple[str, ...] | None, int | None] | Misunderstood | None:
    """Read `vps overdue`, `vps mail due 7d` or `all overdue`: the modules, None for all, and the days.

    Days: None means overdue. None in all: nothing of the kind was typed. own_words: see `read_invoices`.
    """
    names = [normal(word.rstrip(",")) for word in words]
    within: int | None = None
    if names and names[-1] == "overdue":
        before = list(words[:-1])
    elif "due" in names[1:]:
        at = names.index("due", 1)
        span = "".join(names[at + 1 :])
        days = _DAYS.fullmatch(span)
        if span == "today":
            within = 0
        elif days:
            within = int(days[1])
        elif any(map(begins_like_a_number, words[:at])):
            return _not_both(modules)
        else:
            what = quote(" ".join(words[:at]))[1:-1]
            return Misunderstood(
                f"Due when? I do not know {quote(' '.join(words[at + 1 :]) or 'nothing')}.",
                f"Type /pay {what} due 7d, or /pay {what} overdue.",
            )
        before = list(words[:at])
    else:
        return None
    if [normal(word.rstrip(",")) for word in before] == ["all"]:
        return None, within
    rest = [part for word in before for part in word.split(",") if part]
    if not rest:
        return None
    found: list[str] = []
    while rest:
        module, after = split_module(rest, modules)
        if module is None and begins_like_a_number(rest[0]):
            return _not_both(modules)
        if module is None:
            return unknown_module(rest, modules, "/pay", own_words)
        found.append(module)
        rest = after
    return tuple(dict.fromkeys(found)), within


def _not_both(modules: Sequence[str]) -> Misunderstood:
    """Invoices were typed by their numbers, and behind them when they are due."""
    module = example(modules)
    return Misunderstood(
        "Say which invoices by their numbers, or by when they are due, and not both.",
        f"Type /pay {module} 12345 on due date to have one paid when it is due, or /pay {module} due 7d.",
    )


def read_invoice(
    words: list[str], modules: Sequence[str], usage: str, own_words: Collection[str] = ()
) -> InvoiceRef | Misunderstood:
    """Read one invoice and nothing else. usage: what was typed before it. own_words: see `read_invoices`."""
    if any("<" in word or ">" in word for word in words):
        return Misunderstood(
            "There is a link, a mention or a bracket in it.",
            f"Type the plain words, for example {usage} {example(modules)} 12345.",
        )
    module, rest = split_module(words, modules)
    if module is None:
        return _explain_order(words, modules, usage) or unknown_module(words, modules, usage, own_words)
    if not rest:
        return Misunderstood(
            f"Which invoice of {module}?",
            f"Type {usage} {module} 12345, or /pay list {module} to see the unpaid ones.",
        )
    number = read_number(rest[0], "an invoice number")
    if isinstance(number, Misunderstood):
        every = of_every_invoice(normal(rest[0]), module)
        return Misunderstood(*every) if every else number
    if len(rest) > 1:
        problem = f"I do not know what {quote(rest[1])} means after {usage} {module} {number}."
        if begins_like_a_number(rest[1]):
            problem = "One invoice at a time, and no blanks inside its number."
        return Misunderstood(problem, f"For that invoice alone, type {usage} {module} {number}.")
    return InvoiceRef(module, number)


def read_number(word: str, kind: str) -> int | Misunderstood:
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


def split_module(words: list[str], modules: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split off the module that the words begin with; the longest name that fits is meant.

    `floating ips` and `floating-ips` both are floating_ips: no module's name holds a blank or a hyphen,
    so nothing else can be meant.
    """
    names = [normal(word) for word in words]
    for count in range(min(len(words), _LONGEST_NAME), 0, -1):
        name = "_".join(names[:count])
        if name in modules:
            return name, words[count:]
    return None, words


def _explain_order(words: list[str], modules: Sequence[str], usage: str) -> Misunderstood | None:
    """Name the slip where module and number are both there, or only the number is."""
    number = read_number(words[0], "an invoice number")
    if isinstance(number, int):
        module, rest = split_module(words[1:], modules)
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
        module, _ = split_module([glued[1].rstrip("-_")], modules)
        if module is not None:
            return Misunderstood(
                "There is no blank between module and invoice.",
                f"Type {usage} {module} {shorten(glued[2], 40)}.",
            )
    return None


def unknown_module(
    words: list[str], modules: Sequence[str], usage: str, own_words: Collection[str] = ()
) -> Misunderstood:
    """These words begin with no module."""
    near = close_name(words, [*modules, *own_words])
    remedy = _modules_in_words(modules)
    if near in own_words:
        remedy = f"Did you mean /pay {near}?"
    elif near:
        meant = [near, *words[len(_named(words)) :]]
        # All that was typed, or nothing of it: half of it would be another invoice.
        whole = read_invoices(meant, modules) if usage == "/pay" else read_invoice(meant, modules, usage)
        typed = near if isinstance(whole, Misunderstood) or usage == "/pay list" else " ".join(meant)
        remedy = f"Did you mean {usage} {typed}?"
    return Misunderstood(f"I know no module {quote(' '.join(_named(words)))}.", remedy)


def _named(words: list[str]) -> list[str]:
    # "web hosting 12345" should find webhosting, so the words before the first number count as one name;
    # where a number comes first, those before a last one.
    named = list(takewhile(lambda word: not begins_like_a_number(word), words))
    if named:
        return named if len(named) < len(words) else words[:1]
    return words[:-1] if len(words) > 1 and begins_like_a_number(words[-1]) else words[:1]


def close_name(words: list[str], names: Sequence[str]) -> str | None:
    """The name that was probably meant."""
    return next(iter(difflib.get_close_matches("_".join(map(normal, _named(words))), names, n=1)), None)


def _modules_in_words(modules: Sequence[str]) -> str:
    return f"The modules are: {', '.join(modules)}." if modules else "Type /pay help for help."


def example(modules: Sequence[str]) -> str:
    """A module to show how something is typed."""
    return "vps" if "vps" in modules or not modules else modules[0]
