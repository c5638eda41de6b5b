"""A request may have been made with several payments, which no earlier version ever did.

The tables are what they were. But an earlier instance that is still running would look up, approve and pay
one line of several by itself, without the others and their total. So the column that says how many there
are gets another name: whatever such an instance asks of a request fails, and it ends.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Forward only."""
    op.execute("ALTER TABLE requests RENAME COLUMN size TO lines")
