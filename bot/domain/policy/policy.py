"""Who may pay what, and who has to agree: an ordered list of rules, of which the first match decides.

What no rule matches is refused, and so is everything where the list is empty. There is no way to let
people approve their own requests. A `Policy` that exists is valid: its construction refuses rules that
are wrong, could never be satisfied, or would never be asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from bot.domain.policy.checks import flaws_between, flaws_of
from bot.domain.policy.rule import (
    DEFAULT_EXPIRY,
    Reason,
    Refusal,
    Rule,
    Tier,
    money,
    stricter_requirement,
)
from bot.domain.slack_ids import is_group
from bot.domain.typed_words import quote

__all__ = [
    "DEFAULT_EXPIRY",
    "SIMPLE_RULE",
    "Policy",
    "PolicyError",
    "Reason",
    "Refusal",
    "Rule",
    "Tier",
    "money",
    "stricter_requirement",
]

SIMPLE_RULE = "default"
"""The name of the one rule that the environment makes."""

_VARIABLES = {
    "requesters": "PAY_ALLOWED_USERS",
    "approvers": "PAY_APPROVERS",
    "approvals": "PAY_APPROVALS_REQUIRED",
    "channels": "PAY_ALLOWED_CHANNELS",
    "approval_channel": "PAY_APPROVAL_CHANNEL",
    "expires_after": "PAY_EXPIRES_AFTER",
}


class PolicyError(ValueError):
    """The policy is refused. problems: all of them, each one line with where, what and the remedy."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Policy:
    """rules: in the order in which they are asked. Raises `PolicyError` if they are wrong."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        problems = [
            f"rule {quote(rule.name)}: {flaw.key}: {flaw}" for rule in self.rules for flaw in flaws_of(rule)
        ]
        problems += [
            f"rule {quote(self.rules[index].name)}: {flaw}" for index, flaw in flaws_between(self.rules)
        ]
        if problems:
            raise PolicyError(problems)

    @classmethod
    def simple(
        cls,
        *,
        allowed: Iterable[str],
        approvers: Iterable[str] = (),
        approvals_required: int = 0,
        channels: Iterable[str] = (),
        approval_channel: str | None = None,
        expires_after: timedelta = DEFAULT_EXPIRY,
    ) -> Self:
        """One rule for everything, as the environment gives it.

        allowed: empty allows nobody. channels: empty allows all. Each of the `problems` of the
        `PolicyError` is "VARIABLE: what is wrong. The remedy.", and none echoes a value.
        """
        rule = Rule(
            name=SIMPLE_RULE,
            requesters=frozenset(allowed),
            approvers=frozenset(approvers),
            tiers=(Tier(None, approvals_required),),
            channels=frozenset(channels) or None,
            approval_channel=approval_channel,
            expires_after=expires_after,
        )
        flaws = flaws_of(rule)
        if flaws:
            # Two wrong ids of one kind give the same sentence, for the value is not in it: say it once.
            problems = [f"{_VARIABLES[flaw.key]}: {flaw}" for flaw in flaws]
            raise PolicyError(list(dict.fromkeys(problems)))
        return cls((rule,))

    @property
    def groups(self) -> frozenset[str]:
        """Every user group that any rule names: what a look-up may be needed for."""
        named = (rule.requesters | rule.approvers for rule in self.rules)
        return frozenset(each for names in named for each in names if is_group(each))

    @property
    def modules(self) -> frozenset[str]:
        """Every module that any rule names, to be compared with those that the API knows."""
        return frozenset(module for rule in self.rules for module in rule.modules or ())

    def groups_to_resolve(self, module: str, channel: str, user_id: str) -> frozenset[str]:
        """The groups whose members must be known before `match` can be asked for this person.

        Empty where the first rule that could match names the person by id: no look-up is needed then. A
        rule above that one which names a group does need it, for it may be the first match.
        """
        groups: set[str] = set()
        for rule in self.rules:
            if not _fits(rule, module, channel):
                continue
            if rule.names_requester(user_id):
                return frozenset(groups)
            groups.update(filter(is_group, rule.requesters))
        # Refused, unless by a group: the other rules' groups decide which refusal is the true one.
        return frozenset(each for rule in self.rules for each in rule.requesters if is_group(each))

    def match(self, module: str, channel: str, principals: frozenset[str]) -> Rule | Refusal:
        """The first rule for this module and channel that names one of the requester's principals.

        principals: the requester's own id, and the groups they are in.
        """
        theirs = [rule for rule in self.rules if not rule.requesters.isdisjoint(principals)]
        for rule in theirs:
            if _fits(rule, module, channel):
                return rule
        return self._explain(theirs, module)

    def _explain(self, theirs: list[Rule], module: str) -> Refusal:
        ask_to_be_added = "Ask the people who run this bot to add you."
        if not any(rule.requesters for rule in self.rules):
            return Refusal(
                Reason.NOBODY_ALLOWED,
                "Nobody may request payments yet: the list of allowed people is empty.",
                "Ask the people who run this bot to fill it.",
            )
        if not theirs:
            return Refusal(
                Reason.PERSON,
                "You are not among those who may request payments.",
                ask_to_be_added,
                ask=_approvers_of(self.rules),
            )
        for_module = [rule for rule in theirs if _fits_module(rule, module)]
        if not for_module:
            allowed = sorted({each for rule in theirs for each in rule.modules or ()})
            return Refusal(
                Reason.MODULE,
                f"You may not request payments of {module} invoices; your modules are: {', '.join(allowed)}.",
                ask_to_be_added,
                ask=_approvers_of(theirs),
            )
        return Refusal(
            Reason.CHANNEL,
            f"You may not request payments of {module} invoices in this channel.",
            "Use the command in a channel that is allowed for it.",
            ask=_approvers_of(for_module),
            channels=frozenset(each for rule in for_module for each in rule.channels or ()),
        )


def _fits(rule: Rule, module: str, channel: str) -> bool:
    return _fits_module(rule, module) and (rule.channels is None or channel in rule.channels)


def _fits_module(rule: Rule, module: str) -> bool:
    return rule.modules is None or module in rule.modules


def _approvers_of(rules: Iterable[Rule]) -> frozenset[str]:
    return frozenset(approver for rule in rules for approver in rule.approvers)
