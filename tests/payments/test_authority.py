"""Who may do what: own team first, ids need no look-up, and whatever is not known denies."""

from __future__ import annotations

import pytest

from bot.domain.policy import Policy, Refusal, Rule, Tier
from bot.errors import DirectoryError
from bot.payments.authority import Authority, Choice, Person
from tests.payments.conftest import ALICE, BOB, CAROL, MALLORY, TEAM, Register, policy, refused

GROUP = "S1"
STRANGER = Person("U1", "T9")
"""Somebody of another organization, who has the very id that is allowed here."""


@pytest.fixture
def register() -> Register:
    return Register()


def authority(register: Register, rules: Policy | None = None) -> Authority:
    return Authority(rules or policy(), register, TEAM)


async def may_request(who: Person, register: Register, rules: Policy | None = None) -> str | None:
    """The reason why this person may not request vps invoices in C1; None if they may."""
    answer = await authority(register, rules).may_request(who, "vps", "C1", typed_there=True)
    return None if isinstance(answer, Rule) else refused(answer)


async def may_approve(
    who: Person, register: Register, rules: Policy, requester: str = ALICE.id
) -> str | None:
    answer = await authority(register, rules).may_approve(rules.rules[0], who, requester)
    return None if answer is None else refused(answer)


by_group = policy(requesters=frozenset({GROUP}), approvers=frozenset({GROUP}))


class TestRequests:
    async def test_who_is_named_by_id_needs_no_look_up(self, register: Register) -> None:
        """Slack may be silent: whoever the rule names may ask, and whoever it does not name may not."""
        register.silent = True
        assert await may_request(ALICE, register) is None
        assert await may_request(MALLORY, register) == "person_not_allowed"
        assert register.asked == []

    async def test_another_team_is_refused_before_anything_else(self, register: Register) -> None:
        """Even with an id that is allowed here, and although Slack would not say who it is."""
        register.silent = True
        register.groups[GROUP] = {STRANGER.id}
        for rules in (policy(), by_group):
            assert await may_request(STRANGER, register, rules) == "other_team"
            assert await may_approve(STRANGER, register, rules, requester="U7") == "other_team"
        assert register.asked == []

    async def test_an_empty_allowlist_allows_nobody(self, register: Register) -> None:
        """Nobody means nobody, the approvers included."""
        nobody = Policy((Rule("default", frozenset(), frozenset({BOB.id})),))
        for person in (ALICE, BOB, MALLORY):
            assert await may_request(person, register, nobody) == "nobody_allowed"

    async def test_a_member_of_the_group_may_ask(self, register: Register) -> None:
        """And nobody else."""
        register.groups[GROUP] = {ALICE.id}
        assert await may_request(ALICE, register, by_group) is None
        assert await may_request(MALLORY, register, by_group) == "person_not_allowed"

    async def test_a_failing_look_up_denies(self, register: Register) -> None:
        """Slack does not say in time: DirectoryError, which no caller takes for a yes."""
        register.groups[GROUP] = {ALICE.id, BOB.id}
        register.silent = True
        with pytest.raises(DirectoryError):
            await may_request(ALICE, register, by_group)
        with pytest.raises(DirectoryError):
            await may_approve(BOB, register, by_group)
        with pytest.raises(DirectoryError):
            await authority(register, by_group).still_approved_by(by_group.rules[0], [BOB.id], ALICE.id)

    async def test_a_group_lets_no_guest_in(self, register: Register) -> None:
        """Guests, strangers, bots and deactivated people are in through their own id or not at all."""
        register.groups[GROUP] = {ALICE.id}
        register.guests = {ALICE.id}
        assert await may_request(ALICE, register, by_group) == "not_a_full_member"
        named = policy(requesters=frozenset({GROUP, ALICE.id}))
        assert await may_request(ALICE, register, named) is None

    async def test_a_guest_of_a_group_falls_through_to_the_rule_that_names_them(
        self, register: Register
    ) -> None:
        """The first rule's group does not count for them; a later rule that has their id does."""
        register.groups[GROUP] = {ALICE.id}
        register.guests = {ALICE.id}
        rules = Policy(
            (
                Rule(name="group", requesters=frozenset({GROUP})),
                Rule(name="named", requesters=frozenset({ALICE.id}), approvers=frozenset({BOB.id})),
            )
        )
        answer = await authority(register, rules).may_request(ALICE, "vps", "C1", typed_there=True)
        assert isinstance(answer, Rule)
        assert answer.name == "named"

    async def test_module_and_channel_must_fit(self, register: Register) -> None:
        """Each refusal names its own reason."""
        rules = policy(modules=frozenset({"mail"}))
        assert await may_request(ALICE, register, rules) == "module_not_allowed"
        rules = policy(channels=frozenset({"C2"}))
        answer = await authority(register, rules).may_request(ALICE, "vps", "C1", typed_there=True)
        assert refused(answer) == "channel_not_allowed"
        assert isinstance(answer, Refusal)
        assert answer.channels == {"C2"}


class TestAChannelThatSomebodyNamed:
    async def test_a_channel_is_named_only_by_who_is_in_it(self, register: Register) -> None:
        """Whoever could name any channel could pick the rule; where it was typed, Slack says that they
        are in."""
        office = authority(register)
        assert isinstance(await office.may_request(ALICE, "vps", "C1", typed_there=False), Rule)
        register.outside = {ALICE.id}
        answer = await office.may_request(ALICE, "vps", "C1", typed_there=False)
        assert refused(answer) == "not_in_the_channel"
        assert isinstance(await office.may_request(ALICE, "vps", "C1", typed_there=True), Rule)

    async def test_who_may_not_ask_there_hears_that_and_not_who_is_in_it(self, register: Register) -> None:
        """The rules come first: nobody is looked up for whom there is none."""
        register.silent = True
        answer = await authority(register).may_request(MALLORY, "vps", "C1", typed_there=False)
        assert refused(answer) == "person_not_allowed"
        assert register.asked == []

    async def test_where_slack_does_not_say_who_is_in_a_channel_nobody_may_name_it(
        self, register: Register
    ) -> None:
        """Unknown is never yes."""
        register.silent = True
        with pytest.raises(DirectoryError):
            await authority(register).may_request(ALICE, "vps", "C1", typed_there=False)


class TestApprovals:
    async def test_nobody_approves_their_own_request(self, register: Register) -> None:
        """The same person is refused before any look-up and any role, an approver by id or by group too."""
        register.silent = True
        rules = policy(approvers=frozenset({ALICE.id, BOB.id, GROUP}))
        assert await may_approve(ALICE, register, rules) == "own_request"
        assert await may_approve(Person(ALICE.id, "T9"), register, rules) == "own_request"
        assert register.asked == []

    async def test_an_approver_by_id_needs_no_look_up(self, register: Register) -> None:
        """Slack may be silent."""
        register.silent = True
        assert await may_approve(BOB, register, policy()) is None
        assert await may_approve(MALLORY, register, policy()) == "not_an_approver"
        assert register.asked == []

    async def test_an_approver_by_group_is_a_full_member(self, register: Register) -> None:
        """A guest in the approvers' group approves nothing."""
        register.groups[GROUP] = {BOB.id, CAROL.id}
        register.guests = {CAROL.id}
        assert await may_approve(BOB, register, by_group) is None
        assert await may_approve(CAROL, register, by_group) == "not_a_full_member"
        assert await may_approve(MALLORY, register, by_group) == "not_an_approver"

    async def test_only_approvals_that_still_count_are_counted(self, register: Register) -> None:
        """Whoever left, is the requester, or was counted twice makes no second approval."""
        register.groups[GROUP] = {BOB.id}
        rules = policy(approvers=frozenset({GROUP, CAROL.id}), tiers=(Tier(None, 1),))
        people = [BOB.id, BOB.id, CAROL.id, ALICE.id, MALLORY.id]
        found = await authority(register, rules).still_approved_by(rules.rules[0], people, ALICE.id)
        assert found == {BOB.id, CAROL.id}
        register.groups[GROUP] = set()
        found = await authority(register, rules).still_approved_by(rules.rules[0], people, ALICE.id)
        assert found == {CAROL.id}


class TestSeeing:
    """Amounts and histories are for whoever has to do with them."""

    async def test_who_may_ask_or_approve_may_see(self, register: Register) -> None:
        """By their id, whatever Slack says, or as a full member of a group that is named."""
        register.silent = True
        for person in (ALICE, BOB):
            assert await authority(register).may_see(person) is None
        assert refused(await authority(register).may_see(MALLORY)) == "person_not_allowed"
        assert register.asked == []

    async def test_a_member_of_a_group_may_see_but_no_guest(self, register: Register) -> None:
        """As they may ask for nothing by it either."""
        register.groups[GROUP] = {ALICE.id, BOB.id}
        register.guests = {BOB.id}
        office = authority(register, by_group)
        assert await office.may_see(ALICE) is None
        assert refused(await office.may_see(BOB)) == "not_a_full_member"
        assert refused(await office.may_see(MALLORY)) == "person_not_allowed"

    async def test_another_team_sees_nothing(self, register: Register) -> None:
        """Whatever its people's ids are."""
        assert refused(await authority(register).may_see(Person(ALICE.id, "T9"))) == "other_team"


class TestPausing:
    """Whoever may approve anything stops all sending."""

    async def test_who_may_approve_may_pause_and_who_only_asks_may_not(self, register: Register) -> None:
        """The refusal names whom to ask."""
        office = authority(register, policy(tiers=(Tier(None, 1),)))
        assert await office.may_pause(BOB) is None
        answer = await office.may_pause(ALICE)
        assert refused(answer) == "not_an_approver"
        assert answer is not None
        assert answer.ask == {BOB.id, CAROL.id}

    async def test_where_nobody_approves_whoever_may_ask_may_pause(self, register: Register) -> None:
        """Somebody has to be able to."""
        assert await authority(register).may_pause(ALICE) is None
        assert refused(await authority(register).may_pause(BOB)) == "not_an_approver"

    async def test_a_guest_of_the_group_and_another_team_may_not(self, register: Register) -> None:
        """A group counts for its full members only, and an id for its own team only."""
        register.groups[GROUP] = {BOB.id, CAROL.id, STRANGER.id}
        register.guests = {CAROL.id}
        rules = policy(approvers=frozenset({GROUP}), tiers=(Tier(None, 1),))
        assert await authority(register, rules).may_pause(BOB) is None
        assert refused(await authority(register, rules).may_pause(CAROL)) == "not_an_approver"
        assert refused(await authority(register, rules).may_pause(Person(BOB.id, "T9"))) == "other_team"
        named = policy(approvers=frozenset({BOB.id}), tiers=(Tier(None, 1),))
        assert refused(await authority(register, named).may_pause(Person(BOB.id, "T9"))) == "other_team"


class TestTheForm:
    """What somebody may pick; what they then ask for is decided anew."""

    MODULES = ("domains", "mail", "vps")

    @pytest.mark.parametrize(
        ("rules", "channel", "choice"),
        [
            ({}, None, Choice(MODULES, None)),
            ({}, "C1", Choice(MODULES, "C1")),
            ({"modules": frozenset({"vps", "ssl"})}, None, Choice(("vps",), None)),
            ({"channels": frozenset({"C2", "C3"})}, None, Choice(MODULES, "C2")),
            ({"channels": frozenset({"C2", "C3"})}, "C3", Choice(MODULES, "C3")),
            ({"channels": frozenset({"C2", "C3"})}, "C1", "channel_not_allowed"),
            ({"modules": frozenset({"ssl"})}, None, "module_not_allowed"),
            ({"requesters": frozenset({BOB.id})}, None, "person_not_allowed"),
        ],
    )
    async def test_what_may_be_asked_for_is_offered(
        self, register: Register, rules: dict[str, frozenset[str]], channel: str | None, choice: Choice | str
    ) -> None:
        """Here, or in any channel; where that is nothing, it is said why."""
        answer = await authority(register, policy(**rules)).choice_of(ALICE, channel, self.MODULES)
        assert (refused(answer) if isinstance(choice, str) else answer) == choice

    async def test_what_only_a_group_may_ask_for_is_offered_to_its_full_members(
        self, register: Register
    ) -> None:
        """And to nobody of another team."""
        register.groups[GROUP] = {ALICE.id, BOB.id, STRANGER.id}
        register.guests = {BOB.id}
        office = authority(register, by_group)
        assert await office.choice_of(ALICE, "C1", self.MODULES) == Choice(self.MODULES, "C1")
        assert refused(await office.choice_of(BOB, "C1", self.MODULES)) == "person_not_allowed"
        assert refused(await office.choice_of(STRANGER, "C1", self.MODULES)) == "other_team"
