"""What a delivery has to say, as things are now: the ledger's rows and Slack's answers become a message.

Whatever cannot be put into words is told in a plain line, so that nothing waits behind it: an event of a
newer version, one without what its words need, a bug.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from bot.domain.batch import Batch
from bot.domain.events import Reminded, Unsettled
from bot.domain.payment import State
from bot.domain.schedule import IN_UTC, Mornings
from bot.domain.slack_ids import is_group
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.rows import Delivery, Event, Kind
from bot.ledger.store import Ledger
from bot.payments.approvals import shown
from bot.payments.authority import Authority
from bot.payments.timing import Timing
from bot.slack import event_text
from bot.slack.blocks import Block, Message
from bot.slack.card import Scene, approval_card, invitation, request_card
from bot.slack.directory import SlackDirectory
from bot.slack.invoice_table import without_tables
from bot.slack.web_api import Workspace

log = structlog.get_logger()

_LONG = 10
"""Tries, which take some ten minutes."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What to say.

    event: what it tells; None for what tells the state. invited: who is asked once it stands.
    pointless: it asks for what nobody has to do any more.
    """

    message: Message
    event: Event | None
    invited: Sequence[str] = ()
    pointless: bool = False


@dataclass(frozen=True, slots=True)
class Renderer:
    """Puts deliveries into words. settled, daily, mornings: see `Scene`."""

    ledger: Ledger
    authority: Authority
    directory: SlackDirectory
    workspace: Workspace
    timing: Timing
    settled: timedelta
    daily: bool = False
    mornings: Mornings = IN_UTC

    async def render(self, delivery: Delivery, batch: Batch) -> Rendered:
        """What this delivery says. Raises LedgerUnavailable, and nothing else."""
        try:
            return await self._render(delivery, batch)
        except LedgerUnavailable:
            raise
        except Exception:  # whatever it is, no reply may wait behind it; the log has all of it
            await self._must_be_ours(delivery)
            reference = secrets.token_hex(4)
            log.error(
                "cannot be put into words; it is told in a plain line",
                reference=reference,
                payment=batch.number,
                kind=delivery.kind,
                event_id=delivery.event_id,
                exc_info=True,
            )
            return Rendered(event_text.plain(batch, reference), None)

    async def _must_be_ours(self, delivery: Delivery) -> None:
        """A failover may have lost it, with what it is to tell. Raises LedgerUnavailable."""
        async with self.ledger.transaction() as transaction:
            ours = await transaction.outbox.renew(delivery, lease=self.timing.lease)
        if not ours:
            raise LedgerUnavailable("what is to be told is not there, or another instance has it")

    async def gathered(
        self, rendered: Rendered, following: Sequence[Delivery], batch: Batch
    ) -> tuple[Rendered, Sequence[Delivery]]:
        """What a reply says together with those that follow it, as far as one message takes them."""
        together: list[Delivery] = []
        for one in following:
            more = await self.render(one, batch)
            joined = rendered.message.followed_by(more.message)
            if more.pointless or joined is None:
                break
            rendered = replace(rendered, message=joined)
            together.append(one)
        return rendered, together

    async def _render(self, delivery: Delivery, batch: Batch) -> Rendered:
        event = await self.ledger.event(delivery.event_id) if delivery.event_id is not None else None
        scene = await self._scene(batch)
        invited: Sequence[str] = ()
        if asks_for_decisions(delivery, batch) and not self.daily:
            invited = await self._absent(delivery.channel, scene)
        decided = not batch.waiting
        asks = delivery.kind is Kind.INVITATION or (event is not None and isinstance(event.what, Reminded))
        if event is not None and isinstance(event.what, Unsettled):
            asks, decided = True, batch.of_line(event.line).state is not State.UNKNOWN
        return Rendered(_message(delivery, event, scene), event, invited, pointless=asks and decided)

    async def _absent(self, channel: str, scene: Scene) -> list[str]:
        """Approvers who are named by id and would not see a card in this channel: each is asked directly.

        Members of a group are not: the mention on the card reaches them. Where Slack does not say who is in
        the channel, everybody named by id is asked: being told twice is better than never being told.
        """
        named = sorted(one for one in scene.approvals.asked if not is_group(one))
        try:
            members = await self.directory.members_of(channel) if named else frozenset()
        except DirectoryError:
            return named
        return [one for one in named if one not in members]

    async def _scene(self, batch: Batch) -> Scene:
        return Scene(
            batch=batch,
            approvals=await shown(self.ledger, self.authority, batch),
            now=self.ledger.clock(),
            timing=self.timing,
            settled=self.settled,
            team_url=self.workspace.url,
            bot_name=self.workspace.bot_name,
            daily=self.daily,
            mornings=self.mornings,
        )


def asks_for_decisions(delivery: Delivery, batch: Batch) -> bool:
    """Whether this is the card with the buttons to approve and deny."""
    return bool(batch.waiting) and delivery.kind is (
        Kind.APPROVAL_CARD if batch.request.approved_elsewhere else Kind.CARD
    )


def _message(delivery: Delivery, event: Event | None, scene: Scene) -> Message:
    if delivery.kind is Kind.CARD:
        return request_card(scene)
    if delivery.kind is Kind.APPROVAL_CARD:
        return approval_card(scene)
    if delivery.kind is Kind.INVITATION:
        return invitation(scene)
    assert event is not None, "bug: a reply tells an event"
    return (
        event_text.thread_reply(event, scene)
        if delivery.kind is Kind.THREAD_REPLY
        else event_text.direct(event, scene)
    )


def is_said_plainly(delivery: Delivery) -> bool:
    """Whether this try is made with the text alone: every third one, where it was not taken for long.

    Slack may have a word for what it does not take in a message that nobody has seen yet. A card is not told
    so: it would stand there without its buttons.
    """
    is_text = delivery.kind in (Kind.THREAD_REPLY, Kind.DIRECT)
    return is_text and delivery.tries >= _LONG and delivery.tries % 3 == 0


def ways_to_say(
    message: Message, batch: Batch, *, several: bool = False, plainly: bool = False
) -> Iterator[tuple[str, list[Block], bool]]:
    """How to say it, and whether with metadata: with blocks, as text alone, and at last in a plain line.

    With its table as lines before that: not every Slack takes tables.

    That line carries no metadata, which may be what Slack refuses: a reply that cannot be found is one. For a
    message that tells several there is none. plainly: begin with the text alone.
    """
    if not plainly:
        yield message.text, message.blocks, True
        if (lines := without_tables(message.blocks)) != message.blocks:
            yield message.text, lines, True
    if message.blocks or plainly:
        yield message.text, [], True
    if several:
        return
    reference = secrets.token_hex(4)
    log.error("told in a plain line", payment=batch.number, reference=reference)
    yield event_text.plain(batch, reference).text, [], False
