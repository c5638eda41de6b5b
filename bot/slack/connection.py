"""How Slack reaches the bot: Socket Mode, or HTTP for those who want it. The same Bolt app either way."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import ConfigError
from bot.serving import serving
from bot.slack import forms, replies
from bot.slack.answers import say
from bot.slack.socket_mode import WRONG_TOKEN, Receiver
from bot.slack.wire import Later, Rejected, Workspace, read
from bot.slack.workflows import fail_step

log = structlog.get_logger()

PATIENCE = 2.0
"""Seconds between tries to reach a Slack that is away."""


async def workspace_of(client: AsyncWebClient) -> Workspace:
    """Ask Slack once, at start, whose token this is; waits for as long as Slack is away.

    Raises ConfigError where Slack refuses the token.
    """
    while isinstance(answer := await read(client, "auth.test"), Later):
        if answer.error in WRONG_TOKEN:
            problem = f"Slack refuses it ({answer.error}); copy it anew from OAuth & Permissions"
            raise ConfigError([("SLACK_BOT_TOKEN", problem)])
        log.warning("Slack does not answer yet; trying again", error=answer.error)
        await asyncio.sleep(answer.after or PATIENCE)
    if isinstance(answer, Rejected) or not answer.get("bot_id"):
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
        name=workspace.bot_name,  # left to Bolt, it reads the source of every caller to find one
        client=client,
        authorize=authorize,
        # Left alone, each of Bolt's loggers takes the root's level, and tells bodies at INFO.
        logger=logging.getLogger("slack_bolt.AsyncApp"),
        # Socket Mode has no signatures; Bolt wants some value all the same.
        signing_secret=signing_secret or secrets.token_hex(16),
    )

    async def unexpected(
        error: Exception, body: dict[str, Any], response: BoltResponse | None
    ) -> BoltResponse | None:
        """A bug: the person gets a reference that stands in the log as well."""
        reference = secrets.token_hex(4)
        log.error("unexpected", reference=reference, exc_info=error)
        said = replies.unexpected(reference)
        answer: dict[str, Any] | str = ""
        if "command" in body:
            answer = {"response_type": "ephemeral", "text": said}
        elif body.get("type") == "view_submission":
            answer = {"response_action": "update", "view": forms.notice(said)}
        elif body.get("type") in ("block_actions", "shortcut"):
            await say(client, body, said)
        elif body.get("event", {}).get("type") == "function_executed":
            await fail_step(client, body["event"]["function_execution_id"], said)
        # None: it was acknowledged before it broke.
        return None if response is None else BoltResponse(status=200, body=answer)

    app.error(unexpected)
    return app


@asynccontextmanager
async def socket_mode(
    app: AsyncApp, client: AsyncWebClient, app_token: str, explained: Callable[[], Awaitable[int]]
) -> AsyncIterator[None]:
    """Listen over Socket Mode. Raises ConfigError where Slack refuses the app token.

    explained: how many connections there should be; see `Receiver`.
    """
    receiver = Receiver(partial(run_async_bolt_app, app), client, app_token, explained)
    try:
        await receiver.start()
        yield
    finally:
        await receiver.stop()


@asynccontextmanager
async def http_mode(app: AsyncApp, host: str, port: int) -> AsyncIterator[None]:
    """Listen for Slack's signed requests at /slack/events. Raises ConfigError for a taken port."""

    async def receive(request: web.Request) -> web.Response:
        answer = await app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(answer)

    server = web.Application(client_max_size=1024 * 1024)
    server.router.add_post("/slack/events", receive)
    async with serving(server, host, port, "HTTP_PORT"):
        yield
