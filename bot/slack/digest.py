"""The daily digest: what is overdue and due soon in its channel, and to each approver what waits for them.

Told once a day, however many instances run: see `Notices` and `Once`. Nothing is told where there is nothing
to tell. Where the app may not look whether one arrived, it is not made again: rather none than two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import structlog

from bot.domain.batch import Batch
from bot.domain.digest_plan import DigestPlan
from bot.domain.payment import Invoice
from bot.domain.policy import Policy
from bot.errors import DirectoryError
from bot.ledger.notices import Notice, Topic
from bot.ledger.watching import to_tell
from bot.payments.authority import Person
from bot.payments.catalogue import Catalogue
from bot.payments.due_soon import Due, approvers_named, due_in
from bot.payments.overview import Overview
from bot.payments.unpaid import UnpaidInvoices
from bot.payments.worker import TaskPool
from bot.slack.blocks import Message
from bot.slack.directory import SlackDirectory
from bot.slack.listing import listing
from bot.slack.once import Once
from bot.slack.pay_form_button import Several
from bot.slack.text import (
    cost_of,
    day,
    escape,
    invoice_line,
    linked,
    mention,
    moment,
    overdue_or_due,
    totals,
    unclear_amounts,
)

log = structlog.get_logger()

_WAITED_AT_MOST = timedelta(hours=1)
"""So long it is waited for what cannot be read, of the billing API or of Slack; then it is told without."""

_SHOWN = 10
"""Invoices that the channel is told one by one."""

_TOLD_AT_ONCE = 4


@dataclass(slots=True)
class DigestTeller:
    """Tells a day's digests when their time has come. once: for PAY_DIGEST."""

    plan: DigestPlan
    policy: Policy
    once: Once
    directory: SlackDirectory
    overview: Overview
    unpaid: UnpaidInvoices
    catalogue: Catalogue
    pool: TaskPool[int] = field(init=False)

    def __post_init__(self) -> None:
        self.pool = TaskPool("digest", _TOLD_AT_ONCE, asyncio.Event())

    async def poll_once(self) -> None:
        """Begin the day's digests, and tell what is still to be told. Raises LedgerUnavailable."""
        ledger = self.once.ledger
        today = self.plan.due(ledger.clock())
        if today is None:
            return
        left = await to_tell(ledger, Topic.DIGEST, today, self.plan.channel)
        if left is None:
            left = await self._begin(today)
        while left and self.pool.free > 0:
            notice = await self.once.claim({Topic.DIGEST}, today, self.plan.channel)
            if notice is None:
                return
            self.pool.start(notice.id, self._tell(notice))

    async def _begin(self, today: date) -> bool:
        """All of a day's are written down at once, so that nobody is told of it later in the day."""
        people: frozenset[str] = frozenset()
        if self.plan.approvers:
            named, groups = approvers_named(self.policy)
            try:
                people = named | await self.directory.people_in(groups)
            except DirectoryError as error:
                log.warning("the digest waits: Slack does not say who approves", error=str(error))
                return False
        async with self.once.ledger.transaction() as transaction:
            await transaction.notices.begin_day(Topic.DIGEST, today, {self.plan.channel, *people})
        return True

    async def _tell(self, notice: Notice) -> None:
        message, whole = await self._message(notice)
        if not whole and self.once.ledger.clock() - notice.created_at < _WAITED_AT_MOST:
            await self.once.retry_after(notice, self.once.timing.deliver_most, begun=notice.begun)
        elif message is None:
            await self.once.end(notice, "there was nothing to tell")
        else:
            await self.once.tell(notice, notice.place, message)

    async def _message(self, notice: Notice) -> tuple[Message | None, bool]:
        """What to tell, if anything; and whether all of it could be read."""
        workspace = self.once.workspace
        if notice.place == self.plan.channel:
            found, today = await self.unpaid.of(self.catalogue.modules), date.fromisoformat(notice.key)
            due = due_in(found, today, self.plan.within)
            return due_message(due, today, self.plan.within), not due.unread
        pending = await self.overview.pending(Person(notice.place, workspace.team))
        return waiting_message(pending.mine, workspace.url), not pending.unsure


def due_message(due: Due, today: date, within: timedelta) -> Message | None:
    """What the channel is told; None where there is nothing to tell."""
    if not due.invoices and not due.unread and not due.unclear:
        return None
    count = len(due.invoices)
    heading = f"*{count:,} unpaid invoice{'' if count == 1 else 's'} that nobody has asked for*"
    parts = [
        _part("Overdue", due.overdue),
        _part(f"Due by {day(today + within)}", due.soon),
    ]
    left = count - _SHOWN
    endings = [f"… and {left:,} more; `/pay list` shows them."] if left > 0 else []
    if due.unread:
        endings.append(f"Could not be read: {escape(', '.join(due.unread))}.")
    if due.unclear:
        endings.append(unclear_amounts(due.unclear))
    told = listing(
        "\n".join([heading, *filter(None, parts)]) if count else "",
        [
            invoice_line(f"/pay {one.ref}", one, overdue_or_due(one.due, today), most=100)
            for one in due.invoices[:_SHOWN]
        ],
        endings=endings,
    )
    if not count:
        return told
    press = {
        "type": "actions",
        "block_id": "digest",
        "elements": [Several(due_by=today + within).button(style="primary")],
    }
    return Message(told.text, [*told.blocks, press])


def waiting_message(batches: Sequence[Batch], team_url: str) -> Message | None:
    """What an approver is told, in the order given; None where nothing waits for them."""
    if not batches:
        return None
    many = f"{len(batches):,} requests wait" if len(batches) > 1 else "1 request waits"
    sum_up = totals(one.invoice for batch in batches for one in batch.asked_about)
    heading = f"*{many} for your approval: {sum_up}*"
    lines = []
    for batch in batches:
        request = batch.request
        lines.append(
            f"{linked(batch, team_url)} · {cost_of(batch)} · asked for by {mention(request.requester)}"
            f" · expires {moment(request.expires_at)}"
        )
    return listing(heading, lines, endings=["Decide on the cards, or on my Home tab."])


def _part(title: str, invoices: Sequence[Invoice]) -> str:
    return f"{title}: {len(invoices):,} · {totals(invoices)}" if invoices else ""
