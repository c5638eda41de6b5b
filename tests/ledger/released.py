"""A ledger as the first release left it: every way that a payment can go, on the tables of version 0002.

`released_0002.jsonl` holds its rows. They were made by the code of that release, at a billing API that
declined, broke off and did not answer, and must never be made anew: ledgers like it are out there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Connection, text

from bot.ledger import database, schema, version
from bot.ledger.migrations.versions.v0005_requested import NAME_REQUESTED

ROWS = Path(__file__).with_name("released_0002.jsonl")


async def release(url: str) -> None:
    """Fill an empty database with it."""
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        await connection.run_sync(_make_tables)
        await connection.run_sync(_fill, _rows())
    await engine.dispose()


async def upgrade(url: str, to: str) -> None:
    """Bring it to the tables of this version."""
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        await connection.run_sync(_upgrade, to)
    await engine.dispose()


async def fill(url: str) -> None:
    """Put its rows into a ledger of today without a row, as after the migration; that takes less time."""
    engine = database.engine_for(url)
    async with database.writing(engine).begin() as connection:
        await connection.run_sync(_fill, _rows_of_today())
        await connection.execute(text(NAME_REQUESTED))
    await engine.dispose()


def _upgrade(connection: Connection, to: str) -> None:
    config = version._config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _make_tables(connection: Connection) -> None:
    _upgrade(connection, "0002")
    connection.execute(text("DELETE FROM alembic_version"))


@cache
def _rows() -> dict[str, list[dict[str, Any]]]:
    """The rows of each table, in the order in which they may refer to each other."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        rows.setdefault(row.pop("table"), []).append(row)
    return rows


def _rows_of_today() -> dict[str, list[dict[str, Any]]]:
    """The same as the migrations leave them: each payment is that of a request of its own."""
    today: dict[str, list[dict[str, Any]]] = {}
    for name, rows in _rows().items():
        if name == "payments":
            columns = set(schema.requests.columns.keys())
            today["requests"] = [
                {c: v for c, v in row.items() if c in columns} | {"invoices": 1} for row in rows
            ]
            today[name] = [
                {c: v for c, v in row.items() if c == "id" or c not in columns}
                | {"request_id": row["id"], "line": 1}
                for row in rows
            ]
        elif name in ("approvals", "deliveries", "events"):
            renamed = {"payment_id": "request_id"}
            today[name] = [{renamed.get(c, c): v for c, v in row.items()} for row in rows]
        elif name != "alembic_version":
            today[name] = rows
    return today


def _fill(connection: Connection, tables: Mapping[str, list[dict[str, Any]]]) -> None:
    connection.execute(text("DELETE FROM chain"))
    for name, rows in tables.items():
        columns = ", ".join(rows[0])
        if connection.dialect.name == "postgresql":
            # In one statement: one for each row takes longer than most tests.
            found = f"SELECT {columns} FROM jsonb_populate_recordset(NULL::{name}, %s)"
            connection.exec_driver_sql(f"INSERT INTO {name} ({columns}) {found}", (json.dumps(rows),))
        else:
            places = ", ".join(f":{column}" for column in rows[0])
            connection.execute(text(f"INSERT INTO {name} ({columns}) VALUES ({places})"), rows)
    if connection.dialect.name == "postgresql":
        for name in ("payments", "approvals", "attempts", "deliveries"):
            connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")
            )
