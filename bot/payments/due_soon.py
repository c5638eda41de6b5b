"""What a digest tells of: what is overdue or due soon and nobody has asked for; and to whom. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from bot.domain.payment import Invoice, InvoiceRef
from bot.domain.policy import Policy
from bot.domain.slack_ids import is_group
from bot.payments.unpaid import Listing


@dataclass(frozen=True, slots=True)
class Due:
    """The invoices that nobody has asked for, the longest due first.

    unread: the modules not read. unclear: what is unpaid as well, and its amount cannot be read.
    """

    overdue: tuple[Invoice, ...]
    soon: tuple[Invoice, ...]
    unread: tuple[str, ...]
    unclear: tuple[InvoiceRef, ...] = ()

    @property
    def invoices(self) -> tuple[Invoice, ...]:
        """All of them."""
        return self.overdue + self.soon


def due_in(listing: Listing, today: date, within: timedelta) -> Due:
    """What of a listing is overdue, or due by then. What has no due date is neither."""
    free = [one.invoice for one in listing.invoices if one.requested is None]
    dated = sorted(
        ((one.due, one) for one in free if one.due is not None),
        key=lambda pair: (pair[0], pair[1].ref.module, pair[1].ref.number),
    )
    return Due(
        overdue=tuple(one for due, one in dated if due < today),
        soon=tuple(one for due, one in dated if today <= due <= today + within),
        unread=listing.unread,
        unclear=listing.unclear,
    )


def approvers_named(policy: Policy) -> tuple[frozenset[str], frozenset[str]]:
    """The people, and the groups, who may ever be asked for an approval."""
    named = frozenset(one for rule in policy.rules if rule.most_approvals for one in rule.approvers)
    groups = frozenset(filter(is_group, named))
    return named - groups, groups
