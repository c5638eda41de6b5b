"""A ledger that was moved elsewhere, or is not all here yet: nothing is written to it, and nothing paid."""

from __future__ import annotations

from bot.errors import LedgerUnfit

UNFINISHED = "unfinished"
"""What stands for the place where a copy that is not finished was moved to."""


def must_not_have_moved(moved_to: str | None) -> None:
    """Raises LedgerUnfit where the row of `chain` says that the ledger went elsewhere, or is not all here."""
    if moved_to == UNFINISHED:
        raise LedgerUnfit(
            "the ledger was being moved here, and that was broken off; run `python -m bot move-ledger` again"
            " with the same two places"
        )
    if moved_to is not None:
        raise LedgerUnfit(
            f"this ledger was moved to {moved_to}, and what is paid there is not known here;"
            " set LEDGER_URL to that one. To come back, move it from there to a new database or file"
        )
