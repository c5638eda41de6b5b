"""The daily digest: what is overdue and due soon in its channel, and to each approver what waits for them.

Told once a day, however many instances run: `Digests` is the guard. Nothing is told where there is nothing to
tell. A post that was begun, and whose answer nobody has, is looked for before it is made again; where the app
may not look, it is not made again: of a digest, none is better than two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import structlog

from bot.domain.batch import Batch
from bot.domain.digest import DigestPlan
from bot.domain.payment import Invoice, mark_of
from bot.domain.policy import Policy
from bot.errors import DirectoryError
from bot.ledger.digests import Digest
from bot.ledger.store import Ledger
from bot.payments.authority import Person
from bot.payments.catalogue import Catalogue
from bot.payments.due_soon import Due, approvers_named, due_in
from bot.payments.executor import Checkpoint, no_checkpoint
from bot.payments.overview import Overview
from bot.payments.timing import Timing
from bot.payments.unpaid import UnpaidInvoices
from bot.payments.worker import TaskPool
from bot.slack.blocks import Message
from bot.slack.directory import SlackDirectory
from bot.slack.listing import listing
from bot.slack.pace import Pace
from bot.slack.pay_form_button import Several
from bot.slack.post_search import Search, search_history
from bot.slack.text import (
    amount,
    cost_of,
    day,
    description,
    escape,
    link,
    mention,
    moment,
    subject_of,
    totals,
)
from bot.slack.web_api import Client, Later, Posted, Rejected, Workspace, post_message

log = structlog.get_logger()

METADATA = "payment_digest"
"""The event type of a digest's metadata."""

_PATIENCE = timedelta(hours=1)
"""So long it is waited for what cannot be read, of the billing API or of Slack; then it is told without."""

_SHOWN = 10
"""Invoices that the channel is told one by one."""

_AT_ONCE = 4


@dataclass(slots=True)
class DigestTeller:
    """Tells a day's digests when their time has come."""

    plan: DigestPlan
    policy: Policy
    ledger: Ledger
    client: Client
    workspace: Workspace
    directory: SlackDirectory
    overview: Overview
    unpaid: UnpaidInvoices
    catalogue: Catalogue
    timing: Timing
    pace: Pace
    instance: str
    checkpoint: Checkpoint = no_checkpoint
    pool: TaskPool[int] = field(init=False)

    def __post_init__(self) -> None:
        self.pool = TaskPool("digest", _AT_ONCE, asyncio.Event())

    async def poll_once(self) -> None:
        """Begin the day's digests, and tell what is still to be told. Raises LedgerUnavailable."""
        today = self.plan.due(self.ledger.clock())
        if today is None:
            return
        to_tell = await self.ledger.digests_to_tell(today, self.plan.channel)
        if to_tell is None:
            to_tell = await self._begin(today)
        while to_tell and self.pool.free > 0:
            async with self.ledger.transaction() as transaction:
                digest = await transaction.digests.claim(today, owner=self.instance, lease=self.timing.lease)
            if digest is None:
                return
            self.pool.start(digest.id, self._tell(digest))

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
        async with self.ledger.transaction() as transaction:
            await transaction.digests.add(today, {self.plan.channel, *people})
        return True

    async def _tell(self, digest: Digest) -> None:
        message, whole = await self._message(digest)
        if not whole and self.ledger.clock() - digest.created_at < _PATIENCE:
            await self._again(digest, self.timing.deliver_most, begun=digest.begun)
        elif message is None:
            await self._end(digest, "there was nothing to tell")
        elif digest.begun:
            await self._look(digest, message)
        else:
            await self._post(digest, message)

    async def _message(self, digest: Digest) -> tuple[Message | None, bool]:
        """What to tell, if anything; and whether all of it could be read."""
        if digest.place == self.plan.channel:
            found = await self.unpaid.of(self.catalogue.modules)
            due = due_in(found, digest.day, self.plan.within)
            return due_message(due, digest.day, self.plan.within), not due.unread
        pending = await self.overview.pending(Person(digest.place, self.workspace.team))
        return waiting_message(pending.mine, self.workspace.url), not pending.unsure

    async def _look(self, digest: Digest, message: Message) -> None:
        """An earlier try may have arrived."""
        found = await search_history(
            self.client,
            self.workspace.bot_id,
            "conversations.history",
            {"channel": digest.place, "limit": 200, "include_all_metadata": True},
            {digest.id: self._metadata(digest)},
            Search(digest.tries, frozenset({digest.id})),
            age=self.ledger.clock() - digest.created_at,
        )
        match found:
            case Rejected(error):
                log.warning("it is not known whether a digest was told", place=digest.place, error=error)
                await self._end(digest, "it is not known whether it was told")
            case Later():
                await self._later(digest, found, begun=True)
            case _ if digest.id in found:
                await self._end(digest, "told", ts=found[digest.id].ts)
            case _:
                await self._post(digest, message)

    async def _post(self, digest: Digest, message: Message) -> None:
        if digest.place in {*self.pace.paused, *self.pace.full}:
            await self._again(digest, timedelta(seconds=1), begun=False)
            return
        async with self.ledger.transaction() as transaction:
            ours = await transaction.digests.begin(digest, lease=self.timing.lease)
        if not ours:
            log.info("another instance tells it", digest=digest.id)
            return
        await self.checkpoint("posting digest", digest.id)
        self.pace.posted(digest.place)
        answer = await post_message(
            self.client,
            "chat.postMessage",
            channel=digest.place,
            text=message.text,
            blocks=message.blocks,
            metadata=self._metadata(digest),
            unfurl_links=False,
            unfurl_media=False,
        )
        match answer:
            case Posted(ts):
                await self._end(digest, "told", ts=ts)
            case Rejected(error):
                log.error(
                    "a digest cannot be told; invite the bot, or correct PAY_DIGEST",
                    place=digest.place,
                    error=error,
                )
                await self._end(digest, error)
            case Later():
                await self._later(digest, answer, begun=answer.ambiguous)

    async def _later(self, digest: Digest, answer: Later, *, begun: bool) -> None:
        log.warning("a digest is not told yet", place=digest.place, error=answer.error)
        pause = timedelta(seconds=answer.after or 0.0)
        least = self.timing.visible_within if begun else timedelta(0)
        await self._again(digest, max(self.timing.backoff(digest.tries), pause, least), begun=begun)

    async def _again(self, digest: Digest, wait: timedelta, *, begun: bool) -> None:
        async with self.ledger.transaction() as transaction:
            await transaction.digests.again(digest, due_at=transaction.now + wait, begun=begun)

    async def _end(self, digest: Digest, why: str, *, ts: str | None = None) -> None:
        async with self.ledger.transaction() as transaction:
            await transaction.digests.end(digest, why, ts=ts)

    def _metadata(self, digest: Digest) -> dict[str, Any]:
        """What a post carries, by which it is found again; it tells nothing."""
        payload = {
            "ledger": self.ledger.identity,
            "digest": digest.id,
            "made": mark_of(digest.created_at),
        }
        return {"event_type": METADATA, "event_payload": payload}


def due_message(due: Due, today: date, within: timedelta) -> Message | None:
    """What the channel is told; None where there is nothing to tell."""
    if not due.invoices and not due.unread:
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
    told = listing(
        "\n".join([heading, *filter(None, parts)]) if count else "",
        [_invoice(one, today) for one in due.invoices[:_SHOWN]],
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
        request, cards = batch.request, batch.request.cards
        channel, ts = cards.approval_channel or request.channel, cards.approval_ts or cards.ts
        what = f"<{link(team_url, channel, ts)}|{subject_of(batch)}>" if ts else subject_of(batch)
        lines.append(
            f"{what} · {cost_of(batch)} · asked for by {mention(request.requester)}"
            f" · expires {moment(request.expires_at)}"
        )
    return listing(heading, lines, endings=["Decide on the cards, or on my Home tab."])


def _part(title: str, invoices: Sequence[Invoice]) -> str:
    return f"{title}: {len(invoices):,} · {totals(invoices)}" if invoices else ""


def _invoice(invoice: Invoice, today: date) -> str:
    assert invoice.due is not None, "bug: a digest tells of what is due"
    when = f"*overdue* since {day(invoice.due)}" if invoice.due < today else f"due {day(invoice.due)}"
    parts = [f"`/pay {invoice.ref}`", f"*{amount(invoice)}*", when]
    if described := description(invoice, 100):
        parts.append(escape(described))
    return " · ".join(parts)
