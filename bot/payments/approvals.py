"""Who approved, who of them counts, and how many are missing: computed here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

import structlog

from bot.domain.batch import Batch, sums
from bot.domain.events import Expired
from bot.domain.payment import Invoice, PaymentRequest, State
from bot.domain.policy import Rule
from bot.domain.policy.rule import LAST_HOUR
from bot.errors import DirectoryError
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.payments.authority import Authority

log = structlog.get_logger()


TIMEKEEPER = "timekeeper"
"""Who acts where time does, in the audit trail of every release."""


@dataclass(frozen=True, slots=True)
class ApprovalStatus:
    """How far a request is with its approvals.

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
        """How many approvals a request waits for that waits: at least the one click that lets it go."""
        return max(self.missing, 1)


def required_now(batch: Batch, rule: Rule | None) -> int:
    """How many people must approve: what was frozen, or what the rule as it is now asks for, if that is more.

    rule: None where there is none any more.
    """
    if rule is None:
        return batch.request.approvals_required
    return max(batch.request.approvals_required, frozen_by((one.invoice for one in batch.held), rule))


def frozen_by(invoices: Iterable[Invoice | None], rule: Rule) -> int:
    """What a rule asks for these, to be frozen with them: the most of what it asks for each and in total.

    Splitting into many small ones does not help, and one of unknown amount counts as above every threshold.
    """
    lines = tuple(invoices)
    each = ((one.amount, one.currency) if one else (None, None) for one in lines)
    totals = ((total, currency) for currency, total in sums(lines).items())
    return max((rule.approvals_required(*one) for one in chain(each, totals)), default=0)


async def checked(ledger: Ledger, authority: Authority, batch: Batch, rule: Rule) -> ApprovalStatus:
    """How far it is by this rule. Raises DirectoryError where Slack does not say who may approve."""
    given = await ledger.approvers(batch.request.id)
    counting = await authority.still_approved_by(rule, given, batch.request.requester)
    return _status(batch, rule, given, frozenset(given) - counting)


def recounted(before: ApprovalStatus, batch: Batch, rule: Rule, given: Iterable[str]) -> ApprovalStatus:
    """How far it is when these have approved: who came since `before` was checked at their own click.

    given: somebody may stand in it twice, and counts once.
    """
    return _status(batch, rule, given, before.void)


def _status(
    batch: Batch, rule: Rule | None, given: Iterable[str], void: frozenset[str] = frozenset()
) -> ApprovalStatus:
    return ApprovalStatus(
        required_now(batch, rule),
        tuple(dict.fromkeys(one for one in given if one not in void)),
        void,
        rule.approvers - {batch.request.requester} if rule else frozenset(),
    )


async def shown(ledger: Ledger, authority: Authority, batch: Batch) -> ApprovalStatus:
    """How far it is, for people to look at.

    While it waits for approval that is what the next click will be asked by; where Slack does not say in time
    who may approve, and once it is decided, everybody counts who did.
    """
    rule = authority.policy.rule_named(batch.request.rule)
    if batch.waiting:
        try:
            now = await authority.rule_of(batch.waiting)
            rule = now.rule if isinstance(now.rule, Rule) else rule
            if rule is not None:
                return await checked(ledger, authority, batch, rule)
        except DirectoryError:
            log.info("approvals are shown unchecked", payment=batch.number)
    status = _status(batch, rule, await ledger.approvers(batch.request.id))
    if batch.ended_together is State.DENIED:
        return replace(status, denied_by=await ledger.denier(batch.request.id))
    return status


def remind_at(request: PaymentRequest, rule: Rule | None, now: datetime) -> datetime:
    """When those who may approve are reminded next; when it expires, if they are not any more.

    Every so often, where the rule says so; otherwise when half of the time is over, and an hour before the
    end. It is written down with the reminder before, so a clock that is set back brings none again.
    """
    if rule is None:
        return request.expires_at
    if rule.remind_every is not None:
        return now + rule.remind_every
    half = request.created_at + (request.expires_at - request.created_at) / 2
    to_come = (one for one in (half, max(half, request.expires_at - LAST_HOUR)) if one > now)
    return next(to_come, request.expires_at)


async def expire(transaction: Transaction, batch: Batch) -> Batch:
    """Nobody decided in time."""
    expired = await transaction.move_together(
        batch.waiting,
        State.EXPIRED,
        Expired(),
        actor=TIMEKEEPER,
        reason="not enough approvals in time",
    )
    return batch.with_payments(expired)
