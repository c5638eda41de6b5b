"""HTTP mode: the same deliveries, as signed requests to the app's request URL."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.local_slack.clock import Clock
from bot.sandbox.local_slack.errors import NotDelivered
from bot.sandbox.local_slack.messages import Json


class HttpMode:
    """One request URL. `ack_deadline` is in seconds."""

    def __init__(self, url: str, signing_secret: str, clock: Clock, ack_deadline: float) -> None:
        self._url = url
        self._secret = signing_secret.encode()
        self._clock = clock
        self.ack_deadline = ack_deadline
        self._duplicates = 0

    def duplicate_next(self, count: int) -> None:
        """Deliver each of the next `count` payloads twice."""
        self._duplicates += count

    async def deliver(self, kind: str, payload: Json, attempt: int = 0, reason: str = "") -> Json:
        """Send one payload and return what the answer's body says.

        Raises NotDelivered: dispatch_failed for no or a bad answer, operation_timeout for a late one.
        """
        body, headers = _encoded(kind, payload)
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        headers |= self._signature(body)
        try:
            async with asyncio.timeout(self.ack_deadline), aiohttp.ClientSession() as session:
                if self._duplicates:
                    self._duplicates -= 1
                    await self._post(session, body, headers)
                return await self._post(session, body, headers)
        except TimeoutError:
            raise NotDelivered("operation_timeout", "http_timeout") from None
        except aiohttp.ClientError:
            raise NotDelivered("dispatch_failed", "connection_failed") from None

    async def _post(self, session: aiohttp.ClientSession, body: str, headers: dict[str, str]) -> Json:
        async with session.post(self._url, data=body, headers=headers) as response:
            text = await response.text()
            if response.status != 200:
                raise NotDelivered("dispatch_failed", "http_error")
            if not text:
                return {}
            if response.content_type == "application/json":
                answer: Json = json.loads(text)
                return answer
            return {"text": text}

    def _signature(self, body: str) -> dict[str, str]:
        timestamp = str(int(self._clock.now()))
        signed = hmac.new(self._secret, f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
        return {
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={signed.hexdigest()}",
        }


def _encoded(kind: str, payload: Json) -> tuple[str, dict[str, str]]:
    if kind == "events_api":
        return json.dumps(payload), {"Content-Type": "application/json"}
    fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}
