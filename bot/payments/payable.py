"""Whether an invoice may be paid at all, by what its module's list of unpaid ones says now.

Asked at the look-up and again right before sending. An invoice that is read as unpaid now may be paid,
whatever became of earlier calls for its number, unless one was answered as paid. One that is not, may be
paid only if nothing speaks against it and the account can never read its invoices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from bot.domain.batch import amounts_in
from bot.domain.events import Cancelled
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.domain.unpaid_list import UnpaidList
from bot.domain.wording import money
from bot.ledger.precedents import Precedents
from bot.ledger.transaction import Transaction
from bot.payments.billing_api import BillingApi

_LOOK = "Do not pay it again; MyAdmin shows what became of it."


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list of unpaid invoices said of one; None: it is not there with an amount that can be read.

    empty: nothing at all is there; or it is, and no amount can be read in the whole list. An account may get
        to see no more than that.
    beside: the others in it. unclear: it is there, and nobody knows what it costs.
    """

    invoice: Invoice | None
    empty: bool
    beside: Sequence[Invoice] = ()
    unclear: bool = False

    @property
    def unpaid(self) -> bool | None:
        """Whether it is there; None where what is said of it is not clear."""
        return None if self.unclear else self.invoice is not None


@dataclass(frozen=True, slots=True)
class Cancel:
    """It must not be sent any more.

    remedy: how to go on. other: the payment that is in its way. ask: who may ask for it instead.
    """

    reason: str
    remedy: str | None = None
    other: Payment | None = None
    ask: frozenset[str] = frozenset()

    @property
    def event(self) -> Cancelled:
        """For the trail, and for who tells it."""
        other = self.other
        return Cancelled(
            self.reason,
            remedy=self.remedy,
            other=other.number if other else None,
            other_channel=other.request.channel if other else None,
            other_ts=other.request.cards.ts if other else None,
            ask=", ".join(sorted(self.ask)) or None,
        )


async def cancel(
    transaction: Transaction, payment: Payment, against: Cancel, *, actor: str, **changes: Any
) -> None:
    """Cancel it for that reason. Raises as `Transaction.move` does."""
    await transaction.move(
        payment, State.CANCELLED, against.event, actor=actor, reason=against.reason, **changes
    )


async def read_listed(billing: BillingApi, ref: InvoiceRef) -> Listed:
    """Look for one invoice in its module's list. Raises as `BillingApi.unpaid_invoices` does."""
    return found_in(await billing.unpaid_invoices(ref.module), ref)


def found_in(unpaid: UnpaidList, ref: InvoiceRef) -> Listed:
    """What the list of its module says of an invoice."""
    beside = [one for one in unpaid.invoices if one.ref != ref]
    unclear = ref in unpaid.unclear
    says_something = unpaid.invoices or ((unpaid.unclear or unpaid.others) and not unclear)
    return Listed(
        next((one for one in unpaid.invoices if one.ref == ref), None),
        not says_something,
        beside,
        unclear,
    )


async def changed_since_seen(transaction: Transaction, payment: Payment) -> Cancel | None:
    """Whether it costs something else than its requester was shown when they asked for it."""
    seen, invoice = await transaction.seen(payment), payment.invoice
    if seen is None or invoice is None:
        return None
    shown, now = amounts_in(seen), (invoice.amount, invoice.currency)
    if shown == [now]:
        return None
    before, after = ", ".join(money(*one) for one in shown if one) or "another price", money(*now)
    return Cancel(f"it was asked for at {before} and costs {after} now", "Ask again if it is still wanted.")


def forbidden(ref: InvoiceRef, precedents: Precedents, listed: bool | None) -> Cancel | None:
    """Whether an earlier payment forbids this one.

    listed: it is in the list now; None: that cannot be read, so what is merely in doubt may wait.
    """
    if precedents.paid:
        return Cancel("the billing API said of an earlier call that this invoice is paid", _LOOK)
    if listed:
        return None
    if (other := precedents.elsewhere) is not None:
        return Cancel(
            f"{other.number} is for {other.ref}, which has the same number, and {ref} is not read as unpaid",
            "If it is another invoice, ask again when /pay list shows it.",
            other,
        )
    if precedents.in_doubt and listed is False:
        return Cancel(
            "an earlier payment of this invoice may have been carried out late: it is not unpaid any more",
            _LOOK,
        )
    return None


def not_offered(ref: InvoiceRef) -> Cancel:
    """The API had a way to list the invoices of its module, and has none any more: waiting does not help."""
    return Cancel(
        f"the billing API has no operation any more that lists the unpaid invoices of {ref.module}",
        "Tell the people who run this bot; ask again when that is mended.",
    )


def no_such_day(ref: InvoiceRef, day: date | None) -> Cancel:
    """It was to be paid on a day that is too far away; None: on its due date, which is not known."""
    which = "its due date, which is not known" if day is None else f"{day}, which is more than a year away"
    return Cancel(
        f"it was to be paid on {which}",
        f"Ask for it at once, or for a day, as in /pay {ref} on 2026-12-05.",
    )


def not_listed(ref: InvoiceRef) -> Cancel:
    """It was asked for, and the list of its module, which can be read, does not hold it."""
    return Cancel(
        f"{ref} is not in the list of unpaid invoices, or not with an amount that can be read",
        f"Check the number: /pay list {ref.module} shows what can be paid.",
    )
