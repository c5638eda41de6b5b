"""Posts a notice once, however many instances run and whatever happens meanwhile.

A post that was begun, and whose answer nobody has, is looked for before it is made again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import structlog

from bot.domain.payment import mark_of
from bot.ledger.notices import Notice, Topic
from bot.ledger.store import Ledger
from bot.payments.executor import Checkpoint, no_checkpoint
from bot.payments.timing import Timing
from bot.slack.blocks import Message
from bot.slack.pace import Pace
from bot.slack.post_search import Search, search_history
from bot.slack.web_api import CONTENT, Answer, Client, Later, Posted, Rejected, Workspace, post_message

log = structlog.get_logger()

_INVITED_WITHIN = timedelta(hours=1)
"""So long somebody is given to invite the bot, before what Slack refused is tried again."""

METADATA = "payment_notice"
"""The event type of a notice's metadata."""


@dataclass(frozen=True, slots=True)
class Once:
    """Posts notices. variable: what says where, for whoever has to mend it.

    rather_twice: where the app may not look whether one arrived, it is posted again, and where Slack does not
    say, now and then; otherwise it is not.
    """

    variable: str
    ledger: Ledger
    client: Client
    workspace: Workspace
    timing: Timing
    pace: Pace
    instance: str
    checkpoint: Checkpoint = no_checkpoint
    rather_twice: bool = False

    async def claim(
        self, topics: Collection[Topic], day: date | None = None, channel: str | None = None
    ) -> Notice | None:
        """Take the next of these that is due, if any. day, channel: of a daily one, and where it is told.

        Raises LedgerUnavailable.
        """
        async with self.ledger.transaction() as transaction:
            return await transaction.notices.claim(
                topics, owner=self.instance, lease=self.timing.lease, day=day, channel=channel
            )

    async def tell(
        self, notice: Notice, channel: str, message: Message, *, once_invited: bool = False
    ) -> None:
        """Tell one that was claimed, or say when it is tried again. Raises LedgerUnavailable.

        once_invited: what Slack refuses is tried again later, too; otherwise it is told no more.
        """
        if notice.begun and not await self._is_missing(notice, channel):
            return
        if channel in {*self.pace.paused, *self.pace.full}:
            await self.retry_after(notice, timedelta(seconds=1), begun=False)
            return
        async with self.ledger.transaction() as transaction:
            ours = await transaction.notices.begin(notice, lease=self.timing.lease)
        if not ours:
            log.info("another instance tells it", notice=notice.id, topic=notice.topic)
            return
        await self.checkpoint(f"posting {notice.topic}", notice.id)
        answer = await self._post(notice, channel, message)
        if isinstance(answer, Rejected) and answer.error in CONTENT and message.blocks:
            # A bug of ours must not cost anybody the notice: the text alone says the same.
            log.error("Slack refuses what it says", topic=notice.topic, error=answer.error)
            answer = await self._post(notice, channel, Message(message.text, []))
        match answer:
            case Posted(ts):
                await self.end(notice, "told", ts=ts)
            case Rejected(error):
                log.error(
                    f"cannot be told; invite the bot, or correct {self.variable}",
                    topic=notice.topic,
                    place=channel,
                    error=error,
                )
                if once_invited:
                    await self.retry_after(notice, _INVITED_WITHIN, begun=False)
                else:
                    await self.end(notice, error)
            case Later():
                if answer.error == "ratelimited" and answer.after is not None:
                    self.pace.pause(channel, answer.after)
                await self._later(notice, answer, begun=answer.ambiguous)

    async def _post(self, notice: Notice, channel: str, message: Message) -> Answer:
        self.pace.posted(channel)
        return await post_message(
            self.client,
            "chat.postMessage",
            channel=channel,
            text=message.text,
            **({"blocks": message.blocks} if message.blocks else {}),
            metadata=self._metadata(notice),
            unfurl_links=False,
            unfurl_media=False,
        )

    async def _is_missing(self, notice: Notice, channel: str) -> bool:
        """Whether an earlier try did not arrive, so that it is to be told now."""
        found = await search_history(
            self.client,
            self.workspace.bot_id,
            "conversations.history",
            {"channel": channel, "limit": 200, "include_all_metadata": True},
            {notice.id: self._metadata(notice)},
            Search(notice.tries, frozenset({notice.id})),
            age=self.ledger.clock() - notice.created_at,
        )
        match found:
            case Rejected(error):
                log.warning(
                    "it is not known whether it was told", topic=notice.topic, place=channel, error=error
                )
                if not self.rather_twice:
                    await self.end(notice, "it is not known whether it was told")
                return self.rather_twice
            case Later():
                if self.rather_twice and self.timing.may_repost(notice.tries):
                    return True
                await self._later(notice, found, begun=True)
                return False
            case _ if notice.id in found:
                await self.end(notice, "told", ts=found[notice.id].ts)
                return False
        return True

    async def _later(self, notice: Notice, answer: Later, *, begun: bool) -> None:
        log.warning("not told yet", topic=notice.topic, place=notice.place, error=answer.error)
        pause = timedelta(seconds=answer.after or 0.0)
        least = self.timing.visible_within if begun else timedelta(0)
        await self.retry_after(notice, max(self.timing.backoff(notice.tries), pause, least), begun=begun)

    async def retry_after(self, notice: Notice, wait: timedelta, *, begun: bool) -> None:
        """Try it again after that. begun: its post may stand there all the same."""
        async with self.ledger.transaction() as transaction:
            await transaction.notices.retry_at(notice, due_at=transaction.now + wait, begun=begun)

    async def end(self, notice: Notice, why: str, *, ts: str | None = None) -> None:
        """It is told, where ts is Slack's; or it is not told any more."""
        async with self.ledger.transaction() as transaction:
            await transaction.notices.end(notice, why, ts=ts)

    def _metadata(self, notice: Notice) -> dict[str, Any]:
        """What a post carries, by which it is found again; it tells nothing."""
        payload = {
            "ledger": self.ledger.identity,
            "notice": notice.id,
            "made": mark_of(notice.created_at),
        }
        return {"event_type": METADATA, "event_payload": payload}
