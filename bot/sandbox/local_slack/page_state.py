"""What one person sees, as JSON for the browser page."""

from __future__ import annotations

from bot.sandbox.local_slack.identifiers import TEAM_DOMAIN, TEAM_ID, TEAM_NAME
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.views import View
from bot.sandbox.local_slack.workspace import Workspace
from bot.sandbox.local_slack.world import Channel, ChannelKind, Person, World


def state_for(workspace: Workspace, viewer: str) -> Json:
    """Everything on the screen of the person `viewer`."""
    world, manifest, views = workspace.world, workspace.manifest, workspace.views
    home = views.home(viewer)
    return {
        "team": {"id": TEAM_ID, "name": TEAM_NAME},
        "person": _person(world.people[viewer]),
        "people": [_person(each) for each in world.people.values() if not each.is_bot],
        "channels": [_channel(workspace, each, viewer) for each in world.channels_of(viewer)],
        "known_channels": [
            {"id": each.id, "name": each.name, "kind": _kind(each)}
            for each in world.channels.values()
            if _known(world, each, viewer)
        ],
        "groups": [
            {"id": each.id, "handle": each.handle, "mine": viewer in each.members}
            for each in world.groups.values()
        ],
        "archives": f"https://{TEAM_DOMAIN}.slack.com/archives/",
        "views": [_view(view) for view in views.stack(viewer)],
        "home": _view(home) if home else None,
        "shortcuts": [_named(each, "callback_id", "name") for each in manifest.shortcuts],
        "commands": [_named(each, "command", "usage_hint") for each in manifest.commands],
        "app_name": manifest.app_name,
    }


def _person(person: Person) -> Json:
    return {
        "id": person.id,
        "name": person.name,
        "real_name": person.real_name,
        "title": person.title,
        "guest": person.guest,
        "external": person.external,
    }


def _kind(channel: Channel) -> str:
    shared = channel.is_ext_shared and channel.kind is not ChannelKind.DIRECT
    return "shared" if shared else channel.kind.value


def _known(world: World, channel: Channel, viewer: str) -> bool:
    """Whether the viewer may read the channel's name: members do, and for public ones all full members."""
    person = world.people[viewer]
    everybody = channel.kind is ChannelKind.PUBLIC and not (person.guest or person.external)
    return everybody or viewer in channel.members


def _channel(workspace: Workspace, channel: Channel, viewer: str) -> Json:
    world = workspace.world
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": _kind(channel),
        "bot_is_member": channel.bot_is_member,
        "writable": workspace.may_write(channel),
        "topic": channel.topic,
        "messages": [_message(world, each) for each in world.messages(channel, viewer)],
    }


def _message(world: World, message: Message) -> Json:
    author = world.people[message.user]
    return {
        "ts": message.ts,
        "thread_ts": message.thread_ts,
        "user": message.user,
        "username": author.real_name,
        "is_bot": author.is_bot,
        "text": message.text,
        "blocks": message.blocks,
        "time": float(message.ts),
        "edited": message.edited,
        "ephemeral": message.ephemeral_for is not None,
        "reply_count": len(message.thread),
        "replies": [_message(world, each) for each in message.thread],
    }


def _view(view: View) -> Json:
    return {
        "id": view.id,
        "type": view.type,
        "title": _text(view, "title"),
        "submit": _text(view, "submit"),
        "close": _text(view, "close"),
        "blocks": view.blocks,
        "callback_id": view.callback_id,
        "errors": view.errors,
        "hash": view.hash,
    }


def _text(view: View, name: str) -> str | None:
    text = view.definition.get(name)
    return text["text"] if text else None


def _named(entry: Json, *names: str) -> Json:
    return {name: entry.get(name, "") for name in (*names, "description")}
