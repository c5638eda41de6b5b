"""What somebody decided is found without reading the whole audit trail."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward only."""
    op.create_index("events_of_actor", "events", ["actor", "payment_id"], unique=False)
