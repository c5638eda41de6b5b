"""What must hold at every moment, and not only in the end: looked up in the ledger's file itself."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from bot.domain.payment import State
from bot.sandbox.local_billing.service import PAYMENT, Call

if TYPE_CHECKING:
    from tests.simulation.installation import Installation

MAY_LAG_S = 200.0
"""Seconds that an amount may have changed before a payment arrives: between its last check and the call."""


def at_once(installation: Installation) -> list[str]:
    """What is wrong now: no state may say what is not so."""
    wrong = list(installation.wrong)
    paid: dict[tuple[str, int], int] = {}
    for number, module, invoice, state in installation.rows(
        "SELECT request_id, module, number, state FROM payments"
    ):
        if state != State.PAID:
            continue
        row = installation.billing.row(module, invoice)
        if not (row and row["invoices_paid"]):
            wrong.append(f"#{number} is PAID, and {module} {invoice} is not")
        if (module, invoice) in paid:
            wrong.append(f"#{number} and #{paid[module, invoice]} are both PAID for {module} {invoice}")
        paid[module, invoice] = number
    if errors := installation.errors:
        wrong += [f"logged as an error: {error}" for error in errors]
    return wrong


def at_call(installation: Installation, call: Call) -> list[str]:
    """What is wrong with a payment that has just been received."""
    if call.operation != PAYMENT or call.module is None or call.invoice is None:
        return []
    what = f"{call.module} {call.invoice}"
    held = installation.rows(
        "SELECT requests.id, amount, approvals_required, requester FROM payments"
        " JOIN requests ON requests.id = request_id WHERE module = ? AND number = ? AND state = 'SENDING'",
        call.module,
        call.invoice,
    )
    if len(held) != 1:
        return [f"{what} was received while {len(held)} payments of it were being sent"]
    ((number, amount, required, requester),) = held
    wrong = _twice(installation, call, what)
    givers = installation.rows(
        "SELECT count(*) FROM approvals WHERE request_id = ? AND approver <> ?", number, requester
    )
    if givers[0][0] < required:
        wrong.append(f"#{number} was sent with {givers[0][0]} of {required} approvals")
    row = installation.billing.row(call.module, call.invoice)
    if amount is not None and row is not None and abs(float(amount) - (row["invoices_amount"] or 0)) > 1e-6:
        since = installation.loop.now - installation.amount_changed_at.get((call.module, call.invoice), -1e9)
        if since > MAY_LAG_S:
            wrong.append(f"#{number} was sent for {amount}, and the invoice is {row['invoices_amount']}")
    return wrong


def _twice(installation: Installation, call: Call, what: str) -> list[str]:
    """Another call of it may follow at once only where the one before was answered with no."""
    calls = [
        one
        for one in installation.billing.log
        if (one.operation, one.module, one.invoice) == (PAYMENT, call.module, call.invoice)
    ]
    if sum(one.effect == "paid" for one in calls) > 1:
        return [f"{what} was paid twice"]
    answered = installation.rows(
        "SELECT count(*) FROM attempts JOIN payments ON payments.id = attempts.payment_id"
        " WHERE module = ? AND number = ? AND verdict = 'DECLINED'",
        call.module,
        call.invoice,
    )
    hasty = sum(later.at - earlier.at < installation.settled_after for earlier, later in pairwise(calls))
    if hasty > answered[0][0]:
        return [f"{what} was sent anew while a call of it was not settled"]
    return []
