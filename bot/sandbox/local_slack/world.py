"""The workspace: people, user groups, channels and the messages in them. Pure state, no I/O.

By default it is Acme: a small company, a partner, and a bot that was just installed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.changes import Change, ChangeKind, Changes, Clock
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Json, Message


@dataclass(slots=True)
class Person:
    """A user of Slack, human or bot. The flags are those of users.info.

    team_id: where they are at home. organization: the workspaces that they are in of an organization that has
    several, their home among them.
    """

    id: str
    name: str
    real_name: str
    title: str = ""
    team_id: str = ids.TEAM_ID
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_bot: bool = False
    deleted: bool = False
    organization: tuple[str, ...] = ()

    @property
    def guest(self) -> bool:
        """Invited to some channels only."""
        return self.is_restricted or self.is_ultra_restricted

    @property
    def external(self) -> bool:
        """A member of another organization, here through a shared channel."""
        return ids.TEAM_ID not in (self.team_id, *self.organization)


@dataclass(slots=True)
class Group:
    """A user group: `handle` is what people mention, without the @."""

    id: str
    handle: str
    name: str
    members: list[str]
    disabled: bool = False


class ChannelKind(StrEnum):
    """Who can find a channel."""

    PUBLIC = "public"
    PRIVATE = "private"
    DIRECT = "im"


@dataclass(slots=True)
class Channel:
    """A conversation.

    messages: roots, replies and ephemeral ones by ts, oldest first. threads: root ts -> reply ts.
    """

    id: str
    name: str
    kind: ChannelKind
    members: list[str]
    topic: str = ""
    is_ext_shared: bool = False
    is_archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    threads: dict[str, list[str]] = field(default_factory=dict)

    @property
    def bot_is_member(self) -> bool:
        """Whether the bot may post and read here."""
        return ids.BOT_USER_ID in self.members


class World:
    """All of it. Every change is announced after it is visible."""

    def __init__(self, clock: Clock, changes: Changes) -> None:
        self.clock = clock
        self.changes = changes
        self.people: dict[str, Person] = {}
        self.groups: dict[str, Group] = {}
        self.channels: dict[str, Channel] = {}
        self._numbers = itertools.count(1)

    def announce(self, kind: ChangeKind, **details: Any) -> None:
        """Tell everybody who listens that something happened just now."""
        self.changes.announce(Change(kind, self.clock.now(), **details))

    # People and groups

    def add_person(self, name: str, real_name: str = "", **fields: Any) -> Person:
        """Hire somebody. `fields` are further fields of `Person`; the id is made up if not given."""
        identifier = fields.pop("id", None) or self._new_id("U", name)
        person = Person(identifier, name, real_name or name.title(), **fields)
        self.people[person.id] = person
        self.announce(ChangeKind.WORLD_CHANGED, person=person.id)
        return person

    def change_person(self, name_or_id: str, **fields: Any) -> Person:
        """Set fields of `Person`, such as deleted=True to deactivate somebody."""
        person = self.person(name_or_id)
        for name, value in fields.items():
            setattr(person, name, value)
        self.announce(ChangeKind.WORLD_CHANGED, person=person.id)
        return person

    def person(self, name_or_id: str) -> Person:
        """Look somebody up by id or name, with or without the @."""
        name = name_or_id.removeprefix("@").lower()
        for person in self.people.values():
            if person.id == name_or_id or person.name == name:
                return person
        raise NotThere(f"there is no person {name_or_id}")

    def add_group(self, handle: str, members: Iterable[str], **fields: Any) -> Group:
        """Found a user group of people named by id or name."""
        identifier = fields.pop("id", None) or self._new_id("S", handle)
        ids = [self.person(member).id for member in members]
        group = Group(identifier, handle, fields.pop("name", handle.title()), ids, **fields)
        self.groups[group.id] = group
        self.announce(ChangeKind.WORLD_CHANGED)
        return group

    def change_group(self, handle_or_id: str, members: Iterable[str]) -> Group:
        """Replace the members of a user group."""
        for group in self.groups.values():
            if handle_or_id.removeprefix("@") in (group.id, group.handle):
                group.members = [self.person(member).id for member in members]
                self.announce(ChangeKind.WORLD_CHANGED)
                return group
        raise NotThere(f"there is no user group {handle_or_id}")

    # Channels

    def add_channel(
        self,
        name: str,
        members: Iterable[str],
        kind: ChannelKind = ChannelKind.PUBLIC,
        **fields: Any,
    ) -> Channel:
        """Create a channel of people named by id or name. The bot is one of them if listed."""
        identifier = fields.pop("id", None) or self._new_id("C", name)
        ids = [self.person(member).id for member in members]
        channel = Channel(identifier, name.removeprefix("#"), kind, ids, **fields)
        self.channels[channel.id] = channel
        self.announce(ChangeKind.WORLD_CHANGED, channel=channel.id)
        return channel

    def channel(self, name_or_id: str) -> Channel:
        """Look a channel up by id or name, with or without the #."""
        name = name_or_id.removeprefix("#")
        for channel in self.channels.values():
            if channel.id == name_or_id or channel.name == name:
                return channel
        raise NotThere(f"there is no channel {name_or_id}")

    def change_channel(self, name_or_id: str, **fields: Any) -> Channel:
        """Set fields of `Channel`, such as is_archived=True."""
        channel = self.channel(name_or_id)
        for name, value in fields.items():
            setattr(channel, name, value)
        self.announce(ChangeKind.WORLD_CHANGED, channel=channel.id)
        return channel

    def join(self, channel: str, person: str) -> None:
        """Make a person, or the bot, a member."""
        place, member = self.channel(channel), self.person(person)
        if member.id not in place.members:
            place.members.append(member.id)
            self.announce(ChangeKind.WORLD_CHANGED, channel=place.id, person=member.id)

    def leave(self, channel: str, person: str) -> None:
        """Remove a person, or the bot."""
        place, member = self.channel(channel), self.person(person)
        if member.id in place.members:
            place.members.remove(member.id)
            self.announce(ChangeKind.WORLD_CHANGED, channel=place.id, person=member.id)

    def direct_channel(self, person: str) -> Channel:
        """The direct messages between a person and the bot, opened if need be."""
        member = self.person(person)
        for channel in self.channels.values():
            if channel.kind is ChannelKind.DIRECT and member.id in channel.members:
                return channel
        return self.add_channel(
            f"dm-{member.name}",
            [member.id, ids.BOT_USER_ID],
            ChannelKind.DIRECT,
            id=f"D0{member.id[2:]}",
        )

    def channels_of(self, person: str) -> list[Channel]:
        """The conversations that a person sees in their sidebar."""
        return [channel for channel in self.channels.values() if person in channel.members]

    # Messages

    def post(self, channel: Channel, user: str, text: str, **fields: Any) -> Message:
        """Add a message. `fields` are further fields of `Message`."""
        blocks: list[Json] = fields.pop("blocks", None) or []
        message = Message(self.clock.timestamp(), channel.id, user, text, blocks, **fields)
        channel.messages[message.ts] = message
        if message.thread_ts:
            channel.threads.setdefault(message.thread_ts, []).append(message.ts)
        kind = ChangeKind.MESSAGE_POSTED
        if message.ephemeral_for:
            kind = ChangeKind.EPHEMERAL_POSTED
        self._announce_message(kind, message)
        return message

    def slackbot_says(self, channel: Channel, person: str, text: str) -> Message:
        """What Slack itself tells one person, such as that a command failed."""
        return self.post(channel, ids.SLACKBOT_ID, text, ephemeral_for=person)

    def update(self, message: Message, **fields: Any) -> Message:
        """Replace fields of a message that exists."""
        updated = replace(message, **fields)
        self.channels[message.channel].messages[message.ts] = updated
        self._announce_message(ChangeKind.MESSAGE_UPDATED, updated)
        return updated

    def delete(self, message: Message) -> None:
        """Take a message away. Its ts stays used, and its replies stay."""
        deleted = replace(message, deleted=True)
        self.channels[message.channel].messages[message.ts] = deleted
        self._announce_message(ChangeKind.MESSAGE_DELETED, deleted)

    def message(self, channel: Channel, ts: str) -> Message | None:
        """The message with this ts as it is now, deleted or not."""
        return channel.messages.get(ts)

    def replies(self, channel: Channel, root_ts: str) -> list[Message]:
        """The thread under a root that everybody sees, oldest first."""
        answers = [channel.messages[ts] for ts in channel.threads.get(root_ts, ())]
        return [each for each in answers if not each.deleted and not each.ephemeral_for]

    def messages(self, channel: Channel, person: str | None = None) -> list[Message]:
        """Root messages with their threads, oldest first: all that everybody sees, and for a person
        what is ephemeral for them as well."""
        visible = [
            message
            for message in channel.messages.values()
            if not message.deleted and message.ephemeral_for in (None, person)
        ]
        threads: dict[str, list[Message]] = {}
        for message in visible:
            if message.thread_ts:
                threads.setdefault(message.thread_ts, []).append(message)
        roots = [message for message in visible if not message.thread_ts]
        return [
            replace(root, thread=tuple(threads[root.ts])) if root.ts in threads else root for root in roots
        ]

    def _new_id(self, kind: str, name: str) -> str:
        """Such as U0DORA0001: the kind, letters that people recognize, and a number."""
        letters = "".join(letter for letter in name.upper() if letter.isascii() and letter.isalpha())
        return f"{kind}0{letters[:5]:0<5}{next(self._numbers):03d}"

    def _announce_message(self, kind: ChangeKind, message: Message) -> None:
        self.announce(
            kind,
            channel=message.channel,
            person=message.ephemeral_for or message.user,
            subject=message.ts,
            text=message.text,
        )


def populate(world: World, bot_name: str, app_name: str) -> None:
    """Make an empty world Acme. `bot_name` is what people type after @, `app_name` what they read."""
    world.add_person("slackbot", "Slackbot", id=ids.SLACKBOT_ID, is_bot=True)
    world.add_person(bot_name, app_name, id=ids.BOT_USER_ID, is_bot=True)
    world.add_person("alice", "Alice Ahrens", id=ids.ALICE, title="Operations")
    world.add_person("bob", "Bob Brandt", id=ids.BOB, title="Head of Finance")
    world.add_person("carol", "Carol Castro", id=ids.CAROL, title="Accounting")
    world.add_person("mallory", "Mallory Moss", id=ids.MALLORY, title="Marketing")
    world.add_person("gil", "Gil Garcia", id=ids.GIL, title="Contractor", is_restricted=True)
    world.add_person(
        "xena",
        "Xena Xu",
        id=ids.XENA,
        title="Partner Ltd",
        team_id=ids.OTHER_TEAM_ID,
        is_stranger=True,
    )
    world.add_group("finance", ["bob", "carol"], id=ids.FINANCE_GROUP, name="Finance")
    full_members = ["alice", "bob", "carol", "mallory"]
    world.add_channel(
        "payments",
        [*full_members, "gil", ids.BOT_USER_ID],
        id=ids.PAYMENTS,
        topic="Pay invoices with /pay",
    )
    world.add_channel("random", full_members, id=ids.RANDOM, topic="The bot is not here")
    world.add_channel(
        "finance-private",
        ["alice", "bob", "carol"],
        ChannelKind.PRIVATE,
        id=ids.FINANCE_PRIVATE,
        topic="Invited people only",
    )
    world.add_channel(
        "approvals",
        ["bob", "carol", ids.BOT_USER_ID],
        id=ids.APPROVALS,
        topic="Payments that want approval",
    )
    world.add_channel(
        "shared-with-partner",
        [*full_members, "xena", ids.BOT_USER_ID],
        id=ids.SHARED,
        topic="Acme and Partner Ltd",
        is_ext_shared=True,
    )
    for name in (*full_members, "gil"):
        world.direct_channel(name)
