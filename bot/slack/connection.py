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
from bot.slack.socket_mode import Receiver
from bot.slack.wire import WRONG_TOKEN, Later, Workspace, read
from bot.slack.workflows import fail_step

log = structlog.get_logger()

PATIENCE, MOST_PATIENCE = 2.0, 60.0
"""Seconds between tries to reach a Slack that is away: doubled from the one to the other."""


async def workspace_of(client: AsyncWebClient) -> Workspace:
    """Ask Slack once, at start, whose token this is; waits for as long as Slack is away.

    Raises ConfigError where Slack itself refuses the token; what a gateway says is no refusal.
    """
    pause = PATIENCE
    while True:
        answer = await read(client, "auth.test")
        error, after = "the answer is not Slack's", 0.0
        if not isinstance(answer, dict):
            error, after = answer.error, (isinstance(answer, Later) and answer.after) or 0.0
        elif (workspace := _workspace(answer)) is not None:
            return workspace
        if error in WRONG_TOKEN:
            problem = f"Slack refuses it ({error}); copy it anew from OAuth & Permissions"
            raise ConfigError([("SLACK_BOT_TOKEN", problem)])
        log.warning("Slack does not answer yet; trying again", error=error)
        await asyncio.sleep(max(after, pause))
        pause = min(2 * pause, MOST_PATIENCE)


def _workspace(answer: dict[str, Any]) -> Workspace | None:
    """None where the answer does not say it. Raises ConfigError for the token of a person."""
    told = {name: answer.get(name) for name in ("team_id", "url", "user_id", "user", "bot_id")}
    if told["user_id"] and not told["bot_id"]:
        raise ConfigError([("SLACK_BOT_TOKEN", "is not a bot's token; use the one that begins with xoxb-")])
    if not all(isinstance(one, str) and one for one in told.values()):
        return None
    return Workspace(
        team=str(told["team_id"]),
        url=str(told["url"]),
        bot_user=str(told["user_id"]),
        bot_id=str(told["bot_id"]),
        bot_name=str(told["user"]),
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
