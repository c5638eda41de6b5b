"""The kill switch: nothing is sent, on any instance, until it is resumed. Requests and approvals go on."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.command import MAX_NOTE
from bot.domain.policy import Refusal
from bot.ledger.rows import Pause
from bot.payments.authority import Person
from bot.payments.desk_part import DeskPart


@dataclass(frozen=True, slots=True)
class Paused:
    """No call is begun now. before: it was paused already. sending: how many calls were begun before it."""

    pause: Pause
    before: bool
    sending: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """What is approved is sent again. pause: the one that is over; None: there was none."""

    pause: Pause | None


def begins_or_ends(answer: Paused | Resumed | Refusal) -> bool:
    """Whether a pause began or ended by this; anything else is a no."""
    match answer:
        case Paused(before=before):
            return not before
        case Resumed(pause):
            return pause is not None
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Pausing(DeskPart):
    """The part of the desk where sending is stopped."""

    async def pause(self, person: Person, reason: str, *, trigger_id: str) -> Paused | Resumed | Refusal:
        """Stop all sending; the same command once more begins no pause after the one that it began.

        Raises DirectoryError, LedgerUnavailable.
        """
        if (refusal := await self.authority.may_pause(person)) is not None:
            await self.record_refusal(person, refusal, "pause")
            return refusal
        async with self.ledger.transaction() as transaction:
            why = await transaction.refused_triggers.why(trigger_id)
            if why is not None and await transaction.paused() is None:
                return await self._refuse_again(transaction, person, why, "pause")
            said = reason.strip()[:MAX_NOTE]
            new = await transaction.pause(said, actor=person.id, trigger=trigger_id)
            pause, sending = await transaction.paused(), await transaction.count_sending()
        if pause is None:
            return Resumed(None)
        return Paused(pause, before=not new, sending=sending)

    async def resume(self, person: Person, *, trigger_id: str) -> Resumed | Paused | Refusal:
        """Let sending go on; the same command once more ends no pause that came after it.

        Raises DirectoryError, LedgerUnavailable.
        """
        if (refusal := await self.authority.may_pause(person)) is not None:
            await self.record_refusal(person, refusal, "resume")
            return refusal
        async with self.ledger.transaction() as transaction:
            if (why := await transaction.refused_triggers.why(trigger_id)) is not None:
                if await transaction.paused() is None:
                    return Resumed(None)
                return await self._refuse_again(transaction, person, why, "resume")
            ended = await transaction.resume(actor=person.id, trigger=trigger_id)
            if ended is None and (pause := await transaction.paused()) is not None:
                return Paused(pause, before=True, sending=await transaction.count_sending())
            return Resumed(ended)
