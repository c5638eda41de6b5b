"""Ends the process without waiting for threads: a call of the billing API may hang for its whole time-out."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import NoReturn

BROKEN_OFF = 130
"""The exit code after Ctrl-C, as of other programs: 1 would say that what was asked for is not so."""


def leave(code: int) -> NoReturn:
    """End the process now. code: its exit code."""
    if threading.active_count() > 1:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
