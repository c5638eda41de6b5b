"""A file that is there once all of it is written and on the disk; nobody's file is replaced."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import LedgerUnavailable, LedgerUnfit

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What a file system says that knows one name for a file, as that of a memory stick."""


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Where to write it: an empty file that only its user can read. It gets its name at the end of the block.

    Raises LedgerUnfit (it is there already), LedgerUnavailable (it cannot be written, also by the block).
    """
    if os.path.lexists(target):
        raise LedgerUnfit(f"{target} is there already; name a new file")
    # A folder of its own, so that nothing of others is in the way, or is deleted.
    try:
        made = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
    except OSError as error:
        raise LedgerUnavailable(f"{target} cannot be written: {error.strerror}") from None
    unfinished = made / "file"
    try:
        os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield unfinished
        _flush(unfinished)
        _name(unfinished, target)
        _flush(target.parent)
    except OSError as error:
        raise LedgerUnavailable(f"{target} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _name(unfinished: Path, target: Path) -> None:
    """Unlike a mere renaming, this does not replace a file that came to be meanwhile."""
    try:
        os.link(unfinished, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(unfinished, target)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
