"""All invoices of a request of several, for its thread: as a table, which Slack lets nobody mark up. Pure.

On a phone a table is scrolled sideways, so the card itself has lines, and what identifies an invoice stands
in the first columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from bot.domain.batch import Batch
from bot.domain.payment import Invoice
from bot.domain.wording import shorten
from bot.slack.blocks import TABLE_ROWS, TABLE_TEXT, Block, Message, section, table
from bot.slack.listing import fitting, paragraphs
from bot.slack.text import amount, cost_of, description, due, escape, unescaped

_HEADING = ("Invoice", "Amount", "Due", "For")
_RIGHT = frozenset({1})
_LONGEST = 60
"""Characters of a description."""
_FALLBACK = 3_400
"""Characters of the lines in the text that stands for the blocks."""


def all_invoices(batch: Batch, today: date) -> Message:
    """One line an invoice, in the order in which they were asked for; told by a message of its own."""
    rows = _rows(batch, today)
    heading = f"All {len(rows)} invoices of {batch.number} · {cost_of(batch)}"
    lines = list(_as_lines(rows))
    kept = fitting(lines, _FALLBACK)
    left = [f"… and {len(lines) - len(kept)} more."] if len(kept) < len(lines) else []
    text = "\n".join([f"{heading}:", *kept, *left])
    whole = [_HEADING, *rows]
    shown = [table(whole, _RIGHT)] if len(whole) <= TABLE_ROWS else list(map(section, paragraphs(lines)))
    return Message(text, [section(f"*{heading}*"), *shown], alone=True)


def without_tables(blocks: Sequence[Block]) -> list[Block]:
    """The same with lines in place of each table, for where Slack takes none."""
    plain: list[Block] = []
    for block in blocks:
        if block["type"] == "table":
            rows = [[_words(cell) for cell in row] for row in block["rows"][1:]]
            plain += map(section, paragraphs(list(_as_lines(rows))))
        else:
            plain.append(block)
    return plain


def _rows(batch: Batch, today: date) -> list[list[str]]:
    """The cells, not escaped, as long as all of them together may be."""
    fixed = []
    for one in batch.payments:
        invoice = one.invoice
        when = due(invoice.due, today) if invoice is not None and invoice.due is not None else "–"
        fixed.append([str(one.ref), unescaped(amount(invoice)), when])
    room = TABLE_TEXT - sum(len(cell) for row in (*fixed, _HEADING) for cell in row)
    most = min(room // len(fixed), _LONGEST)
    told = (_described(one.invoice, most) if one.invoice else "" for one in batch.payments)
    return [[*row, words or "–"] for row, words in zip(fixed, told, strict=True)]


def _described(invoice: Invoice, most: int) -> str:
    """What it is for, so short that it has at most so many characters escaped as well."""
    words = description(invoice, most)
    while len(escape(words)) > most:
        words = shorten(words, len(words) - 1 - (len(escape(words)) - most) // 5)
    return words


def _as_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for name, *cells in rows:
        yield " · ".join([f"`{escape(name)}`", *map(escape, cells)])


def _words(cell: Block) -> str:
    (part,) = cell["elements"]
    return "".join(str(piece["text"]) for piece in part["elements"])
