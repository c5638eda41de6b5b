"""chat.*: where the bot may post, what it may say, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids

SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Card"}}


@pytest.fixture
def web(slack: LocalSlack) -> AsyncWebClient:
    return AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)


async def refusal(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])


async def test_a_message_appears_in_the_channel(slack: LocalSlack, web: AsyncWebClient) -> None:
    """What was posted is there, by the bot, and the answer gives its ts."""
    answer = await web.chat_postMessage(channel=ids.PAYMENTS, text="hello")
    (message,) = slack.messages("#payments")
    assert (message.ts, message.text, message.user) == (answer["ts"], "hello", ids.BOT_USER_ID)
    assert answer["message"]["bot_id"] == ids.BOT_ID


async def test_a_channel_may_be_named(slack: LocalSlack, web: AsyncWebClient) -> None:
    """#payments is as good as its id for posting."""
    await web.chat_postMessage(channel="#payments", text="hello")
    assert len(slack.messages("#payments")) == 1


async def test_timestamps_are_unique_and_rise(web: AsyncWebClient) -> None:
    """Messages posted in one instant still have different, ordered ts."""
    stamps = [(await web.chat_postMessage(channel=ids.PAYMENTS, text="x"))["ts"] for _ in range(20)]
    assert stamps == sorted(set(stamps))
    assert all(len(stamp.split(".")[1]) == 6 for stamp in stamps)


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        (ids.RANDOM, "not_in_channel"),
        (ids.FINANCE_PRIVATE, "channel_not_found"),
        ("C0NOWHERE0", "channel_not_found"),
        (ids.XENA, "channel_not_found"),
        (ids.BOT_USER_ID, "cannot_dm_bot"),
    ],
)
async def test_a_bot_posts_only_where_it_may(web: AsyncWebClient, channel: str, error: str) -> None:
    """A public channel without the bot says not_in_channel, a private one is not even there."""
    assert await refusal(web.chat_postMessage(channel=channel, text="x")) == error


async def test_the_public_scope_allows_posting_without_membership() -> None:
    """chat:write.public reaches public channels, and still no private ones."""
    async with LocalSlack(scopes=frozenset({"chat:write", "chat:write.public"})) as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        await web.chat_postMessage(channel=ids.RANDOM, text="x")
        assert (
            await refusal(web.chat_postMessage(channel=ids.FINANCE_PRIVATE, text="x")) == "channel_not_found"
        )


async def test_an_invited_bot_may_post(slack: LocalSlack, web: AsyncWebClient) -> None:
    """A person's invitation is what opens a private channel to the bot."""
    await slack.person("alice").invites_bot("#finance-private")
    await web.chat_postMessage(channel=ids.FINANCE_PRIVATE, text="x")


async def test_a_removed_bot_may_post_no_longer(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Membership is looked at with every post."""
    slack.world.leave("#payments", ids.BOT_USER_ID)
    assert await refusal(web.chat_postMessage(channel=ids.PAYMENTS, text="x")) == "not_in_channel"


async def test_an_archived_channel_takes_no_messages(slack: LocalSlack, web: AsyncWebClient) -> None:
    """is_archived, also for updates and deletions."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x"))["ts"]
    slack.world.change_channel("#payments", is_archived=True)
    for call in (
        web.chat_postMessage(channel=ids.PAYMENTS, text="x"),
        web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y"),
        web.chat_delete(channel=ids.PAYMENTS, ts=ts),
    ):
        assert await refusal(call) == "is_archived"


async def test_posting_to_a_person_opens_direct_messages(slack: LocalSlack, web: AsyncWebClient) -> None:
    """A user id as channel reaches that person alone; the answer names the D channel."""
    answer = await web.chat_postMessage(channel=ids.BOB, text="psst")
    assert answer["channel"].startswith("D")
    assert [message.text for message in slack.direct_messages("bob")] == ["psst"]
    assert slack.direct_messages("alice") == []


async def test_a_deactivated_person_gets_no_direct_message(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Somebody who left cannot be written to."""
    slack.world.change_person("bob", deleted=True)
    assert await refusal(web.chat_postMessage(channel=ids.BOB, text="x")) == "channel_not_found"


async def test_a_disabled_messages_tab_takes_no_direct_message() -> None:
    """An app without a Messages tab cannot write to people directly."""
    manifest = {
        "display_information": {"name": "Silent"},
        "features": {"app_home": {"messages_tab_enabled": False}},
        "oauth_config": {"scopes": {"bot": ["chat:write"]}},
    }
    async with LocalSlack(manifest=manifest) as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        call = web.chat_postMessage(channel=ids.BOB, text="x")
        assert await refusal(call) == "messages_tab_disabled"


async def test_a_message_needs_text_or_blocks(web: AsyncWebClient) -> None:
    """no_text where there is neither, in a post and in an update."""
    post = web.api_call("chat.postMessage", json={"channel": ids.PAYMENTS, "text": ""})
    assert await refusal(post) == "no_text"
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x"))["ts"]
    update = web.api_call("chat.update", json={"channel": ids.PAYMENTS, "ts": ts, "blocks": []})
    assert await refusal(update) == "no_text"


async def test_long_text_is_cut_in_a_post_and_refused_in_an_update(
    slack: LocalSlack, web: AsyncWebClient
) -> None:
    """Posts are cut at 40,000 characters; updates above 4,000 are msg_too_long."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x" * 40_001))["ts"]
    assert len(slack.messages("#payments")[0].text) == 40_000
    call = web.chat_update(channel=ids.PAYMENTS, ts=ts, text="x" * 4_001)
    assert await refusal(call) == "msg_too_long"


async def test_replies_are_in_the_thread_and_not_in_the_channel(
    slack: LocalSlack, web: AsyncWebClient
) -> None:
    """thread_ts puts a message under its root."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="root"))["ts"]
    await web.chat_postMessage(channel=ids.PAYMENTS, text="reply", thread_ts=ts)
    (root,) = slack.messages("#payments")
    assert [reply.text for reply in root.thread] == ["reply"]


async def test_a_reply_needs_a_root(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Malformed, missing, deleted and reply ts are four refusals."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="root"))["ts"]
    reply = (await web.chat_postMessage(channel=ids.PAYMENTS, text="r", thread_ts=ts))["ts"]

    async def refused(thread_ts: str) -> str:
        return await refusal(web.chat_postMessage(channel=ids.PAYMENTS, text="x", thread_ts=thread_ts))

    assert await refused("17.0") == "invalid_thread_ts"
    assert await refused("1700000000.000100") == "thread_not_found"
    assert await refused(reply) == "cannot_reply_to_message"
    await web.chat_delete(channel=ids.PAYMENTS, ts=ts)
    assert await refused(ts) == "thread_not_found"


async def test_an_ephemeral_message_is_seen_by_one_person(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Only its addressee sees it, and no history holds it."""
    await web.chat_postEphemeral(channel=ids.PAYMENTS, user=ids.ALICE, text="secret")
    assert [message.text for message in slack.ephemerals("alice")] == ["secret"]
    assert [message.text for message in slack.messages("#payments", "alice")] == ["secret"]
    assert slack.messages("#payments", "bob") == slack.messages("#payments") == []
    history = await web.conversations_history(channel=ids.PAYMENTS)
    assert history["messages"] == []


async def test_an_ephemeral_message_wants_its_addressee_in_the_channel(
    web: AsyncWebClient,
) -> None:
    """user_not_in_channel for somebody who is elsewhere."""
    call = web.chat_postEphemeral(channel=ids.APPROVALS, user=ids.ALICE, text="x")
    assert await refusal(call) == "user_not_in_channel"


async def test_an_ephemeral_message_cannot_be_updated(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Its message_ts is no handle for chat.update or chat.delete."""
    answer = await web.chat_postEphemeral(channel=ids.PAYMENTS, user=ids.ALICE, text="x")
    ts = answer["message_ts"]
    assert (
        await refusal(web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y"))
        == await refusal(web.chat_delete(channel=ids.PAYMENTS, ts=ts))
        == "message_not_found"
    )


async def test_an_update_with_text_alone_takes_the_blocks_away(
    slack: LocalSlack, web: AsyncWebClient
) -> None:
    """Slack keeps old blocks only if no text is given; a text update is marked as edited."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x", blocks=[SECTION]))["ts"]
    await web.chat_update(channel=ids.PAYMENTS, ts=ts, text="now text")
    (message,) = slack.messages("#payments")
    assert (message.text, message.blocks, message.edited) == ("now text", [], True)


async def test_an_update_with_blocks_shows_no_edited_mark(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Blocks are replaced silently, as Slack does."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x", blocks=[SECTION]))["ts"]
    await web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y", blocks=[{"type": "divider"}])
    (message,) = slack.messages("#payments")
    assert [block["type"] for block in message.blocks] == ["divider"]
    assert not message.edited


async def test_an_update_keeps_metadata_unless_it_brings_some(slack: LocalSlack, web: AsyncWebClient) -> None:
    """Metadata stays, is replaced, or is taken away by an empty object."""
    first = {"event_type": "card", "event_payload": {"payment": 1}}
    second = {"event_type": "card", "event_payload": {"payment": 2}}
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x", metadata=first))["ts"]
    await web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y")
    assert slack.messages("#payments")[0].metadata == first
    await web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y", metadata=second)
    assert slack.messages("#payments")[0].metadata == second
    await web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y", metadata={})
    assert slack.messages("#payments")[0].metadata is None


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ("[]", "invalid_metadata_format"),
        ("{", "invalid_metadata_format"),
        ('{"event_type": "x"}', "invalid_metadata_schema"),
        ('{"event_type": "", "event_payload": {}}', "invalid_metadata_schema"),
        ('{"event_type": "x", "event_payload": {}, "more": 1}', "invalid_metadata_schema"),
    ],
)
async def test_metadata_has_a_type_and_a_payload_and_nothing_else(
    web: AsyncWebClient, metadata: str, error: str
) -> None:
    """Anything else is refused."""
    call = web.api_call("chat.postMessage", data={"channel": ids.PAYMENTS, "text": "x", "metadata": metadata})
    assert await refusal(call) == error


async def test_a_bot_changes_only_its_own_messages(slack: LocalSlack, web: AsyncWebClient) -> None:
    """What a person wrote can be neither updated nor deleted by the bot."""
    message = await slack.person("alice").says("#payments", "mine")
    update = web.chat_update(channel=ids.PAYMENTS, ts=message.ts, text="yours")
    assert await refusal(update) == "cant_update_message"
    delete = web.chat_delete(channel=ids.PAYMENTS, ts=message.ts)
    assert await refusal(delete) == "cant_delete_message"


async def test_a_deleted_message_is_gone(slack: LocalSlack, web: AsyncWebClient) -> None:
    """It is not seen, cannot be updated, and is marked for whoever looks it up."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x"))["ts"]
    await web.chat_delete(channel=ids.PAYMENTS, ts=ts)
    assert slack.messages("#payments") == []
    call = web.chat_update(channel=ids.PAYMENTS, ts=ts, text="y")
    assert await refusal(call) == "message_not_found"
    deleted = slack.message("#payments", ts)
    assert deleted is not None
    assert deleted.deleted


async def test_the_edit_window_closes() -> None:
    """A team that limits editing refuses late updates."""
    async with LocalSlack(edit_window=60) as slack:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="x"))["ts"]
        await web.chat_update(channel=ids.PAYMENTS, ts=ts, text="in time")
        slack.clock.advance(61)
        call = web.chat_update(channel=ids.PAYMENTS, ts=ts, text="late")
        assert await refusal(call) == "edit_window_closed"


async def test_permalinks_lead_to_messages_and_replies(web: AsyncWebClient) -> None:
    """chat.getPermalink knows roots, replies, and what is not there."""
    ts = (await web.chat_postMessage(channel=ids.PAYMENTS, text="root"))["ts"]
    reply = (await web.chat_postMessage(channel=ids.PAYMENTS, text="r", thread_ts=ts))["ts"]
    root_link = await web.chat_getPermalink(channel=ids.PAYMENTS, message_ts=ts)
    assert root_link["permalink"].endswith(f"/{ids.PAYMENTS}/p{ts.replace('.', '')}")
    reply_link = await web.chat_getPermalink(channel=ids.PAYMENTS, message_ts=reply)
    assert f"thread_ts={ts}" in reply_link["permalink"]
    call = web.chat_getPermalink(channel=ids.PAYMENTS, message_ts="1700000000.000100")
    assert await refusal(call) == "message_not_found"
