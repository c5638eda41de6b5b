"""Alerts: tells the people who run the bot, in a channel of theirs, what `Alarms` and others wrote down.

Each is one message that says what to do next, and there is another when that is over. No payment waits for
them. Where the app may not look whether an alert arrived, it is told again: rather twice than never. Where
the bot is not in the channel it is tried every hour, for a day at the most if it came about once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.ledger import watching
from bot.ledger.notices import ALERTS, Notice, Topic
from bot.payments.alarms import Alarms, ids_in
from bot.payments.worker import TaskPool
from bot.slack.alert_text import not_told, pausing, settled, standing_for_itself, unknown
from bot.slack.blocks import Message
from bot.slack.once import Once

_LASTING = frozenset({Topic.UNKNOWN, Topic.REFUSED})
"""What is worth telling however late, as long as it is so."""

_PASSING = frozenset({Topic.PAUSED, Topic.RESUMED, Topic.ACCEPTED})
"""What may be otherwise an hour later, and would be told as if it were so."""


@dataclass(slots=True)
class AlertTeller:
    """Looks for what is wrong, and tells it. channel: PAY_OPERATORS_CHANNEL. once: for that."""

    channel: str
    alarms: Alarms
    once: Once
    pool: TaskPool[int] = field(init=False)
    looking: TaskPool[str] = field(init=False)

    def __post_init__(self) -> None:
        # One at a time, so that they are told in the order in which they came about.
        self.pool = TaskPool("alerts", 1, asyncio.Event())
        self.looking = TaskPool("alarms", 1, asyncio.Event())

    async def poll_once(self) -> None:
        """Look, and tell the next that is due. Raises LedgerUnavailable."""
        if self.looking.free > 0:
            self.looking.start("look", self.alarms.look())
        if self.pool.free > 0 and await watching.any_due(self.once.ledger, ALERTS):
            notice = await self.once.claim(ALERTS)
            if notice is not None:
                self.pool.start(notice.id, self._tell(notice))

    async def _tell(self, notice: Notice) -> None:
        age = self.once.ledger.clock() - notice.created_at
        if notice.topic not in _LASTING and age >= self.once.timing.too_old:
            await self.once.end(notice, "it was too old to be told")
        elif (message := await self._message(notice)) is None:
            await self.once.end(notice, "there was nothing to tell any more")
        else:
            once_invited = notice.topic not in _PASSING
            await self.once.tell(notice, self.channel, message, once_invited=once_invited)

    async def _message(self, notice: Notice) -> Message | None:
        match notice.topic:
            case Topic.UNKNOWN | Topic.SETTLED:
                lines = await watching.lines(self.once.ledger, ids_in(notice.detail))
                return unknown(lines) if notice.topic is Topic.UNKNOWN else settled(lines)
            case Topic.PAUSED | Topic.RESUMED:
                return pausing(await self.once.ledger.event(int(notice.key)))
            case Topic.NOT_TOLD:
                return not_told(await self.once.ledger.event(int(notice.detail)))
            case _:
                return standing_for_itself(notice)
