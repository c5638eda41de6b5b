"""What the desk's parts share: refusals are recorded, and what was written past the bot is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from bot.about import about_number
from bot.domain import events
from bot.domain.batch import Batch
from bot.domain.payment import (
    PaymentRequest,
)
from bot.domain.policy import Reason, Refusal
from bot.errors import CommitLost, DirectoryError, LedgerContradicted, LedgerUnavailable
from bot.ledger.notices import Topic
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.metrics import REFUSALS
from bot.payments.answers import (
    NOT_DONE,
    Forgotten,
    NotFound,
    refused_before,
)
from bot.payments.authority import Authority, Person
from bot.payments.settling import Settling

log = structlog.get_logger()

T = TypeVar("T")


CONTRADICTED = Refusal(
    reason=Reason.CONTRADICTED,
    text="The ledger and its audit trail contradict each other about this invoice, so nothing was done.",
    remedy="Tell the people who run this bot: `python -m bot audit verify` shows where.",
)


@dataclass(frozen=True, slots=True)
class DeskPart:
    """What every part of the desk works with.

    settling: how long after its answer was lost a call may still be carried out.
    """

    ledger: Ledger
    authority: Authority
    settling: Settling

    async def repair(self, request_id: int) -> None:
        """Somebody acted on a card that was out of date: show it again."""
        async with self.ledger.transaction() as transaction:
            await transaction.outbox.repair_cards(request_id)

    async def refused_before(self, trigger: str) -> str | None:
        """Why what Slack delivered by this trigger was refused before; None where it was not.

        Raises LedgerUnavailable.
        """
        async with self.ledger.transaction() as transaction:
            return await transaction.refused_triggers.why(trigger)

    async def refuse(self, trigger: str, why: str = NOT_DONE) -> str | None:
        """Let nothing come of this, whenever Slack delivers it again: to be done before anybody hears a no.

        Returns why it is refused, in the words that were used first; None where it made a request before.
        Raises LedgerUnavailable.
        """
        async with self.ledger.transaction() as transaction:
            await transaction.lock("request")
            if await transaction.by_trigger(trigger) is not None:
                return None
            before = await transaction.refused_triggers.why(trigger)
            if before is None:
                await transaction.refused_triggers.add(trigger, why)
            return before or why

    async def once(self, trigger: str | None, doing: Awaitable[T], is_done: Callable[[T], bool]) -> T:
        """What came of what Slack delivered by this trigger; where that is a no, see `refuse`.

        is_done: of the answer: whether it is none. trigger: None where Slack does not tell it.
        Raises what `doing` raises; CommitLost where the no cannot be kept, beside which some may be done.
        """
        try:
            answer = await doing
        except DirectoryError:
            await self._keep_refused(trigger)
            raise
        if not is_done(answer):
            await self._keep_refused(trigger)
        return answer

    async def _keep_refused(self, trigger: str | None) -> None:
        try:
            if trigger is not None:
                await self.refuse(trigger)
        except LedgerUnavailable as error:
            raise CommitLost("it is not known whether this stays undone") from error

    async def _refuse_again(
        self,
        transaction: Transaction,
        person: Person,
        why: str,
        what: str,
        request: PaymentRequest | None = None,
    ) -> Refusal:
        """The answer to what was refused before, where nothing else stands in its way any more."""
        refusal = refused_before(why)
        await self._refused(transaction, person, refusal, what, request)
        return refusal

    async def record_refusal(self, person: Person, refusal: Refusal, what: str) -> None:
        """Put a refusal into the audit trail that was not the policy's."""
        async with self.ledger.transaction() as transaction:
            await self._refused(transaction, person, refusal, what)

    async def _uncontradicted(
        self, person: Person, what: str, doing: Awaitable[T], *, about: int | None = None
    ) -> T | Refusal:
        """The answer, or the refusal to follow on what was written past the bot. about: the request."""
        if about is None:
            return await self._proved(person, what, doing, what[:80])
        with about_number(about):
            return await self._proved(person, f"{what} #{about}", doing, about)

    async def _proved(self, person: Person, what: str, doing: Awaitable[T], about: int | str) -> T | Refusal:
        try:
            return await doing
        except LedgerContradicted:
            log.exception("refused: the ledger contradicts its audit trail", what=what)
            async with self.ledger.transaction() as transaction:
                await self._refused(transaction, person, CONTRADICTED, what)
                await transaction.notices.alert(Topic.CONTRADICTED, about)
            return CONTRADICTED

    async def _refused(
        self,
        transaction: Transaction,
        person: Person,
        refusal: Refusal,
        what: str,
        request: PaymentRequest | None = None,
    ) -> None:
        REFUSALS.labels(refusal.reason.value).inc()
        refused = events.Refused(what, refusal.reason.value, person.team)
        await transaction.record(refused, actor=person.id, request=request)


def is_requester(person: Person, batch: Batch) -> bool:
    """Whether it was this person who asked."""
    return (person.id, person.team) == (batch.request.requester, batch.request.team)


def shown_to(batch: Batch | None, request_id: int, mark: str | None) -> Batch | NotFound | Forgotten:
    """The request, if it is the one that people were shown. mark: see `Desk`."""
    if batch is None:
        return NotFound(request_id)
    return batch if mark in (None, batch.request.mark) else Forgotten(batch.request)
