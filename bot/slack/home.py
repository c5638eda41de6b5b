"""The Home tab: what waits for this person's approval, their requests, and what became of things.

Published when it is opened, and again when something changes while it may be open. Slack does not say
when somebody leaves it. So whoever opened it counts as looking for some minutes, and what they see is
published again only where it became something else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp

from bot.domain.batch import Batch
from bot.domain.wording import shorten
from bot.errors import DirectoryError
from bot.payments.authority import Choice, Person
from bot.payments.overview import Concerns, Waiting
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import Block, View, button, context, header, section
from bot.slack.card import decision_buttons, line_of, more_approvals
from bot.slack.directory import within
from bot.slack.inbound import Body, Services
from bot.slack.listing import ROOM, fitting, paragraphs
from bot.slack.lists import unsure
from bot.slack.pay_form_button import OPEN_FORM, Several
from bot.slack.selection import approve_selected, checkbox
from bot.slack.text import (
    cost_of,
    description,
    due,
    escape,
    linked,
    mention,
    moment,
    quote,
    standing_of,
    totals,
    unescaped,
)
from bot.slack.unpaid_view import UNPAID
from bot.slack.web_api import Later, Rejected, write

log = structlog.get_logger()

LOOKING = 600.0
"""Seconds that somebody counts as looking."""

APART = 2.0
"""Seconds between two views for one person; with many people more, as Slack takes some 100 a minute."""

MOST = 10
"""Payments in each part; a view takes a hundred blocks."""

_SHOWN, _ROOM_OF_ONE = 5, 1_800
"""Lines of a request that are shown here."""

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
        services = self._services
        refusal = await services.authority.may_see(person)
        if refusal is not None:
            return closed(replies.refused(refusal)), True
        with within(_PUBLISH_TIMEOUT_S):
            concerns = await services.overview.of(person, most=MOST)
            choice = await services.authority.choice_of(person, None, services.catalogue.modules)
        under_way = [*concerns.pending.mine, *concerns.requested]
        whole = all(one.request.cards.ts for one in under_way if one.under_way)
        today, may_ask = services.desk.today, isinstance(choice, Choice)
        view = home(Tab(concerns, services.workspace.url, today, may_ask))
        return view, whole and not concerns.pending.unsure


@dataclass(frozen=True, slots=True)
class Tab:
    """What the tab of somebody who may see payments is made of.

    today: to tell what is overdue. may_ask: whether they may ask for a payment anywhere.
    """

    concerns: Concerns
    team_url: str
    today: date
    may_ask: bool


def home(tab: Tab) -> View:
    """The tab."""
    concerns = tab.concerns
    blocks = [
        *_waiting_for_you(tab),
        header("Unpaid invoices"),
        {"type": "actions", "block_id": "unpaid", "elements": _unpaid_buttons(tab)},
        *_scheduled(tab),
        *_list("Your open requests", concerns.requested, tab.team_url, "You have no open request."),
        *_list("Recent outcomes", concerns.outcomes, tab.team_url, "Nothing yet."),
    ]
    return {"type": "home", "blocks": blocks}


def _waiting_for_you(tab: Tab) -> Iterator[Block]:
    """All that waits: the first with buttons, the others in a line each, and those beyond that counted."""
    concerns = tab.concerns
    mine = concerns.pending.mine
    sum_up = (
        f": {len(mine):,} · {unescaped(totals(one.invoice for batch in mine for one in batch.asked_about))}"
        if mine
        else ""
    )
    yield header(shorten(f"Waiting for your approval{sum_up}", 150))
    several = len(concerns.waiting) > 1
    for one in concerns.waiting:
        yield from _waiting(one, tab, checkbox(one.batch) if several else {})
    if several:
        yield approve_selected()
    others = mine[len(concerns.waiting) :]
    lines = [
        f"{linked(one, tab.team_url)} · {cost_of(one)} · expires {moment(one.request.expires_at)}"
        for one in others
    ]
    if lines:
        yield from _lines([f"*{len(others):,} more, which expire later:*", *lines])
    if concerns.pending.unsure:
        yield context(unsure(concerns.pending.unsure))
    elif not mine:
        yield context("Nothing waits for you.")


def _scheduled(tab: Tab) -> Iterator[Block]:
    """What is approved and waits for its day, whoever asked for it, where there is any."""
    scheduled = tab.concerns.scheduled
    if scheduled:
        sum_up = unescaped(totals(one.invoice for batch in scheduled for one in batch.scheduled))
        yield from _list(
            shorten(f"Scheduled: {len(scheduled):,} · {sum_up}", 150), scheduled, tab.team_url, ""
        )


def _unpaid_buttons(tab: Tab) -> list[Block]:
    pay = [button(OPEN_FORM, "Pay an invoice…", "pay", style="primary"), Several().button()]
    return [*(pay if tab.may_ask else []), button(UNPAID, "Show the unpaid invoices", "unpaid")]


def closed(text: str) -> View:
    """The tab of somebody who has nothing to see here, or cannot be told from somebody who has."""
    return {"type": "home", "blocks": [section(text)]}


def _waiting(one: Waiting, tab: Tab, box: Block) -> list[Block]:
    batch, request = one.batch, one.batch.request
    lines = [f"*{linked(batch, tab.team_url)} · {cost_of(batch)}*"]
    invoice = None if batch.several else batch.first.invoice
    if batch.several:
        each = [line_of(payment, batch, tab.today) for payment in batch.asked_about]
        kept = fitting(each[:_SHOWN], _ROOM_OF_ONE)
        left = [f"… and {len(each) - len(kept)} more; see its card."] if len(kept) < len(each) else []
        lines += [*kept, *left]
    if invoice is not None and (described := description(invoice, 200)):
        lines.append(escape(described))
    if invoice is not None and invoice.due is not None:
        lines.append(f"Due {due(invoice.due, tab.today)}")
    needs = more_approvals(one.approvals)
    lines.append(
        f"Asked for by {mention(request.requester)} · needs {needs} · expires {moment(request.expires_at)}"
    )
    if request.note:
        lines.append(quote(request.note, 500))
    buttons = {
        "type": "actions",
        "block_id": f"decide:{request.id}",
        "elements": decision_buttons(batch, one.approvals),
    }
    return [section("\n".join(lines)) | box, buttons]


def _list(title: str, batches: Sequence[Batch], team_url: str, none: str) -> list[Block]:
    lines = [f"{linked(one, team_url)} · {cost_of(one)} · {' '.join(standing_of(one))}" for one in batches]
    return [header(title), *(_lines(lines) if lines else [context(none)])]


def _lines(lines: Sequence[str]) -> list[Block]:
    """As many of them as there is room for, and how many more there are."""
    kept = fitting(lines, ROOM)
    left = len(lines) - len(kept)
    more = [f"… and {left:,} more, which come here as others are done."] if left else []
    return [section(text) for text in paragraphs([*kept, *more])]
