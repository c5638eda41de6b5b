"""Takes secrets out of a text: the known ones by their value, unknown ones by their shape.

One home for it, because it has two callers that may not know each other: what the bot logs, and what the
billing API answers, which may be our own request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"

SHORTEST = 4
"""A shorter secret would redact half of every text."""

_SHAPES = re.compile(
    r"xox[a-z]-[A-Za-z0-9-]+|xapp-[A-Za-z0-9-]+"
    r"|https://hooks\.slack\.com/\S+|/response/\S+|\b[0-9a-fA-F]{32}\b"
)


class Redaction:
    """Takes these secrets out, and whatever has the shape of one."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # The longest first: one that begins another must not leave the other's end behind.
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def clean(self, text: str) -> str:
        """The text without secrets."""
        text = self._known.sub(REDACTED, text) if self._known else text
        return _SHAPES.sub(REDACTED, text)


def _forms(secret: str) -> set[str]:
    """How it may be written: as it is, in XML or HTML, once or twice, and in an address."""
    written = {secret, escape(secret), escape(secret, quote=False)}
    return written | {escape(form) for form in written} | {quote(secret, safe=""), quote_plus(secret)}
