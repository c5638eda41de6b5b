"""The ledger's tables. `migrations/` makes them; this file is what the code reads and writes through.

`events` is append-only. `deliveries` is the outbox: what Slack still has to be told.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    cast,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from bot.domain.events import Approved, Corrected, Denied, Resolved
from bot.domain.payment import RELEASED
from bot.ledger.column_types import ExactDecimal, PaidOn, UtcDateTime

metadata = MetaData()

Id = Integer().with_variant(BigInteger(), "postgresql")

requests = Table(
    "requests",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("team", String(32), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("requester", String(32), nullable=False),
    Column("note", Text),
    Column("trigger_id", String(200), nullable=False, unique=True),
    Column("response_url", Text),
    Column("rule", Text, nullable=False),
    Column("approvals_required", Integer, nullable=False),
    # Not by its name of before: what does not know of erased events must not work on them. See v0008, v0012.
    Column("invoices", Integer, key="size", nullable=False),
    Column("card_ts", String(32)),
    Column("card_lost", Boolean, nullable=False),
    Column("approval_channel", String(32)),
    Column("approval_ts", String(32)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("pay_on", PaidOn),
    Index("requests_of_requester", "requester", "id"),
    Index("requests_of_day", "created_at"),
)

payments = Table(
    "payments",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("request_id", ForeignKey("requests.id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("module", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("version", Integer, nullable=False),
    Column("looked_up_at", UtcDateTime),
    Column("listed", Boolean),
    Column("amount", ExactDecimal),
    Column("currency", String(16)),
    Column("description", Text),
    Column("due_date", Date),
    Column("status", Text),
    Column("status_text", Text),
    Column("reason", Text),
    Column("tries", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_until", UtcDateTime),
    Column("not_before", UtcDateTime),
    UniqueConstraint("request_id", "line", name="one_payment_a_line"),
    Index("payments_due", "state", "due_at"),
    Index("payments_of_number", "number"),
    Index("payments_of_invoice", "module", "number", "id"),
    sqlite_autoincrement=True,
)

Index(
    "requests_to_answer",
    requests.c.created_at,
    sqlite_where=requests.c.response_url.is_not(None),
    postgresql_where=requests.c.response_url.is_not(None),
)

PAYMENTS = select(payments, *(column.label(f"of_{column.name}") for column in requests.c)).select_from(
    requests.join(payments)
)
"""Payments, each with its request. Whoever locks both locks the request first."""

LIVE = payments.c.state.not_in(sorted(RELEASED))
"""Payments that hold their invoice: under way, unknown, or paid."""


def with_payment(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a request has such a payment; the payments lead to the requests, as few are in most states."""
    return requests.c.id.in_(select(payments.c.request_id).where(condition))


Index(
    "one_live_payment_per_invoice",
    payments.c.module,
    payments.c.number,
    unique=True,
    sqlite_where=LIVE,
    postgresql_where=LIVE,
)

Index(
    "modules_that_listed",
    payments.c.module,
    sqlite_where=payments.c.listed,
    postgresql_where=payments.c.listed,
)

Index(
    "payments_leased",
    payments.c.lease_until,
    sqlite_where=payments.c.lease_until.is_not(None),
    postgresql_where=payments.c.lease_until.is_not(None),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("request_id", ForeignKey("requests.id"), nullable=False),
    Column("approver", String(32), nullable=False),
    Column("decision", String(10), nullable=False),
    Column("reason", Text),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("request_id", "approver", name="one_decision_per_person"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("payment_id", ForeignKey("payments.id"), nullable=False, index=True),
    Column("instance", String(64), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("verdict", String(20)),
    Column("status", Text),
    Column("status_text", Text),
    Column("evidence", Text),
)

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("request_id", Id, index=True),
    Column("actor", String(64), nullable=False),
    Column("action", String(40), nullable=False),
    Column("from_state", String(20)),
    Column("to_state", String(20)),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("erased_by", Id),
    Index("events_of_actor", "actor", "request_id"),
)
"""erased_by: the later event by which what was personal in it was taken out; its hash is that of before."""

Index(
    "events_erased",
    events.c.erased_by,
    sqlite_where=events.c.erased_by.is_not(None),
    postgresql_where=events.c.erased_by.is_not(None),
)


class InvoiceAsked(FunctionElement[str]):
    """The invoice that an event's detail names, such as `vps 12345`; of use for "requested" events.

    Taken from the text, not by the database's JSON functions: those refuse rows that are no JSON. A text
    inside the detail cannot be taken for it, because its quotes are escaped.
    """

    # A mere ColumnElement has no key in the cache, whatever it says: its statement is compiled each time.
    inherit_cache = True
    type = String()


@compiles(InvoiceAsked, "sqlite")
def _on_sqlite(_element: InvoiceAsked, _compiler: Any, **_options: Any) -> str:
    rest = 'substr(detail, instr(detail, \'"invoice": "\') + 12)'
    return f"substr({rest}, 1, instr({rest}, '\"') - 1)"


@compiles(InvoiceAsked, "postgresql")
def _on_postgresql(_element: InvoiceAsked, _compiler: Any, **_options: Any) -> str:
    return 'substring(detail, \'"invoice": "([^"]*)"\')'


def concerns(line: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether an event is about this payment of its request, or about all of them: see `events.line_of`."""
    name = literal('"line": ')
    named = (events.c.detail.contains(name.concat(cast(line, String)).concat(end)) for end in (",", "}"))
    return or_(events.c.detail.not_like(literal('%"line": %')), *named)


# As it stands in the index: a bound value would keep the databases from using it.
IS_REQUEST = events.c.action == literal_column("'requested'")

Index(
    "events_of_invoice",
    InvoiceAsked(),
    _table=events,
    sqlite_where=IS_REQUEST,
    postgresql_where=IS_REQUEST,
)

# As in the index, where the action of an event leads to it: for a bound value it would not be used.
IS_DECISION = events.c.action.in_(
    [literal_column(f"'{what.action}'") for what in (Approved, Denied, Resolved, Corrected)]
)

Index(
    "events_of_decider",
    events.c.actor,
    events.c.request_id,
    sqlite_where=IS_DECISION,
    postgresql_where=IS_DECISION,
)

chain = Table(
    "chain",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("ledger", String(36), nullable=False),
    Column("last_event", Id, nullable=False),
    Column("last_hash", String(64), nullable=False),
    Column("paused_at", UtcDateTime),
    Column("paused_by", String(64)),
    Column("paused_reason", Text),
    Column("moved_to", Text),
)
"""One row: which ledger this is, the end of its audit trail, whether sending is paused, and where it went.

Whoever adds an event locks it, so a pause that is committed stands before every intent that comes after it.
"""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("request_id", ForeignKey("requests.id"), nullable=False),
    Column("slot", String(80), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("event_id", Id),
    Column("revision", Integer, nullable=False),
    Column("done_revision", Integer, nullable=False),
    Column("ts", String(32)),
    Column("tries", Integer, nullable=False),
    Column("ambiguous", Boolean, nullable=False),
    Column("given_up", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_until", UtcDateTime),
    UniqueConstraint("request_id", "slot", name="one_delivery_per_slot"),
)

PENDING = deliveries.c.done_revision < deliveries.c.revision
"""Deliveries that are still to be made."""

Index("deliveries_pending", deliveries.c.due_at, sqlite_where=PENDING, postgresql_where=PENDING)

Index(
    "deliveries_leased",
    deliveries.c.lease_until,
    sqlite_where=deliveries.c.lease_until.is_not(None),
    postgresql_where=deliveries.c.lease_until.is_not(None),
)

Index(
    "deliveries_ambiguous",
    deliveries.c.id,
    sqlite_where=deliveries.c.ambiguous,
    postgresql_where=deliveries.c.ambiguous,
)

# As it stands in the index: SQLite does not use that for a value that is compared with true.
MAY_HAVE_ARRIVED: ColumnElement[bool] = literal_column("deliveries.ambiguous")

notices = Table(
    "notices",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("topic", String(20), nullable=False),
    Column("key", String(80), nullable=False),
    Column("place", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("ended", Text),
    Column("ts", String(32)),
    Column("tries", Integer, nullable=False),
    Column("begun", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("over_at", UtcDateTime),
    Column("lease_owner", String(64)),
    Column("lease_until", UtcDateTime),
)
"""What is told once: see `Notices`."""

GOING_ON = notices.c.over_at.is_(None)
"""Notices of what is not over; what is told daily never is."""

Index(
    "one_notice_each",
    notices.c.topic,
    notices.c.key,
    notices.c.place,
    unique=True,
    sqlite_where=GOING_ON,
    postgresql_where=GOING_ON,
)

UNTOLD = notices.c.ended.is_(None)
"""Notices that are still to be told."""

Index("notices_to_tell", notices.c.due_at, sqlite_where=UNTOLD, postgresql_where=UNTOLD)

refused_triggers = Table(
    "refused_triggers",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("trigger_id", String(200), nullable=False, unique=True),
    Column("why", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""Of what Slack delivered, and somebody was told that nothing was done: see `RefusedTriggers`."""

FREE: dict[str, Any] = {"lease_owner": None, "lease_until": None}
"""What a payment or delivery is set to that nobody works on any more."""

NOW = bindparam("now", type_=UtcDateTime)
"""The time, for statements that are made once and asked over and over."""
