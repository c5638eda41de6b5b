"""Slack's ids, the only names that authorization goes by: names, handles and e-mails can be changed.

A *principal* is whoever a rule can name: a person (U… or W…) or a user group (S…). Channels are C… or,
private ones of old workspaces, G….
"""

from __future__ import annotations

import re

_USER = re.compile(r"[UW][A-Z0-9]{1,24}", re.ASCII)
_GROUP = re.compile(r"S[A-Z0-9]{1,24}", re.ASCII)
_CHANNEL = re.compile(r"[CG][A-Z0-9]{1,24}", re.ASCII)
_MENTION = re.compile(r"<[@#!].*>")
_EVERYBODY = {"*", "all", "any", "anyone", "everyone", "everybody"}

_FIND_PRINCIPAL = (
    "Give the id: in Slack, open the person's profile, then ⋮, Copy member ID (U… or W…); "
    "for a group: People, User groups, the group, ⋯, Copy group ID (S…)."
)
_FIND_CHANNEL = "Give the id: in Slack, open the channel's details; the id (C…) stands at the foot of About."


def is_group(principal: str) -> bool:
    """Whether this is a user group's id, so may stand for many people."""
    return _GROUP.fullmatch(principal) is not None


def principal_flaw(value: str) -> tuple[str, str] | None:
    """What is wrong with the id of a person or group, and the remedy; None if nothing is."""
    if _USER.fullmatch(value) or _GROUP.fullmatch(value):
        return None
    if value.strip("@<!>").lower() in _EVERYBODY:
        return "there is no word for everybody", f"Name people, or a user group. {_FIND_PRINCIPAL}"
    if _CHANNEL.fullmatch(value):
        return "a channel's id cannot stand for people", _FIND_PRINCIPAL
    if "@" in value[1:] and not _MENTION.fullmatch(value):
        return "an e-mail address can change and is not an id", _FIND_PRINCIPAL
    return "a name, a handle or a mention is not an id", _FIND_PRINCIPAL


def channel_flaw(value: str) -> tuple[str, str] | None:
    """What is wrong with the id of a channel, and the remedy; None if nothing is."""
    if _CHANNEL.fullmatch(value):
        return None
    if _USER.fullmatch(value) or _GROUP.fullmatch(value):
        return "the id of a person or a group cannot stand for a channel", _FIND_CHANNEL
    return "a channel's name is not an id", _FIND_CHANNEL
