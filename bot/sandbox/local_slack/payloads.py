"""Slack's JSON objects: what the API shows of people, channels and messages, and what the app is sent."""

from __future__ import annotations

import itertools
import secrets

from bot.sandbox.local_slack.forms import Values
from bot.sandbox.local_slack.identifiers import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    ORGANIZATION_ID,
    OTHER_TEAM_ID,
    TEAM_DOMAIN,
    TEAM_ID,
)
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.views import View
from bot.sandbox.local_slack.world import Channel, ChannelKind, Group, Person, World

_VERIFICATION_TOKEN = secrets.token_hex(12)
_event_numbers = itertools.count(1)


def person_payload(person: Person) -> Json:
    """A user object, as in users.info."""
    payload: Json = {
        "id": person.id,
        "team_id": person.team_id,
        "name": person.name,
        "real_name": person.real_name,
        "deleted": person.deleted,
        "tz": "Europe/Berlin",
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 1700000000,
        "profile": {
            "real_name": person.real_name,
            "display_name": person.name,
            "title": person.title,
            "team": person.team_id,
        },
    }
    if person.id == BOT_USER_ID:
        payload["profile"] |= {"api_app_id": APP_ID, "bot_id": BOT_ID}
    if person.organization:
        payload["enterprise_user"] = {
            "id": person.id,
            "enterprise_id": ORGANIZATION_ID,
            "enterprise_name": "Acme",
            "is_admin": False,
            "is_owner": False,
            "teams": list(person.organization),
        }
    if person.external or person.is_stranger:
        return payload | {"is_stranger": person.is_stranger}
    if not person.deleted:
        payload |= {
            "is_admin": False,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": person.guest,
            "is_ultra_restricted": person.is_ultra_restricted,
        }
    return payload


def group_payload(group: Group, with_members: bool) -> Json:
    """A user group object, as in usergroups.list."""
    payload: Json = {
        "id": group.id,
        "team_id": TEAM_ID,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "is_external": False,
        "date_delete": 1700000000 if group.disabled else 0,
        "user_count": len(group.members),
    }
    if with_members:
        payload["users"] = list(group.members)
    return payload


def channel_payload(channel: Channel) -> Json:
    """A conversation object, as in conversations.info."""
    if channel.kind is ChannelKind.DIRECT:
        person = next(member for member in channel.members if member != BOT_USER_ID)
        return {
            "id": channel.id,
            "is_im": True,
            "is_org_shared": False,
            "user": person,
            "is_archived": False,
            "is_open": True,
        }
    private = channel.kind is ChannelKind.PRIVATE
    payload: Json = {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": True,
        "is_group": False,
        "is_im": False,
        "is_mpim": False,
        "is_private": private,
        "is_archived": channel.is_archived,
        "is_general": False,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_org_shared": False,
        "is_pending_ext_shared": False,
        "is_member": channel.bot_is_member,
        "context_team_id": TEAM_ID,
        "shared_team_ids": [TEAM_ID],
        "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }
    if channel.is_ext_shared:
        payload |= {
            "shared_team_ids": [TEAM_ID, OTHER_TEAM_ID],
            "connected_team_ids": [OTHER_TEAM_ID],
            "conversation_host_id": TEAM_ID,
        }
    return payload


def message_payload(world: World, message: Message, *, with_metadata: bool) -> Json:
    """A message object, as in conversations.replies and in block_actions."""
    payload: Json = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "team": world.people[message.user].team_id,
        "text": message.text,
    }
    if message.bot_id:
        payload |= {"bot_id": message.bot_id, "app_id": APP_ID}
    if message.blocks:
        payload["blocks"] = message.blocks
    if message.metadata and with_metadata:
        payload["metadata"] = message.metadata
    if message.edited:
        payload["edited"] = {"user": message.bot_id or message.user, "ts": message.ts}
    channel = world.channels[message.channel]
    replies = world.replies(channel, message.ts)
    if message.thread_ts:
        root = channel.messages[message.thread_ts]
        payload |= {"thread_ts": message.thread_ts, "parent_user_id": root.user}
    elif replies:
        authors = list(dict.fromkeys(reply.user for reply in replies))
        payload |= {
            "thread_ts": message.ts,
            "reply_count": len(replies),
            "reply_users": authors,
            "reply_users_count": len(authors),
            "latest_reply": replies[-1].ts,
            "is_locked": False,
            "subscribed": True,
        }
    return payload


def command_payload(
    person: Person,
    channel: Channel,
    *,
    command: str,
    text: str,
    response_url: str,
    trigger_id: str,
) -> Json:
    """A slash command. There is no thread_ts in it, ever."""
    return {
        "token": _VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": _command_channel_name(channel),
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def message_action_payload(
    world: World,
    person: Person,
    message: Message,
    *,
    action: Json,
    values: Values,
    response_url: str,
    trigger_id: str,
) -> Json:
    """block_actions of a button or menu in a message."""
    channel = world.channels[message.channel]
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": bool(message.ephemeral_for),
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = _interaction("block_actions", person, trigger_id) | {
        "container": container,
        "channel": {"id": channel.id, "name": _command_channel_name(channel)},
        "state": {"values": values},
        "response_url": response_url,
        "actions": [action],
    }
    if not message.ephemeral_for:
        payload["message"] = message_payload(world, message, with_metadata=True)
    return payload


def view_action_payload(person: Person, view: View, action: Json, trigger_id: str) -> Json:
    """block_actions of a button or menu in a modal or a Home tab."""
    return _interaction("block_actions", person, trigger_id) | {
        "container": {"type": "view", "view_id": view.id},
        "view": view.as_payload(),
        "actions": [action],
    }


def suggestion_payload(person: Person, view: View, block_id: str, action_id: str, typed: str) -> Json:
    """block_suggestion of a menu in a modal: what was typed into it, and no trigger_id.

    What was entered in the view so far is not in it, whatever was (slackapi/bolt-js#1146).
    """
    payload = _interaction("block_suggestion", person, "")
    del payload["trigger_id"]
    return payload | {
        "container": {"type": "view", "view_id": view.id},
        "view": view.as_payload() | {"state": {"values": {}}},
        "block_id": block_id,
        "action_id": action_id,
        "value": typed,
    }


def submission_payload(person: Person, view: View, response_urls: list[Json], trigger_id: str) -> Json:
    """view_submission."""
    return _interaction("view_submission", person, trigger_id) | {
        "view": view.as_payload(),
        "response_urls": response_urls,
    }


def closing_payload(person: Person, view: View, is_cleared: bool) -> Json:
    """view_closed. It carries no trigger_id."""
    payload = _interaction("view_closed", person, "")
    del payload["trigger_id"]
    return payload | {"view": view.as_payload(), "is_cleared": is_cleared}


def shortcut_payload(person: Person, callback_id: str, action_ts: str, trigger_id: str) -> Json:
    """A global shortcut. It knows no channel and has no response_url."""
    return _interaction("shortcut", person, trigger_id) | {
        "callback_id": callback_id,
        "action_ts": action_ts,
    }


def event_payload(event: Json, at: float) -> Json:
    """The event_callback around any event of the Events API."""
    return {
        "token": _VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": f"Ev0{next(_event_numbers):08d}",
        "event_time": int(at),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }


def _interaction(kind: str, person: Person, trigger_id: str) -> Json:
    """What all have in common. The user's team is their home, wherever they act (slackapi/bolt-js#1875)."""
    return {
        "type": kind,
        "user": {
            "id": person.id,
            "username": person.name,
            "name": person.name,
            "team_id": person.team_id,
        },
        "api_app_id": APP_ID,
        "token": _VERIFICATION_TOKEN,
        "trigger_id": trigger_id,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _command_channel_name(channel: Channel) -> str:
    """Slack does not tell the name of a private channel or of direct messages."""
    if channel.kind is ChannelKind.DIRECT:
        return "directmessage"
    return "privategroup" if channel.kind is ChannelKind.PRIVATE else channel.name
