"""What was told once a day is known, so that it is told once, however many instances run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ID = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "digests",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("ended", sa.Text()),
        sa.Column("ts", sa.String(32)),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", _TIME),
        sa.UniqueConstraint("day", "place", name="one_digest_a_day"),
    )
