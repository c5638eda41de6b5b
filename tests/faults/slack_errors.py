"""What a gateway before Slack, or an ailing Slack, may answer: statuses, and words that nobody lists."""

from __future__ import annotations

import random
import string

_AILING = ("internal_error", "fatal_error", "service_unavailable", "internal_server_error")
_NOT_NOW = ("temporarily_unavailable", "message_limit_exceeded", "team_quota_reached", "ratelimited")
_STATUSES = (500, 501, 502, 503, 504, 520, 529)
_RETRY_AFTER = ("nan", "inf", "-inf", "-1", "", "soon", "1e999", "0x10", "Fri, 31 Dec 1999 23:59:59 GMT")


def drawn_fault(chance: random.Random) -> str:
    """One of the modes of the local Slack's faults.

    A status of 500 and above, and the words of a Slack that ails, may come after the call took effect.
    """
    return chance.choice((_gateway, _gateway, _ailing, _word, _word))(chance)


def drawn_retry_after(chance: random.Random) -> str:
    """A Retry-After that says nothing."""
    return chance.choice(_RETRY_AFTER)


def _gateway(chance: random.Random) -> str:
    word = chance.choice(("", "bad_gateway", *_AILING, *_NOT_NOW, _any_word(chance)))
    return f"{chance.choice(('http', 'http-after'))}:{chance.choice(_STATUSES)}:{word}"


def _ailing(chance: random.Random) -> str:
    return f"{chance.choice(('http', 'http-after'))}:200:{chance.choice(_AILING)}"


def _word(chance: random.Random) -> str:
    return f"error:{chance.choice((*_NOT_NOW, _any_word(chance)))}"


def _any_word(chance: random.Random) -> str:
    return "".join(chance.choices(string.ascii_lowercase + "_", k=chance.randint(4, 20)))
