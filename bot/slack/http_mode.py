"""Receives from Slack over HTTP: what Slack did not sign is refused before anything reads it.

Whoever reaches the port can send what they like. So the signature is checked on the raw bytes, and the
headers that carry it must look as Slack writes them: a check that trips over them is no check. Whatever is
wrong is answered with 401 and nothing else, and told in one line of the log.
https://docs.slack.dev/authentication/verifying-requests-from-slack/
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from pydantic import SecretStr
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.response import BoltResponse

from bot.slack.stillness import Stillness

log = structlog.get_logger()

LARGEST = 1024 * 1024
"""Bytes of a body. Slack's largest, a form or a card with all that it may hold, has some 300,000."""

WINDOW = 300
"""Seconds that Slack's clock and ours may be apart, and that a request may be on its way."""

BODY_TIMEOUT_S = 3.0
"""For a body to come in: Slack waits no longer for its answer."""

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")

Handle = Callable[[bytes, str], Awaitable[BoltResponse]]
"""Answers a verified body; the second is its content type."""


class NotSlacks(Exception):
    """Slack did not send this. Its text says how that shows, and holds nothing that was sent."""


class RequestUrl:
    """What is served at the app's request URL. handle: is given only what Slack signed and waits for."""

    def __init__(self, secret: SecretStr, handle: Handle, stillness: Stillness) -> None:
        self._secret = secret
        self._handle = handle
        self._stillness = stillness
        self._refused = 0

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one request."""
        try:
            timestamp, signature = _claimed(request)
            body = await _read(request)
            self._verify(timestamp, signature, body)
        except NotSlacks as flaw:
            self._refused += 1
            log.warning("a request was refused: Slack did not sign it", why=str(flaw), refused=self._refused)
            return web.Response(status=401)
        if self._stillness.look():
            # Slack gave up on it; an event comes again.
            return web.Response(status=503)
        return await to_aiohttp_response(await self._handle(body, request.content_type))

    def _verify(self, timestamp: str, signature: str, body: bytes) -> None:
        secret = self._secret.get_secret_value().encode()
        signed = b"v0:" + timestamp.encode() + b":" + body
        expected = f"v0={hmac.new(secret, signed, hashlib.sha256).hexdigest()}"
        if not hmac.compare_digest(expected, signature):
            raise NotSlacks("the signature is another")


def _claimed(request: web.Request) -> tuple[str, str]:
    """The time and the signature, each given once and as Slack writes it."""
    timestamp = _only(request, "X-Slack-Request-Timestamp", _TIMESTAMP)
    signature = _only(request, "X-Slack-Signature", _SIGNATURE)
    if abs(time.time() - int(timestamp)) > WINDOW:
        raise NotSlacks("its time is not now")
    return timestamp, signature


def _only(request: web.Request, name: str, form: re.Pattern[str]) -> str:
    given = request.headers.getall(name, [])
    # Of two, a proxy before us may have looked at the other one.
    if len(given) != 1 or not form.fullmatch(given[0]):
        raise NotSlacks(f"{name} is missing, or is not as Slack writes it")
    return given[0]


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise NotSlacks("the body is too large") from None
    except TimeoutError:
        raise NotSlacks("the body did not come in time") from None
    except web.RequestPayloadError:
        raise NotSlacks("the body is broken") from None
    except ConnectionError:
        raise NotSlacks("the body broke off") from None
