"""Rows that hold what no bot wrote, also in columns that nothing else is compared with.

SQLite lets anything stand in any column: a word for a number, bytes for a text. PostgreSQL takes nothing of
that kind, but as SQLite does a kind of delivery that there is not. The bot leaves such a row alone and says
that somebody changed it, so the proof has to name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Integer,
    and_,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
)

from bot.ledger.column_types import AsKept, UtcDateTime
from bot.ledger.rows import ENDLESS, Kind
from bot.ledger.schema import deliveries, notices, payments, refused_triggers, requests

_TABLES = (requests, payments, deliveries, notices, refused_triggers)
_TIMES = ((UtcDateTime, "????-??-?? ??:??:??*"), (Date, "????-??-??"))


def misfits(connection: Connection) -> Iterator[str]:
    """Each such row, in words."""
    for table in _TABLES:
        found: list[ColumnElement[bool]] = []
        if connection.dialect.name == "sqlite":
            found += map(_is_odd, table.c)
        if table is deliveries:
            found.append(table.c.kind.not_in([*Kind]))
        if not found:
            continue
        odd = select(table.c.id).where(or_(*found)).order_by(table.c.id)
        for row_id in connection.execute(odd, execution_options={"stream_results": True}).scalars():
            yield f"row {row_id} of {table.name} holds what no bot wrote"


def _is_odd(column: Column[Any]) -> ColumnElement[bool]:
    """Asked by comparisons: for SQLite numbers come before texts, and bytes after them."""
    kept = AsKept(column)
    if isinstance(column.type, Integer | Boolean):
        odd = or_(not_(kept.between(0, ENDLESS)), kept != cast(kept, Integer))
    else:
        odd = or_(kept < literal_column("''"), kept >= literal_column("x''"))
    for kind, form in _TIMES:
        if isinstance(column.type, kind):
            # SQLite's own reading of it takes other words for a time as well.
            odd = or_(odd, not_(kept.op("GLOB")(form)), func.julianday(kept).is_(None))
    return and_(column.is_not(None), odd)
