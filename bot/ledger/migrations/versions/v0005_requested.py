"""What was asked for and not looked up yet is a state of its own; it had been called PENDING_APPROVAL too.

The audit trail stays as it is: see `Replay.state`.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

NAME_REQUESTED = (
    "UPDATE payments SET state = 'REQUESTED' WHERE state = 'PENDING_APPROVAL' AND looked_up_at IS NULL"
)


def upgrade() -> None:
    """Forward only."""
    op.execute(NAME_REQUESTED)
