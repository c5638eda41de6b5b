"""Who asked for an invoice is found by the invoice, in the requests as well as in the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_REST = 'substr(detail, instr(detail, \'"invoice": "\') + 12)'
_INVOICE = {
    "sqlite": f"substr({_REST}, 1, instr({_REST}, '\"') - 1)",
    "postgresql": 'substring(detail, \'"invoice": "([^"]*)"\')',
}


def upgrade() -> None:
    """Forward only."""
    op.create_index("payments_of_invoice", "payments", ["module", "number", "id"], unique=False)
    of_requests = sa.text("action = 'requested'")
    op.create_index(
        "events_of_invoice",
        "events",
        [sa.text(_INVOICE[op.get_bind().dialect.name])],
        unique=False,
        sqlite_where=of_requests,
        postgresql_where=of_requests,
    )
