"""What the ledger's file holds, read past the bot."""

from __future__ import annotations

from datetime import UTC, datetime


def stored_time(stored: str) -> datetime:
    """A time."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)
