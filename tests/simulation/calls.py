"""What must hold at the moment at which a payment is received, looked up in the ledger's file itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from bot.domain.payment import RELEASED
from bot.domain.wording import money
from bot.sandbox.local_billing.service import PAYMENT, Call
from tests.simulation.outside import ALL_OF, LISTS_LAG_S, MAY_LAG_S, NEVER
from tests.simulation.rules import required_by
from tests.simulation.stored import stored_time

if TYPE_CHECKING:
    from tests.faults.invariants import Ref
    from tests.simulation.installation import Installation

_UNSAFE_S = 300.0
"""Seconds in which a call may be received yet that a ledger which was set back knows nothing of."""


_UNKNOWN = "amount unknown"
"""How a card says that nobody knows what it costs."""

_MORNING = time(8)
"""In UTC, where nobody said in which zone people live."""

_RELEASED = ", ".join(f"'{state}'" for state in sorted(RELEASED))


class _Sent(NamedTuple):
    """The row of the payment that is being sent. times: as the ledger keeps them."""

    id: int
    request_id: int
    line: int
    invoices: int
    amount: object
    currency: str | None
    approvals_required: int
    requester: str
    created_at: str
    expires_at: str
    card_ts: str | None
    pay_on: str | None
    due_date: str | None
    not_before: str | None


class _Intended(NamedTuple):
    """What the trail says of the moment at which it was decided that it is sent.

    event: its number. at: by the ledger's clock. approvers: who had approved. required: how many had to, by
    what was frozen.
    """

    event: int
    at: str
    approvers: set[str]
    required: int


def at_call(installation: Installation, call: Call) -> list[str]:
    """What is wrong with a payment that has just been received."""
    if call.operation != PAYMENT or call.module is None or call.invoice is None:
        return []
    ref = call.module, call.invoice
    past, now = installation.past, installation.loop.now
    lost = past.unsafe_since is not None and now - past.unsafe_since < _UNSAFE_S
    if lost or now - past.restored_at < installation.settled_after:
        # Its commits were lost while it was on its way, or a backup was restored, on which no bot runs yet.
        past.forgotten[ref] += 1
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
    intended = _intended(installation, sent)
    wrong = [
        *_of_itself(installation, ref, sent),
        *_by_whom(installation, ref, sent, intended),
        *_in_time(installation, ref, sent, intended),
    ]
    return _twice(installation, call, what) + [f"#{sent.id} was sent {flaw}" for flaw in wrong]


def _of_itself(installation: Installation, ref: Ref, sent: _Sent) -> Iterator[str]:
    """Its invoice and its card."""
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


def _sender(installation: Installation, sent: _Sent) -> str:
    """The machine that sends it, by its name."""
    ((instance,),) = installation.rows(
        "SELECT instance FROM attempts WHERE payment_id = ? ORDER BY id DESC LIMIT 1", sent.id
    )
    sender: str = instance.partition(":")[0]
    return sender


def _by_whom(installation: Installation, ref: Ref, sent: _Sent, intended: _Intended) -> Iterator[str]:
    """By the rules that the sender was told: who asked, and who approved."""
    past, now = installation.past, installation.loop.now
    rules = past.rules[_sender(installation, sent)]
    if not past.counts(sent.requester, rules["PAY_ALLOWED_USERS"], now):
        yield "for somebody who may not ask any more"
    counting = [
        one
        for one in sorted(intended.approvers - {sent.requester})
        if past.counts(one, rules.get("PAY_APPROVERS", ""), now)
    ]
    # With all that is asked for beside it and was not let go.
    beside = installation.rows(
        f"SELECT amount FROM payments WHERE request_id = ? AND state NOT IN ({_RELEASED})", sent.request_id
    )
    amounts = [None if amount is None else Decimal(str(amount)) for (amount,) in beside]
    required = max(intended.required, required_by(rules, amounts))
    if len(counting) < required:
        yield f"with {len(counting)} of {required} approvals that count"
    price = _UNKNOWN if sent.amount is None else money(Decimal(str(sent.amount)), sent.currency or "")
    prices = {price}
    if required == 0:
        # It rests on no approval any more: they were asked for while nobody knew what it costs, and now that
        # it is known, it is not above the amount from which on anybody must approve.
        prices.add(_UNKNOWN)
    for one in counting:
        seen = {(one, *ref, each) for each in prices} | {(one, ALL_OF, sent.request_id, "")}
        if not seen & past.shown:
            yield f"by an approval of {one}, who was not shown {ref[0]} {ref[1]} at {price}"


def _in_time(installation: Installation, ref: Ref, sent: _Sent, intended: _Intended) -> Iterator[str]:
    """Not before its day, not after its time, and not while sending was paused."""
    past, now = installation.past, installation.loop.now
    at, until = intended.at, stored_time(sent.expires_at)
    if sent.not_before is not None:
        # As long as a request stands, counted from its day.
        until = max(until, stored_time(sent.not_before) + (until - stored_time(sent.created_at)))
    if stored_time(at) >= until:
        yield f"at {at}, and it could be until {until}"
    clock = installation.ledger_now(past.machines[_sender(installation, sent)])
    trustworthy = now - past.clock_set_at > MAY_LAG_S
    age = (clock - stored_time(at)).total_seconds()
    if age > MAY_LAG_S and trustworthy:
        yield f"{age} s after it was intended"
    if sent.not_before is not None:
        if at < sent.not_before:
            yield f"by an intent of {at}, and its day begins at {sent.not_before}"
        if clock < stored_time(sent.not_before) and trustworthy:
            yield f"at {clock}, and its day begins at {sent.not_before}"
    yield from _on_another_day(installation, ref, sent)
    last = installation.rows(
        "SELECT action FROM events WHERE action IN ('paused', 'resumed') AND id < ? ORDER BY id DESC LIMIT 1",
        intended.event,
    )
    if last == [("paused",)]:
        yield f"by event {intended.event}, while sending was paused"


def _on_another_day(installation: Installation, ref: Ref, sent: _Sent) -> Iterator[str]:
    """The day must be one for which it was asked, and its due date that of the invoice."""
    past = installation.past
    asked = past.asked_on[ref] | past.asked_on[ALL_OF, 0]
    today = installation.ledger_now(past.machines[_sender(installation, sent)]).date().isoformat()
    # Who asks again for what has not become of it, on a day that is over, wants it at once.
    again = sent.pay_on is None and any(day[:1].isdigit() and day < today for day in asked)
    if (sent.pay_on or "") not in asked and not again:
        yield f"for the day {sent.pay_on}, and it was asked for on {sorted(asked)}"
    day = sent.due_date if sent.pay_on == "due" else sent.pay_on
    begins = None if day is None else datetime.combine(date.fromisoformat(day), _MORNING, UTC)
    if begins != (None if sent.not_before is None else stored_time(sent.not_before)):
        yield f"for {day}, and not before {sent.not_before}"
    row = installation.billing.row(*ref)
    if sent.pay_on == "due" and row is not None and ref not in past.due_changed:
        due = (row["invoices_due_date"] or "").partition(" ")[0]
        if due != sent.due_date:
            yield f"when due on {sent.due_date}, and the invoice is due on {due}"


def _intended(installation: Installation, sent: _Sent) -> _Intended:
    """When it was written down that it will be sent, and what that rested on."""
    approvers, frozen = set[str](), 0
    found: _Intended | None = None
    for event, at, actor, action, to_state, detail in installation.rows(
        "SELECT id, at, actor, action, to_state, detail FROM events WHERE request_id = ? ORDER BY id",
        sent.request_id,
    ):
        told = json.loads(detail)
        if action == "looked_up":
            frozen = told.get("approvals_required", frozen)
        elif action == "asked_again":
            approvers = set()
        elif action == "approved":
            approvers = approvers | {actor}
        elif to_state == "SENDING" and (sent.invoices == 1 or told.get("line") == sent.line):
            found = _Intended(event, at, approvers, frozen)
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
