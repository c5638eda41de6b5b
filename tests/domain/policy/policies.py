"""Policies, people and amounts for hypothesis: few ids, so that they meet."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from hypothesis import strategies as st

from bot.domain.policy import Policy, PolicyError, Rule, Tier

USERS = ("U1", "U2", "U3", "U4")
GROUPS = ("S1", "S2")
MODULES = ("vps", "mail", "servers")
CHANNELS = ("C1", "C2")
CURRENCIES = ("USD", "EUR", "GBP")

users = st.sampled_from(USERS)
memberships = st.frozensets(st.sampled_from(GROUPS))
principals = st.frozensets(st.sampled_from(USERS + GROUPS))
currencies = st.sampled_from(CURRENCIES)
amounts = st.decimals(0, 2000, places=2)
odd_amounts = st.one_of(st.none(), st.decimals(), st.floats().map(Decimal))


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Rising amounts that need rising numbers of approvals; the last is without an end."""
    bounds = sorted(draw(st.sets(st.integers(1, 1000), max_size=3)))
    required = sorted(draw(st.lists(st.integers(0, 3), min_size=len(bounds) + 1, max_size=len(bounds) + 1)))
    return tuple(
        Tier(Decimal(bound) if bound is not None else None, count)
        for bound, count in zip([*bounds, None], required, strict=True)
    )


def simple(*, requesters: Iterable[str], approvers: Iterable[str] = (), approvals: int = 0) -> Policy:
    """A policy of one rule for everything."""
    return Policy((Rule("default", frozenset(requesters), frozenset(approvers), (Tier(None, approvals),)),))


def rules(name: str = "rule") -> st.SearchStrategy[Rule]:
    """A rule of any kind; it may be one that a policy refuses."""
    limits = st.none() | st.integers(1, 1500).map(Decimal)
    return st.builds(
        Rule,
        name=st.just(name),
        requesters=principals,
        approvers=principals,
        tiers=tiers(),
        modules=st.none() | st.frozensets(st.sampled_from(MODULES), min_size=1),
        channels=st.none() | st.frozensets(st.sampled_from(CHANNELS), min_size=1),
        limit_per_payment=limits,
        limit_per_person_per_day=limits,
        limit_per_rule_per_day=limits,
        currencies=st.none() | st.frozensets(currencies, min_size=1),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A valid policy of up to four rules: a rule that would make it invalid is left out."""
    policy = Policy(())
    for index in range(draw(st.integers(0, 4))):
        try:
            policy = Policy((*policy.rules, draw(rules(f"rule {index}"))))
        except PolicyError:
            continue
    return policy
