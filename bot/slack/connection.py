"""How Slack reaches the bot: Socket Mode, or HTTP for those who want it. The same Bolt app either way."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.slack import replies
from bot.slack.wire import Workspace

log = structlog.get_logger()


async def workspace_of(client: AsyncWebClient) -> Workspace:
    """Ask Slack once, at start, whose token this is.

    Raises ConfigError where Slack refuses the token or cannot be reached.
    """
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        word = error.response.get("error", "no reason given")
        raise ConfigError(
            [("SLACK_BOT_TOKEN", f"Slack refuses it ({word}); copy it anew from OAuth & Permissions")]
        ) from None
    except (aiohttp.ClientError, TimeoutError, OSError, SlackClientError) as error:
        raise ConfigError(
            [("SLACK_API_URL", f"Slack cannot be reached ({type(error).__name__}); check the network")]
        ) from None
    if not answer.get("bot_id"):
        raise ConfigError([("SLACK_BOT_TOKEN", "is not a bot's token; use the one that begins with xoxb-")])
    return Workspace(
        team=answer["team_id"],
        url=answer["url"],
        bot_user=answer["user_id"],
        bot_id=answer["bot_id"],
        bot_name=answer["user"],
    )


def bolt_app(client: AsyncWebClient, workspace: Workspace, signing_secret: str | None) -> AsyncApp:
    """The Bolt app, without listeners yet. It asks Slack nothing while it handles a command."""

    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=workspace.team,
            bot_token=client.token,
            bot_id=workspace.bot_id,
            bot_user_id=workspace.bot_user,
        )

    app = AsyncApp(
        client=client,
        authorize=authorize,
        # Socket Mode has no signatures; Bolt wants some value all the same.
        signing_secret=signing_secret or secrets.token_hex(16),
    )
    app.error(_unexpected)
    return app


async def _unexpected(error: Exception) -> BoltResponse:
    """A bug: the person gets a reference that stands in the log as well."""
    reference = secrets.token_hex(4)
    log.error("unexpected", reference=reference, exc_info=error)
    return BoltResponse(
        status=200, body={"response_type": "ephemeral", "text": replies.unexpected(reference)}
    )


@asynccontextmanager
async def socket_mode(app: AsyncApp, client: AsyncWebClient, app_token: str) -> AsyncIterator[None]:
    """Listen over Socket Mode. Raises ConfigError where Slack refuses the app token."""
    handler = AsyncSocketModeHandler(app, app_token, web_client=client, ping_interval=5)
    try:
        await handler.connect_async()
    except SlackApiError as error:
        await handler.close_async()
        word = error.response.get("error", "no reason given")
        raise ConfigError(
            [("SLACK_APP_TOKEN", f"Slack refuses it ({word}); make one with connections:write")]
        ) from None
    try:
        yield
    finally:
        await handler.close_async()


@asynccontextmanager
async def http_mode(app: AsyncApp, host: str, port: int) -> AsyncIterator[None]:
    """Listen for Slack's signed requests at /slack/events. Raises ConfigError for a taken port."""

    async def receive(request: web.Request) -> web.Response:
        answer = await app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(answer)

    server = web.Application(client_max_size=1024 * 1024)
    server.router.add_post("/slack/events", receive)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError([("HTTP_PORT", f"{host}:{port} cannot be used: {error.strerror}")]) from None
    try:
        yield
    finally:
        await runner.cleanup()
