"""What a message is, and what can be read and pressed in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was at one moment; an edit makes a new one.

    ts: its id within the channel. thread_ts: the ts of the root it replies to, None for a root.
    ephemeral_for: the only person who sees it, None if everybody in the channel does.
    thread: the replies, oldest first; filled in by `World.messages` for roots only.
    """

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json]
    metadata: Json | None = None
    thread_ts: str | None = None
    bot_id: str | None = None
    ephemeral_for: str | None = None
    edited: bool = False
    deleted: bool = False
    thread: tuple[Message, ...] = ()

    def texts(self) -> list[str]:
        """Every text in it: the top-level text, then what the blocks show, in order."""
        return [text for text in [self.text, *visible_texts(self.blocks)] if text]

    def action_ids(self) -> list[str]:
        """The action ids of what can be pressed or filled in, in order."""
        return [element["action_id"] for _, element in interactive_elements(self.blocks)]


def visible_texts(node: object) -> Iterator[str]:
    """Every text that a person can read in blocks, in order; alt texts and labels included."""
    if isinstance(node, list):
        for item in node:
            yield from visible_texts(item)
    elif isinstance(node, dict):
        for name in ("title", "text", "label", "hint", "placeholder", "alt_text", "description"):
            value = node.get(name)
            if isinstance(value, str):
                yield value
            else:
                yield from visible_texts(value)
        for name in ("fields", "elements", "accessory", "element", "options", "rows"):
            yield from visible_texts(node.get(name))


def interactive_elements(blocks: list[Json]) -> Iterator[tuple[str, Json]]:
    """(block_id, element) of everything that has an action id, in order."""
    for block in blocks:
        candidates = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        for element in candidates:
            if isinstance(element, dict) and "action_id" in element:
                yield block["block_id"], element
