"""users.*, usergroups.*, bots.info, and the builders that change who is who."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.world import ChannelKind


@pytest.fixture
def web(slack: LocalSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)


async def refusal(call: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response["error"]


async def test_users_info_tells_members_guests_and_strangers_apart(web: AsyncWebClient) -> None:
    """The flags that authorization rests on."""
    alice = (await web.users_info(user=ids.ALICE))["user"]
    assert (alice["team_id"], alice["deleted"], alice["is_restricted"]) == (
        ids.TEAM_ID,
        False,
        False,
    )
    assert (await web.users_info(user=ids.GIL))["user"]["is_restricted"]
    xena = (await web.users_info(user=ids.XENA))["user"]
    assert (xena["team_id"], xena["is_stranger"]) == (ids.OTHER_TEAM_ID, True)
    assert "is_restricted" not in xena
    assert (await web.users_info(user=ids.BOT_USER_ID))["user"]["is_bot"]


async def test_people_change(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Deactivating somebody, or making them a guest, shows at once."""
    slack.world.change_person("alice", deleted=True)
    slack.world.change_person("bob", is_ultra_restricted=True)
    assert (await web.users_info(user=ids.ALICE))["user"]["deleted"]
    bob = (await web.users_info(user=ids.BOB))["user"]
    assert bob["is_restricted"]
    assert bob["is_ultra_restricted"]


async def test_an_unknown_user_is_not_found(web: AsyncWebClient) -> None:
    """user_not_found, not an empty user."""
    assert await refusal(web.users_info(user="U0NOBODY01")) == "user_not_found"


async def test_users_list_has_the_workspace_in_pages(web: AsyncWebClient) -> None:
    """People of other organizations are not in it."""
    everybody = (await web.users_list())["members"]
    names = [member["name"] for member in everybody]
    assert "alice" in names
    assert "xena" not in names
    first = await web.users_list(limit=3)
    assert [member["name"] for member in first["members"]] == names[:3]
    assert first["response_metadata"]["next_cursor"]


async def test_a_group_has_its_members(slack: LocalSlack, web: AsyncWebClient) -> None:
    """usergroups.users.list follows changes; an unknown group is an error."""
    members = await web.usergroups_users_list(usergroup=ids.FINANCE_GROUP)
    assert members["users"] == [ids.BOB, ids.CAROL]
    slack.world.change_group("@finance", ["alice"])
    members = await web.usergroups_users_list(usergroup=ids.FINANCE_GROUP)
    assert members["users"] == [ids.ALICE]
    assert await refusal(web.usergroups_users_list(usergroup="S0NOBODY01")) == "no_such_subteam"


async def test_a_disabled_group_is_hidden_unless_asked_for(slack: LocalSlack, web: AsyncWebClient) -> None:
    """include_disabled shows it; without, its members are refused."""
    group = slack.world.add_group("auditors", ["alice"], disabled=True)
    listed = (await web.usergroups_list(include_users=True))["usergroups"]
    assert [(each["handle"], each["users"]) for each in listed] == [("finance", [ids.BOB, ids.CAROL])]
    assert len((await web.usergroups_list(include_disabled=True))["usergroups"]) == 2
    call = web.usergroups_users_list(usergroup=group.id)
    assert await refusal(call) == "subteam_disabled"


async def test_users_conversations_are_the_bots_own_channels(slack: LocalSlack, web: AsyncWebClient) -> None:
    """By kind, without those that it is not in, and without archived ones if so wished."""
    names = [each["name"] for each in (await web.users_conversations())["channels"]]
    assert names == ["payments", "approvals", "shared-with-partner"]
    private = await web.users_conversations(types="private_channel")
    assert private["channels"] == []
    slack.world.change_channel("#approvals", is_archived=True)
    active = await web.users_conversations(exclude_archived=True)
    assert "approvals" not in [each["name"] for each in active["channels"]]
    of_alice = await web.users_conversations(user=ids.ALICE)
    assert "random" in [each["name"] for each in of_alice["channels"]]
    assert await refusal(web.users_conversations(types="galaxy")) == "invalid_types"


async def test_bots_info_knows_this_bot_only(web: AsyncWebClient) -> None:
    """bot_not_found for any other."""
    assert (await web.bots_info(bot=ids.BOT_ID))["bot"]["user_id"] == ids.BOT_USER_ID
    assert await refusal(web.bots_info(bot="B0NOBODY01")) == "bot_not_found"


async def test_worlds_can_be_built(slack: LocalSlack, web: AsyncWebClient) -> None:
    """People, groups and channels of one's own get ids of Slack's shape and can be used at once."""
    dora = slack.world.add_person("dora", is_restricted=True)
    slack.world.add_group("board", ["dora", "alice"])
    room = slack.world.add_channel("#board-room", ["dora", ids.BOT_USER_ID], ChannelKind.PRIVATE)
    assert (await web.users_info(user=dora.id))["user"]["name"] == "dora"
    assert (await web.conversations_info(channel=room.id))["channel"]["is_private"]
    await slack.person("dora").says("#board-room", "hello")
    for identifier in (dora.id, room.id):
        assert identifier.isalnum()
        assert identifier == identifier.upper()


def test_who_is_not_there_cannot_be_looked_up() -> None:
    """A typo in a test is an error, not silence."""
    slack = LocalSlack()
    with pytest.raises(NotThere, match="nobody"):
        slack.person("nobody")
    with pytest.raises(NotThere, match="#nowhere"):
        slack.messages("#nowhere")
    with pytest.raises(NotThere, match="@nogroup"):
        slack.world.change_group("@nogroup", [])
