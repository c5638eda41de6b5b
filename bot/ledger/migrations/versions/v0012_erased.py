"""What is personal in old events may be erased, where a later event says so; and a ledger may move away.

The trail stays append-only but for that: of an event who acted and what is told may be taken out, once, and
nothing else of it changes. An earlier instance that is still running would take erased events for forged
ones, and would go on with a ledger that was moved. So, as in version 0008, it finds no request any more.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ID = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_ERASED = sa.text("erased_by IS NOT NULL")
_STAYS = ("id", "at", "request_id", "action", "from_state", "to_state", "previous", "hash")


def upgrade() -> None:
    """Forward only."""
    op.execute("ALTER TABLE requests RENAME COLUMN lines TO invoices")
    op.add_column("events", sa.Column("erased_by", _ID))
    op.create_index("events_erased", "events", ["erased_by"], sqlite_where=_ERASED, postgresql_where=_ERASED)
    op.add_column("chain", sa.Column("moved_to", sa.Text()))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER IF EXISTS events_no_update")
        op.execute(
            f"CREATE TRIGGER events_no_update BEFORE UPDATE ON events WHEN NOT ({_erasing('IS')}) "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
    else:
        op.execute("DROP TRIGGER IF EXISTS events_append_only ON events")
        op.execute(
            "CREATE TRIGGER events_append_only BEFORE DELETE OR TRUNCATE ON events "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            "CREATE TRIGGER events_no_update BEFORE UPDATE ON events FOR EACH ROW "
            f"WHEN (NOT ({_erasing('IS NOT DISTINCT FROM')})) EXECUTE FUNCTION refuse_change()"
        )


def _erasing(is_same: str) -> str:
    """Whether a change takes out what is personal, in the database's words."""
    same = (f"OLD.{name} {is_same} NEW.{name}" for name in _STAYS)
    once = "OLD.erased_by IS NULL AND coalesce(NEW.erased_by, 0) > OLD.id AND OLD.action <> 'pruned'"
    return " AND ".join((once, *same))
