"""users.*, usergroups.* and bots.*: who people are and which groups they are in."""

from __future__ import annotations

from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.identifiers import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.methods.method import SCOPE_OF_KIND, Context, Method, takes
from bot.sandbox.local_slack.payloads import channel_payload, group_payload, person_payload
from bot.sandbox.local_slack.world import ChannelKind

_KINDS = {
    "public_channel": ChannelKind.PUBLIC,
    "private_channel": ChannelKind.PRIVATE,
    "im": ChannelKind.DIRECT,
}


def info(context: Context) -> Json:
    """users.info."""
    person = context.workspace.world.people.get(context.arguments.required("user"))
    if person is None:
        raise ApiError("user_not_found")
    return {"user": person_payload(person)}


def everybody(context: Context) -> Json:
    """users.list: the members of the workspace; those of other organizations are not in it."""
    people = [person for person in context.workspace.world.people.values() if not person.external]
    page, following = context.page(people, default=1000, most=1000)
    return {
        "members": [person_payload(person) for person in page],
        "cache_ts": int(context.workspace.clock.now()),
        **following,
    }


def conversations(context: Context) -> Json:
    """users.conversations: the channels of the bot, or those of a person that the bot is in too."""
    kinds = []
    for name in (context.arguments.text("types") or "public_channel").split(","):
        if name not in _KINDS:
            raise ApiError("invalid_types")
        kinds.append(_KINDS[name])
        context.require_scope(f"{SCOPE_OF_KIND[_KINDS[name]]}:read")
    person = context.arguments.text("user") or BOT_USER_ID
    if person not in context.workspace.world.people:
        raise ApiError("user_not_found")
    channels = [
        channel
        for channel in context.workspace.world.channels_of(person)
        if channel.kind in kinds
        and (channel.bot_is_member or channel.kind is ChannelKind.PUBLIC)
        and not (channel.is_archived and context.arguments.flag("exclude_archived"))
    ]
    page, following = context.page(channels, default=100, most=999)
    return {"channels": [channel_payload(channel) for channel in page], **following}


def groups(context: Context) -> Json:
    """usergroups.list."""
    found = [
        group
        for group in context.workspace.world.groups.values()
        if not group.disabled or context.arguments.flag("include_disabled")
    ]
    with_members = context.arguments.flag("include_users")
    return {"usergroups": [group_payload(group, with_members) for group in found]}


def group_members(context: Context) -> Json:
    """usergroups.users.list."""
    group = context.workspace.world.groups.get(context.arguments.required("usergroup"))
    if group is None:
        raise ApiError("no_such_subteam")
    if group.disabled and not context.arguments.flag("include_disabled"):
        raise ApiError("subteam_disabled")
    return {"users": list(group.members)}


def bot_info(context: Context) -> Json:
    """bots.info."""
    if context.arguments.required("bot") != BOT_ID:
        raise ApiError("bot_not_found")
    return {
        "bot": {
            "id": BOT_ID,
            "deleted": False,
            "name": context.workspace.manifest.app_name,
            "user_id": BOT_USER_ID,
            "app_id": APP_ID,
            "team_id": TEAM_ID,
        }
    }


METHODS = {
    "users.info": Method(info, takes("user include_locale"), scope="users:read", tier=100),
    "users.list": Method(everybody, takes("cursor limit include_locale"), scope="users:read", tier=20),
    "users.conversations": Method(conversations, takes("user types exclude_archived cursor limit")),
    "usergroups.list": Method(
        groups,
        takes("include_users include_disabled"),
        scope="usergroups:read",
        tier=20,
    ),
    "usergroups.users.list": Method(
        group_members,
        takes("usergroup include_disabled"),
        scope="usergroups:read",
        tier=20,
    ),
    "bots.info": Method(bot_info, takes("bot"), scope="users:read"),
}
