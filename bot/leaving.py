"""Ends the process: with an exit code that says what is so, and without waiting for threads.

A call of the billing API may hang for its whole time-out.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

import click

BROKEN_OFF = 130
"""The exit code after Ctrl-C, as of other programs: 1 would say that what was asked for is not so."""

NOT_DONE = 2
"""The exit code of what could not be done, or not be said."""


def leave(code: int) -> NoReturn:
    """End the process now. code: its exit code."""
    if threading.active_count() > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


@contextmanager
def written_or_exit() -> Iterator[None]:
    """End with `NOT_DONE` where what is said cannot be written, as on a full disk: 1 would say "forged"."""
    try:
        yield
    except OSError as error:
        _mute(sys.stdout)
        try:
            if error.errno != errno.EPIPE:
                click.echo(f"What was found cannot be written: {error.strerror}", err=True)
        except OSError:
            _mute(sys.stderr)
        raise SystemExit(NOT_DONE) from None


def _mute(stream: TextIO) -> None:
    """What is left of what was written there would be tried again at the end, and fail again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
