"""The head of the audit trail, once a day, in a channel: whoever rewrites the ledger cannot rewrite that.

Nothing is told where nothing came to the trail since it was told last.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date

from bot.domain.digest_plan import DigestPlan
from bot.ledger.notices import Notice, Topic
from bot.ledger.watching import head, last_told, to_tell
from bot.payments.worker import TaskPool
from bot.slack.blocks import Message, paragraph
from bot.slack.once import Once
from bot.slack.text import day


@dataclass(slots=True)
class HeadTeller:
    """Tells the day's head when its time has come. once: for PAY_AUDIT_CHANNEL."""

    plan: DigestPlan
    once: Once
    pool: TaskPool[int] = field(init=False)

    def __post_init__(self) -> None:
        self.pool = TaskPool("audit head", 1, asyncio.Event())

    async def poll_once(self) -> None:
        """Begin the day's head, and tell it if it is still to be told. Raises LedgerUnavailable."""
        ledger = self.once.ledger
        today = self.plan.due(ledger.clock())
        if today is None:
            return
        left = await to_tell(ledger, Topic.HEAD, today, self.plan.channel)
        if left is None:
            left = await self._begin(today)
        if left and self.pool.free > 0:
            notice = await self.once.claim({Topic.HEAD}, today, self.plan.channel)
            if notice is not None:
                self.pool.start(notice.id, self._tell(notice))

    async def _begin(self, today: date) -> bool:
        """What is told is written down first, so that it is the same however often it has to be tried."""
        ledger = self.once.ledger
        end = await head(ledger)
        detail = f"{end.events} {end.hash}"
        told = end.events == 0 or await last_told(ledger, Topic.HEAD) == detail
        ended = "there was nothing new" if told else None
        async with ledger.transaction() as transaction:
            await transaction.notices.begin_day(Topic.HEAD, today, {self.plan.channel}, detail, ended=ended)
        return ended is None

    async def _tell(self, notice: Notice) -> None:
        await self.once.tell(notice, notice.place, head_message(notice))


def head_message(notice: Notice) -> Message:
    """What the channel is told."""
    events, hashed = notice.detail.split()
    count = f"{int(events):,} event{'' if events == '1' else 's'}"
    return paragraph(
        f"*Audit trail, {day(date.fromisoformat(notice.key))}: {count}*, the last with the hash `{hashed}`\n"
        f"Later, `python -m bot audit verify --since-head {hashed}` proves that none of them was changed or"
        " cut off since."
    )
