"""What Slack says of people and groups: cached for a minute, waited for a second, failing closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import DirectoryError

PATIENCE = 1.0
"""Seconds: a command must be acknowledged within three."""

KEEP = 60.0
"""Seconds that an answer is good for."""

_MOST = 10_000


class SlackDirectory:
    """The `Directory` of payments/authority.py, from Slack's Web API."""

    def __init__(
        self,
        client: AsyncWebClient,
        team: str,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._team = team
        self._patience = patience
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Any]] = {}

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str]:
        """Those of the groups that the person is in. A group that is gone has nobody in it."""
        members = await asyncio.gather(*(self._members(group) for group in sorted(groups)))
        return frozenset(
            group for group, people in zip(sorted(groups), members, strict=True) if user_id in people
        )

    async def full_member(self, user_id: str) -> bool:
        """An active person of this team: no guest, stranger, bot or deactivated one."""
        user = await self._cached("user", user_id, lambda: self._client.users_info(user=user_id))
        if user is None:
            return False
        profile: dict[str, Any] = user.get("user") or {}
        barred = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
        if any(profile.get(flag) for flag in barred) or profile.get("is_app_user"):
            return False
        teams = {profile.get("team_id"), *((profile.get("enterprise_user") or {}).get("teams") or ())}
        return self._team in teams

    async def _members(self, group: str) -> frozenset[str]:
        answer = await self._cached(
            "group", group, lambda: self._client.usergroups_users_list(usergroup=group)
        )
        return frozenset() if answer is None else frozenset(answer.get("users") or ())

    async def _cached(self, kind: str, key: str, ask: Callable[[], Awaitable[Any]]) -> dict[str, Any] | None:
        """Slack's answer, or None where there is no such person or group. Raises DirectoryError."""
        now = self._clock()
        if (kept := self._known.get((kind, key))) is not None and kept[0] > now:
            answer: dict[str, Any] | None = kept[1]
            return answer
        try:
            async with asyncio.timeout(self._patience):
                answer = dict((await ask()).data)
        except SlackApiError as error:
            if error.response.get("error") not in ("user_not_found", "no_such_subteam"):
                raise DirectoryError(f"Slack refused: {error.response.get('error')}") from None
            answer = None
        except (TimeoutError, aiohttp.ClientError, OSError, SlackClientError) as error:
            raise DirectoryError(f"Slack did not answer: {type(error).__name__}") from None
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[kind, key] = (now + KEEP, answer)
        return answer
