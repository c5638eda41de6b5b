"""How Slack reaches the bot: Socket Mode, or HTTP for those who want it. The same Bolt app either way."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web
from pydantic import SecretStr
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.about import done_by
from bot.domain.problem import Problem
from bot.errors import ConfigError
from bot.metrics import ACKNOWLEDGED, KINDS, timed
from bot.repeated import Repeated
from bot.serving import serving
from bot.slack import replies
from bot.slack.acknowledging import run_listeners
from bot.slack.blocks import notice
from bot.slack.delivered import OBJECTS, NotUnderstood, odd_in
from bot.slack.http_mode import LARGEST, RequestUrl
from bot.slack.respond import respond_to
from bot.slack.socket_mode import Receiver
from bot.slack.stillness import Stillness
from bot.slack.web_api import NOT_SLACKS, WRONG_TOKEN, Client, Workspace, query
from bot.slack.workflow_step import fail

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0
"""Between tries to reach a Slack that is away: doubled from the one to the other."""


async def workspace_of(client: Client) -> Workspace:
    """Ask Slack once, at start, whose token this is; waits for as long as Slack is away.

    Raises ConfigError where Slack itself refuses the token; what a gateway says is no refusal.
    """
    pause, silence = FIRST_PAUSE_S, Repeated()
    while True:
        answer = await query(client, "auth.test")
        if isinstance(answer, dict):
            workspace = workspace_in(answer)
            if workspace is not None:
                return workspace
            answer = NOT_SLACKS
        if answer.error in WRONG_TOKEN:
            remedy = "Copy it anew from OAuth & Permissions."
            raise ConfigError(Problem("SLACK_BOT_TOKEN", f"Slack refuses it ({answer.error})", remedy))
        if (lasting := silence.seen()) is not None:
            log.warning(f"Slack does not answer{lasting or ' yet'}; trying again", error=answer.error)
        await asyncio.sleep(max(answer.after or 0.0, pause))
        pause = min(2 * pause, LONGEST_PAUSE_S)


def workspace_in(answer: dict[str, Any]) -> Workspace | None:
    """What auth.test says; None where it does not.

    Raises ConfigError for the token of a person, or of a whole organization: with that, Slack has to be told
    with each question which workspace is meant, and people of all of them act.
    """
    if answer.get("is_enterprise_install") is True:
        what = "is of an app that is installed for a whole organization"
        remedy = "Install it into the one workspace where payments are made, and copy that token."
        raise ConfigError(Problem("SLACK_BOT_TOKEN", what, remedy))
    told = {name: answer.get(name) for name in ("team_id", "url", "user_id", "user", "bot_id")}
    if told["user_id"] and not told["bot_id"]:
        remedy = "Use the one that begins with xoxb-."
        raise ConfigError(Problem("SLACK_BOT_TOKEN", "is not a bot's token", remedy))
    if not all(isinstance(one, str) and one for one in told.values()):
        return None
    return Workspace(
        team=str(told["team_id"]),
        url=str(told["url"]),
        bot_user=str(told["user_id"]),
        bot_id=str(told["bot_id"]),
        bot_name=str(told["user"]),
    )


def bolt_app(client: Client, workspace: Workspace) -> AsyncApp:
    """The Bolt app, without listeners yet. It asks Slack nothing while it handles a command.

    It believes what it is given: over HTTP that is only what `RequestUrl` has verified.
    """

    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=workspace.team,
            bot_token=client.token,
            bot_id=workspace.bot_id,
            bot_user_id=workspace.bot_user,
        )

    app = AsyncApp(
        # Loggers are called by it. Left to Bolt, it reads the source of every caller to find one.
        name="slack_bolt",
        client=client,
        authorize=authorize,
        # Left alone, each of Bolt's loggers takes the root's level, and tells bodies at INFO.
        logger=logging.getLogger("slack_bolt.AsyncApp"),
        # Bolt's own check trips over headers of another form, and calls the error handler with the body.
        request_verification_enabled=False,
    )
    run_listeners(app)

    async def unexpected(error: Exception, body: dict[str, Any]) -> BoltResponse:
        """What is not ours is told as such; a bug has a reference that stands in the log as well.

        What is returned counts for nothing where it was acknowledged before it broke.
        """
        if isinstance(error, NotUnderstood):
            log.warning("a button or form carries what this bot does not write", odd=str(error))
            said = replies.NOT_UNDERSTOOD
        else:
            reference = secrets.token_hex(4)
            log.error("unexpected", reference=reference, exc_info=error)
            said = replies.unexpected(reference)
        answer: dict[str, Any] | str = ""
        if "command" in body:
            answer = {"response_type": "ephemeral", "text": said}
        elif body.get("type") == "view_submission":
            answer = {"response_action": "update", "view": notice(said)}
        elif body.get("type") in ("block_actions", "shortcut"):
            await respond_to(client, body, said)
        elif (run := _step_of(body)) is not None:
            await fail(client, run, said)
        return BoltResponse(status=200, body=answer)

    app.error(unexpected)
    return app


def _step_of(body: dict[str, Any]) -> str | None:
    """The run of a workflow's step that this event began."""
    event = body.get("event")
    if not isinstance(event, dict) or event.get("type") != "function_executed":
        return None
    run = event.get("function_execution_id")
    return run if isinstance(run, str) else None


async def _dispatched(
    app: AsyncApp, body: str | dict[str, Any], mode: str, content_type: str = ""
) -> BoltResponse:
    """Hand on what Slack sent. What makes no sense is nothing to act on, and no error of ours."""
    try:
        request = AsyncBoltRequest(body=body, mode=mode, headers={"content-type": content_type})
        odd = odd_in(request.body)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        odd = [type(error).__name__]
    if odd:
        log.warning("Slack sent what nobody understands", mode=mode, odd=odd)
        return BoltResponse(status=400)
    for name in [one for one in OBJECTS if request.body.get(one) is None]:
        request.body.pop(name, None)  # Bolt asks whether it is there, and then looks into it
    with done_by(_person(request.body)), timed(ACKNOWLEDGED, _kind(request.body)):
        return await app.async_dispatch(request)


def _person(body: dict[str, Any]) -> str | None:
    """Who did it, by what Slack says; None where nobody did."""
    event, user = body.get("event") or {}, body.get("user") or {}
    told = body.get("user_id") or user.get("id") or event.get("user")
    return told if isinstance(told, str) else None


def _kind(body: dict[str, Any]) -> str:
    if "command" in body:
        return "command"
    kind = body.get("type")
    return kind if isinstance(kind, str) and kind in KINDS else "other"


@asynccontextmanager
async def socket_mode(
    app: AsyncApp, client: Client, app_token: str, explained: Callable[[], Awaitable[int]]
) -> AsyncIterator[None]:
    """Listen over Socket Mode. Raises ConfigError where Slack refuses the app token.

    explained: how many connections there should be; see `Receiver`.
    """

    async def handle(envelope: SocketModeRequest) -> BoltResponse:
        return await _dispatched(app, envelope.payload, "socket_mode")

    receiver = Receiver(handle, client, app_token, explained)
    try:
        await receiver.start()
        yield
    finally:
        await receiver.stop()


@asynccontextmanager
async def http_mode(app: AsyncApp, secret: SecretStr, host: str, port: int) -> AsyncIterator[None]:
    """Listen for Slack's signed requests at /slack/events. Raises ConfigError for a taken port."""

    async def handle(body: bytes, content_type: str) -> BoltResponse:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return BoltResponse(status=400)
        return await _dispatched(app, text, "http", content_type)

    stillness = Stillness()
    server = web.Application(client_max_size=LARGEST)
    server.router.add_post("/slack/events", RequestUrl(secret, handle, stillness).receive)
    async with serving(server, host, port, "HTTP_PORT"):
        stillness.begin()
        try:
            yield
        finally:
            stillness.stop()
