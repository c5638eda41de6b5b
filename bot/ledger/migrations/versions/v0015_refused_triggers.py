"""Not only steps of workflows that were refused are known, but all that was: by Slack's trigger of it.

A step's is its run, as it stands in the requests that steps make: with `step:` before it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_ID = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "refused_triggers",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("trigger_id", sa.String(200), nullable=False, unique=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.execute(
        "INSERT INTO refused_triggers (trigger_id, why, at)"
        " SELECT 'step:' || run, why, at FROM refused_steps ORDER BY id"
    )
    op.drop_table("refused_steps")
