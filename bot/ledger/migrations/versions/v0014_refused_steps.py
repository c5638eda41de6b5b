"""Steps of workflows that were refused are known: an event that Slack repeats makes no payment of one.

An instance that is older adds none, and makes requests of those that were.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_ID = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "refused_steps",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("run", sa.String(200), nullable=False, unique=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
