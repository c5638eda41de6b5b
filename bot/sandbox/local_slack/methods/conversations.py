"""conversations.*: what channels there are, who is in them, and what was said."""

from __future__ import annotations

from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.identifiers import SLACKBOT_ID
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.methods.method import Context, Method, takes
from bot.sandbox.local_slack.payloads import channel_payload, message_payload
from bot.sandbox.local_slack.world import Channel


def info(context: Context) -> Json:
    """conversations.info."""
    channel = context.visible_channel(context.arguments.required("channel"))
    context.require_channel_scope(channel, "read")
    payload = channel_payload(channel)
    if context.arguments.flag("include_num_members"):
        payload["num_members"] = len(channel.members)
    return {"channel": payload}


def members(context: Context) -> Json:
    """conversations.members."""
    channel = context.visible_channel(context.arguments.required("channel"))
    context.require_channel_scope(channel, "read")
    page, following = context.page(channel.members, default=100, most=1000)
    return {"members": page, **following}


def history(context: Context) -> Json:
    """conversations.history: root messages, the newest first."""
    channel = _readable_channel(context)
    messages = [message for message in _stored(channel) if not message.thread_ts and not message.deleted]
    page, following = context.page(_within(context, messages)[::-1], default=100, most=999)
    return {
        "messages": [_payload(context, message) for message in page],
        "has_more": bool(following["response_metadata"]["next_cursor"]),
        "pin_count": 0,
        **following,
    }


def replies(context: Context) -> Json:
    """conversations.replies: the root, then its replies, the oldest first."""
    channel = _readable_channel(context)
    named = context.workspace.world.message(channel, context.arguments.required("ts"))
    if named is None or named.ephemeral_for:
        raise ApiError("thread_not_found")
    root = channel.messages[named.thread_ts or named.ts]
    answers = context.workspace.world.replies(channel, root.ts)
    if root.deleted and not answers:
        raise ApiError("thread_not_found")
    page, following = context.page(_within(context, answers), default=1000, most=1000)
    first = _tombstone(root) if root.deleted else _payload(context, root)
    return {
        "messages": [first, *(_payload(context, message) for message in page)],
        "has_more": bool(following["response_metadata"]["next_cursor"]),
        **following,
    }


def open_direct(context: Context) -> Json:
    """conversations.open, for direct messages with one person."""
    person = context.workspace.world.people.get(context.arguments.required("users"))
    if person is None:
        raise ApiError("user_not_found")
    if person.is_bot:
        raise ApiError("cannot_dm_bot")
    if person.deleted:
        raise ApiError("user_disabled")
    if person.is_stranger:
        raise ApiError("user_not_visible")
    channel = context.workspace.world.direct_channel(person.id)
    return {"channel": {"id": channel.id}}


def _readable_channel(context: Context) -> Channel:
    channel = context.visible_channel(context.arguments.required("channel"))
    context.require_channel_scope(channel, "history")
    if not channel.bot_is_member:
        raise ApiError("not_in_channel")
    return channel


def _stored(channel: Channel) -> list[Message]:
    return [message for message in channel.messages.values() if not message.ephemeral_for]


def _within(context: Context, messages: list[Message]) -> list[Message]:
    """Those between `oldest` and `latest`; the borders count only if `inclusive`."""
    oldest = _moment(context, "oldest", "0")
    latest = _moment(context, "latest", "inf")
    if context.arguments.flag("inclusive"):
        return [message for message in messages if oldest <= float(message.ts) <= latest]
    return [message for message in messages if oldest < float(message.ts) < latest]


def _moment(context: Context, name: str, default: str) -> float:
    try:
        return float(context.arguments.text(name) or default)
    except ValueError:
        raise ApiError(f"invalid_ts_{name}") from None


def _payload(context: Context, message: Message) -> Json:
    with_metadata = context.arguments.flag("include_all_metadata")
    return message_payload(context.workspace.world, message, with_metadata=with_metadata)


def _tombstone(root: Message) -> Json:
    return {
        "type": "message",
        "subtype": "tombstone",
        "text": "This message was deleted.",
        "user": SLACKBOT_ID,
        "hidden": True,
        "ts": root.ts,
        "thread_ts": root.ts,
    }


_reading = "channel cursor limit oldest latest inclusive include_all_metadata"

METHODS = {
    "conversations.info": Method(info, takes("channel include_num_members include_locale")),
    "conversations.members": Method(members, takes("channel cursor limit"), tier=100),
    "conversations.history": Method(history, takes(_reading)),
    "conversations.replies": Method(replies, takes(f"{_reading} ts")),
    "conversations.open": Method(open_direct, takes("users return_im"), scope="im:write", tier=50),
}
