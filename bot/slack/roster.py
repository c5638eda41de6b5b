"""Who and what there is in a workspace: people, user groups, channels.

For whoever sets the bot up or checks it, who can wait for Slack. The running bot asks `directory`, which must
answer in a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from bot.domain.problem import Problem
from bot.errors import ConfigError
from bot.slack.installation import no_answer
from bot.slack.web_api import Client, query

PEOPLE_A_PAGE = 500
PAGES = 200
"""More than any team has; a cursor that leads in a circle ends here."""

TRIES = 6
"""For one page, where Slack wants to be left alone in between."""

LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Member:
    """A person or a bot, as Slack knows them. handle: what stands after the @.

    names: all by which people may call them. foreign: of another organization.
    """

    id: str
    handle: str
    name: str
    names: frozenset[str]
    active: bool
    guest: bool
    bot: bool
    foreign: bool

    def __str__(self) -> str:
        marks = [word for word, is_so in (("guest", self.guest), ("deactivated", not self.active)) if is_so]
        return f"{self.name} ({', '.join([f'@{self.handle}', *marks, self.id])})"


@dataclass(frozen=True, slots=True)
class Group:
    """A user group. handle: what stands after the @."""

    id: str
    handle: str
    name: str
    active: bool
    members: tuple[str, ...]

    def __str__(self) -> str:
        return f"the group {self.name} (@{self.handle}, {len(self.members)} people, {self.id})"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel. bot_is_in: whether the bot may post there."""

    id: str
    name: str
    bot_is_in: bool
    archived: bool

    def __str__(self) -> str:
        return f"#{self.name} ({self.id})"


async def members(client: Client, team: str) -> list[Member]:
    """Everybody in the team, deactivated people and bots as well. Raises ConfigError."""
    return [
        _member(one, team)
        async for page in _pages(client, "users.list", limit=PEOPLE_A_PAGE)
        for one in _objects(page.get("members"))
    ]


async def member(client: Client, team: str, identifier: str) -> Member | None:
    """One of them; None where there is no such. Raises ConfigError."""
    answer = await _asked(client, "users.info", absent="user_not_found", user=identifier)
    return None if answer is None else _member(_object(answer.get("user")), team)


async def groups(client: Client) -> list[Group]:
    """Every user group, also those that are turned off; none where the plan has none. Raises ConfigError."""
    everything = {"include_users": True, "include_disabled": True}
    answer = await _asked(client, "usergroups.list", absent="plan_upgrade_required", **everything)
    return [
        Group(
            str(one.get("id")),
            str(one.get("handle") or ""),
            str(one.get("name") or ""),
            not one.get("date_delete"),
            tuple(map(str, _list(one.get("users")))),
        )
        for one in _objects((answer or {}).get("usergroups"))
    ]


async def channel(client: Client, identifier: str) -> Channel | None:
    """One channel; None for none, or a private one that the bot is not in. Raises ConfigError."""
    answer = await _asked(client, "conversations.info", absent="channel_not_found", channel=identifier)
    return None if answer is None else _channel(_object(answer.get("channel")))


async def channels_of_bot(client: Client) -> list[Channel]:
    """The channels that the bot is in. Raises ConfigError."""
    kinds = {"types": "public_channel,private_channel", "exclude_archived": True, "limit": 999}
    return [
        _channel(one | {"is_member": True})
        async for page in _pages(client, "users.conversations", **kinds)
        for one in _objects(page.get("channels"))
    ]


def _member(told: dict[str, Any], team: str) -> Member:
    profile = _object(told.get("profile"))
    handle = str(told.get("name") or told.get("id"))
    real = str(profile.get("real_name") or told.get("real_name") or handle)
    shown = str(profile.get("display_name") or "")
    teams = [told.get("team_id"), *_list(_object(told.get("enterprise_user")).get("teams"))]
    return Member(
        str(told.get("id")),
        handle,
        real,
        frozenset(name.casefold() for name in (handle, real, shown) if name),
        active=not told.get("deleted"),
        guest=bool(told.get("is_restricted") or told.get("is_ultra_restricted")),
        bot=bool(told.get("is_bot") or told.get("is_app_user") or told.get("id") == "USLACKBOT"),
        foreign=bool(told.get("is_stranger")) or team not in teams,
    )


def _channel(told: dict[str, Any]) -> Channel:
    return Channel(
        str(told.get("id")),
        str(told.get("name") or told.get("id")),
        bool(told.get("is_member")),
        bool(told.get("is_archived")),
    )


def _object(told: Any) -> dict[str, Any]:
    """What should be an object; an empty one for whatever else a gateway may answer."""
    return told if isinstance(told, dict) else {}


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


def _objects(told: Any) -> list[dict[str, Any]]:
    return [one for one in _list(told) if isinstance(one, dict)]


async def _pages(client: Client, method: str, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    for _ in range(PAGES):
        page = await _asked(client, method, **arguments, **cursor) or {}
        yield page
        following = _object(page.get("response_metadata")).get("next_cursor")
        if not isinstance(following, str) or not following:
            return
        cursor = {"cursor": following}
    raise ConfigError(Problem("Slack", f"{method} never ends", "Try again later."))


async def _asked(
    client: Client, method: str, *, absent: str | None = None, **arguments: Any
) -> dict[str, Any] | None:
    """Slack's answer, waited for; None for the word `absent`. Raises ConfigError."""
    answer = await query(client, method, **arguments)
    for _ in range(TRIES):
        if isinstance(answer, dict) or answer.error != "ratelimited":
            break
        await asyncio.sleep(min(answer.after or 1.0, LONGEST_WAIT_S))
        answer = await query(client, method, **arguments)
    if isinstance(answer, dict):
        return answer
    if answer.error == absent:
        return None
    if answer.error == "missing_scope":
        remedy = "Install the app again with the scopes of manifest.yml."
        raise ConfigError(Problem("SLACK_BOT_TOKEN", f"may not call {method}", remedy))
    raise ConfigError(no_answer(f"{method}: {answer.error}"))
