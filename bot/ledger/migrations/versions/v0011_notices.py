"""Not only digests are told once: alerts to operators and the head of the trail are as well.

What an earlier version told stays told. What it had begun and not ended is not told again: nobody could find
it by what it carries. An older instance that tells digests and is still running finds no table, and ends.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_ID = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "notices",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.String(20), nullable=False),
        sa.Column("key", sa.String(80), nullable=False),
        sa.Column("place", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("ended", sa.Text()),
        sa.Column("ts", sa.String(32)),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("over_at", _TIME),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", _TIME),
    )
    going_on = sa.text("over_at IS NULL")
    op.create_index(
        "one_notice_each",
        "notices",
        ["topic", "key", "place"],
        unique=True,
        sqlite_where=going_on,
        postgresql_where=going_on,
    )
    untold = sa.text("ended IS NULL")
    op.create_index("notices_to_tell", "notices", ["due_at"], sqlite_where=untold, postgresql_where=untold)
    day = "day" if op.get_bind().dialect.name == "sqlite" else "to_char(day, 'YYYY-MM-DD')"
    op.execute(
        "INSERT INTO notices (topic, key, place, detail, ended, ts, tries, begun, created_at, due_at)"
        f" SELECT 'digest', {day}, place, '',"
        " CASE WHEN ended IS NULL AND begun THEN 'it is not known whether it was told' ELSE ended END,"
        " ts, tries, begun, created_at, due_at FROM digests"
    )
    op.drop_table("digests")
