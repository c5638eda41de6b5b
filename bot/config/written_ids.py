"""Slack's ids as people write them into settings: what is none is refused, with where to find one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from bot.config.values import wrong
from bot.domain.slack_ids import is_channel, is_group, is_user

_FIND_PRINCIPAL = (
    "Give the id: in Slack, open the person's profile, then ⋮, Copy member ID (U… or W…); "
    "for a group: People, User groups, the group, ⋯, Copy group ID (S…)."
)
_FIND_CHANNEL = "Give the id: in Slack, open the channel's details; the id (C…) stands at the foot of About."
_EVERYBODY = {"*", "all", "any", "anyone", "everyone", "everybody"}


def _principal(value: str) -> str:
    if is_user(value) or is_group(value):
        return value
    if value.strip("@<!>").lower() in _EVERYBODY:
        raise wrong("there is no word for everybody", f"Name people, or a user group. {_FIND_PRINCIPAL}")
    if is_channel(value):
        raise wrong("a channel's id cannot stand for people", _FIND_PRINCIPAL)
    mention = value.startswith(("<@", "<#", "<!")) and value.endswith(">")
    if "@" in value[1:] and not mention:
        raise wrong("an e-mail address can change and is not an id", _FIND_PRINCIPAL)
    raise wrong("a name, a handle or a mention is not an id", _FIND_PRINCIPAL)


def _channel(value: str) -> str:
    if is_channel(value):
        return value
    if is_user(value) or is_group(value):
        raise wrong("the id of a person or a group cannot stand for a channel", _FIND_CHANNEL)
    raise wrong("a channel's name is not an id", _FIND_CHANNEL)


Principal = Annotated[str, AfterValidator(_principal)]
"""The id of a person or of a user group."""

Channel = Annotated[str, AfterValidator(_channel)]
"""The id of a channel."""
