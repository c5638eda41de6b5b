"""What Slack says of people and groups: cached for a minute, waited for a second, failing closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

from bot.clocks import BootClock, boottime
from bot.errors import DirectoryError
from bot.repeated import Repeated
from bot.singleflight import Singleflight
from bot.slack.web_api import WRONG_TOKEN, Client, query

log = structlog.get_logger()

ANSWER_TIMEOUT_S = 1.0
"""A command must be acknowledged within three."""

KEEP_S = 60.0
"""So long an answer is good for."""

_QUESTION_TIMEOUT_S = 10.0
"""After this a question is given up, although nobody waits for it any more by then."""

_PAGES = 10
"""Pages that are read, of a channel's members or of a person's channels, of some thousand each."""

_NOBODY = frozenset({"no_such_subteam", "subteam_disabled", "user_not_found"})
"""Slack's words for a person or a group that is not there, or not any more."""

_REFUSED = (
    "Slack refuses to say who people are, so nobody is let in through a group, and no channel that somebody"
    " names is believed; install the app again with every scope of the manifest"
)

Ask = Callable[[], Awaitable[dict[str, Any] | None]]

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """All questions asked in this block together may take so long: somebody waits for an answer."""
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


class SlackDirectory:
    """The `Directory` of payments/authority.py, from Slack's Web API."""

    def __init__(
        self,
        client: Client,
        team: str,
        *,
        patience: float = ANSWER_TIMEOUT_S,
        clock: BootClock = boottime,
    ) -> None:
        self._client = client
        self._team = team
        self._patience = patience
        self._answers: Singleflight[tuple[str, str], dict[str, Any] | None] = Singleflight(
            keep_s=KEEP_S, clock=clock
        )
        self._gone: set[str] = set()
        self._silences: dict[str, Repeated] = {}

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str]:
        """Those of the groups that the person is in. A group that is gone has nobody in it."""
        members = await asyncio.gather(*(self._members(group) for group in sorted(groups)))
        return frozenset(
            group for group, people in zip(sorted(groups), members, strict=True) if user_id in people
        )

    async def full_member(self, user_id: str) -> bool:
        """An active person of this team: no guest, stranger, bot or deactivated one."""
        user = await self._cached("user", user_id, lambda: self._read("users.info", user=user_id))
        if user is None:
            return False
        profile: dict[str, Any] = user["user"]
        barred = ("deleted", "is_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
        if any(profile.get(flag) for flag in barred) or profile.get("is_app_user"):
            return False
        return self._team in (profile.get("team_id"), *_organization(profile)[1])

    async def is_colleague(self, user_id: str, home: str) -> bool:
        """Whether somebody who is at home in another workspace is of this one too. Raises DirectoryError.

        home: that workspace, or the organization, as Slack names it with what they do. An id is one person's
        within an organization only: somebody else of that id may be at home outside of it.
        """
        user = await self._cached("user", user_id, lambda: self._read("users.info", user=user_id))
        if user is None:
            return False
        profile: dict[str, Any] = user["user"]
        organization, teams = _organization(profile)
        if profile.get("is_stranger") or home not in (profile.get("team_id"), organization, *teams):
            return False
        return self._team in teams

    async def people_in(self, groups: Iterable[str]) -> frozenset[str]:
        """Everybody in any of the groups. Raises DirectoryError."""
        return frozenset().union(*await asyncio.gather(*map(self._members, groups)))

    async def _members(self, group: str) -> frozenset[str]:
        answer = await self._cached(
            "group", group, lambda: self._read("usergroups.users.list", usergroup=group)
        )
        if answer is None:
            if group not in self._gone:
                self._gone.add(group)
                log.warning(
                    "a user group that a rule names is gone or turned off: nobody is in it", group=group
                )
            return frozenset()
        self._gone.discard(group)
        return frozenset(answer["users"])

    async def members_of(self, channel: str) -> frozenset[str]:
        """Who is in a channel. Raises DirectoryError, also for a channel that is too large to read."""
        answer = await self._cached("channel", channel, lambda: self._read_members(channel))
        return frozenset() if answer is None else frozenset(answer["members"])

    async def is_in(self, user_id: str, channel: str) -> bool:
        """Whether the person is in the channel. Of private ones the bot sees those only that it is in too.

        By the person's channels, which are few, and not by the channel's members, who may be thousands.
        """
        answer = await self._cached("channels", user_id, lambda: self._read_channels(user_id))
        return answer is not None and channel in answer["channels"]

    async def _read_members(self, channel: str) -> dict[str, Any]:
        pages = self._pages("conversations.members", channel=channel, limit=1000)
        return {"members": [one async for page in pages for one in page.get("members") or ()]}

    async def _read_channels(self, user_id: str) -> dict[str, Any]:
        kinds = "public_channel,private_channel"
        pages = self._pages("users.conversations", user=user_id, types=kinds, limit=999)
        return {"channels": {one.get("id") async for page in pages for one in page.get("channels") or ()}}

    async def _pages(self, method: str, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        """The pages of a list; none where Slack knows nobody of that name. Raises DirectoryError."""
        cursor = ""
        for _ in range(_PAGES):
            page = await self._read(method, **arguments, cursor=cursor) or {}
            yield page
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return
        raise DirectoryError(f"{method}: there is too much to read")

    async def _cached(self, kind: str, key: str, ask: Ask) -> dict[str, Any] | None:
        """Slack's answer, or None where there is no such person or group. Raises DirectoryError.

        Who asks the same at the same time shares one call: Slack takes only so many a minute.
        """
        patience = min(self._patience, _deadline.get() - time.monotonic())
        try:
            async with asyncio.timeout(max(patience, 0.0)):
                return await self._answers.get(
                    (kind, key), lambda: asyncio.wait_for(ask(), _QUESTION_TIMEOUT_S)
                )
        except TimeoutError:
            self._tell_of_silence(kind, "timeout")
            raise DirectoryError("Slack did not answer in time") from None

    async def _read(self, method: str, **arguments: Any) -> dict[str, Any] | None:
        """Slack's answer, or None where there is no such person or group. Raises DirectoryError."""
        answer = await query(self._client, method, **arguments)
        if isinstance(answer, dict):
            if not _says(answer, method):
                raise DirectoryError(f"{method}: the answer does not hold what was asked for")
            return answer
        if answer.error in _NOBODY:
            return None
        self._tell_of_silence(method, answer.error)
        raise DirectoryError(f"Slack did not say: {answer.error}")

    def _tell_of_silence(self, of: str, error: str) -> None:
        """Log why people are refused that try again, unless that was said just now."""
        refused = error in WRONG_TOKEN
        lasting = self._silences.setdefault(_REFUSED if refused else "", Repeated()).seen()
        if lasting is not None and refused:
            log.error(_REFUSED, of=of, error=error)
        elif lasting is not None:
            log.warning(f"Slack does not say who somebody is{lasting}", of=of, error=error)


_SAYS: dict[str, tuple[str, type | None]] = {
    "users.info": ("user", None),
    "usergroups.users.list": ("users", str),
    "conversations.members": ("members", str),
    "users.conversations": ("channels", dict),
}
"""By method: what its answer holds, an object or a list of these. Without it, it says nothing."""


def _organization(profile: dict[str, Any]) -> tuple[str | None, list[Any]]:
    """The organization that somebody is of, if it has several workspaces, and those that they are in."""
    told = profile.get("enterprise_user")
    enterprise = told if isinstance(told, dict) else {}
    teams = enterprise.get("teams")
    return enterprise.get("enterprise_id"), teams if isinstance(teams, list) else []


def _says(answer: dict[str, Any], method: str) -> bool:
    """Whether an answer holds what was asked for."""
    name, kind = _SAYS[method]
    given, following = answer.get(name), answer.get("response_metadata")
    if kind is None:
        return isinstance(given, dict)
    paged = following is None or isinstance(following, dict)
    return paged and isinstance(given, list) and all(isinstance(one, kind) for one in given)
