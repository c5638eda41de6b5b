"""What is told once and belongs to no payment: the digest, the head of the trail, and what operators hear."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bot.ledger.notices import OPERATORS
from bot.slack.once import METADATA

if TYPE_CHECKING:
    from tests.simulation.installation import Installation


def untold(installation: Installation) -> list[str]:
    """The alerts that operators have to hear yet."""
    if not installation.told_beside:
        return []
    query = "SELECT topic FROM notices WHERE place = ? AND ended IS NULL ORDER BY id"
    return [f"alert {topic}" for (topic,) in installation.rows(query, OPERATORS)]


def flaws(installation: Installation) -> list[str]:
    """What is told and not in Slack, or there twice. Nothing, where the ledger forgot what it had told."""
    if installation.past.set_back >= 0:
        return []
    found: defaultdict[int, int] = defaultdict(int)
    for channel in installation.slack.world.channels.values():
        for message in channel.messages.values():
            metadata = message.metadata or {}
            if metadata.get("event_type") == METADATA:
                found[metadata["event_payload"]["notice"]] += 1
    wrong = []
    for number, topic, ts in installation.rows("SELECT id, topic, ts FROM notices"):
        if ts is not None and not found[number]:
            wrong.append(f"notice {number} ({topic}) is told, and not in Slack")
        if found[number] > 1 and installation.exact:
            wrong.append(f"notice {number} ({topic}) is in Slack {found[number]} times")
    return wrong
