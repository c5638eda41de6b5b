"""What a Web API method is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bot.sandbox.local_slack.arguments import Arguments
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.identifiers import APP_ID
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.workspace import Workspace
from bot.sandbox.local_slack.world import Channel, ChannelKind

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Context:
    """One call of one method. app: the id of the app whose token it came with."""

    workspace: Workspace
    arguments: Arguments
    app: str = APP_ID

    def require_scope(self, scope: str) -> None:
        """Raise missing_scope unless the bot token was granted it."""
        if scope not in self.workspace.scopes:
            provided = ",".join(sorted(self.workspace.scopes))
            raise ApiError("missing_scope", needed=scope, provided=provided)

    def require_channel_scope(self, channel: Channel, access: str) -> None:
        """`access` is read or history; the scope depends on the kind of channel."""
        self.require_scope(f"{SCOPE_OF_KIND[channel.kind]}:{access}")

    def visible_channel(self, identifier: str) -> Channel:
        """A channel that the bot can know of; raises channel_not_found for any other."""
        channel = self.workspace.world.channels.get(identifier)
        if channel is None or (channel.kind is not ChannelKind.PUBLIC and not channel.bot_is_member):
            raise ApiError("channel_not_found")
        return channel

    def page(self, items: list[Item], default: int, most: int) -> tuple[list[Item], Json]:
        """The slice that `cursor` and `limit` ask for, and the fields that lead to the next one."""
        limit = self.arguments.number("limit", default, most)
        cursor = self.arguments.text("cursor")
        start = 0
        if cursor:
            word, _, position = cursor.partition(":")
            if word != "next" or not position.isdecimal():
                raise ApiError("invalid_cursor")
            start = int(position)
        end = start + limit
        following = f"next:{end}" if end < len(items) else ""
        return items[start:end], {"response_metadata": {"next_cursor": following}}


SCOPE_OF_KIND = {
    ChannelKind.PUBLIC: "channels",
    ChannelKind.PRIVATE: "groups",
    ChannelKind.DIRECT: "im",
}


@dataclass(frozen=True, slots=True)
class Method:
    """`run` answers a call with the fields beside ok=true, or raises ApiError.

    arguments: the names it takes, beside token. Slack ignores others; here they are refused, so
    that nothing is believed to work that this local Slack does not do.
    scope: what the bot token needs in any case; None if nothing, or if it depends on the channel.
    token: bot, app or none. tier: calls per minute.
    """

    run: Callable[[Context], Json]
    arguments: frozenset[str]
    scope: str | None = None
    token: str = "bot"  # noqa: S105 - a kind of token, not a token
    tier: int = 50


def takes(names: str) -> frozenset[str]:
    """Argument names from one string."""
    return frozenset(names.split())
