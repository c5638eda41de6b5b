"""People of one organization with several workspaces: Slack may name another one as theirs than this."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.payment import State
from bot.sandbox.local_slack import LocalSlack, payloads
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.card import APPROVE, DENY, WITHDRAW
from tests.fixture_types import StartBot
from tests.slack.acting import approve, at_rest, card, deny, refusals, request, shown, state_of, told

HERE_TOO = {"team_id": ids.OTHER_TEAM_ID, "organization": (ids.OTHER_TEAM_ID, ids.TEAM_ID)}
"""At home in another workspace of the organization, and a member of this one."""


def acts_from(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    """Slack names this as the home of whoever clicks."""
    interaction = payloads._interaction

    def from_there(kind: str, person: Any, trigger_id: str) -> dict[str, Any]:
        body = interaction(kind, person, trigger_id)
        body["user"]["team_id"] = home
        return body

    monkeypatch.setattr(payloads, "_interaction", from_there)


async def test_who_is_at_home_in_another_workspace_approves_here(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Slack tells their home with each click, wherever that is; they are a member of this workspace too."""
    bot = await start_bot(PAY_APPROVERS=f"{ids.BOB},{ids.FINANCE_GROUP}", PAY_APPROVALS_REQUIRED="2")
    for name in ("bob", "carol"):
        slack.world.change_person(name, **HERE_TOO)
    asked = await request(slack, bot)
    await approve(slack, asked, "bob")
    await at_rest(bot)
    assert await bot.ledger.approvers(1) == [ids.BOB]
    await approve(slack, card(slack), "carol")
    await at_rest(bot)
    assert await state_of(bot) is State.PAID
    other = await request(slack, bot, "vps 10102")
    assert (await deny(slack, other, "bob", "too dear")).ok
    await at_rest(bot)
    assert await state_of(bot, 2) is State.DENIED


async def test_who_is_at_home_in_another_workspace_withdraws_and_never_approves_their_own(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """A command tells this workspace and a click another one: it is the same person all the same."""
    bot = await start_bot(PAY_APPROVERS=f"{ids.ALICE},{ids.BOB}", PAY_APPROVALS_REQUIRED="1")
    slack.world.change_person("alice", **HERE_TOO)
    asked = await request(slack, bot)
    await slack.person("alice").clicks(asked, APPROVE)
    assert "You asked for this payment, so you cannot approve it." in await told(slack, "alice")
    assert (await slack.person("alice").clicks(asked, WITHDRAW)).ok
    await at_rest(bot)
    assert "Withdrawn; nothing was paid" in shown(card(slack))
    assert await state_of(bot) is State.CANCELLED


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        (HERE_TOO, ids.ORGANIZATION_ID),
        (HERE_TOO | {"team_id": ids.TEAM_ID}, ids.OTHER_TEAM_ID),
    ],
    ids=["organization", "one of several"],
)
async def test_slack_may_name_any_place_of_the_organization_as_their_home(
    slack: LocalSlack,
    start_bot: StartBot,
    monkeypatch: pytest.MonkeyPatch,
    profile: dict[str, Any],
    says: str,
) -> None:
    """It is one that it tells of them when it is asked, and within it an id is one person's."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    slack.world.change_person("bob", **profile)
    acts_from(monkeypatch, says)
    await approve(slack, asked, "bob")
    await at_rest(bot)
    assert await state_of(bot) is State.PAID


ELSEWHERE = ids.OTHER_TEAM_ID, "T0THIRD001"


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ({"team_id": ids.OTHER_TEAM_ID}, ids.OTHER_TEAM_ID),
        ({"team_id": ids.OTHER_TEAM_ID, "organization": ELSEWHERE}, ids.OTHER_TEAM_ID),
        (HERE_TOO | {"is_stranger": True}, ids.OTHER_TEAM_ID),
        ({}, ids.OTHER_TEAM_ID),
        (HERE_TOO, "T0THIRD001"),
    ],
    ids=["another's", "not here", "stranger", "ours by its id", "other home"],
)
async def test_nobody_else_is_taken_for_a_colleague(
    slack: LocalSlack,
    start_bot: StartBot,
    monkeypatch: pytest.MonkeyPatch,
    profile: dict[str, Any],
    says: str,
) -> None:
    """An id is a person's only with the home that Slack names: it must be one that it tells of that id."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    slack.world.change_person("bob", **profile)
    acts_from(monkeypatch, says)
    for action in (APPROVE, DENY):
        assert (await slack.person("bob").clicks(asked, action)).ok
    await slack.wait_for(lambda: len(slack.ephemerals("bob")) == 2)
    assert "Only people of this workspace can do that." in shown(slack.ephemerals("bob")[0])
    assert slack.views("bob") == []
    assert await bot.ledger.approvers(1) == []
    assert [one["reason"] for one in await refusals(bot)] == ["other_team"] * 2


async def test_who_is_whose_colleague_is_not_waited_for(slack: LocalSlack, start_bot: StartBot) -> None:
    """Where Slack does not say it at once, the answer is no."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    slack.world.change_person("bob", **HERE_TOO)
    slack.fail("users.info", "timeout")
    result = await approve(slack, asked, "bob")
    assert result.ok
    assert result.seconds < 1.5
    assert "Only people of this workspace can do that." in await told(slack, "bob")
    assert await bot.ledger.approvers(1) == []
