"""conversations.*: what the bot can find out about channels, and read back of what was said."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids

METADATA = {"event_type": "card", "event_payload": {"payment": 42}}


@pytest.fixture
def web(slack: LocalSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)


async def refusal(call: Any) -> Any:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value.response["error"]


async def post(web: AsyncWebClient, *texts: str, **arguments: Any) -> list[str]:
    return [
        (await web.chat_postMessage(channel=ids.PAYMENTS, text=text, **arguments))["ts"] for text in texts
    ]


async def test_a_channel_tells_whether_it_is_shared_and_the_bot_in_it(web: AsyncWebClient) -> None:
    """is_member and is_ext_shared are what the bot decides by."""
    payments = (await web.conversations_info(channel=ids.PAYMENTS))["channel"]
    assert (payments["name"], payments["is_member"], payments["is_ext_shared"]) == (
        "payments",
        True,
        False,
    )
    shared = (await web.conversations_info(channel=ids.SHARED))["channel"]
    assert shared["is_ext_shared"]
    assert shared["connected_team_ids"] == [ids.OTHER_TEAM_ID]
    public = (await web.conversations_info(channel=ids.RANDOM))["channel"]
    assert not public["is_member"]


async def test_a_private_channel_without_the_bot_is_not_found(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Until the bot is invited, it cannot even know that the channel is there."""
    call = web.conversations_info(channel=ids.FINANCE_PRIVATE)
    assert await refusal(call) == "channel_not_found"
    await slack.person("bob").invites_bot("#finance-private")
    channel = (await web.conversations_info(channel=ids.FINANCE_PRIVATE))["channel"]
    assert channel["is_private"]


async def test_members_come_in_pages(web: AsyncWebClient) -> None:
    """limit and cursor lead through everybody exactly once."""
    members: list[str] = []
    cursor = ""
    while True:
        page = await web.conversations_members(channel=ids.PAYMENTS, limit=2, cursor=cursor)
        assert len(page["members"]) <= 2
        members += page["members"]
        cursor = page["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert sorted(members) == sorted([ids.ALICE, ids.BOB, ids.CAROL, ids.MALLORY, ids.GIL, ids.BOT_USER_ID])


async def test_a_made_up_cursor_or_limit_is_refused(web: AsyncWebClient) -> None:
    """invalid_cursor and invalid_limit."""
    call = web.conversations_members(channel=ids.PAYMENTS, cursor="bogus")
    assert await refusal(call) == "invalid_cursor"
    call = web.conversations_members(channel=ids.PAYMENTS, limit=0)
    assert await refusal(call) == "invalid_limit"


async def test_history_has_roots_only_and_the_newest_first(web: AsyncWebClient) -> None:
    """Replies and deleted messages are not in it."""
    first, second, third = await post(web, "first", "second", "third")
    await post(web, "reply", thread_ts=first)
    await web.chat_delete(channel=ids.PAYMENTS, ts=second)
    history = await web.conversations_history(channel=ids.PAYMENTS)
    assert [message["ts"] for message in history["messages"]] == [third, first]
    assert history["messages"][1]["reply_count"] == 1


async def test_history_is_bounded_by_time_and_number(web: AsyncWebClient) -> None:
    """oldest, latest, inclusive and limit, with has_more and a cursor."""
    stamps = await post(web, "a", "b", "c", "d")
    between = await web.conversations_history(channel=ids.PAYMENTS, oldest=stamps[0], latest=stamps[3])
    assert [message["text"] for message in between["messages"]] == ["c", "b"]
    with_borders = await web.conversations_history(
        channel=ids.PAYMENTS, oldest=stamps[0], latest=stamps[3], inclusive=True
    )
    assert len(with_borders["messages"]) == 4
    page = await web.conversations_history(channel=ids.PAYMENTS, limit=3)
    assert page["has_more"]
    rest = await web.conversations_history(
        channel=ids.PAYMENTS, limit=3, cursor=page["response_metadata"]["next_cursor"]
    )
    assert [message["text"] for message in rest["messages"]] == ["a"]
    assert not rest["has_more"]


async def test_a_bound_that_is_no_time_is_refused(web: AsyncWebClient) -> None:
    """invalid_ts_oldest and invalid_ts_latest."""
    for bound in ("oldest", "latest"):
        arguments = {"channel": ids.PAYMENTS, bound: "yesterday"}
        call = web.api_call("conversations.history", params=arguments)
        assert await refusal(call) == f"invalid_ts_{bound}"


async def test_replies_start_with_the_root(web: AsyncWebClient) -> None:
    """The root comes first on every page, then the replies, oldest first; any ts of it will do."""
    (root,) = await post(web, "root")
    replies = await post(web, "one", "two", "three", thread_ts=root)
    thread = await web.conversations_replies(channel=ids.PAYMENTS, ts=root)
    assert [message["text"] for message in thread["messages"]] == ["root", "one", "two", "three"]
    assert thread["messages"][1]["parent_user_id"] == ids.BOT_USER_ID
    page = await web.conversations_replies(channel=ids.PAYMENTS, ts=replies[0], limit=2)
    assert [message["text"] for message in page["messages"]] == ["root", "one", "two"]
    assert page["has_more"]
    later = await web.conversations_replies(channel=ids.PAYMENTS, ts=root, oldest=replies[1])
    assert [message["text"] for message in later["messages"]] == ["root", "three"]


async def test_metadata_comes_back_only_when_asked_for(web: AsyncWebClient) -> None:
    """include_all_metadata is how an ambiguous post is found again."""
    (root,) = await post(web, "root", metadata=METADATA)
    await post(web, "reply", thread_ts=root, metadata=METADATA)
    without = await web.conversations_replies(channel=ids.PAYMENTS, ts=root)
    assert all("metadata" not in message for message in without["messages"])
    for answer in (
        await web.conversations_replies(channel=ids.PAYMENTS, ts=root, include_all_metadata=True),
        await web.conversations_history(channel=ids.PAYMENTS, include_all_metadata=True),
    ):
        assert all(message["metadata"] == METADATA for message in answer["messages"])


async def test_a_deleted_root_leaves_a_tombstone_over_its_replies(web: AsyncWebClient) -> None:
    """With replies it is a tombstone; without, the thread is not found."""
    (root,) = await post(web, "root")
    (reply,) = await post(web, "reply", thread_ts=root)
    await web.chat_delete(channel=ids.PAYMENTS, ts=root)
    thread = await web.conversations_replies(channel=ids.PAYMENTS, ts=root)
    assert [message.get("subtype") for message in thread["messages"]] == ["tombstone", None]
    await web.chat_delete(channel=ids.PAYMENTS, ts=reply)
    call = web.conversations_replies(channel=ids.PAYMENTS, ts=root)
    assert await refusal(call) == "thread_not_found"


async def test_only_members_read(web: AsyncWebClient) -> None:
    """A public channel without the bot is known, but not readable."""
    assert await refusal(web.conversations_history(channel=ids.RANDOM)) == "not_in_channel"
    call = web.conversations_replies(channel=ids.FINANCE_PRIVATE, ts="1700000000.000100")
    assert await refusal(call) == "channel_not_found"


async def test_direct_messages_are_read_with_a_scope_of_their_own(web: AsyncWebClient) -> None:
    """The bot's usual scopes do not let it read direct messages back."""
    channel = (await web.chat_postMessage(channel=ids.BOB, text="x"))["channel"]
    assert await refusal(web.conversations_history(channel=channel)) == "missing_scope"


async def test_conversations_open_finds_the_direct_channel() -> None:
    """The same channel every time; nobody who left, and no strangers."""
    async with LocalSlack(scopes=frozenset({"im:write", "chat:write"})) as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        first = (await web.conversations_open(users=ids.BOB))["channel"]["id"]
        assert first == (await web.chat_postMessage(channel=ids.BOB, text="x"))["channel"]
        slack.world.change_person("carol", deleted=True)
        assert await refusal(web.conversations_open(users=ids.CAROL)) == "user_disabled"
        assert await refusal(web.conversations_open(users=ids.XENA)) == "user_not_visible"
        assert await refusal(web.conversations_open(users="U0NOBODY01")) == "user_not_found"
