"""A policy in words, for the person who has to answer for it: who may do what, and who has to agree."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from bot.domain.policy.policy import Policy
from bot.domain.policy.rule import LAST_HOUR, Rule
from bot.domain.slack_ids import is_group
from bot.domain.wording import duration_in_words, money


def describe(policy: Policy) -> list[str]:
    """Short plain lines, those of a rule indented below its name. Ids stand as they are.

    The caller may replace ids by names, or join the lines by line breaks and print them.
    """
    if not any(rule.requesters for rule in policy.rules):
        return ["Nobody may request payments: the list of allowed people is empty."]
    lines = []
    for rule in policy.rules:
        lines.append(f'Rule "{rule.name}"')
        lines += [f"  {line}" for line in _describe_rule(rule)]
    if len(policy.rules) > 1:
        lines.append("The first rule that fits a request decides, from the top.")
    lines.append("Whatever fits no rule is refused.")
    return lines


def fingerprint(policy: Policy) -> str:
    """What tells these rules from others, in as many letters as a log has room for."""
    return sha256("\n".join(describe(policy)).encode()).hexdigest()[:16]


def _describe_rule(rule: Rule) -> list[str]:
    modules = "any module" if rule.modules is None else _listed(rule.modules, "and")
    channels = "any channel" if rule.channels is None else f"channel {_listed(rule.channels, 'or')}"
    lines = [
        f"{_people(rule.requesters, 'and')} may request payments for {modules} in {channels}.",
        *_describe_approvals(rule),
        *_describe_limits(rule),
    ]
    if rule.most_approvals:
        lines += _describe_waiting(rule)
    return lines


def _describe_approvals(rule: Rule) -> list[str]:
    most = rule.most_approvals
    if not most:
        return ["Nobody has to approve: payments are made at once."]
    if len(rule.tiers) == 1:
        needs = f"Every payment needs {_approvals(most)}."
    else:
        currency = _currencies(rule)
        tiers = [
            f"{_approvals(tier.required)} up to {money(tier.up_to, currency)}"
            for tier in rule.tiers
            if tier.up_to is not None
        ]
        needs = (
            f"A payment needs {', '.join(tiers)}, "
            f"and {_approvals(most)} above that or where the amount is not known."
        )
    may = f"{_people(rule.approvers, 'or')} may approve, but nobody their own request."
    stuck = sorted(requester for requester in rule.requesters if _is_stuck(rule, requester))
    warning = [
        f"Requests by {_listed(stuck, 'or')} could not get {_approvals(most)}: too few others approve."
    ] * bool(stuck)
    return [needs, may, *warning]


def _is_stuck(rule: Rule, requester: str) -> bool:
    """Whether this person could never get as many approvals as the rule may ask for."""
    everyone = rule.approvers | {requester}
    if any(is_group(each) for each in everyone):
        return False
    return len(rule.approvers - {requester}) < rule.most_approvals


def _describe_limits(rule: Rule) -> list[str]:
    currency = _currencies(rule)
    lines = [
        f"{whose} at most {money(limit, currency)}{span}."
        for whose, limit, span in (
            ("One payment is", rule.limit_per_payment, ""),
            ("One person may request", rule.limit_per_person_per_day, " a day"),
            ("All together may request", rule.limit_per_rule_per_day, " a day"),
        )
        if limit is not None
    ]
    if lines or rule.currencies is not None:
        lines.append("An invoice whose amount is not known is refused.")
    if (rule.limits or len(rule.tiers) > 1) and len(rule.accepted_currencies or ()) > 1:
        lines.append(f"Nothing is converted: {_listed(rule.accepted_currencies or (), 'and')} count apart.")
    if rule.accepted_currencies is not None:
        lines.append(f"An invoice in another currency than {currency} is refused.")
    return lines


def _describe_waiting(rule: Rule) -> list[str]:
    where = (
        "the channel where it was asked for"
        if rule.approval_channel is None
        else f"channel {rule.approval_channel}"
    )
    reminded = "with reminders after half of that time and an hour before its end"
    if rule.remind_every is not None:
        reminded = f"with a reminder every {duration_in_words(rule.remind_every)}"
    elif rule.expires_after <= 2 * LAST_HOUR:
        reminded = "with a reminder after half of that time"
    expiry = duration_in_words(rule.expires_after)
    return [f"A request waits for approval in {where}, for {expiry}, {reminded}."]


def _approvals(count: int) -> str:
    return {0: "no approval", 1: "1 approval"}.get(count, f"approvals by {count} people")


def _people(principals: Iterable[str], last: str) -> str:
    named = sorted(principals)
    groups = [f"the group {each}" for each in named if is_group(each)]
    people = _joined([each for each in named if not is_group(each)] + groups, last) or "nobody"
    return people[0].upper() + people[1:]


def _currencies(rule: Rule) -> str:
    return _listed(rule.accepted_currencies or (), "or")


def _listed(names: Iterable[str], last: str) -> str:
    return _joined(sorted(names), last)


def _joined(names: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
