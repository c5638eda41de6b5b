"""What a billing API said to a login. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Login:
    """The last one that was answered. at: when, in seconds by the clock that nobody sets."""

    refused: bool
    at: float
