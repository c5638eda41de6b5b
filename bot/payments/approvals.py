"""Who approved, who of them counts, and how many are missing: computed here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from bot.domain.events import Expired
from bot.domain.payment import Payment, State
from bot.domain.policy import Rule
from bot.errors import DirectoryError
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.authority import Authority

log = structlog.get_logger()


LAST_HOUR = timedelta(hours=1)
"""So long before a request expires, those who may approve are reminded of it."""


@dataclass(frozen=True, slots=True)
class ApprovalStatus:
    """How far a payment is with its approvals.

    required: how many people must approve. counted: who approved and counts, in that order. void: who
    approved and does not count any more. may_approve: whom the rule names, people and groups. denied_by: who
    denied it.
    """

    required: int
    counted: tuple[str, ...] = ()
    void: frozenset[str] = frozenset()
    may_approve: frozenset[str] = frozenset()
    denied_by: str | None = None

    @property
    def asked(self) -> frozenset[str]:
        """Of whom an approval is still wanted: nobody who approved is asked again."""
        return self.may_approve - set(self.counted) - self.void

    @property
    def missing(self) -> int:
        """How many approvals are missing."""
        return max(self.required - len(self.counted), 0)

    @property
    def awaited(self) -> int:
        """How many approvals a payment waits for that waits: at least the one click that lets it go."""
        return max(self.missing, 1)


def required_now(payment: Payment, rule: Rule | None) -> int:
    """How many people must approve: what was frozen, or what the rule as it is now asks for, if that is more.

    rule: None where there is none any more.
    """
    if rule is None:
        return payment.request.approvals_required
    return max(payment.request.approvals_required, frozen_by(payment, rule))


def frozen_by(payment: Payment, rule: Rule) -> int:
    """What a rule asks for the payment's amount as far as that is known, to be frozen with it."""
    invoice = payment.invoice
    return rule.approvals_required(*((invoice.amount, invoice.currency) if invoice else (None, None)))


async def checked(ledger: Ledger, authority: Authority, payment: Payment, rule: Rule) -> ApprovalStatus:
    """How far it is by this rule. Raises DirectoryError where Slack does not say who may approve."""
    given = await ledger.approvers(payment.request.id)
    counting = await authority.still_approved_by(rule, given, payment.request.requester)
    return _status(payment, rule, given, frozenset(given) - counting)


def recounted(before: ApprovalStatus, payment: Payment, rule: Rule, given: Iterable[str]) -> ApprovalStatus:
    """How far it is when these have approved: who came since `before` was checked at their own click.

    given: somebody may stand in it twice, and counts once.
    """
    return _status(payment, rule, given, before.void)


def _status(
    payment: Payment, rule: Rule | None, given: Iterable[str], void: frozenset[str] = frozenset()
) -> ApprovalStatus:
    return ApprovalStatus(
        required_now(payment, rule),
        tuple(dict.fromkeys(one for one in given if one not in void)),
        void,
        rule.approvers - {payment.request.requester} if rule else frozenset(),
    )


async def shown(ledger: Ledger, authority: Authority, payment: Payment) -> ApprovalStatus:
    """How far it is, for people to look at.

    While it waits for approval that is what the next click will be asked by; where Slack does not say in time
    who may approve, and once it is decided, everybody counts who did.
    """
    rule = authority.policy.rule_named(payment.request.rule)
    if payment.state is State.PENDING_APPROVAL:
        try:
            now = await authority.rule_of(payment)
            rule = now if isinstance(now, Rule) else rule
            if rule is not None:
                return await checked(ledger, authority, payment, rule)
        except DirectoryError:
            log.info("approvals are shown unchecked", payment=payment.number)
    status = _status(payment, rule, await ledger.approvers(payment.request.id))
    if payment.state is State.DENIED:
        return replace(status, denied_by=await ledger.denier(payment.request.id))
    return status


def remind_at(payment: Payment, rule: Rule | None, now: datetime) -> datetime:
    """When those who may approve are reminded next; when it expires, if they are not any more.

    Every so often, where the rule says so; otherwise when half of the time is over, and an hour before the
    end. It is written down with the reminder before, so a clock that is set back brings none again.
    """
    request = payment.request
    if rule is None:
        return request.expires_at
    if rule.remind_every is not None:
        return now + rule.remind_every
    half = request.created_at + (request.expires_at - request.created_at) / 2
    to_come = (one for one in (half, max(half, request.expires_at - LAST_HOUR)) if one > now)
    return next(to_come, request.expires_at)


async def expire(transaction: Transaction, payment: Payment) -> Payment:
    """Nobody decided in time."""
    return await transaction.move(
        payment,
        State.EXPIRED,
        Expired(),
        actor="timekeeper",
        reason="not enough approvals in time",
    )
