"""What one person may ask for and approve, for them to read. What they then do is decided by `Authority`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.policy import Policy, Refusal, Rule
from bot.payments.authority import OTHER_TEAM, Authority, Person


@dataclass(frozen=True, slots=True)
class Terms:
    """The rule that decides for these modules, in a place."""

    rule: Rule
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Allowance:
    """What somebody may do.

    here: in the channel they ask in. elsewhere: in the channels where it is not the same as here; None stands
    for all that no rule names. refusal: why nothing is allowed here. approves: the rules whose requests they
    may approve. every: all modules that there are.
    """

    here: tuple[Terms, ...]
    elsewhere: Mapping[str | None, tuple[Terms, ...]]
    refusal: Refusal | None
    approves: tuple[Rule, ...]
    every: tuple[str, ...]


async def allowance_of(
    authority: Authority, person: Person, channel: str, modules: Sequence[str]
) -> Allowance:
    """What this person may do. Raises DirectoryError."""
    if person.team != authority.team:
        return Allowance((), {}, OTHER_TEAM, (), tuple(modules))
    policy = authority.policy
    principals = await authority.principals(person, policy.groups)
    here = _terms(policy, channel, principals, modules)
    named = sorted({one for rule in policy.rules for one in rule.channels or ()} - {channel})
    places: list[tuple[str | None, str]] = [*((one, one) for one in named), (None, "")]
    found = {place: _terms(policy, key, principals, modules) for place, key in places}
    why = policy.match(modules[0], channel, principals) if modules and not here else None
    return Allowance(
        here,
        {place: terms for place, terms in found.items() if terms and terms != here},
        why if isinstance(why, Refusal) else None,
        tuple(rule for rule in policy.rules if rule.most_approvals and rule.approvers & principals),
        tuple(modules),
    )


def _terms(
    policy: Policy, channel: str, principals: frozenset[str], modules: Sequence[str]
) -> tuple[Terms, ...]:
    found: dict[str, tuple[Rule, list[str]]] = {}
    for module in modules:
        rule = policy.match(module, channel, principals)
        if isinstance(rule, Rule):
            found.setdefault(rule.name, (rule, []))[1].append(module)
    return tuple(Terms(rule, tuple(names)) for rule, names in found.values())
