"""The Home tab: published when it is opened, and again when something changes while it may be open.

Slack does not say when somebody leaves it. So whoever opened it counts as looking for some minutes, and
what they see is published again only where it became something else.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.payment import FINAL
from bot.errors import DirectoryError
from bot.ledger.store import Ledger
from bot.payments.authority import Authority, Person
from bot.payments.overview import Overview
from bot.payments.poller import Crew
from bot.slack import home, replies
from bot.slack.home import View
from bot.slack.inbound import Body
from bot.slack.web_api import Later, Rejected, Workspace, act

log = structlog.get_logger()

LOOKING = 600.0
"""Seconds that somebody counts as looking."""

APART = 2.0
"""Seconds between two views for one person; with many people more, as Slack takes some 100 a minute."""

_AT_ONCE = 4
_EACH = 0.7
_PATIENCE = 5.0


@dataclass(slots=True)
class _Viewer:
    """Somebody who may be looking. seen: the event up to which `shown` is true."""

    until: float
    shown: View | None = None
    seen: int = -1
    not_before: float = 0.0


class Homes:
    """Who looks at their Home tab, and what they see there; one view after another for each of them."""

    def __init__(
        self,
        ledger: Ledger,
        authority: Authority,
        overview: Overview,
        client: AsyncWebClient,
        workspace: Workspace,
        wake: asyncio.Event,
    ) -> None:
        self._ledger = ledger
        self._authority = authority
        self._overview = overview
        self._client = client
        self._workspace = workspace
        self.crew: Crew[str] = Crew("home", _AT_ONCE, wake, queues=True)
        self._viewers: dict[str, _Viewer] = {}

    def register(self, app: AsyncApp) -> None:
        """Listen for people who open it."""
        app.event("app_home_opened")(self._opened)

    async def _opened(self, body: Body) -> None:
        event = body["event"]
        if event.get("tab") == "home":
            self._viewers[event["user"]] = _Viewer(until=time.monotonic() + LOOKING)
            self.crew.wake.set()

    async def look(self) -> None:
        """Publish what changed. Raises LedgerUnavailable; it is tried again then."""
        now = time.monotonic()
        self._viewers = {user: one for user, one in self._viewers.items() if one.until > now}
        if not self._viewers:
            return
        latest = await self._ledger.last_event()
        for user, viewer in self._viewers.items():
            due = viewer.seen < latest and viewer.not_before <= now
            if due and user not in self.crew.keys and self.crew.free > 0:
                viewer.not_before = now + max(APART, _EACH * len(self._viewers))
                self.crew.start(user, self._publish(user, viewer, latest))

    async def _publish(self, user: str, viewer: _Viewer, latest: int) -> None:
        try:
            view, whole = await self._view(Person(user, self._workspace.team))
            latest = latest if whole else -1
        except DirectoryError:
            view, latest = home.closed(replies.SLACK_SILENT), -1
            viewer.not_before = time.monotonic() + _PATIENCE
        if view != viewer.shown:
            answer = await self._tell(user, view)
            if not isinstance(answer, dict):
                log.warning("a Home tab was not published", error=answer.error)
                wait = answer.after if isinstance(answer, Later) and answer.after else _PATIENCE
                viewer.not_before = time.monotonic() + wait
                return
        viewer.shown, viewer.seen = view, latest

    async def _tell(self, user: str, view: View) -> dict[str, Any] | Rejected | Later:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await act(self._client, "views.publish", user_id=user, view=view)
        except TimeoutError:
            return Later("timeout", None, ambiguous=True)

    async def _view(self, person: Person) -> tuple[View, bool]:
        """What to show, and whether nothing is missing in it: a card that is posted just now is no event."""
        refusal = await self._authority.may_see(person)
        if refusal is not None:
            return home.closed(replies.refused(refusal)), True
        concerns = await self._overview.of(person, most=home.MOST)
        under_way = [*(one.payment for one in concerns.waiting), *concerns.requested]
        whole = all(one.card_ts for one in under_way if one.state not in FINAL)
        return home.home(concerns, self._workspace.url, self._ledger.clock().date()), whole
