"""A ledger of many payments takes no longer: who decided, what is held, and what may have arrived are found.

An instance that is older uses these without knowing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_HELD = "lease_until IS NOT NULL"
_DECISION = "action IN ('approved', 'denied', 'resolved', 'corrected')"


def upgrade() -> None:
    """Forward only."""
    _index("events_of_decider", "events", ["actor", "request_id"], _DECISION)
    _index("payments_leased", "payments", ["lease_until"], _HELD)
    _index("deliveries_leased", "deliveries", ["lease_until"], _HELD)
    _index("deliveries_ambiguous", "deliveries", ["id"], "ambiguous")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=only, postgresql_where=only)
