"""What must hold at the moment at which a payment is received, looked up in the ledger's file itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from bot.domain.payment import RELEASED
from bot.domain.wording import money
from bot.sandbox.local_billing.service import PAYMENT, Call
from tests.simulation.outside import ALL_OF, LISTS_LAG_S, MAY_LAG_S, NEVER
from tests.simulation.rules import required_by

if TYPE_CHECKING:
    from tests.faults.invariants import Ref
    from tests.simulation.installation import Installation

_UNSAFE_S = 300.0
"""Seconds in which a call may be received yet that a ledger which was set back knows nothing of."""


_RELEASED = ", ".join(f"'{state}'" for state in sorted(RELEASED))


class _Sent(NamedTuple):
    """The row of the payment that is being sent. times: as the ledger keeps them."""

    id: int
    request_id: int
    line: int
    lines: int
    amount: object
    currency: str | None
    approvals_required: int
    requester: str
    expires_at: str
    card_ts: str | None


def at_call(installation: Installation, call: Call) -> list[str]:
    """What is wrong with a payment that has just been received."""
    if call.operation != PAYMENT or call.module is None or call.invoice is None:
        return []
    ref = call.module, call.invoice
    since = installation.past.unsafe_since
    if since is not None and installation.loop.now - since < _UNSAFE_S:
        # Its commits were lost while it was on its way: nothing is promised then.
        installation.past.forgotten[ref] += 1
        return []
    what = f"{call.module} {call.invoice}"
    held = installation.rows(
        f"SELECT payments.{', '.join(_Sent._fields)} FROM payments JOIN requests ON requests.id = request_id"
        " WHERE module = ? AND number = ? AND state = 'SENDING'",
        *ref,
    )
    if len(held) != 1:
        return [f"{what} was received while {len(held)} payments of it were being sent"]
    sent = _Sent(*held[0])
    wrong = [*_of_itself(installation, ref, sent), *_by_whom(installation, ref, sent)]
    return _twice(installation, call, what) + [f"#{sent.id} was sent {flaw}" for flaw in wrong]


def _of_itself(installation: Installation, ref: Ref, sent: _Sent) -> Iterator[str]:
    """Its invoice, its time and its card."""
    past, now = installation.past, installation.loop.now
    if sent.request_id in past.forged:
        yield "although somebody wrote past the bot what it rests on"
    if sent.card_ts is None:
        yield "without a card"
    row = installation.billing.row(*ref)
    if sent.amount is None or row is None:
        return
    another = abs(float(str(sent.amount)) - (row["invoices_amount"] or 0)) > 1e-6
    if another and now - past.amount_changed_at.get(ref, NEVER) > MAY_LAG_S:
        yield f"for {sent.amount}, and the invoice is {row['invoices_amount']}"
    if now - past.gone_at.get(ref, now) > MAY_LAG_S + LISTS_LAG_S:
        yield "long after its invoice was paid or deleted in MyAdmin"


def _by_whom(installation: Installation, ref: Ref, sent: _Sent) -> Iterator[str]:
    """By the rules that the sender was told: who asked, who approved, and until when."""
    past, now = installation.past, installation.loop.now
    ((instance,),) = installation.rows(
        "SELECT instance FROM attempts WHERE payment_id = ? ORDER BY id DESC LIMIT 1", sent.id
    )
    sender = instance.partition(":")[0]
    rules = past.rules[sender]
    if not past.counts(sent.requester, rules["PAY_ALLOWED_USERS"], now):
        yield "for somebody who may not ask any more"
    at, approvers, frozen = _intended(installation, sent)
    counting = [
        one
        for one in sorted(approvers - {sent.requester})
        if past.counts(one, rules.get("PAY_APPROVERS", ""), now)
    ]
    # With all that is asked for beside it and was not let go.
    beside = installation.rows(
        f"SELECT amount FROM payments WHERE request_id = ? AND state NOT IN ({_RELEASED})", sent.request_id
    )
    amounts = [None if amount is None else Decimal(str(amount)) for (amount,) in beside]
    required = max(frozen, required_by(rules, amounts))
    if len(counting) < required:
        yield f"with {len(counting)} of {required} approvals that count"
    price = "amount unknown" if sent.amount is None else money(Decimal(str(sent.amount)), sent.currency or "")
    for one in counting:
        if not {(one, *ref, price), (one, ALL_OF, sent.request_id, "")} & past.shown:
            yield f"by an approval of {one}, who was not shown {ref[0]} {ref[1]} at {price}"
    if at >= sent.expires_at:
        yield f"at {at}, and its request expired at {sent.expires_at}"
    age = installation.ledger_now(past.machines[sender]) - datetime.fromisoformat(at).replace(tzinfo=UTC)
    if age.total_seconds() > MAY_LAG_S and now - past.clock_set_at > MAY_LAG_S:
        yield f"{age} after it was intended"


def _intended(installation: Installation, sent: _Sent) -> tuple[str, set[str], int]:
    """When it was written down that it will be sent; who had approved it then, and how many had to."""
    approvers, frozen = set[str](), 0
    found: tuple[str, set[str], int] | None = None
    for time, actor, action, to_state, detail in installation.rows(
        "SELECT at, actor, action, to_state, detail FROM events WHERE request_id = ? ORDER BY id",
        sent.request_id,
    ):
        told = json.loads(detail)
        if action == "looked_up":
            frozen = told.get("approvals_required", frozen)
        elif action == "asked_again":
            approvers = set()
        elif action == "approved":
            approvers = approvers | {actor}
        elif to_state == "SENDING" and (sent.lines == 1 or told.get("line") == sent.line):
            found = time, approvers, frozen
    assert found is not None, f"bug: nothing says that #{sent.request_id} is sent"
    return found


def _twice(installation: Installation, call: Call, what: str) -> list[str]:
    """Another call of it may follow at once only where the one before was answered with no."""
    calls = [
        one
        for one in installation.billing.log
        if (one.operation, one.module, one.invoice) == (PAYMENT, call.module, call.invoice)
    ]
    if sum(one.effect == "paid" for one in calls) > 1:
        return [f"{what} was paid twice"]
    paid_at = [one.at for one in calls[:-1] if one.effect == "paid"]
    known = installation.rows(
        "SELECT count(*) FROM payments WHERE module = ? AND number = ? AND amount IS NOT NULL"
        " AND state = 'SENDING'",
        call.module,
        call.invoice,
    )
    if known[0][0] and any(call.at - at > installation.settled_after for at in paid_at):
        return [f"{what} was sent anew long after it was paid"]
    answered = installation.rows(
        "SELECT count(*) FROM attempts JOIN payments ON payments.id = attempts.payment_id"
        " WHERE module = ? AND number = ? AND verdict = 'DECLINED'",
        call.module,
        call.invoice,
    )
    forgotten = installation.past.forgotten[call.module or "", call.invoice or 0]
    hasty = sum(later.at - earlier.at < installation.settled_after for earlier, later in pairwise(calls))
    if hasty > answered[0][0] + forgotten:
        return [f"{what} was sent anew while a call of it was not settled"]
    return []
