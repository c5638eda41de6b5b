"""HTTP mode as whoever reaches the port sees it: a bot that listens, and requests signed or not."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from bot import app
from bot.sandbox.local_slack import identifiers as ids


@dataclass(frozen=True, slots=True)
class Listening:
    """A bot in HTTP mode, to which Slack delivers, and its request URL."""

    bot: app.Bot
    url: str
    port: int


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What Slack sends in X-Slack-Signature."""
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256)
    return f"v0={digest.hexdigest()}"


def signed(secret: str, body: str | bytes, at: float | None = None) -> dict[str, str]:
    """The headers of a request that was signed with this secret, now or at another time."""
    timestamp = str(int(time.time() if at is None else at))
    content = body.encode() if isinstance(body, str) else body
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signature(secret, timestamp, content),
    }


def command_body(**others: str) -> str:
    """Alice's /pay vps 10101 as Slack sends it; a field that is empty is left out."""
    fields = {
        "command": "/pay",
        "text": "vps 10101",
        "team_id": ids.TEAM_ID,
        "channel_id": ids.PAYMENTS,
        "user_id": ids.ALICE,
        "trigger_id": "1.2.3",
        "response_url": "https://hooks.slack.com/commands/x",
    }
    return urlencode({name: value for name, value in (fields | others).items() if value})
