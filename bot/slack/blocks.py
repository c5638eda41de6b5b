"""What messages, forms and the Home tab are made of: Slack's blocks as plain dicts. Pure.

Every message has a top-level text, which is what screen readers and notifications read. Text from
outside is escaped in the blocks and in that text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.wording import shorten

Block = dict[str, Any]
View = dict[str, Any]


_MOST_BLOCKS, _MOST_TEXT, _MOST_CHARACTERS = 45, 3_900, 11_000
"""Of one message: Slack takes 50 blocks and 12,000 characters in them, and wants less than 4,000 of text."""

QUESTION = 300
"""Characters of what is asked once more after a click."""

TABLE_ROWS, TABLE_TEXT = 100, 9_500
"""Of one table, the heading among the rows: Slack takes 10,000 characters in all cells."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message's blocks, and the text that stands for them. alone: nothing else is told together with it."""

    text: str
    blocks: list[Block]
    alone: bool = False

    def followed_by(self, other: Message) -> Message | None:
        """Both in one; None where that is more than Slack takes, or one of them is to stand alone."""
        if self.alone or other.alone:
            return None
        text, blocks = f"{self.text}\n{other.text}", [*self.blocks, *other.blocks]
        fits = (
            len(text) <= _MOST_TEXT and len(blocks) <= _MOST_BLOCKS and len(str(blocks)) <= _MOST_CHARACTERS
        )
        return Message(text, blocks) if fits else None


def paragraph(text: str) -> Message:
    """A message of one paragraph."""
    return Message(text, [section(text)])


def plain(text: str) -> Block:
    """Text in which nothing is marked up, so nothing is escaped either."""
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> Block:
    """Marked-up text. `verbatim`: bare addresses and names in it are not turned into links."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def section(text: str) -> Block:
    """A paragraph."""
    return {"type": "section", "text": mrkdwn(text)}


def context(text: str) -> Block:
    """A small grey line."""
    return {"type": "context", "elements": [mrkdwn(text)]}


def header(text: str) -> Block:
    """A heading."""
    return {"type": "header", "text": plain(text)}


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Block:
    """A table, whose first row is its heading. Slack takes one a message, and no empty cell.

    Nothing is marked up in it, so nothing is escaped. right: the columns whose cells stand at their right.
    """

    def cell(text: str) -> Block:
        # Slack was slow to take cells of raw text; it always took these.
        words = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
        return {"type": "rich_text", "elements": [words]}

    sides = [{"align": "right" if column in right else "left"} for column in range(len(rows[0]))]
    return {"type": "table", "rows": [[cell(text) for text in row] for row in rows], "column_settings": sides}


def input_block(
    name: str, label: str, element: Block, *, block_id: str | None = None, **fields: Any
) -> Block:
    """An input whose block id and action id are both `name`, unless the block's is given."""
    return {
        "type": "input",
        "block_id": block_id or name,
        "label": plain(label),
        "element": {"action_id": name, **element},
        **fields,
    }


def button(action_id: str, label: str, value: str, **fields: Any) -> Block:
    """A button. fields: such as `style` and `confirm`."""
    return {"type": "button", "action_id": action_id, "value": value, "text": plain(label), **fields}


def confirm(title: str, text: str, yes: str) -> Block:
    """What is asked once more after a click. yes: the words of the button that means it."""
    return {
        "title": plain(title),
        # A block that Slack refuses would cost the card all of its buttons.
        "text": {"type": "mrkdwn", "text": shorten(text, QUESTION)},
        "confirm": plain(yes),
        "deny": plain("Go back"),
    }


def modal(
    callback_id: str,
    title: str,
    submit: str,
    blocks: Sequence[Block],
    *,
    carries: str,
    close: str = "Go back",
) -> View:
    """A form. carries: what comes back with it, and nobody sees."""
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": carries,
        "title": plain(title),
        "submit": plain(submit),
        "close": plain(close),
        "blocks": list(blocks),
    }


def notice(*texts: str) -> View:
    """A form with nothing to fill in, to say something where there is no other place for it."""
    return {
        "type": "modal",
        "title": plain("Payments"),
        "close": plain("Close"),
        "blocks": [section(text) for text in texts],
    }


def showing(message: Message) -> View:
    """The same for what could be told by a message."""
    return notice() | {"blocks": message.blocks}


def error_under(block: str, text: str) -> dict[str, Any]:
    """What `ack` takes to refuse a form, with the reason under one of its inputs: plain text, one line."""
    return {"response_action": "errors", "errors": {block: shorten(text.replace("\n", " ").strip(), 300)}}
