"""What columns hold that the databases have no exact type for, or keep in ways of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, DateTime, Dialect, String, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType

from bot.domain.schedule import PayOn


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC on both databases; a naive one is a bug and raises."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("bug: a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal kept as its digits: SQLite would keep a float."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Store the digits."""
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """Read the digits."""
        return None if value is None else Decimal(value)


class PaidOn(TypeDecorator[PayOn]):
    """When a request is to be paid, as its word."""

    impl = String(10)
    cache_ok = True

    def process_bind_param(self, value: PayOn | None, dialect: Dialect) -> str | None:
        """Store the word."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> PayOn | None:
        """Read the word. Raises ValueError."""
        return None if value is None else PayOn.read(value)


class AsKept(FunctionElement[Any]):
    """A column as the database keeps it: a forged value may be none that its type can read.

    Times are texts such as 2026-03-02 09:00:00.000000 in UTC, on both databases.
    """

    inherit_cache = True
    type = NullType()


@compiles(AsKept)
def _kept(element: AsKept, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(AsKept, "postgresql")
def _kept_on_postgresql(element: AsKept, compiler: Any, **options: Any) -> str:
    (column,) = element.clauses
    kept = str(compiler.process(column, **options))
    if isinstance(column.type, UtcDateTime):
        return f"to_char({kept} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    return f"to_char({kept}, 'YYYY-MM-DD')" if isinstance(column.type, Date) else kept
