"""Slack's ids, the only names that authorization goes by: names, handles and e-mails can be changed.

A *principal* is whoever a rule can name: a person (U… or W…) or a user group (S…). Channels are C… or,
private ones of old workspaces, G….
"""

from __future__ import annotations

import re


def is_user(written: str) -> bool:
    """Whether this is a person's id."""
    return re.fullmatch(r"[UW][A-Z0-9]{1,24}", written, re.ASCII) is not None


def is_group(written: str) -> bool:
    """Whether this is a user group's id, so may stand for many people."""
    return re.fullmatch(r"S[A-Z0-9]{1,24}", written, re.ASCII) is not None


def is_channel(written: str) -> bool:
    """Whether this is a channel's id."""
    return re.fullmatch(r"[CG][A-Z0-9]{1,24}", written, re.ASCII) is not None
