"""A receiver of Socket Mode without a bot behind it, and a proxy before Slack that can be cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.sandbox.local_slack import LocalSlack
from bot.slack.socket_mode import Receiver
from bot.slack.web_api import web_client
from tests.faults.proxy import Proxy, open_proxy

Handle = Callable[[SocketModeRequest], Awaitable[BoltResponse]]


MORE = "Slack counts more connections"


NO_CONNECTION = "Slack takes no connection"


def logged(logs: list[Any], text: str) -> list[Any]:
    return [each for each in logs if text in each["event"]]


async def until(condition: Callable[[], object], timeout: float = 10) -> float:
    """Wait for it. Returns the seconds that it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + timeout, f"not within {timeout} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def one() -> int:
    return 1


async def acknowledge(_: SocketModeRequest) -> BoltResponse:
    return BoltResponse(status=200)


@asynccontextmanager
async def receiving(
    slack: LocalSlack,
    handle: Handle = acknowledge,
    explained: Callable[[], Awaitable[int]] = one,
    token: str = "",
) -> AsyncIterator[Receiver]:
    """A receiver without a bot behind it."""
    client = web_client(slack.bot_token, slack.api_url)
    receiver = Receiver(handle, client, token or slack.app_token, explained)
    try:
        await receiver.start()
        yield receiver
    finally:
        await receiver.stop()


@asynccontextmanager
async def wired(slack: LocalSlack) -> AsyncIterator[Proxy]:
    """Put a proxy before Slack: all addresses that it gives lead through it."""
    port = int(slack.address.rpartition(":")[2])
    async with open_proxy(lambda: asyncio.open_connection("127.0.0.1", port)) as wire:
        slack._workspace.address = f"http://127.0.0.1:{wire.port}"
        yield wire
