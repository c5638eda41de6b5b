"""One rule of the policy: who may ask, who must approve, how many of them, and within what limits.

A *principal* is a Slack user id or a user group id. A person's principals are their own id and the
groups they are in; the caller looks the groups up. Groups do not count for a guest or a person of
another organization: hand in their own id alone, so that only naming them by id lets them in.

Everything here fails closed. An amount that is not known, not a number, negative, or in a currency that
the rule does not name counts as above every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from bot.domain.slack_ids import is_group
from bot.domain.wording import money

DEFAULT_EXPIRY = timedelta(days=3)
"""A request made on a Friday can still be approved on Monday."""

LAST_HOUR = timedelta(hours=1)
"""So long before a request expires, those who may approve are reminded of it."""

DEFAULT_CURRENCIES = frozenset({"USD"})
"""What amounts in a rule mean, where the rule does not say; MyAdmin bills in USD."""

ASK_OPERATORS = "Ask the people who run this bot."
"""The remedy where the rules name nobody who could help."""

_WHEN_IT_IS_READ = "Ask again when /pay list shows it with its amount."


class Reason(StrEnum):
    """Why something is refused; the value is what the audit trail stores.

    The last seven are for whoever knows what Slack and the ledger say; the rules themselves do not.
    """

    NOBODY_ALLOWED = "nobody_allowed"
    PERSON = "person_not_allowed"
    MODULE = "module_not_allowed"
    CHANNEL = "channel_not_allowed"
    CURRENCY = "currency_not_named"
    AMOUNT_UNKNOWN = "amount_unknown"
    PAYMENT_LIMIT = "limit_per_payment"
    PERSON_LIMIT = "limit_per_person_per_day"
    RULE_LIMIT = "limit_per_rule_per_day"
    OWN_REQUEST = "own_request"
    NOT_APPROVER = "not_an_approver"
    OTHER_TEAM = "other_team"
    NOT_FULL_MEMBER = "not_a_full_member"
    NOT_IN_CHANNEL = "not_in_the_channel"
    CONTRADICTED = "ledger_contradicted"
    OTHER_RULE = "another_rule_than_the_rest"
    DAY = "not_on_that_day"
    REPEATED = "refused_before"


OF_AMOUNTS = frozenset(
    {
        Reason.CURRENCY,
        Reason.AMOUNT_UNKNOWN,
        Reason.PAYMENT_LIMIT,
        Reason.PERSON_LIMIT,
        Reason.RULE_LIMIT,
    }
)
"""Where somebody else may be allowed to pay it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, and how to go on.

    text, remedy: one plain sentence each, without ids, to be shown to the person (escaped). The remedy may
        be empty where `ask` is not.
    ask: people and groups who can help, to be mentioned; never whoever is refused. It may be empty.
    channels: the channels where it would be allowed; only for `Reason.CHANNEL`.
    """

    reason: Reason
    text: str
    remedy: str
    ask: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Tier:
    """`required` approvals for amounts up to and including `up_to`; None is without an upper end."""

    up_to: Decimal | None
    required: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One of a policy, which refuses a rule that makes no sense.

    modules, channels: None means all of them.
    tiers: ascending, the last without an upper end.
    limit_per_person_per_day, limit_per_rule_per_day: what may be requested under this rule on one day
        (UTC), by one person and by all together; each currency is counted for itself.
    currencies: the only ones accepted. None means any, or USD if the rule holds amounts.
    approval_channel: where approval cards go; None means the channel of the request.
    expires_after: how long a request waits for approval. remind_every: how often those who may approve are
        reminded; None means when half of that time is over, and an hour before its end.
    """

    name: str
    requesters: frozenset[str]
    approvers: frozenset[str] = frozenset()
    tiers: tuple[Tier, ...] = (Tier(None, 0),)
    modules: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    limit_per_payment: Decimal | None = None
    limit_per_person_per_day: Decimal | None = None
    limit_per_rule_per_day: Decimal | None = None
    currencies: frozenset[str] | None = None
    approval_channel: str | None = None
    expires_after: timedelta = DEFAULT_EXPIRY
    remind_every: timedelta | None = None

    @property
    def limits(self) -> tuple[Decimal, ...]:
        """The limits that are set."""
        every = (self.limit_per_payment, self.limit_per_person_per_day, self.limit_per_rule_per_day)
        return tuple(limit for limit in every if limit is not None)

    @property
    def accepted_currencies(self) -> frozenset[str] | None:
        """The currencies that may be paid under this rule; None means any."""
        if self.currencies is not None:
            return self.currencies
        return DEFAULT_CURRENCIES if self.limits or len(self.tiers) > 1 else None

    @property
    def most_approvals(self) -> int:
        """What an unknown amount asks for: as many approvals as any amount does."""
        return max(tier.required for tier in self.tiers)

    def approvals_required(self, amount: Decimal | None, currency: str | None) -> int:
        """How many distinct people must approve this amount."""
        known = self._known(amount, currency)
        if known is None:
            return self.most_approvals
        for tier in self.tiers:
            if tier.up_to is None or known <= tier.up_to:
                return tier.required
        return self.most_approvals

    def check_limits(
        self,
        amount: Decimal | None,
        currency: str | None,
        person_today: Decimal,
        rule_today: Decimal,
    ) -> Refusal | None:
        """Refuse an amount that is over a limit, or cannot be compared with one.

        person_today, rule_today: what was requested under this rule on this day (UTC) in the same
        currency, by this person and by everybody: this request left out, and so are requests that were
        declined, denied, cancelled or expired.
        """
        accepted = self.accepted_currencies
        if currency is not None and accepted is not None and currency not in accepted:
            return self._refuse(
                Reason.CURRENCY,
                f"This invoice is in {currency}; only {' and '.join(sorted(accepted))} may be paid here.",
            )
        if currency is None and self.currencies is not None:
            return self._refuse(
                Reason.AMOUNT_UNKNOWN,
                "The currency of this invoice is not known, and not every one may be paid here.",
                _WHEN_IT_IS_READ,
            )
        if not self.limits:
            return None
        known = self._known(amount, currency)
        if known is None or currency is None:
            return self._refuse(
                Reason.AMOUNT_UNKNOWN,
                "The amount of this invoice is not known, and a limit applies to it.",
                _WHEN_IT_IS_READ,
            )
        return self._over_limit(known, currency, person_today, rule_today)

    def _over_limit(
        self, amount: Decimal, currency: str, person_today: Decimal, rule_today: Decimal
    ) -> Refusal | None:
        this = money(amount, currency)
        a_day = (
            (Reason.PERSON_LIMIT, "your", self.limit_per_person_per_day, person_today),
            (Reason.RULE_LIMIT, "everybody's", self.limit_per_rule_per_day, rule_today),
        )
        # What no day's limit lets pass comes first: nobody is sent away until a tomorrow that does not help.
        for reason, whose, limit in (
            (Reason.PAYMENT_LIMIT, "the limit of {} for one payment", self.limit_per_payment),
            *((reason, f"{whose} whole daily limit of {{}}", limit) for reason, whose, limit, _ in a_day),
        ):
            if limit is not None and amount > limit:
                above = whose.format(money(limit, currency))
                return self._refuse(reason, f"{this} is above {above}; waiting will not help.")
        for reason, whose, limit, today in a_day:
            if limit is not None and today + amount > limit:
                return self._refuse(
                    reason,
                    f"With {money(today, currency)} requested today, {this} more is above "
                    f"{whose} limit of {money(limit, currency)} a day.",
                    "Try again tomorrow (days are in UTC).",
                )
        return None

    def check_approver(
        self, approver_id: str, approver_principals: frozenset[str], requester_id: str
    ) -> Refusal | None:
        """Refuse an approval by the requester, whoever they are, and by anybody the rule does not name."""
        if approver_id == requester_id:
            return Refusal(
                Reason.OWN_REQUEST,
                "You asked for this payment, so you cannot approve it.",
                "Somebody else has to decide.",
                self.approvers - {requester_id},
            )
        # Somebody else's user id among the principals must never count, so only groups are taken from it.
        theirs = {approver_id} | {each for each in approver_principals if is_group(each)}
        if self.approvers.isdisjoint(theirs):
            return Refusal(
                Reason.NOT_APPROVER,
                "You are not among those who may approve this payment.",
                "Leave it to those who may, or ask the people who run this bot to add you.",
                self.approvers - {requester_id},
            )
        return None

    def _known(self, amount: Decimal | None, currency: str | None) -> Decimal | None:
        """The amount, if it can be compared with the amounts of this rule."""
        if amount is None or currency is None or not amount.is_finite() or amount < 0:
            return None
        accepted = self.accepted_currencies
        return amount if accepted is None or currency in accepted else None

    def _refuse(self, reason: Reason, text: str, remedy: str = ASK_OPERATORS) -> Refusal:
        return Refusal(reason, text, remedy)
