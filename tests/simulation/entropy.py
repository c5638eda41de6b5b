"""Chance, drawn from the seed: whatever a program asks the system's entropy for.

Put in place before anything else is loaded, as some modules draw a secret when they are imported. Nothing
here may import the bot.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any


class Entropy:
    """Where the bytes of `os.urandom` come from. source: gives so many; another one for every history."""

    def __init__(self) -> None:
        self.source: Callable[[int], bytes] = random.Random("outside of histories").randbytes

    def __call__(self, size: int) -> bytes:
        """So many bytes."""
        return self.source(size)


class _Seeded(random.Random):
    """One without a seed takes it from there as well; Python's own asks the kernel itself."""

    def seed(self, a: Any = None, version: int = 2) -> None:
        super().seed(int.from_bytes(os.urandom(16), "big") if a is None else a, version)


def install() -> Entropy:
    """From now on this process has no other entropy."""
    entropy = Entropy()
    os.urandom = random._urandom = entropy  # type: ignore[attr-defined]
    random.Random = _Seeded  # type: ignore[misc]
    random.seed(0)
    return entropy
