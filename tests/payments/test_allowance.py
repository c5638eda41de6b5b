"""What one person may ask for and approve, as the help tells them."""

from __future__ import annotations

import pytest

from bot.domain.policy import Policy, Rule, Tier
from bot.payments.allowance import Allowance, allowance_of
from bot.payments.authority import OTHER_TEAM, Authority, Person
from tests.payments.conftest import ALICE, BOB, CAROL, MALLORY, TEAM, Register, refused

MODULES = ("domains", "mail", "vps")
GROUP = "S1"
ONE = (Tier(None, 1),)
MAIL = Rule(
    "mail", frozenset({ALICE.id}), frozenset({BOB.id}), ONE, frozenset({"mail"}), frozenset({"C1", "C2"})
)
"""Stands in two channels alone."""
ALL = Rule("all", frozenset({ALICE.id, GROUP}), frozenset({CAROL.id}), ONE)
NOBODY_ASKED = Rule("small", frozenset({BOB.id}), frozenset({ALICE.id}))


@pytest.fixture
def register() -> Register:
    register = Register()
    register.groups[GROUP] = {BOB.id}
    return register


async def allowed(
    register: Register, who: Person, channel: str, *rules: Rule, modules: tuple[str, ...] = MODULES
) -> Allowance:
    return await allowance_of(Authority(Policy(rules), register, TEAM), who, channel, modules)


def told(allowance: Allowance) -> tuple[object, ...]:
    """The rules with their modules, here and elsewhere."""
    here = [(terms.rule.name, terms.modules) for terms in allowance.here]
    elsewhere = {
        place: [(terms.rule.name, terms.modules) for terms in all_terms]
        for place, all_terms in allowance.elsewhere.items()
    }
    return here, elsewhere


async def test_each_module_falls_under_the_first_rule_that_fits(register: Register) -> None:
    """Elsewhere is told only where it is not the same as here."""
    both = [("all", ("domains", "vps")), ("mail", ("mail",))]
    here, elsewhere = told(await allowed(register, ALICE, "C1", MAIL, ALL))
    assert sorted(here) == both  # type: ignore[call-overload]
    assert elsewhere == {None: [("all", MODULES)]}
    here, elsewhere = told(await allowed(register, ALICE, "C9", MAIL, ALL))
    assert here == [("all", MODULES)]
    assert {place: sorted(terms) for place, terms in elsewhere.items()} == {  # type: ignore[attr-defined]
        "C1": both,
        "C2": both,
    }


async def test_where_nothing_is_allowed_it_is_said_why(register: Register) -> None:
    """And where it is."""
    here, elsewhere = told(found := await allowed(register, ALICE, "C9", MAIL))
    assert (here, elsewhere) == ([], {"C1": [("mail", ("mail",))], "C2": [("mail", ("mail",))]})
    assert refused(found.refusal) == "module_not_allowed"
    assert (await allowed(register, ALICE, "C1", MAIL)).refusal is None
    assert refused((await allowed(register, MALLORY, "C1", MAIL, ALL)).refusal) == "person_not_allowed"
    assert (await allowed(register, ALICE, "C9", MAIL, modules=())).refusal is None


async def test_what_a_person_may_approve_is_what_somebody_has_to(register: Register) -> None:
    """A rule that asks nobody names approvers for nothing."""
    assert (await allowed(register, BOB, "C1", MAIL, ALL)).approves == (MAIL,)
    assert (await allowed(register, CAROL, "C1", MAIL, ALL)).approves == (ALL,)
    assert (await allowed(register, ALICE, "C1", MAIL, NOBODY_ASKED)).approves == ()


async def test_a_group_counts_for_its_full_members(register: Register) -> None:
    """As it does where they ask."""
    assert told(await allowed(register, BOB, "C1", ALL)) == ([("all", MODULES)], {})
    register.guests = {BOB.id}
    assert (await allowed(register, BOB, "C1", ALL)).here == ()


async def test_another_team_may_nothing(register: Register) -> None:
    """It hears which modules there are."""
    found = await allowed(register, Person(ALICE.id, "T9"), "C1", ALL)
    assert found == Allowance((), {}, OTHER_TEAM, (), MODULES)
