"""A ledger that was moved elsewhere: nothing is written to it any more, least of all a payment."""

from __future__ import annotations

from bot.errors import LedgerUnfit


def must_not_have_moved(moved_to: str | None) -> None:
    """Raises LedgerUnfit where the row of `chain` says that the ledger went elsewhere."""
    if moved_to is not None:
        raise LedgerUnfit(
            f"this ledger was moved to {moved_to}, and what is paid there is not known here;"
            " set LEDGER_URL to that one. To come back to this place, move it to a new database or file"
        )
