"""What makes a rule wrong, each with its remedy: the one validation that every policy goes through.

A rule is wrong if it holds what cannot be read, if it could never be satisfied, or if it would never be
asked. A user group may stand for many people, so only rules that name people by id can be counted out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.duration import LONGEST, duration_in_words
from bot.domain.policy.rule import Rule
from bot.domain.slack_ids import channel_flaw, is_group, principal_flaw
from bot.domain.typed_words import quote

_Check = Callable[[str], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Flaw:
    """key: as it is called in the file. wrong: what is wrong, not quoting what was written.

    value: what was written, where it is one entry of several; settings from the environment are never
    echoed, so it stands apart.
    """

    key: str
    wrong: str
    remedy: str
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.wrong}. {self.remedy}"


def flaws_of(rule: Rule) -> list[Flaw]:
    """Everything that is wrong with this rule by itself."""
    return [
        *_flaws_of_ids(rule),
        *_flaws_of_names(rule),
        *_flaws_of_tiers(rule),
        *_flaws_of_limits(rule),
        *_flaws_of_times(rule),
        *_flaws_of_headcount(rule),
    ]


def flaws_between(rules: Sequence[Rule]) -> list[tuple[int, Flaw]]:
    """What is wrong with the rules together, as (index of the later rule, flaw)."""
    found = []
    for index, rule in enumerate(rules):
        earlier = rules[:index]
        if any(rule.name == other.name for other in earlier):
            found.append((index, Flaw("name", "two rules have this name", "Give each rule its own.")))
        above = next((other for other in earlier if _takes_all(other, rule)), None)
        if above is not None:
            found.append(
                (
                    index,
                    Flaw(
                        "name",
                        f"this rule is never asked: {quote(above.name)} above it takes the same "
                        "requesters, modules and channels",
                        "The first match wins, so move this rule up, or take it out.",
                    ),
                )
            )
    return found


def _takes_all(above: Rule, below: Rule) -> bool:
    return (
        bool(below.requesters)
        and below.requesters <= above.requesters
        and _covers(above.modules, below.modules)
        and _covers(above.channels, below.channels)
    )


def _covers(above: frozenset[str] | None, below: frozenset[str] | None) -> bool:
    return above is None or (below is not None and below <= above)


def _flaws_of_ids(rule: Rule) -> Iterator[Flaw]:
    entries: tuple[tuple[str, frozenset[str], _Check], ...] = (
        ("requesters", rule.requesters, principal_flaw),
        ("approvers", rule.approvers, principal_flaw),
        ("channels", rule.channels or frozenset(), channel_flaw),
        (
            "approval_channel",
            frozenset() if rule.approval_channel is None else frozenset({rule.approval_channel}),
            channel_flaw,
        ),
    )
    for key, values, check in entries:
        for value in sorted(values):
            if (flaw := check(value)) is not None:
                yield Flaw(key, *flaw, value)


def _flaws_of_names(rule: Rule) -> Iterator[Flaw]:
    if not rule.name.strip() or len(rule.name) > 60 or not rule.name.isprintable():
        yield Flaw("name", "a rule needs a name of 1 to 60 characters", 'Write name = "servers".')
    for module in sorted(rule.modules or ()):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", module, re.ASCII):
            yield Flaw(
                "modules",
                "a module is a lower-case name",
                "Write it as MyAdmin does, for example vps or floating_ips.",
                module,
            )
    for currency in sorted(rule.currencies or ()):
        if not re.fullmatch(r"[A-Z]{3}", currency, re.ASCII):
            yield Flaw("currencies", "a currency is three capital letters", 'Write "USD".', currency)
    for key, names in (
        ("modules", rule.modules),
        ("channels", rule.channels),
        ("currencies", rule.currencies),
    ):
        if names is not None and not names:
            yield Flaw(key, "an empty list would allow none", "Name some, or take the line out to allow all.")


def _flaws_of_tiers(rule: Rule) -> Iterator[Flaw]:
    if not rule.tiers or rule.tiers[-1].up_to is not None:
        yield Flaw(
            "approvals",
            "the last step must be without up_to, for whatever is above the others",
            "Add { required = 2 } at the end.",
        )
    bounds = [tier.up_to for tier in rule.tiers[:-1]]
    for lower, upper in zip([None, *bounds], bounds, strict=False):
        if upper is None:
            yield Flaw("approvals", "only the last step may be without up_to", "Add up_to = 50.")
        elif not upper.is_finite() or upper <= 0:
            yield Flaw("approvals", "up_to must be above zero", "Write up_to = 50.")
        elif lower is not None and lower.is_finite() and upper <= lower:
            yield Flaw("approvals", "the amounts do not rise", "Put the lowest up_to first.")
    required = [tier.required for tier in rule.tiers]
    if any(count < 0 for count in required):
        yield Flaw("approvals", "a number of approvals is below zero", "Write 0, 1, 2 or more.")
    if required != sorted(required):
        yield Flaw(
            "approvals",
            "a higher amount would need fewer approvals than a lower one",
            "Let required rise with up_to.",
        )


def _flaws_of_limits(rule: Rule) -> Iterator[Flaw]:
    for key, limit in (
        ("limit_per_payment", rule.limit_per_payment),
        ("limit_per_person_per_day", rule.limit_per_person_per_day),
        ("limit_per_rule_per_day", rule.limit_per_rule_per_day),
    ):
        if limit is not None and (not limit.is_finite() or limit <= 0):
            yield Flaw(
                key,
                "with this limit nothing could ever be paid",
                "Write an amount above zero, or take the line out for no limit.",
            )


def _flaws_of_times(rule: Rule) -> Iterator[Flaw]:
    for key, span in (("expires_after", rule.expires_after), ("remind_every", rule.remind_every)):
        if span is not None and not timedelta(0) < span <= LONGEST:
            yield Flaw(key, f"a span lies between 1s and {LONGEST.days}d", "Write for example 24h or 3d.")
    if rule.remind_every is not None and rule.remind_every >= rule.expires_after:
        yield Flaw(
            "remind_every",
            f"no reminder would ever be sent: requests expire after {duration_in_words(rule.expires_after)}",
            "Write a shorter span than expires_after, or take the line out.",
        )


def _flaws_of_headcount(rule: Rule) -> Iterator[Flaw]:
    needed = max((tier.required for tier in rule.tiers), default=0)
    if needed <= 0 or any(is_group(approver) for approver in rule.approvers):
        return
    if not rule.approvers:
        yield Flaw(
            "approvers",
            "approvals are required, and nobody may give them",
            "Name approvers, or require 0 approvals.",
        )
        return
    if len(rule.approvers) < needed:
        yield Flaw(
            "approvals",
            f"{needed} approvals are required of {len(rule.approvers)} approver"
            f"{'s' * (len(rule.approvers) > 1)}, and each person counts once",
            "Name more approvers, or require fewer approvals.",
        )
        return
    if not rule.requesters or any(is_group(requester) for requester in rule.requesters):
        return
    if all(len(rule.approvers - {requester}) < needed for requester in rule.requesters):
        yield Flaw(
            "approvers",
            f"{needed} approval{'s' * (needed > 1)} could never be given: nobody approves their own "
            "request, and apart from whoever asks there are too few approvers",
            "Name more approvers, or somebody else who may ask.",
        )
