"""What makes rules wrong, each with its remedy: a rule that could never be satisfied, or is never asked.

That each value is of its kind, an id an id and a limit above zero, was checked where it was read. A user
group may stand for many people, so only rules that name people by id can be counted out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.domain.policy.rule import Rule
from bot.domain.problem import Problem
from bot.domain.slack_ids import is_group
from bot.domain.wording import duration_in_words, quote


def problems_of(rules: Sequence[Rule]) -> list[list[Problem]]:
    """What is wrong with each of the rules, in their order; empty lists where nothing is.

    `where` is the rule's field as it is called in a policy file, or empty for the rule as a whole.
    """
    return [
        [*_of_tiers(rule), *_of_reminders(rule), *_of_headcount(rule), *_of_order(rule, rules[:index])]
        for index, rule in enumerate(rules)
    ]


def _of_tiers(rule: Rule) -> Iterator[Problem]:
    if not rule.tiers or rule.tiers[-1].up_to is not None:
        yield Problem(
            "approvals",
            "the last tier must be without up_to, for whatever is above the others",
            "Add { required = 2 } at the end.",
        )
    bounds = [tier.up_to for tier in rule.tiers[:-1]]
    for lower, upper in zip([None, *bounds], bounds, strict=False):
        if upper is None:
            yield Problem("approvals", "only the last tier may be without up_to", "Add up_to = 50.")
        elif not upper.is_finite() or upper <= 0:
            yield Problem("approvals", "up_to must be above zero", "Write up_to = 50.")
        elif lower is not None and lower.is_finite() and upper <= lower:
            yield Problem("approvals", "the amounts do not rise", "Put the lowest up_to first.")
    required = [tier.required for tier in rule.tiers]
    if any(count < 0 for count in required):
        yield Problem("approvals", "a number of approvals is below zero", "Write 0, 1, 2 or more.")
    if required != sorted(required):
        yield Problem(
            "approvals",
            "a higher amount would need fewer approvals than a lower one",
            "Let required rise with up_to.",
        )


def _of_reminders(rule: Rule) -> Iterator[Problem]:
    if rule.remind_every is not None and rule.remind_every >= rule.expires_after:
        yield Problem(
            "remind_every",
            f"no reminder would ever be sent: requests expire after {duration_in_words(rule.expires_after)}",
            "Write a shorter span than expires_after, or take the line out.",
        )


def _of_headcount(rule: Rule) -> Iterator[Problem]:
    needed = max((tier.required for tier in rule.tiers), default=0)
    if needed <= 0 or any(is_group(approver) for approver in rule.approvers):
        return
    if not rule.approvers:
        yield Problem(
            "approvers",
            "approvals are required, and nobody may give them",
            "Name approvers, or require 0 approvals.",
        )
        return
    if len(rule.approvers) < needed:
        yield Problem(
            "approvals",
            f"{needed} approvals are required of {len(rule.approvers)} approver"
            f"{'s' * (len(rule.approvers) > 1)}, and each person counts once",
            "Name more approvers, or require fewer approvals.",
        )
        return
    if not rule.requesters or any(is_group(requester) for requester in rule.requesters):
        return
    if all(len(rule.approvers - {requester}) < needed for requester in rule.requesters):
        yield Problem(
            "approvers",
            f"{needed} approval{'s' * (needed > 1)} could never be given: nobody approves their own "
            "request, and apart from whoever asks there are too few approvers",
            "Name more approvers, or somebody else who may ask.",
        )


def _of_order(rule: Rule, above: Sequence[Rule]) -> Iterator[Problem]:
    if any(rule.name == other.name for other in above):
        yield Problem("", "two rules have this name", "Give each rule its own.")
    first = next((other for other in above if _takes_all(other, rule)), None)
    if first is not None:
        yield Problem(
            "",
            f"this rule is never asked: {quote(first.name)} above it takes the same "
            "requesters, modules and channels",
            "The first match wins, so move this rule up, or take it out.",
        )


def _takes_all(above: Rule, below: Rule) -> bool:
    return (
        bool(below.requesters)
        and below.requesters <= above.requesters
        and _covers(above.modules, below.modules)
        and _covers(above.channels, below.channels)
    )


def _covers(above: frozenset[str] | None, below: frozenset[str] | None) -> bool:
    return above is None or (below is not None and below <= above)
