"""The Home tab: what waits for this person's approval, their requests, and what became of things.

Published when it is opened, and again when something changes while it may be open. Slack does not say
when somebody leaves it. So whoever opened it counts as looking for some minutes, and what they see is
published again only where it became something else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp

from bot.domain.payment import FINAL, Payment
from bot.errors import DirectoryError
from bot.payments.authority import Person
from bot.payments.overview import Concerns, Waiting
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import Block, View, context, header, section
from bot.slack.card import decision_buttons, more_approvals
from bot.slack.inbound import Body, Services
from bot.slack.text import amount, description, due, escape, link, mention, moment, quote, state_line, subject
from bot.slack.web_api import Later, Rejected, write

log = structlog.get_logger()

LOOKING = 600.0
"""Seconds that somebody counts as looking."""

APART = 2.0
"""Seconds between two views for one person; with many people more, as Slack takes some 100 a minute."""

MOST = 10
"""Payments in each part; a view takes a hundred blocks."""

_PUBLISHED_AT_ONCE = 4
_EACH = 0.7
"""Seconds between two views, whoever they are for."""

_PUBLISH_TIMEOUT_S = 5.0
"""For Slack to take a view; and until it is tried again."""


@dataclass(slots=True)
class _Viewer:
    """Somebody who may be looking. seen: the event up to which `shown` is true."""

    until: float
    shown: View | None = None
    seen: int = -1
    not_before: float = 0.0


class Homes:
    """Who looks at their Home tab, and what they see there; one view after another for each of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        wake = services.ledger.watch()
        self.pool: TaskPool[str] = TaskPool("home", _PUBLISHED_AT_ONCE, wake, queues=True)
        self._viewers: dict[str, _Viewer] = {}

    def register(self, app: AsyncApp) -> None:
        """Listen for people who open it."""
        app.event("app_home_opened")(self._opened)

    async def _opened(self, event: Body) -> None:
        if event.get("tab") == "home":
            self._viewers[event["user"]] = _Viewer(until=time.monotonic() + LOOKING)
            self.pool.wake.set()

    async def poll_once(self) -> None:
        """Publish what changed. Raises LedgerUnavailable; it is tried again then."""
        now = time.monotonic()
        self._viewers = {user: one for user, one in self._viewers.items() if one.until > now}
        if not self._viewers:
            return
        latest = await self._services.ledger.last_event()
        for user, viewer in self._viewers.items():
            due = viewer.seen < latest and viewer.not_before <= now
            if due and user not in self.pool.keys and self.pool.free > 0:
                viewer.not_before = now + max(APART, _EACH * len(self._viewers))
                self.pool.start(user, self._publish(user, viewer, latest))

    async def _publish(self, user: str, viewer: _Viewer, latest: int) -> None:
        try:
            view, whole = await self._view(Person(user, self._services.workspace.team))
            latest = latest if whole else -1
        except DirectoryError:
            view, latest = closed(replies.SLACK_SILENT), -1
            viewer.not_before = time.monotonic() + _PUBLISH_TIMEOUT_S
        if view != viewer.shown:
            answer = await self._tell(user, view)
            if not isinstance(answer, dict):
                log.warning("a Home tab was not published", error=answer.error)
                wait = answer.after if isinstance(answer, Later) and answer.after else _PUBLISH_TIMEOUT_S
                viewer.not_before = time.monotonic() + wait
                return
        viewer.shown, viewer.seen = view, latest

    async def _tell(self, user: str, view: View) -> dict[str, Any] | Rejected | Later:
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                return await write(self._services.client, "views.publish", user_id=user, view=view)
        except TimeoutError:
            return Later("timeout", None, ambiguous=True)

    async def _view(self, person: Person) -> tuple[View, bool]:
        """What to show, and whether nothing is missing in it: a card that is posted just now is no event."""
        refusal = await self._services.authority.may_see(person)
        if refusal is not None:
            return closed(replies.refused(refusal)), True
        concerns = await self._services.overview.of(person, most=MOST)
        under_way = [*(one.payment for one in concerns.waiting), *concerns.requested]
        whole = all(one.request.cards.ts for one in under_way if one.state not in FINAL)
        return home(concerns, self._services.workspace.url, self._services.ledger.clock().date()), whole


def home(concerns: Concerns, team_url: str, today: date) -> View:
    """The tab of somebody who may see payments. today: to tell what is overdue."""
    open_requests = [one for one in concerns.requested if one.state not in FINAL]
    blocks = [
        header("Waiting for your approval"),
        *(block for one in concerns.waiting for block in _waiting(one, team_url, today)),
        *([] if concerns.waiting else [context("Nothing waits for you.")]),
        *_list(
            "Your open requests", open_requests, team_url, "You have no open request. Type `/pay` to ask."
        ),
        *_list("Recent outcomes", concerns.outcomes, team_url, "Nothing yet."),
    ]
    return {"type": "home", "blocks": blocks}


def closed(text: str) -> View:
    """The tab of somebody who has nothing to see here, or cannot be told from somebody who has."""
    return {"type": "home", "blocks": [section(text)]}


def _waiting(one: Waiting, team_url: str, today: date) -> list[Block]:
    payment, invoice = one.payment, one.payment.invoice
    lines = [f"*{_linked(payment, team_url)} · {amount(invoice)}*"]
    if invoice is not None and (described := description(invoice, 200)):
        lines.append(escape(described))
    if invoice is not None and invoice.due is not None:
        lines.append(f"Due {due(invoice.due, today)}")
    needs = more_approvals(one.approvals)
    lines.append(
        f"Asked for by {mention(payment.request.requester)} · needs {needs}"
        f" · expires {moment(payment.request.expires_at)}"
    )
    if payment.request.note:
        lines.append(quote(payment.request.note, 500))
    buttons = {
        "type": "actions",
        "block_id": f"decide:{payment.request.id}",
        "elements": decision_buttons(payment),
    }
    return [section("\n".join(lines)), buttons]


def _list(title: str, payments: Sequence[Payment], team_url: str, none: str) -> list[Block]:
    lines = [
        f"{_linked(one, team_url)} · {amount(one.invoice)} · {state_line(one.state)}" for one in payments
    ]
    return [header(title), section("\n".join(lines)) if lines else context(none)]


def _linked(payment: Payment, team_url: str) -> str:
    """Its name, which leads to the card that the person can act on."""
    cards = payment.request.cards
    for channel, ts in ((cards.approval_channel, cards.approval_ts), (payment.request.channel, cards.ts)):
        if channel and ts:
            return f"<{link(team_url, channel, ts)}|{subject(payment)}>"
    return subject(payment)
