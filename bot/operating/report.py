"""Payments in the forms that auditors take: lines, CSV, JSON Lines, and a page to print. Pure.

Whatever stands in a cell was written by somebody else: no spreadsheet takes it for a formula, and no browser
for markup.
"""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

from bot.domain.payment import FINAL, State
from bot.domain.wording import money
from bot.ledger.records import Record

COLUMNS = (
    "request",
    "line",
    "module",
    "invoice",
    "amount",
    "currency",
    "requester",
    "approvers",
    "outcome",
    "requested_at",
    "ended_at",
    "status_text",
    "note",
    "reason",
    "description",
)
"""Of every form but the lines; times are in UTC, by ISO 8601."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, or skips before one."""

_ANOTHER_CELL = re.compile(r"""([;\t\r\n][ "]*)(?=[=+@＝＋－＠-])""")
"""Where one begins in a country that parts cells otherwise: there quotes between commas mean nothing."""

_ROW_END = "\r\n"


def cells(record: Record) -> dict[str, str | int | None]:
    """A payment by the names of `COLUMNS`."""
    payment, request = record.payment, record.payment.request
    invoice = payment.invoice
    return {
        "request": request.id,
        "line": payment.line,
        "module": payment.ref.module,
        "invoice": payment.ref.number,
        "amount": f"{invoice.amount:f}" if invoice else None,
        "currency": invoice.currency if invoice else None,
        "requester": request.requester,
        "approvers": " ".join(record.approvers),
        "outcome": payment.state.value,
        "requested_at": _time(request.created_at),
        "ended_at": _time(payment.updated_at) if payment.state in FINAL else None,
        "status_text": payment.status_text,
        "note": request.note,
        "reason": payment.reason,
        "description": invoice.description if invoice else None,
    }


def lines(records: Iterable[Record]) -> Iterator[str]:
    """A line each, for a terminal."""
    for record in records:
        payment, request = record.payment, record.payment.request
        price = money(payment.invoice.amount, payment.invoice.currency) if payment.invoice else "unknown"
        by = f" approved by {', '.join(record.approvers)}" if record.approvers else ""
        yield (
            f"{_time(request.created_at)[:16]}Z {payment.number} {payment.ref} {price} {payment.state}"
            f" asked for by {request.requester}{by}"
        )


def header() -> str:
    """The row of CSV with the columns' names; before it the mark by which spreadsheets know the encoding."""
    return f"\ufeff{_row(COLUMNS)}"


def as_csv(records: Iterable[Record]) -> Iterator[str]:
    """Rows of CSV."""
    for record in records:
        yield _row([_harmless(value) for value in cells(record).values()])


def as_json(records: Iterable[Record]) -> Iterator[str]:
    """A JSON object a line."""
    for record in records:
        yield json.dumps(cells(record), ensure_ascii=False)


def _row(values: Iterable[object]) -> str:
    written = io.StringIO()
    # Only what stands in the end of a row is quoted: without one, a line break in a cell would end the row.
    csv.writer(written, lineterminator=_ROW_END).writerow(values)
    return written.getvalue().removesuffix(_ROW_END)


def _harmless(value: str | int | None) -> str | int:
    """A text that begins like a formula begins with an apostrophe, which spreadsheets take for text."""
    if isinstance(value, str):
        value = _ANOTHER_CELL.sub(r"\1'", value)
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 10pt/1.4 system-ui, sans-serif; margin: 2em; color: #111 }}
table {{ border-collapse: collapse; width: 100%; margin: 1em 0 }}
th, td {{ border-bottom: 1px solid #bbb; padding: .25em .5em; text-align: left; vertical-align: top }}
td.amount {{ text-align: right; white-space: nowrap }}
thead {{ display: table-header-group }}
tr {{ break-inside: avoid }}
@page {{ size: A4 landscape; margin: 15mm }}
</style>
<h1>{title}</h1>
<p>{about}</p>"""


class Page:
    """A page to print: rows as they come, and at the end what they add up to. about: which, and of when."""

    def __init__(self, title: str, about: str) -> None:
        self._title, self._about = title, about
        self._totals: dict[tuple[State, str], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))

    def of(self, records: Iterable[Record]) -> Iterator[str]:
        """The page, part by part, but for its end."""
        for record in records:
            self._count(record)
            yield self._tr(record)

    def begin(self) -> str:
        """What stands above the rows."""
        names = (
            "Request",
            "Invoice",
            "Amount",
            "Asked for by",
            "Approved by",
            "Outcome",
            "Asked (UTC)",
            "Ended (UTC)",
            "",
        )
        heads = "".join(f"<th>{name}" for name in names)
        said = _PAGE.format(title=html.escape(self._title), about=html.escape(self._about))
        return f"{said}\n<table><thead><tr>{heads}</thead><tbody>"

    def end(self) -> str:
        """The totals by outcome and currency."""
        rows = "".join(
            f"<tr><td>{state.value}<td class=amount>{count:,}"
            f"<td class=amount>{html.escape(money(total, currency) if currency else 'amount unknown')}"
            for (state, currency), (count, total) in sorted(self._totals.items())
        )
        heads = "<th>Outcome<th>Payments<th>Total"
        table = f"<table><thead><tr>{heads}</thead><tbody>{rows}</tbody></table>"
        return f"</tbody></table>\n<h2>Totals</h2>\n{table}"

    def _count(self, record: Record) -> None:
        invoice = record.payment.invoice
        key = (record.payment.state, invoice.currency if invoice else "")
        count, total = self._totals[key]
        self._totals[key] = (count + 1, total + (invoice.amount if invoice else Decimal(0)))

    def _tr(self, record: Record) -> str:
        payment, told = record.payment, cells(record)
        invoice = payment.invoice
        price = money(invoice.amount, invoice.currency) if invoice else "unknown"
        values = (
            f"<td>{html.escape(payment.number)}",
            f"<td>{html.escape(str(payment.ref))}<br>{_small(told['description'])}",
            f"<td class=amount>{html.escape(price)}",
            *(f"<td>{html.escape(str(told[name] or ''))}" for name in ("requester", "approvers", "outcome")),
            *(f"<td>{str(told[name] or '')[:16].replace('T', ' ')}" for name in ("requested_at", "ended_at")),
            f"<td>{_small(told['status_text'] or told['reason'])}",
        )
        return f"<tr>{''.join(values)}"


def _small(value: str | int | None) -> str:
    return f"<small>{html.escape(str(value or ''))}</small>"
