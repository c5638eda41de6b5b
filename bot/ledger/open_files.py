"""The files that SQLite has open, compared with what stands by their names.

Somebody may delete or replace them under a running bot: who tidies up a folder, or restores a backup too
soon. SQLite notices nothing and goes on with what it has open, and all that it writes is gone when the bot
ends: the next one would know nothing of what was paid. So each transaction asks first whether its files are
those that the next one would find.
"""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import Connection

from bot.errors import LedgerUnavailable

_OPENED = "files"
"""What a connection's are called in its `info`."""

_Identity = tuple[int, int] | None


class OpenFiles:
    """Those of the connections of one engine. file: as it is named."""

    def __init__(self, file: str) -> None:
        # SQLite writes beside the file itself, wherever a link to it stands.
        self._names = (file, *(f"{os.path.realpath(file)}{suffix}" for suffix in ("-wal", "-shm")))
        self._ledger: _Identity = None

    def note(self, connection: Any, record: Any) -> None:
        """Have a new connection open all of them, as reading does, so that nobody else removes its log."""
        cursor = connection.cursor()
        cursor.execute("PRAGMA schema_version")
        cursor.close()
        opened = [_identity(name) for name in self._names]
        # Of a ledger that took the place of the first one, what lasts of that was not waited for.
        self._ledger = opened[0] = self._ledger or opened[0]
        record.info[_OPENED] = opened

    def must_be_there(self, connection: Connection) -> None:
        """Raises LedgerUnavailable where others are, or none."""
        for name, opened in zip(self._names, connection.info[_OPENED], strict=True):
            if _identity(name) != opened:
                raise LedgerUnavailable(
                    f"{name} was deleted or replaced while it is in use, so nothing is written or paid;"
                    " put it back, or stop the bot and see that the ledger is there before you start it again"
                )


def _identity(name: str) -> _Identity:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino
