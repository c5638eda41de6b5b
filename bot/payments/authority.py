"""Who may do what: the policy, asked with what Slack says of a person. Fails closed.

Authorization is by immutable ids, and the person's own team comes first. Somebody named by id needs no
look-up; somebody who is in through a group must be a full, active member of this team.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bot.domain.payment import Payment
from bot.domain.policy import Policy, Reason, Refusal, Rule
from bot.domain.slack_ids import is_group


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in Slack: the user's id, and the id of the team that the user belongs to."""

    id: str
    team: str


class Directory(Protocol):
    """What Slack says of people. Every method raises DirectoryError where it does not say so in time."""

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str]:
        """Those of the groups that the person is in."""

    async def full_member(self, user_id: str) -> bool:
        """Whether this is an active person of this team: no guest, stranger, bot or deactivated one."""

    async def is_in(self, user_id: str, channel: str) -> bool:
        """Whether the person is in the channel, as far as the bot can see."""


OTHER_TEAM = Refusal(
    reason=Reason.OTHER_TEAM,
    text="Only people of this workspace can do that.",
    remedy="Ask somebody of the workspace that this bot belongs to.",
)
NOT_FULL_MEMBER = Refusal(
    reason=Reason.NOT_FULL_MEMBER,
    text="Guests, deactivated people and bots cannot do that.",
    remedy="Ask a full member of the workspace, or the operator to name you by id.",
)
NOT_IN_CHANNEL = Refusal(
    reason=Reason.NOT_IN_CHANNEL,
    text="You are not in that channel, or it is a private one that I am not in.",
    remedy="Pick one that we are both in; if you joined it just now, try again in a minute.",
)
NOT_CONCERNED = Refusal(
    reason=Reason.PERSON,
    text="You are not among those who may request or approve payments.",
    remedy="Ask the people who run this bot to add you.",
)


OTHER_RULE = Refusal(
    reason=Reason.OTHER_RULE,
    text="It falls under another rule now than the rest of its request.",
    remedy="Ask for it alone.",
)


NOT_TO_PAUSE = Refusal(
    reason=Reason.NOT_APPROVER,
    text="You are not among those who may stop all sending.",
    remedy="Ask somebody who may.",
)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rule that payments of a request stand under.

    rule: for all that it is not refused for; a refusal where it is for all. against: why not, by line.
    """

    rule: Rule | Refusal
    against: Mapping[int, Refusal]


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody may pick in the form: the modules, and a channel to begin with, if a rule names one."""

    modules: tuple[str, ...]
    channel: str | None


@dataclass(frozen=True, slots=True)
class Authority:
    """Answers for one team under one policy."""

    policy: Policy
    directory: Directory
    team: str

    async def may_request(
        self, person: Person, module: str, channel: str, *, typed_there: bool
    ) -> Rule | Refusal:
        """The rule under which this person may ask for it here, or why not. Raises DirectoryError.

        typed_there: Slack itself says that they acted in that channel. Otherwise somebody named it, and with
        it the rule: they must be in it, as Slack says.
        """
        rule = await self._rule_for(person, module, channel)
        if isinstance(rule, Refusal) or typed_there or await self.directory.is_in(person.id, channel):
            return rule
        return NOT_IN_CHANNEL

    async def _rule_for(self, person: Person, module: str, channel: str) -> Rule | Refusal:
        if person.team != self.team:
            return OTHER_TEAM
        alone = frozenset({person.id})
        groups = self.policy.groups_to_resolve(module, channel, person.id)
        found = await self.directory.groups_of(person.id, groups) if groups else frozenset()
        answer = self.policy.match(module, channel, alone | found)
        if isinstance(answer, Refusal) or person.id in answer.requesters:
            return answer
        if await self.directory.full_member(person.id):
            return answer
        # A group lets no guest in; being named by id does, in whichever rule.
        by_id = self.policy.match(module, channel, alone)
        return NOT_FULL_MEMBER if isinstance(by_id, Refusal) else by_id

    async def rule_of(self, payments: Sequence[Payment]) -> Ruling:
        """The rule that some payments of one request stand under now; it may have changed since.

        That the requester was in the channel was asked when they named it: who leaves it later takes nothing
        back. Raises DirectoryError.
        """
        request = payments[0].request
        person = Person(request.requester, request.team)
        by_module = {
            module: await self._rule_for(person, module, request.channel)
            for module in dict.fromkeys(one.ref.module for one in payments)
        }
        rules = [rule for rule in by_module.values() if isinstance(rule, Rule)]
        rule = next((one for one in rules if one.name == request.rule), rules[0] if rules else None)
        against = {
            one.line: its if isinstance(its, Refusal) else OTHER_RULE
            for one in payments
            if (its := by_module[one.ref.module]) is not rule
        }
        return Ruling(rule if rule is not None else by_module[payments[0].ref.module], against)

    async def may_approve(self, rule: Rule, person: Person, requester: str) -> Refusal | None:
        """None if this person may approve what the requester asked for. Raises DirectoryError."""
        # The same-person check stands before any other; nobody is exempt.
        if person.id == requester:
            return rule.check_approver(person.id, frozenset({person.id}), requester)
        if person.team != self.team:
            return OTHER_TEAM
        alone = frozenset({person.id})
        if person.id in rule.approvers:
            return rule.check_approver(person.id, alone, requester)
        groups = frozenset(filter(is_group, rule.approvers))
        found = await self.directory.groups_of(person.id, groups) if groups else frozenset()
        refusal = rule.check_approver(person.id, alone | found, requester)
        if refusal is not None:
            return refusal
        return None if await self.directory.full_member(person.id) else NOT_FULL_MEMBER

    async def still_approved_by(self, rule: Rule, approvers: Iterable[str], requester: str) -> frozenset[str]:
        """Those of the people who approved that the rule lets count now. Raises DirectoryError."""
        people = list(dict.fromkeys(approvers))
        refusals = await asyncio.gather(
            *(self.may_approve(rule, Person(one, self.team), requester) for one in people)
        )
        return frozenset(one for one, refusal in zip(people, refusals, strict=True) if refusal is None)

    async def may_see(self, person: Person) -> Refusal | None:
        """None if this person may read amounts and histories: whoever may request or approve anything.

        Raises DirectoryError.
        """
        if person.team != self.team:
            return OTHER_TEAM
        named = frozenset(one for rule in self.policy.rules for one in rule.requesters | rule.approvers)
        if person.id in named:
            return None
        if not self.policy.groups or not await self.directory.groups_of(person.id, self.policy.groups):
            return NOT_CONCERNED
        return None if await self.directory.full_member(person.id) else NOT_FULL_MEMBER

    async def may_pause(self, person: Person) -> Refusal | None:
        """None if this person may stop all sending, and let it go on: whoever may approve anything.

        Where nobody approves, whoever may request. Raises DirectoryError.
        """
        if person.team != self.team:
            return OTHER_TEAM
        rules = self.policy.rules
        named = frozenset(one for rule in rules if rule.most_approvals for one in rule.approvers)
        named = named or frozenset(one for rule in rules for one in rule.requesters)
        if await self.principals(person, frozenset(filter(is_group, named))) & named:
            return None
        return replace(NOT_TO_PAUSE, ask=named - {person.id})

    async def principals(self, person: Person, groups: frozenset[str]) -> frozenset[str]:
        """The person's own id, and those of the groups that count for them. Raises DirectoryError."""
        found = await self.directory.groups_of(person.id, groups) if groups else frozenset()
        if found and not await self.directory.full_member(person.id):
            found = frozenset()
        return found | {person.id}

    async def choice_of(
        self, person: Person, channel: str | None, modules: Sequence[str]
    ) -> Choice | Refusal:
        """What this person may pick in the form, in this channel or, with None, in any.

        It spares people a refusal; what they then ask for is decided by `may_request`. Raises DirectoryError.
        """
        if person.team != self.team:
            return OTHER_TEAM
        asked = frozenset(one for rule in self.policy.rules for one in filter(is_group, rule.requesters))
        principals = await self.principals(person, asked)
        here = [
            rule
            for rule in self.policy.rules
            if not rule.requesters.isdisjoint(principals)
            and (channel is None or rule.channels is None or channel in rule.channels)
        ]
        allowed = tuple(
            module
            for module in modules
            if any(rule.modules is None or module in rule.modules for rule in here)
        )
        if not allowed:
            why = self.policy.match(modules[0], channel or "", principals)
            return why if isinstance(why, Refusal) else NOT_CONCERNED
        named = next((min(rule.channels) for rule in here if rule.channels), None)
        return Choice(allowed, channel or named)
