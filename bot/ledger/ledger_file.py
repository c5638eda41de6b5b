"""What a SQLite ledger's file must be, which is seen before anything of it is opened or changed.

A bot under another name of the file, or on a mount of it alone, would have a log of its own beside it: it
would know nothing of what the first one pays.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from contextlib import closing
from urllib.parse import quote

from bot.errors import LedgerUnavailable, LedgerUnfit

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_MOUNTS = "/proc/self/mountinfo"


def must_be_one_file(file: str) -> bool:
    """Whether it is there. Raises LedgerUnfit for what is no file, or is one by several names.

    file: its real name. It is not opened.
    """
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerUnavailable(f"the ledger {file} cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise LedgerUnfit(f"{file} is no file but {kind}; let LEDGER_URL name a file")
    if found.st_nlink > 1:
        raise LedgerUnfit(
            f"{file} has several names (hard links), and what is written under one is not seen under another;"
            " stop every bot on it, and leave it one name"
        )
    if _is_mounted(file):
        raise LedgerUnfit(
            f"{file} is mounted by itself, without what SQLite writes beside it;"
            " mount the folder that it is in, not the file"
        )
    return True


def must_be_a_ledger(file: str) -> None:
    """Raises LedgerUnfit for a file that holds something else. It is only read; an empty one may become one.

    file: its real name; it is there.
    """
    logged = os.path.exists(f"{file}-wal")
    # Where nobody has it open, SQLite would leave files beside it.
    way = "mode=ro" if logged and os.path.exists(f"{file}-shm") else "mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(file)}?{way}", uri=True)) as connection:
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise LedgerUnfit(
                f"{file} is not a database of SQLite; let LEDGER_URL name a file of its own"
            ) from None
        if logged and "immutable" in way:
            return  # it may be whole only together with its log, which opening it does
        raise LedgerUnavailable(f"the ledger {file} cannot be read: {error}") from None
    if tables and not {"alembic_version", "payments", "events"} <= tables:
        raise LedgerUnfit(f"{file} is the database of another program; let LEDGER_URL name a file of its own")


def _is_mounted(file: str) -> bool:
    try:
        with open(_MOUNTS, "rb") as mounts:
            places = [line.split(b" ")[4] for line in mounts]
    except FileNotFoundError:
        return False  # no Linux, so nothing can be mounted on a file
    return os.fsencode(file) in map(_unescaped, places)


def _unescaped(place: bytes) -> bytes:
    """As the kernel wrote it: a blank, a tab, a line's end or a backslash as its octal number."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), place)
