"""A request may hold several payments: what people asked for and its invoices are tables of their own.

Every payment of before is the one payment of a request with its number. The audit trail stays as it is.
The tables are made anew, because SQLite changes no constraint of a table.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from bot.ledger.migrations.versions.v0005_requested import NAME_REQUESTED

revision = "0006"
down_revision = "0005"

_ID = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TIME = sa.DateTime(timezone=True)
_LIVE = sa.text("state NOT IN ('CANCELLED', 'DECLINED', 'DENIED', 'EXPIRED')")
_PENDING = sa.text("done_revision < revision")

_OF_REQUEST = (
    "team, channel, requester, note, trigger_id, response_url, rule, approvals_required,"
    " card_ts, card_lost, approval_channel, approval_ts, created_at, expires_at"
)
_OF_PAYMENT = (
    "module, number, state, version, looked_up_at, listed, amount, currency, description, due_date,"
    " status, status_text, reason, tries, updated_at, due_at, lease_owner, lease_until"
)
_APPROVAL = "approver, decision, reason, at"
_ATTEMPT = "payment_id, instance, started_at, finished_at, verdict, status, status_text, evidence"
_DELIVERY = (
    "slot, kind, channel, event_id, revision, done_revision, ts, tries, ambiguous, given_up,"
    " created_at, due_at, lease_owner, lease_until"
)
_OLD = ("payments", "approvals", "attempts", "deliveries")

FILL = (
    f"INSERT INTO requests (id, size, {_OF_REQUEST}) SELECT id, 1, {_OF_REQUEST} FROM old_payments",
    f"INSERT INTO payments (id, request_id, line, {_OF_PAYMENT}) SELECT id, id, 1, {_OF_PAYMENT}"
    " FROM old_payments ORDER BY id",
    f"INSERT INTO approvals (id, request_id, {_APPROVAL}) SELECT id, payment_id, {_APPROVAL}"
    " FROM old_approvals",
    f"INSERT INTO attempts (id, {_ATTEMPT}) SELECT id, {_ATTEMPT} FROM old_attempts",
    f"INSERT INTO deliveries (id, request_id, {_DELIVERY}) SELECT id, payment_id, {_DELIVERY}"
    " FROM old_deliveries",
)


def upgrade() -> None:
    """Forward only."""
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        # What an older instance commits between the copy of a table and its end would be lost.
        op.execute(f"LOCK TABLE {', '.join(_OLD)}, events IN ACCESS EXCLUSIVE MODE")
    # An instance of an earlier version may have written it after version 0005.
    op.execute(NAME_REQUESTED)
    for name in _OLD:
        op.execute(f"CREATE TABLE old_{name} AS SELECT * FROM {name}")
    for name in reversed(_OLD):
        op.drop_table(name)
    _make_requests()
    _make_what_belongs()
    for statement in FILL:
        op.execute(statement)
    for name in _OLD:
        op.drop_table(f"old_{name}")
    op.drop_index("ix_events_payment_id", "events")
    op.execute("ALTER TABLE events RENAME COLUMN payment_id TO request_id")
    op.create_index("ix_events_request_id", "events", ["request_id"])
    if on_postgresql:
        for name in _OLD:
            op.execute(
                f"SELECT setval(pg_get_serial_sequence('{name}', 'id'),"
                f" (SELECT coalesce(max(id), 0) + 1 FROM {name}), false)"
            )


def _make_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("team", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("requester", sa.String(length=32), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("trigger_id", sa.String(length=200), nullable=False),
        sa.Column("response_url", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("approvals_required", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("card_ts", sa.String(length=32), nullable=True),
        sa.Column("card_lost", sa.Boolean(), nullable=False),
        sa.Column("approval_channel", sa.String(length=32), nullable=True),
        sa.Column("approval_ts", sa.String(length=32), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("trigger_id"),
    )
    op.create_index("requests_of_requester", "requests", ["requester", "id"])
    op.create_table(
        "payments",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("request_id", _ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("module", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("looked_up_at", _TIME, nullable=True),
        sa.Column("listed", sa.Boolean(), nullable=True),
        sa.Column("amount", sa.String(length=40), nullable=True),
        sa.Column("currency", sa.String(length=16), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("due_date", sa.Date(), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("status_text", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("request_id", "line", name="one_payment_a_line"),
        sqlite_autoincrement=True,
    )
    listed = sa.text("listed")
    op.create_index(
        "one_live_payment_per_invoice",
        "payments",
        ["module", "number"],
        unique=True,
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    op.create_index("payments_due", "payments", ["state", "due_at"])
    op.create_index("payments_of_number", "payments", ["number"])
    op.create_index("payments_of_invoice", "payments", ["module", "number", "id"])
    op.create_index(
        "modules_that_listed", "payments", ["module"], sqlite_where=listed, postgresql_where=listed
    )


def _make_what_belongs() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("request_id", _ID, nullable=False),
        sa.Column("approver", sa.String(length=32), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("request_id", "approver", name="one_decision_per_person"),
    )
    op.create_table(
        "attempts",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("payment_id", _ID, nullable=False),
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.Column("verdict", sa.String(length=20), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("status_text", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_attempts_payment_id", "attempts", ["payment_id"])
    op.create_table(
        "deliveries",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("request_id", _ID, nullable=False),
        sa.Column("slot", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("event_id", _ID, nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("done_revision", sa.Integer(), nullable=False),
        sa.Column("ts", sa.String(length=32), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("ambiguous", sa.Boolean(), nullable=False),
        sa.Column("given_up", sa.Text(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("request_id", "slot", name="one_delivery_per_slot"),
    )
    op.create_index(
        "deliveries_pending",
        "deliveries",
        ["due_at"],
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    )
