"""The one way by which anything reaches the app: Socket Mode or HTTP, and neither in an outage."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from typing import Protocol
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.local_slack.changes import ChangeKind, Clock
from bot.sandbox.local_slack.errors import NotDelivered
from bot.sandbox.local_slack.faults import Faults
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.world import World


class Transport(Protocol):
    """How payloads reach the app."""

    async def deliver(self, kind: str, payload: Json, attempt: int = 0, reason: str = "") -> Json:
        """Return what the app acknowledged with, or raise NotDelivered."""

    def duplicate_next(self, count: int) -> None:
        """Deliver each of the next `count` payloads twice."""


class Delivery:
    """Delivers over `transport`, which may be replaced."""

    def __init__(self, world: World, faults: Faults, transport: Transport) -> None:
        self.transport = transport
        self._world = world
        self._faults = faults

    async def deliver(self, kind: str, payload: Json, attempt: int = 0, reason: str = "") -> Json:
        """Return what the app acknowledged with, or raise NotDelivered.

        kind: slash_commands, interactive or events_api. attempt, reason: of a repeated event.
        """
        outcome = "ok"
        try:
            if self._faults.is_out:
                raise NotDelivered("dispatch_failed", "connection_failed")
            return await self.transport.deliver(kind, payload, attempt, reason)
        except NotDelivered as failure:
            outcome = failure.code
            raise
        finally:
            self._world.announce(ChangeKind.DELIVERY_ENDED, subject=kind, text=outcome)


class HttpMode:
    """Signed requests to the app's request URL. `ack_deadline` is in seconds."""

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

    async def challenge(self) -> bool:
        """Whether whoever answers there is the app: it gives the challenge back, in time."""
        challenge = secrets.token_hex(16)
        payload = {"type": "url_verification", "token": "legacy", "challenge": challenge}
        try:
            answer = await self.deliver("events_api", payload)
        except NotDelivered:
            return False
        return challenge in (answer.get("challenge"), answer.get("text"))

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
