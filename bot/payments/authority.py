"""Who may do what: the policy, asked with what Slack says of a person. Fails closed.

Authorization is by immutable ids, and the person's own team comes first. Somebody named by id needs no
look-up; somebody who is in through a group must be a full, active member of this team.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bot.domain.payment import Payment
from bot.domain.policy import Policy
from bot.domain.rule import Reason, Refusal, Rule
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


class Authority:
    """Answers for one team under one policy."""

    def __init__(self, policy: Policy, directory: Directory, team: str) -> None:
        self.policy = policy
        self._directory = directory
        self._team = team

    async def may_request(self, person: Person, module: str, channel: str) -> Rule | Refusal:
        """The rule under which this person may ask for it here, or why not. Raises DirectoryError."""
        if person.team != self._team:
            return OTHER_TEAM
        alone = frozenset({person.id})
        groups = self.policy.groups_to_resolve(module, channel, person.id)
        found = await self._directory.groups_of(person.id, groups) if groups else frozenset()
        answer = self.policy.match(module, channel, alone | found)
        if isinstance(answer, Refusal) or answer.names_requester(person.id):
            return answer
        if await self._directory.full_member(person.id):
            return answer
        # A group lets no guest in; being named by id does, in whichever rule.
        by_id = self.policy.match(module, channel, alone)
        return NOT_FULL_MEMBER if isinstance(by_id, Refusal) else by_id

    async def rule_of(self, payment: Payment) -> Rule | Refusal:
        """The rule that the payment's requester stands under now; it may have changed since."""
        person = Person(payment.requester, payment.team)
        return await self.may_request(person, payment.ref.module, payment.channel)

    async def may_approve(self, rule: Rule, person: Person, requester: str) -> Refusal | None:
        """None if this person may approve what the requester asked for. Raises DirectoryError."""
        # The same-person check stands before any other; nobody is exempt.
        if person.id == requester:
            return rule.check_approver(person.id, frozenset({person.id}), requester)
        if person.team != self._team:
            return OTHER_TEAM
        alone = frozenset({person.id})
        if rule.names_approver(person.id):
            return rule.check_approver(person.id, alone, requester)
        groups = frozenset(filter(is_group, rule.approvers))
        found = await self._directory.groups_of(person.id, groups) if groups else frozenset()
        refusal = rule.check_approver(person.id, alone | found, requester)
        if refusal is not None:
            return refusal
        return None if await self._directory.full_member(person.id) else NOT_FULL_MEMBER

    async def still_approved_by(self, rule: Rule, approvers: Iterable[str], requester: str) -> frozenset[str]:
        """Those of the people who approved that the rule lets count now. Raises DirectoryError."""
        return frozenset(
            [
                approver
                for approver in dict.fromkeys(approvers)
                if await self.may_approve(rule, Person(approver, self._team), requester) is None
            ]
        )
