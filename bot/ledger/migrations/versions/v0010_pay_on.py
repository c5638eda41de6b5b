"""A request may be for a day, and a payment of it is not sent before that day's morning.

An instance that does not know of days would send it at once; whatever was released before fails since v0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Forward only. What was asked for before is sent at once."""
    op.add_column("requests", sa.Column("pay_on", sa.String(10)))
    op.add_column("payments", sa.Column("not_before", sa.DateTime(timezone=True)))
