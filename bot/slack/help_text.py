"""`/pay help`: what this person may do, up to how much, approved by whom; and what can be typed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.domain.command import HELP
from bot.domain.policy import Rule
from bot.domain.wording import money
from bot.payments.allowance import Allowance, Terms
from bot.slack.blocks import Message
from bot.slack.listing import listing
from bot.slack.replies import refused
from bot.slack.text import escape, mentions, place

UNKNOWN = "Slack did not say in time who you are. Type `/pay help` again in a minute."


def help_text(allowance: Allowance | None, reader: str) -> Message:
    """What somebody may do, and every way to use the command. None: it is not known what they may do."""
    allowed = [UNKNOWN] if allowance is None else list(_allowed(allowance, reader))
    commands = [f"`{escape(usage)}` {escape(meaning)}" for usage, meaning in HELP]
    return listing("*What you may do*", allowed, endings=["*What you can type*", *commands])


def _allowed(allowance: Allowance, reader: str) -> Iterator[str]:
    if allowance.here:
        yield from _of_place("Here you may ask for", allowance.here, allowance.every, reader)
    elif not allowance.elsewhere and not allowance.approves:
        yield refused(allowance.refusal) if allowance.refusal else "You may ask for nothing."
    else:
        yield "You may ask for no payment here."
    for channel, terms in allowance.elsewhere.items():
        where = f"In {place(channel)}" if channel else "In other channels"
        yield from _of_place(f"{where} you may ask for", terms, allowance.every, reader)
    for rule in allowance.approves:
        modules = "" if rule.modules is None else f" of {_names(sorted(rule.modules))}"
        others = rule.requesters - {reader}
        whose = f" by {mentions(others)}" if others else ""
        yield f"You may approve requests{modules}{whose}; nobody approves their own."


def _of_place(begin: str, terms: Sequence[Terms], every: Sequence[str], reader: str) -> Iterator[str]:
    for one in terms:
        modules = "every module" if len(one.modules) == len(every) else _names(one.modules)
        yield f"{begin} payments of *{modules}*: {_amounts(one.rule)}. {_approval(one.rule, reader)}"


def _names(modules: Sequence[str]) -> str:
    *most, last = modules
    return f"{', '.join(most)} and {last}" if most else last


def _amounts(rule: Rule) -> str:
    """How much, in which currencies."""
    accepted = rule.accepted_currencies
    if not rule.limits:
        only = f", in {' or '.join(sorted(accepted))} only" if accepted else ""
        return f"of any amount{only}"
    currency = " or ".join(sorted(accepted or ()))
    parts = [
        f"{money(limit, currency)} {each}"
        for limit, each in (
            (rule.limit_per_payment, "each"),
            (rule.limit_per_person_per_day, "a day"),
            (rule.limit_per_rule_per_day, "a day by everybody together"),
        )
        if limit is not None
    ]
    alone = "; each currency counts for itself" if accepted and len(accepted) > 1 else ""
    return f"up to {_names(parts)}{alone}"


def _approval(rule: Rule, reader: str) -> str:
    if not rule.most_approvals:
        return "Nobody has to approve."
    by = mentions(rule.approvers - {reader}) if rule.approvers - {reader} else "somebody else"
    where = f", in {place(rule.approval_channel)}" if rule.approval_channel else ""
    if len(rule.tiers) == 1:
        return f"Each needs {_approvals(rule.most_approvals)} by {by}{where}."
    currency = " or ".join(sorted(rule.accepted_currencies or ()))
    tiers = [
        f"{_approvals(tier.required)} up to {money(tier.up_to, currency)}"
        for tier in rule.tiers
        if tier.up_to is not None
    ]
    most = f"{_approvals(rule.most_approvals)} above that or where the amount is not known"
    return f"Each needs {_names([*tiers, most])}, by {by}{where}."


def _approvals(count: int) -> str:
    return {0: "no approval", 1: "1 approval"}.get(count, f"{count} approvals")
