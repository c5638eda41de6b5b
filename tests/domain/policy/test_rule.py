"""What one rule asks for: every doubt counts against the payment, and nobody approves their own."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.policy import Reason, Rule, Tier
from tests.domain.policy.policies import (
    GROUPS,
    amounts,
    currencies,
    memberships,
    odd_amounts,
    principals,
    rules,
    users,
)

TIERS = (Tier(Decimal(50), 0), Tier(Decimal(500), 1), Tier(None, 2))
NOTHING = Decimal(0)


def rule(
    tiers: tuple[Tier, ...] = (Tier(None, 0),),
    limit_per_payment: Decimal | None = None,
    limit_per_person_per_day: Decimal | None = None,
    limit_per_rule_per_day: Decimal | None = None,
    currencies: frozenset[str] | None = None,
) -> Rule:
    return Rule(
        name="servers",
        requesters=frozenset({"U1"}),
        approvers=frozenset({"U2", "S1"}),
        tiers=tiers,
        limit_per_payment=limit_per_payment,
        limit_per_person_per_day=limit_per_person_per_day,
        limit_per_rule_per_day=limit_per_rule_per_day,
        currencies=currencies,
    )


@pytest.mark.parametrize(
    ("amount", "required"),
    [("0", 0), ("50.00", 0), ("50.01", 1), ("500", 1), ("500.001", 2), ("1E+9", 2)],
)
def test_a_threshold_belongs_to_the_tier_below_it(amount: str, required: int) -> None:
    """None up to 50, one up to 500, two above."""
    assert rule(TIERS).approvals_required(Decimal(amount), "USD") == required


@given(rules(), odd_amounts, st.none() | currencies, amounts)
@example(rule(TIERS), Decimal(-1), "USD", Decimal(600))
@example(rule(TIERS), Decimal(1), "EUR", Decimal(600))
@example(rule(TIERS), Decimal(1), None, Decimal(600))
def test_an_amount_in_doubt_asks_for_as_many_approvals_as_any_amount(
    any_rule: Rule, odd: Decimal | None, currency: str | None, amount: Decimal
) -> None:
    """Unknown, not a number, negative, without a currency or in an unnamed one: the strictest."""
    doubtful = odd is None or not odd.is_finite() or odd < 0 or currency is None
    accepted = any_rule.accepted_currencies
    if doubtful or (accepted is not None and currency not in accepted):
        strictest = any_rule.approvals_required(odd, currency)
        for known in sorted(accepted or {"USD"}):
            assert strictest >= any_rule.approvals_required(amount, known)
        assert strictest == any_rule.most_approvals


@given(rules(), amounts, amounts, currencies)
def test_a_higher_amount_never_needs_fewer_approvals(
    any_rule: Rule, one: Decimal, other: Decimal, currency: str
) -> None:
    """Splitting hairs upwards never helps."""
    low, high = sorted((one, other))
    assert any_rule.approvals_required(low, currency) <= any_rule.approvals_required(high, currency)


@given(rules(), amounts, amounts, amounts, currencies)
@example(rule(limit_per_person_per_day=Decimal(50)), Decimal(30), Decimal(30), NOTHING, "USD")
@example(rule(limit_per_rule_per_day=Decimal(50)), Decimal(30), NOTHING, Decimal(30), "USD")
@example(rule(limit_per_rule_per_day=Decimal(50)), Decimal(30), NOTHING, Decimal(20), "USD")
@example(rule(limit_per_payment=Decimal(50)), Decimal(50), NOTHING, NOTHING, "USD")
def test_what_the_limits_let_pass_is_within_every_limit(
    any_rule: Rule, amount: Decimal, person_today: Decimal, rule_today: Decimal, currency: str
) -> None:
    """No refusal means: a named currency, and every sum within its limit, exactly."""
    refusal = any_rule.check_limits(amount, currency, person_today, rule_today)
    accepted = any_rule.accepted_currencies
    sums = (
        (any_rule.limit_per_payment, amount),
        (any_rule.limit_per_person_per_day, person_today + amount),
        (any_rule.limit_per_rule_per_day, rule_today + amount),
    )
    within = all(limit is None or total <= limit for limit, total in sums)
    assert (refusal is None) == (within and (accepted is None or currency in accepted))


@given(rules(), odd_amounts, st.none() | currencies)
@example(rule(limit_per_payment=Decimal(50)), None, "USD")
@example(rule(limit_per_payment=Decimal(50)), Decimal(-1), "USD")
@example(rule(limit_per_payment=Decimal(50)), Decimal("NaN"), "USD")
@example(rule(limit_per_payment=Decimal(50)), Decimal("Infinity"), "USD")
def test_an_amount_in_doubt_passes_no_limit(
    any_rule: Rule, odd: Decimal | None, currency: str | None
) -> None:
    """Where a limit is set, what cannot be compared with it is refused, and nothing raises."""
    refusal = any_rule.check_limits(odd, currency, NOTHING, NOTHING)
    if any_rule.limits and (odd is None or not odd.is_finite() or odd < 0 or currency is None):
        assert refusal is not None
        assert refusal.reason in {Reason.AMOUNT_UNKNOWN, Reason.CURRENCY}


@pytest.mark.parametrize(
    ("limited", "amount", "currency", "reason", "text"),
    [
        (
            rule(limit_per_payment=Decimal(100)),
            Decimal("100.01"),
            "USD",
            Reason.PAYMENT_LIMIT,
            "100.01 USD is above the limit of 100.00 USD for one payment; waiting will not help.",
        ),
        (
            rule(limit_per_person_per_day=Decimal(100)),
            Decimal(21),
            "USD",
            Reason.PERSON_LIMIT,
            "With 80.00 USD requested today, 21.00 USD more is above your limit of 100.00 USD a day.",
        ),
        (
            rule(limit_per_rule_per_day=Decimal(100)),
            Decimal(11),
            "USD",
            Reason.RULE_LIMIT,
            "With 90.00 USD requested today, 11.00 USD more is above everybody's limit of 100.00 USD a day.",
        ),
        (
            rule(limit_per_person_per_day=Decimal(500)),
            Decimal(640),
            "USD",
            Reason.PERSON_LIMIT,
            "640.00 USD is above your whole daily limit of 500.00 USD; waiting will not help.",
        ),
        (
            rule(limit_per_person_per_day=Decimal(100), limit_per_rule_per_day=Decimal(50)),
            Decimal(60),
            "USD",
            Reason.RULE_LIMIT,
            "60.00 USD is above everybody's whole daily limit of 50.00 USD; waiting will not help.",
        ),
        (
            rule(TIERS),
            Decimal(1),
            "EUR",
            Reason.CURRENCY,
            "This invoice is in EUR; only USD may be paid here.",
        ),
        (
            rule(currencies=frozenset({"USD", "GBP"})),
            Decimal(1),
            "EUR",
            Reason.CURRENCY,
            "This invoice is in EUR; only GBP and USD may be paid here.",
        ),
        (
            rule(TIERS[1:]),
            Decimal(1),
            "EUR",
            Reason.CURRENCY,
            "This invoice is in EUR; only USD may be paid here.",
        ),
        (
            rule(currencies=frozenset({"USD"})),
            Decimal(1),
            None,
            Reason.AMOUNT_UNKNOWN,
            "The currency of this invoice is not known, and not every one may be paid here.",
        ),
        (
            rule(limit_per_rule_per_day=Decimal(100)),
            None,
            None,
            Reason.AMOUNT_UNKNOWN,
            "The amount of this invoice is not known, and a limit applies to it.",
        ),
    ],
)
def test_a_refusal_says_the_amounts_and_what_to_do(
    limited: Rule, amount: Decimal | None, currency: str | None, reason: Reason, text: str
) -> None:
    """Each limit has its own sentence, with a remedy."""
    refusal = limited.check_limits(amount, currency, Decimal(80), Decimal(90))
    assert refusal is not None
    assert (refusal.reason, refusal.text) == (reason, text)
    assert refusal.remedy
    assert "MyAdmin" not in refusal.text + refusal.remedy


@given(rules(), amounts, amounts, amounts, currencies)
@example(rule(limit_per_person_per_day=Decimal(50)), Decimal(30), Decimal(30), NOTHING, "USD")
def test_tomorrow_is_promised_only_where_it_helps(
    any_rule: Rule, amount: Decimal, person_today: Decimal, rule_today: Decimal, currency: str
) -> None:
    """On a day on which nothing was requested yet, exactly what is told to wait would pass."""
    refusal = any_rule.check_limits(amount, currency, person_today, rule_today)
    if refusal is not None and refusal.reason is not Reason.CURRENCY:
        on_a_new_day = any_rule.check_limits(amount, currency, NOTHING, NOTHING)
        assert ("tomorrow" in refusal.remedy) == (on_a_new_day is None)
        assert ("waiting will not help" in refusal.text) == (on_a_new_day is not None)


def test_a_rule_without_amounts_accepts_any_currency() -> None:
    """Nothing is compared, so nothing has to be comparable."""
    assert rule().check_limits(Decimal(1), "EUR", NOTHING, NOTHING) is None
    assert rule().check_limits(None, None, NOTHING, NOTHING) is None


def test_a_rule_that_names_a_currency_accepts_it_in_its_thresholds() -> None:
    """Thresholds and limits then count in that currency as well."""
    european = rule(TIERS, limit_per_payment=Decimal(60), currencies=frozenset({"EUR"}))
    assert european.approvals_required(Decimal(50), "EUR") == 0
    assert european.approvals_required(Decimal(50), "USD") == 2
    assert european.check_limits(Decimal(60), "EUR", NOTHING, NOTHING) is None


@given(rules(), users, principals)
def test_nobody_approves_their_own_request(any_rule: Rule, person: str, claimed: frozenset[str]) -> None:
    """Whatever groups somebody is in, and whoever else's id is claimed for them."""
    refusal = any_rule.check_approver(person, claimed, person)
    assert refusal is not None
    assert refusal.reason is Reason.OWN_REQUEST
    assert person not in refusal.ask


@given(rules(), users, principals, users)
def test_only_somebody_else_who_is_named_may_approve(
    any_rule: Rule, person: str, theirs: frozenset[str], requester: str
) -> None:
    """By id, or by a group they are in; whoever else's id is claimed for them counts for nothing."""
    refusal = any_rule.check_approver(person, theirs, requester)
    named = person in any_rule.approvers or not any_rule.approvers.isdisjoint(theirs & set(GROUPS))
    assert (refusal is None) == (named and person != requester)


@given(rules(), users, memberships, users)
def test_whoever_leaves_a_group_gains_nothing(
    any_rule: Rule, person: str, groups: frozenset[str], requester: str
) -> None:
    """What is refused to them with all their groups is refused without."""
    if any_rule.check_approver(person, groups, requester) is not None:
        assert any_rule.check_approver(person, frozenset(), requester) is not None


def test_the_id_of_an_approver_among_somebody_elses_principals_does_not_count() -> None:
    """A mix-up of people by the caller gives nobody a right."""
    refusal = rule().check_approver("U3", frozenset({"U2"}), "U1")
    assert refusal is not None
    assert refusal.reason is Reason.NOT_APPROVER
    assert refusal.ask == {"U2", "S1"}
