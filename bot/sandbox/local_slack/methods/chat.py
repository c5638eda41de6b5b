"""chat.*: posting, updating and deleting messages."""

from __future__ import annotations

import re
from typing import Any

from bot.sandbox.local_slack.blocks import checked_blocks
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.identifiers import BOT_ID, BOT_USER_ID, TEAM_DOMAIN
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.methods.method import Context, Method, takes
from bot.sandbox.local_slack.payloads import message_payload
from bot.sandbox.local_slack.workspace import Workspace
from bot.sandbox.local_slack.world import Channel, Person

POSTED_TEXT_IS_CUT_ABOVE = 40_000
UPDATED_TEXT_LIMIT = 4_000
_TIMESTAMP = re.compile(r"\d{10}\.\d{6}")
_METADATA_LIMIT = 32_000


def post_message(context: Context) -> Json:
    """chat.postMessage. A user id as channel opens the direct messages with that person."""
    channel = _channel_to_post_to(context)
    content = message_content(context)
    thread_ts = checked_thread(context.workspace, channel, context.arguments.text("thread_ts"))
    message = context.workspace.world.post(
        channel,
        BOT_USER_ID,
        bot_id=BOT_ID,
        metadata=checked_metadata(context.arguments.structure("metadata")),
        thread_ts=thread_ts,
        **content,
    )
    return {
        "channel": channel.id,
        "ts": message.ts,
        "message": message_payload(context.workspace.world, message, with_metadata=True),
    }


def post_ephemeral(context: Context) -> Json:
    """chat.postEphemeral. It is seen by one member of the channel and is in no history."""
    channel = _channel_to_post_to(context)
    person = context.arguments.required("user")
    if person not in channel.members:
        raise ApiError("user_not_in_channel")
    content = message_content(context)
    thread_ts = checked_thread(context.workspace, channel, context.arguments.text("thread_ts"))
    message = context.workspace.world.post(
        channel,
        BOT_USER_ID,
        bot_id=BOT_ID,
        ephemeral_for=person,
        thread_ts=thread_ts,
        **content,
    )
    return {"message_ts": message.ts}


def update(context: Context) -> Json:
    """chat.update. Text without blocks takes the blocks away; metadata stays unless given."""
    channel = context.visible_channel(context.arguments.required("channel"))
    message = _own_message(context, channel, "cant_update_message")
    workspace = context.workspace
    age = workspace.clock.now() - float(message.ts)
    if workspace.edit_window is not None and age > workspace.edit_window:
        raise ApiError("edit_window_closed")
    if len(context.arguments.text("text")) > UPDATED_TEXT_LIMIT:
        raise ApiError("msg_too_long")
    content = message_content(context)
    with_blocks = bool(content["blocks"])
    fields: dict[str, Any] = {
        "text": content["text"] if "text" in context.arguments else message.text,
        "blocks": content["blocks"],
        "edited": message.edited or not with_blocks,
    }
    if "metadata" in context.arguments:
        fields["metadata"] = checked_metadata(context.arguments.structure("metadata"))
    updated = workspace.world.update(message, **fields)
    return {
        "channel": channel.id,
        "ts": updated.ts,
        "text": updated.text,
        "message": message_payload(workspace.world, updated, with_metadata=True),
    }


def delete(context: Context) -> Json:
    """chat.delete."""
    channel = context.visible_channel(context.arguments.required("channel"))
    message = _own_message(context, channel, "cant_delete_message")
    context.workspace.world.delete(message)
    return {"channel": channel.id, "ts": message.ts}


def get_permalink(context: Context) -> Json:
    """chat.getPermalink."""
    channel = context.visible_channel(context.arguments.required("channel"))
    ts = context.arguments.required("message_ts")
    message = context.workspace.world.message(channel, ts)
    if message is None or message.deleted or message.ephemeral_for:
        raise ApiError("message_not_found")
    link = f"https://{TEAM_DOMAIN}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}"
    if message.thread_ts:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


def message_content(context: Context) -> dict[str, Any]:
    """The `text` and `blocks` of a call, checked; raises no_text if there is neither."""
    text = context.arguments.text("text")
    blocks = context.arguments.structure("blocks")
    if not text and not blocks:
        raise ApiError("no_text")
    checked = checked_blocks(blocks) if blocks else []
    return {"text": text[:POSTED_TEXT_IS_CUT_ABOVE], "blocks": checked}


def checked_thread(workspace: Workspace, channel: Channel, thread_ts: str) -> str | None:
    """The root that a reply belongs to, None if it is no reply.

    The real Slack takes some replies to roots that are not there, and nobody ever sees them. A bot
    must not do that, so here it is an error.
    """
    if not thread_ts:
        return None
    if not _TIMESTAMP.fullmatch(thread_ts):
        raise ApiError.with_messages("invalid_thread_ts", [f"{thread_ts} is not a valid thread_ts"])
    root = workspace.world.message(channel, thread_ts)
    if root is None or root.deleted or root.ephemeral_for:
        raise ApiError("thread_not_found")
    if root.thread_ts:
        raise ApiError("cannot_reply_to_message")
    return thread_ts


def checked_metadata(metadata: object) -> Json | None:
    """{event_type, event_payload}, or None for none; an empty object takes it away."""
    if metadata is None or metadata == {}:
        return None
    if not isinstance(metadata, dict):
        raise ApiError("invalid_metadata_format")
    event_type, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(event_type, str) or not event_type or not isinstance(payload, dict):
        raise ApiError("invalid_metadata_schema")
    if metadata.keys() > {"event_type", "event_payload"}:
        raise ApiError("invalid_metadata_schema")
    if len(str(payload)) > _METADATA_LIMIT:
        raise ApiError("metadata_too_large")
    return metadata


def _channel_to_post_to(context: Context) -> Channel:
    identifier = context.arguments.required("channel")
    world = context.workspace.world
    if identifier in world.people:
        return _direct_messages_with(context, world.people[identifier])
    named = [channel.id for channel in world.channels.values() if f"#{channel.name}" == identifier]
    channel = context.visible_channel(named[0] if named else identifier)
    if channel.is_archived:
        raise ApiError("is_archived")
    if not channel.bot_is_member and "chat:write.public" not in context.workspace.scopes:
        raise ApiError("not_in_channel")
    return channel


def _direct_messages_with(context: Context, person: Person) -> Channel:
    if person.is_bot:
        raise ApiError("cannot_dm_bot")
    if not context.workspace.manifest.messages_tab_enabled:
        raise ApiError("messages_tab_disabled")
    if person.deleted or person.is_stranger:
        raise ApiError("channel_not_found")
    return context.workspace.world.direct_channel(person.id)


def _own_message(context: Context, channel: Channel, refusal: str) -> Message:
    message = context.workspace.world.message(channel, context.arguments.required("ts"))
    if message is None or message.deleted or message.ephemeral_for:
        raise ApiError("message_not_found")
    if message.bot_id != BOT_ID:
        raise ApiError(refusal)
    if channel.is_archived:
        raise ApiError("is_archived")
    return message


_content = "channel text blocks thread_ts"

METHODS = {
    "chat.postMessage": Method(
        post_message,
        takes(f"{_content} metadata unfurl_links unfurl_media mrkdwn"),
        scope="chat:write",
        tier=600,
    ),
    "chat.postEphemeral": Method(post_ephemeral, takes(f"{_content} user"), scope="chat:write", tier=100),
    "chat.update": Method(update, takes("channel ts text blocks metadata"), scope="chat:write", tier=50),
    "chat.delete": Method(delete, takes("channel ts"), scope="chat:write", tier=50),
    "chat.getPermalink": Method(get_permalink, takes("channel message_ts"), tier=600),
}
