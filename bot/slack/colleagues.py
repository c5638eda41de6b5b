"""People of one organization with several workspaces, who are members of this one and at home in another.

With a command Slack names the workspace where it was typed; with a click or a form the person's home,
wherever they act (slackapi/bolt-js#1875). So whoever is at home elsewhere could ask, and neither approve nor
withdraw. Slack itself must say that they are of this workspace too; where it does not, or not at once, they
are not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from slack_bolt.async_app import AsyncApp

from bot.errors import DirectoryError
from bot.slack.delivered import is_identifier
from bot.slack.directory import SlackDirectory, within
from bot.slack.inbound import Body
from bot.slack.web_api import Workspace

log = structlog.get_logger()

PATIENCE_S = 0.5
"""Seconds of the three in which a click must be acknowledged."""


@dataclass(frozen=True, slots=True)
class Colleagues:
    """Tells every listener that who acts is of this workspace, where they are."""

    directory: SlackDirectory
    workspace: Workspace

    def register(self, app: AsyncApp) -> None:
        """Look at all that is done, before any listener does."""
        app.use(self._recognized)

    async def _recognized(self, body: Body, next_: Callable[[], Awaitable[object]]) -> None:
        user = body.get("user") or {}
        who, home = user.get("id"), user.get("team_id")
        if home != self.workspace.team and is_identifier(who) and is_identifier(home):
            try:
                with within(PATIENCE_S):
                    is_ours = await self.directory.is_colleague(who, home)
            except DirectoryError as error:
                log.info("taken for somebody of another workspace", error=str(error))
                is_ours = False
            if is_ours:
                user["team_id"] = self.workspace.team
        await next_()
