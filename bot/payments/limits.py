"""The rule's limits, against what else was requested on the same day (UTC)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from bot.domain.payment import Payment
from bot.domain.policy import Policy, Refusal, Refused, Rule
from bot.ledger.transaction import Transaction
from bot.payments.payable import Cancel

_NOTHING = Decimal(0)


async def lock_limits(transaction: Transaction, rule: Rule) -> None:
    """Let nobody else be asked about limits until the transaction ends, where this rule has any.

    For who adds to the trail before the last payment is asked about: everybody takes its end last.
    """
    if rule.limits:
        await transaction.lock("limits")


async def over_limit(
    transaction: Transaction, payment: Payment, rule: Rule, policy: Policy, beside: Sequence[Payment] = ()
) -> Cancel | None:
    """Whether the rule's limits forbid this payment. Its day is the day on which it was asked for.

    policy: knows whom to ask instead. beside: of the same request, with amounts that are not written yet.
    """
    refusal = await _refusal(transaction, payment, rule, policy, beside)
    if refusal is None:
        return None
    ref, invoice = payment.ref, payment.invoice
    amount, currency = (invoice.amount, invoice.currency) if invoice else (None, None)
    refused = Refused(rule, payment.request.requester, ref.module, payment.request.channel, amount, currency)
    advised = policy.advised(refusal, refused)
    return Cancel(advised.text, advised.remedy or None, ask=advised.ask)


async def _refusal(
    transaction: Transaction, payment: Payment, rule: Rule, policy: Policy, beside: Sequence[Payment]
) -> Refusal | None:
    invoice = payment.invoice
    if invoice is None or not rule.limits:
        amount, currency = (invoice.amount, invoice.currency) if invoice else (None, None)
        return rule.check_limits(amount, currency, _NOTHING, _NOTHING)
    await lock_limits(transaction, rule)
    midnight = payment.request.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
    theirs = [one.invoice for one in beside if one.invoice and one.invoice.currency == invoice.currency]
    unwritten = sum((one.amount for one in theirs), _NOTHING)
    by_all, by_person = await transaction.requested_totals(
        since=midnight,
        until=midnight + timedelta(days=1),
        currency=invoice.currency,
        except_payment=payment.id,
        rule=rule.name,
        rules=[one.name for one in policy.rules],
        requester=payment.request.requester,
        moved=None if payment.request.rule == rule.name else (payment.request.rule, rule),
    )
    return rule.check_limits(invoice.amount, invoice.currency, by_person + unwritten, by_all + unwritten)
