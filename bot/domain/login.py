"""What a billing API said to a login, and which account that is. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Login:
    """The last one that was answered. at: when, in seconds by the clock that nobody sets."""

    refused: bool
    at: float


def account_mark(ledger: str, address: str, username: str) -> str:
    """What tells one account of one billing API from others in a ledger's trail, and names neither.

    ledger: its identity. address: of the API's description.
    """
    named = "\0".join((ledger, urlsplit(address).hostname or "", username))
    return hashlib.sha256(named.encode()).hexdigest()[:16]
