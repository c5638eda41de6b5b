"""How much is drawn at random: enough for every run, or, with FAULTS_LONG=1, all of it."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("FAULTS_LONG"))
"""Whether to try everything."""


def drawn(usually: int, at_most: int) -> int:
    """How many examples, or histories."""
    return at_most if LONG else usually
