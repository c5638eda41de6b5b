"""What Slack says of this installation: whose tokens these are, what they may do, and what time it is.

For whoever sets the bot up or checks it. Slack is only read; the one connection that is opened takes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from bot.domain.problem import Problem
from bot.errors import ConfigError
from bot.slack.connection import workspace_in
from bot.slack.socket_mode import NoConnection, connect
from bot.slack.web_api import NOT_SLACKS, WRONG_TOKEN, Client, Workspace, query, query_with_headers

NEEDED: Mapping[str, str] = {
    "commands": "to hear /pay",
    "chat:write": "to post",
    "users:read": "to know who is a guest, and who was deactivated",
    "usergroups:read": "to know who is in a group",
    "channels:read": "to know who is in a channel",
    "groups:read": "to know who is in a private channel",
}
"""Scopes of the bot's token, and what for. A test holds them to manifest.yml."""

OPTIONAL: Mapping[str, str] = {
    "channels:history": "to find a message whose delivery was in doubt",
    "groups:history": "to find one in a private channel",
}
"""Without these it may in rare cases say a thing twice."""

CONNECT_S = 10.0
"""Seconds to Slack's hello over Socket Mode."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Who the bot's token stands for.

    team: the team's name. app, app_name: None where the token may not read them (users:read).
    scopes: what the token may do; None where Slack did not say. ahead: seconds by which this machine's clock
    is ahead of Slack's; None where Slack's was not told.
    """

    workspace: Workspace
    team: str
    app: str | None
    app_name: str | None
    scopes: frozenset[str] | None
    ahead: float | None

    @property
    def missing(self) -> list[str]:
        """The scopes that the bot needs and does not have."""
        return [] if self.scopes is None else [scope for scope in NEEDED if scope not in self.scopes]

    @property
    def superfluous(self) -> list[str]:
        """The scopes that it has and never uses."""
        return sorted((self.scopes or frozenset()) - NEEDED.keys() - OPTIONAL.keys())


def no_answer(error: str) -> Problem:
    """Slack said nothing, or nothing that counts. error: the word for it."""
    remedy = "Check this machine's network and proxy, and SLACK_API_URL if it is set; then try again."
    return Problem("Slack", f"does not answer ({error})", remedy)


async def installation_of(client: Client) -> Installation:
    """Ask once whose token this is. Raises ConfigError where it is refused, or Slack does not answer."""
    asked = time.time()
    answer, headers = await query_with_headers(client, "auth.test")
    ahead = _ahead(headers, (asked + time.time()) / 2)
    workspace = workspace_in(answer) if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or workspace is None:
        word = NOT_SLACKS.error if isinstance(answer, dict) else answer.error
        if word in WRONG_TOKEN:
            remedy = "Copy it anew from OAuth & Permissions."
            raise ConfigError(Problem("SLACK_BOT_TOKEN", f"Slack refuses it ({word})", remedy))
        raise ConfigError(no_answer(word))
    app, app_name = await _app_of(client, workspace.bot_id)
    granted = headers.get("X-OAuth-Scopes")
    scopes = None if granted is None else frozenset(filter(None, map(str.strip, granted.split(","))))
    return Installation(workspace, str(answer.get("team") or workspace.team), app, app_name, scopes, ahead)


async def _app_of(client: Client, bot_id: str) -> tuple[str | None, str | None]:
    answer = await query(client, "bots.info", bot=bot_id)
    bot: Any = answer.get("bot") if isinstance(answer, dict) else None
    if not isinstance(bot, dict):
        return None, None
    app, name = bot.get("app_id"), bot.get("name")
    return (app if isinstance(app, str) else None), (name if isinstance(name, str) else None)


def _ahead(headers: Mapping[str, str], ours: float) -> float | None:
    try:
        return ours - parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


async def app_connected(client: Client, app_token: str) -> str | None:
    """Connect over Socket Mode and hang up after Slack's hello; the app's id, None where it is not told.

    Slack may hand a command to this connection, which is lost then: it is open for a moment only.
    Raises ConfigError.
    """
    try:
        async with asyncio.timeout(CONNECT_S), aiohttp.ClientSession() as session:
            socket, hello = await connect(session, client, app_token)
            await socket.close()
    except NoConnection as failure:
        raise ConfigError(_refused(failure.word)) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        # Its text may hold the address, which lets anybody in.
        what = f"no connection over Socket Mode ({type(error).__name__})"
        remedy = "Let this machine reach wss://*.slack.com, or use HTTP with SLACK_SIGNING_SECRET."
        raise ConfigError(Problem("SLACK_APP_TOKEN", what, remedy)) from None
    told = hello.get("connection_info")
    app = told.get("app_id") if isinstance(told, dict) else None
    return app if isinstance(app, str) else None


def _refused(word: str) -> Problem:
    if word in WRONG_TOKEN:
        remedy = "Make one with the scope connections:write, under Basic Information, App-Level Tokens."
        return Problem("SLACK_APP_TOKEN", f"Slack refuses it ({word})", remedy)
    if word in ("link_disabled", "socket_mode_not_enabled"):
        remedy = "Turn it on at https://api.slack.com/apps, under Socket Mode."
        return Problem("SLACK_APP_TOKEN", "Socket Mode is turned off for the app", remedy)
    if word == "too_many_websockets":
        remedy = "Stop other programs that use this token, or wait until Slack has forgotten them."
        return Problem("SLACK_APP_TOKEN", "the app has all the connections that Slack allows", remedy)
    return no_answer(word)


def of_one_app(installation: Installation, app: str | None) -> Problem | None:
    """What is wrong where the two tokens are not of one app. app: that of the app's token."""
    if None in (app, installation.app) or app == installation.app:
        return None
    what = f"is of the app {app}, and SLACK_BOT_TOKEN of {installation.app} ({installation.app_name})"
    return Problem("SLACK_APP_TOKEN", what, "Copy both from one app at https://api.slack.com/apps.")
