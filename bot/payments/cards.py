"""No card, no payment; and the other dead letters, the deliveries that Slack does not take.

Each is told in another way, is an event in the trail, and is counted.
Where Slack will not have it, that happens at once; where it merely did not take it, after days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from bot.domain.events import DomainEvent, NoCard, NotTold
from bot.domain.payment import CANCELLABLE, Payment, PaymentRequest, State
from bot.errors import LedgerContradicted
from bot.ledger.notices import Topic
from bot.ledger.rows import Delivery, Kind
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The dead letters. Each method gives the delivery up first, unless another instance has it now.

    error: Slack's word for why.
    """

    ledger: Ledger

    async def refused(self, delivery: Delivery, request: PaymentRequest, error: str) -> None:
        """It cannot be posted there. No card, no payment; a reply goes to the requester instead."""
        log.warning("not deliverable", payment=request.number, kind=delivery.kind, error=error)
        if delivery.kind in (Kind.CARD, Kind.APPROVAL_CARD):
            await self._no_card(delivery, request, error)
        elif delivery.kind is Kind.THREAD_REPLY:
            await self.directly(delivery, request, error)
        else:
            async with self.ledger.transaction() as transaction:
                await _give_up(transaction, delivery, request, error)

    async def no_update(
        self, delivery: Delivery, request: PaymentRequest, error: str, *, card_lost: bool
    ) -> None:
        """What stands cannot be changed any more. card_lost: it does not stand any more, nor its thread."""
        log.warning("card cannot be updated", payment=request.number, error=error)
        async with self.ledger.transaction() as transaction:
            if await _give_up(transaction, delivery, request, error) is None:
                return
            if card_lost and delivery.kind is Kind.CARD:
                await transaction.outbox.card_lost(request)

    async def in_vain(self, delivery: Delivery, request: PaymentRequest, error: str) -> None:
        """Slack did not take it for days: told to the requester, where there is a way left."""
        log.error("given up", payment=request.number, kind=delivery.kind, error=error)
        if delivery.ts is None and delivery.kind in (Kind.CARD, Kind.APPROVAL_CARD):
            await self._no_card(delivery, request, error, at_last=True)
            return
        async with self.ledger.transaction() as transaction:
            given_up = await _give_up(transaction, delivery, request, error)
            if given_up is not None and delivery.kind not in (Kind.DIRECT, Kind.INVITATION):
                await transaction.outbox.add(request, Kind.DIRECT, event_id=delivery.event_id or given_up)

    async def directly(self, delivery: Delivery, request: PaymentRequest, error: str) -> None:
        """A reply for the thread goes to the requester alone."""
        async with self.ledger.transaction() as transaction:
            await transaction.of_request(request.id)  # before its deliveries, as everybody does
            if await transaction.outbox.give_up(delivery, error):
                await transaction.outbox.add(request, Kind.DIRECT, event_id=delivery.event_id)

    async def _no_card(
        self, delivery: Delivery, request: PaymentRequest, error: str, *, at_last: bool = False
    ) -> None:
        """Cancel what nobody can see, or what nobody can decide.

        The requester is told where no card stands, and the thread where only the approvals' is missing.
        """
        own = delivery.kind is Kind.CARD
        async with self.ledger.transaction() as transaction:
            batch = await transaction.whole(request)
            if not await transaction.outbox.give_up(delivery, error):
                return
            if at_last:
                await _not_told(transaction, delivery, request, error)
            reason = "the card could not be posted"
            no_card = NoCard(reason, error, delivery.channel)
            redirected = own and await transaction.outbox.redirect_replies(request, error)
            ending = batch.within(CANCELLABLE) if own else batch.waiting
            if ending:
                try:
                    await end_together(
                        transaction,
                        ending,
                        no_card,
                        actor="announcer",
                        announce=Kind.DIRECT if own else Kind.THREAD_REPLY,
                        reason=reason,
                    )
                    return
                except LedgerContradicted:
                    log.exception("not cancelled: the audit trail says otherwise", payment=request.number)
                    await transaction.notices.alert(Topic.CONTRADICTED, request.id)
            if own and not redirected:
                event_id = await transaction.record(no_card, actor="announcer", request=request)
                await transaction.outbox.add(request, Kind.DIRECT, event_id=event_id)


async def end_together(
    transaction: Transaction,
    ending: Sequence[Payment],
    what: DomainEvent,
    *,
    actor: str,
    reason: str,
    announce: Kind | None = Kind.THREAD_REPLY,
) -> Sequence[Payment]:
    """Cancel payments of a request that are in several states: an event a state, and one word about all."""
    ended: list[Payment] = []
    for state in dict.fromkeys(one.state for one in ending):
        same = [one for one in ending if one.state is state]
        ended += await transaction.move_together(
            same,
            State.CANCELLED,
            what,
            actor=actor,
            announce=None if ended else announce,
            reason=reason,
        )
    return ended


async def _give_up(
    transaction: Transaction, delivery: Delivery, request: PaymentRequest, error: str
) -> int | None:
    """Give it up, with its event; the event's id, or None where another instance has the delivery now."""
    await transaction.of_request(request.id)  # before its deliveries, as everybody does
    if not await transaction.outbox.give_up(delivery, error):
        return None
    return await _not_told(transaction, delivery, request, error)


async def _not_told(transaction: Transaction, delivery: Delivery, request: PaymentRequest, error: str) -> int:
    not_told = NotTold(delivery.kind.value, delivery.channel, error)
    event_id = await transaction.record(not_told, actor="announcer", request=request)
    # Where one thing is not taken nothing is: once a day says it.
    where_and_when = f"{delivery.channel} {transaction.now:%Y-%m-%d}"
    await transaction.notices.alert(Topic.NOT_TOLD, where_and_when, str(event_id))
    return event_id
