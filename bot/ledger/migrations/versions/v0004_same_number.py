"""What else is known of an invoice's number, and whether a module could ever be read, is found at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Forward only."""
    listed = sa.text("listed")
    op.create_index("payments_of_number", "payments", ["number"], unique=False)
    op.create_index(
        "modules_that_listed", "payments", ["module"], sqlite_where=listed, postgresql_where=listed
    )
