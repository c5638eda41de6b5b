"""What Slack tells the app when a person does something."""

from __future__ import annotations

import itertools
import secrets

from bot.sandbox.local_slack.identifiers import (
    APP_ID,
    BOT_USER_ID,
    TEAM_DOMAIN,
    TEAM_ID,
)
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.payloads import message_payload
from bot.sandbox.local_slack.views import Values, View
from bot.sandbox.local_slack.world import Channel, ChannelKind, Person, World

_VERIFICATION_TOKEN = secrets.token_hex(12)
_event_numbers = itertools.count(1)


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
