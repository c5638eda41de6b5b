"""Who may pay what, and who has to agree: an ordered list of rules, of which the first match decides.

What no rule matches is refused, and so is everything where the list is empty. There is no way to let
people approve their own requests. A `Policy` that exists makes sense: its construction refuses rules that
could never be satisfied, or would never be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches

from bot.domain.policy.checks import problems_of
from bot.domain.policy.rule import ASK_OPERATORS, Reason, Refusal, Rule
from bot.domain.problem import Problem
from bot.domain.slack_ids import is_group
from bot.domain.wording import quote

_ASKED = 3
"""People who are named to be asked; more would only be disturbed."""


class PolicyError(ValueError):
    """The rules contradict themselves or each other.

    problems: those of each rule, in the rules' order; `where` is the rule's field as it is called in a
        policy file, or empty for the rule as a whole.
    """

    def __init__(self, rules: Iterable[Rule], problems: list[list[Problem]]) -> None:
        self.problems = problems
        told = zip(rules, problems, strict=True)
        super().__init__(
            "\n".join(str(one.within(f"rule {quote(rule.name)}")) for rule, found in told for one in found)
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """What a rule did not let pass. by: that rule. amount, currency: None where they are not known."""

    by: Rule
    requester: str
    module: str
    channel: str
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True, slots=True)
class Stray:
    """A module that a rule names and nobody knows. near: the one that was probably meant, if there is one."""

    rule: Rule
    module: str
    near: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """rules: in the order in which they are asked. Raises `PolicyError` if they are wrong."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        problems = problems_of(self.rules)
        if any(problems):
            raise PolicyError(self.rules, problems)

    @property
    def groups(self) -> frozenset[str]:
        """Every user group that any rule names: what a look-up may be needed for."""
        named = (rule.requesters | rule.approvers for rule in self.rules)
        return frozenset(each for names in named for each in names if is_group(each))

    def rule_named(self, name: str) -> Rule | None:
        """The rule of this name, as it is now."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def strays(self, known: Sequence[str]) -> list[Stray]:
        """The modules that rules name and that are none of these.

        Such a rule does not decide on what it was written for: that falls to the rules below it.
        """
        return [
            Stray(rule, module, next(iter(get_close_matches(module, known, n=1)), None))
            for rule in self.rules
            for module in sorted((rule.modules or frozenset()).difference(known))
        ]

    def groups_to_resolve(self, module: str, channel: str, user_id: str) -> frozenset[str]:
        """The groups whose members must be known before `match` can be asked for this person.

        Empty where the first rule that could match names the person by id: no look-up is needed then. A
        rule above that one which names a group does need it, for it may be the first match.
        """
        groups: set[str] = set()
        for rule in self.rules:
            if not _fits(rule, module, channel):
                continue
            if user_id in rule.requesters:
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
        return self._explain(theirs, module, frozenset(one for one in principals if not is_group(one)))

    def advised(self, refusal: Refusal, refused: Refused) -> Refusal:
        """The refusal of an amount by a rule, with whom to ask: people whom another rule lets pay it here.

        At most three of them, people before groups. That they have room left today is not asked.
        """
        others = sorted(
            (
                one
                for rule in self.rules
                if rule != refused.by
                and _fits(rule, refused.module, refused.channel)
                and rule.check_limits(refused.amount, refused.currency, Decimal(0), Decimal(0)) is None
                for one in rule.requesters - {refused.requester}
                # By another rule that comes first for them, they might be refused it as well.
                if self.match(refused.module, refused.channel, frozenset({one})) == rule
            ),
            key=lambda one: (is_group(one), one),
        )[:_ASKED]
        if not others:
            return refusal
        remedy = "" if refusal.remedy == ASK_OPERATORS else refusal.remedy
        return replace(refusal, remedy=remedy, ask=frozenset(others))

    def _explain(self, theirs: list[Rule], module: str, person: frozenset[str]) -> Refusal:
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
                ask=_approvers_of(self.rules) - person,
            )
        for_module = [rule for rule in theirs if _fits_module(rule, module)]
        if not for_module:
            allowed = sorted({each for rule in theirs for each in rule.modules or ()})
            return Refusal(
                Reason.MODULE,
                f"You may not request payments of {module} invoices; your modules are: {', '.join(allowed)}.",
                ask_to_be_added,
                ask=_approvers_of(theirs) - person,
            )
        return Refusal(
            Reason.CHANNEL,
            f"You may not request payments of {module} invoices in this channel.",
            "Use the command in a channel that is allowed for it.",
            ask=_approvers_of(for_module) - person,
            channels=frozenset(each for rule in for_module for each in rule.channels or ()),
        )


def _fits(rule: Rule, module: str, channel: str) -> bool:
    return _fits_module(rule, module) and (rule.channels is None or channel in rule.channels)


def _fits_module(rule: Rule, module: str) -> bool:
    return rule.modules is None or module in rule.modules


def _approvers_of(rules: Iterable[Rule]) -> frozenset[str]:
    return frozenset(approver for rule in rules for approver in rule.approvers)
