"""Whether sending is paused; and indexes for what is asked of a ledger however old it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Forward only."""
    op.add_column("chain", sa.Column("paused_at", sa.DateTime(timezone=True)))
    op.add_column("chain", sa.Column("paused_by", sa.String(64)))
    op.add_column("chain", sa.Column("paused_reason", sa.Text()))
    op.create_index("requests_of_day", "requests", ["created_at"])
    asked = sa.text("response_url IS NOT NULL")
    op.create_index(
        "requests_to_answer", "requests", ["created_at"], sqlite_where=asked, postgresql_where=asked
    )
