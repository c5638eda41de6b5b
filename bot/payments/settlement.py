"""A payment is settled, or what was settled is corrected, on the word of a person, who says how they know."""

from __future__ import annotations

from datetime import timedelta

from bot.domain.batch import Batch
from bot.domain.command import MAX_NOTE
from bot.domain.events import ABSENT, Corrected, Reconciled, Resolved
from bot.domain.payment import CORRECTIONS, WEAK, InvoiceRef, Payment, State
from bot.domain.policy import Refusal
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.answers import (
    AlreadyDecided,
    AlreadyRequested,
    Done,
    NotFound,
    TooEarly,
    WhichInvoice,
    refused_before,
)
from bot.payments.settling import Settling

OPERATOR = "operator:"
"""What the actor begins with who acts on the command line; the user's name there follows."""


async def settle_by_hand(
    ledger: Ledger,
    actor: str,
    request_id: int,
    *,
    paid: bool,
    note: str,
    settling: Settling,
    ref: InvoiceRef | None = None,
    correcting: bool = True,
    trigger: str | None = None,
) -> NotFound | AlreadyDecided | AlreadyRequested | TooEarly | WhichInvoice | Done | Refusal:
    """Settle a lost answer on somebody's word, or correct it. The caller has checked that they may.

    settling: how long after its answer was lost a call may still be carried out. Before that, "not paid"
    would let the invoice go while a payment of it may be on its way.
    ref: which of several is meant; see `meant`.
    correcting: they know that it may be settled by now, and mean what they say all the same.
    trigger: of the command; one that Slack delivers again settles nothing more, whatever was said since.
    """
    to = State.PAID if paid else State.DECLINED
    async with ledger.transaction() as transaction:
        if paid:
            # A new request for the invoice may be on its way. Before the payment, as requests lock it too.
            await transaction.lock("request")
        batch = await transaction.of_request(request_id)
        if batch is None:
            return NotFound(request_id)
        if trigger is not None and await transaction.settled_by(request_id, trigger):
            return AlreadyDecided(batch)
        payment = meant(batch, ref)
        if payment is None:
            return WhichInvoice(batch)
        correction = payment.state is not State.UNKNOWN
        if correction and not (correcting and await _correctable(transaction, payment, to, actor)):
            return AlreadyDecided(batch)
        if not paid and (left := settling.left(payment, transaction.now)) > timedelta(0):
            return TooEarly(payment, transaction.now + left)
        if trigger is not None and (why := await transaction.refused_triggers.why(trigger)) is not None:
            return refused_before(why)
        if paid and correction and (live := await transaction.live(payment.ref)) is not None:
            return AlreadyRequested(live)
        said = note.strip()[:MAX_NOTE]
        settled = await transaction.move(
            payment,
            to,
            (Corrected if correction else Resolved)(paid, said, ABSENT if trigger is None else trigger),
            actor=actor,
            reason=said,
        )
        return Done(batch.with_payments([settled]), settled.line)


def meant(batch: Batch, ref: InvoiceRef | None) -> Payment | None:
    """Which payment of a request is to be settled; None where that is not clear.

    ref: its invoice; None: the only one that is unknown, or that there is.
    """
    if ref is not None:
        return next((one for one in batch.payments if one.ref == ref), None)
    unknown = batch.within((State.UNKNOWN,))
    lines = unknown if batch.several else batch.payments
    return lines[0] if len(lines) == 1 else None


async def _correctable(transaction: Transaction, payment: Payment, to: State, actor: str) -> bool:
    """Whether what it rests on is this person's own word, or a reading that is no proof.

    Of two people who contradict each other, the first word stands, unless the operator says otherwise.
    """
    if CORRECTIONS.get(payment.state) is not to:
        return False
    if to is State.DECLINED and await transaction.answered_paid(payment.id):
        return False
    settled = await transaction.last_move(payment)
    match settled.what:
        case Reconciled(rests_on=rests_on):
            return rests_on in WEAK
        case Resolved():
            return settled.actor == actor or actor.startswith(OPERATOR)
        case _:
            return False
