"""What is seen in the local Slack, as lines of plain text: mrkdwn, blocks, forms and what was entered."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from bot.sandbox.local_slack.messages import Json, Message, interactive_elements, visible_texts
from bot.sandbox.local_slack.views import View
from bot.sandbox.local_slack.world import ChannelKind, World

_EMOJI = {
    "alarm_clock": "⏰",
    "arrow_forward": "▶️",
    "ballot_box_with_check": "☑️",
    "bell": "🔔",
    "calendar": "📅",
    "double_vertical_bar": "⏸️",
    "eyes": "👀",
    "file_cabinet": "🗄️",
    "grey_question": "❔",
    "heavy_minus_sign": "➖",
    "hourglass_flowing_sand": "⏳",
    "lock": "🔒",
    "mailbox_with_no_mail": "📭",
    "no_entry": "⛔",
    "outbox_tray": "📤",
    "repeat": "🔁",
    "rotating_light": "🚨",
    "warning": "⚠️",
    "white_check_mark": "✅",
    "x": "❌",
}
_HELD = ("value", "selected_option", "selected_options", "selected_conversation")
_INITIAL = ("initial_value", "initial_option", "initial_options", "initial_conversation")


class PlainWords:
    """Says it with the names of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def name(self, person_id: str | None) -> str:
        """What a person is called."""
        return self._world.person(person_id).name if person_id else "?"

    def place(self, channel_id: str) -> str:
        """What a channel is called; direct messages by the person who has them with the app."""
        channel = self._world.channel(channel_id)
        if channel.kind is not ChannelKind.DIRECT:
            return f"#{channel.name}"
        people = [each for each in channel.members if not self._world.people[each].is_bot]
        return f"direct messages of {', '.join(map(self.name, people))}"

    def message(self, message: Message) -> list[str]:
        """The lines of a message, and of its buttons; never none."""
        return self.blocks(message.blocks) or self._lines(message.text) or [""]

    def form(self, view: View) -> list[str]:
        """What a modal shows below its title."""
        names = [view.definition.get(name) for name in ("submit", "close")]
        buttons = [f"[{one['text']}]" for one in names if one]
        return [*self.blocks(view.blocks), *([" ".join(buttons)] if buttons else [])]

    def blocks(self, blocks: list[Json]) -> list[str]:
        """The lines of blocks: one a line of text, one for all buttons of a row, one an input."""
        return [line for block in blocks for line in self._block(block)]

    def entered(self, view: View) -> list[str]:
        """What a person entered in a form: the label, and what stands there."""
        lines = []
        for block in view.blocks:
            if block["type"] != "input":
                continue
            element = block["element"]
            state = view.values.get(block["block_id"], {}).get(element["action_id"], {})
            held = self._chosen(next((state[name] for name in _HELD if state.get(name)), None))
            if held:
                lines.append(f"{block['label']['text']} → {held}")
        return lines

    def errors(self, view: View) -> list[str]:
        """What is said under the inputs of a form that was not accepted."""
        labels = {
            block["block_id"]: block["label"]["text"] for block in view.blocks if block["type"] == "input"
        }
        return [f"Under {labels.get(block, block)}: {text}" for block, text in view.errors.items()]

    def pressed(self, blocks: list[Json], action_id: str) -> tuple[str, list[str], str] | None:
        """A button's label, what Slack asks when it is pressed, and the label that confirms.

        The last two are empty where Slack asks nothing. None where it is no button.
        """
        for _, element in interactive_elements(blocks):
            if element["action_id"] == action_id and element["type"] == "button":
                label, question = f"[{element['text']['text']}]", element.get("confirm")
                if question is None:
                    return label, [], ""
                asked = [self.plain(question[name]["text"]) for name in ("title", "text")]
                return label, asked, f"[{question['confirm']['text']}]"
        return None

    def plain(self, text: str) -> str:
        """mrkdwn as a person would read it."""
        text = re.sub(r":([a-z_]+):", lambda found: _EMOJI.get(found[1], found[0]), text)
        text = re.sub(r"<@([A-Z0-9]+)>", lambda found: f"@{self.name(found[1])}", text)
        text = re.sub(r"<#([A-Z0-9]+)>", lambda found: self.place(found[1]), text)
        text = re.sub(r"<!subteam\^([A-Z0-9]+)>", lambda found: f"@{self._group(found[1])}", text)
        text = re.sub(r"<!date\^[^|>]*\|([^>]*)>", r"\1", text)
        text = re.sub(r"<[^|>!@#]+\|([^>]*)>", r"\1", text)
        text = re.sub(r"(?<!\w)([*_])([^*_\n]+)\1(?!\w)", r"\2", text)
        return html.unescape(text)

    def _block(self, block: Json) -> Iterator[str]:
        if block["type"] == "actions":
            yield " ".join(f"[{text}]" for text in visible_texts(block))
        elif block["type"] == "input":
            yield from self._input(block)
        elif block["type"] == "table":
            # What stands in a cell is data: nothing is marked up, and nothing is escaped.
            yield from (" | ".join("".join(visible_texts(cell)) for cell in row) for row in block["rows"])
        else:
            for text in visible_texts(block):
                yield from self._lines(text)

    def _input(self, block: Json) -> Iterator[str]:
        element = block["element"]
        initial = self._chosen(next((element[name] for name in _INITIAL if element.get(name)), None))
        placeholder = element.get("placeholder", {}).get("text", "")
        optional = " (optional)" if block.get("optional") else ""
        yield f"{block['label']['text']}{optional}: [{initial or placeholder or '…'}]"
        if not initial:
            yield from (f"  · {option['text']['text']}" for option in element.get("options", ()))
        if hint := block.get("hint"):
            yield hint["text"]

    def _chosen(self, held: Any) -> str:
        if isinstance(held, dict):
            return str(held["text"]["text"])
        if isinstance(held, list):
            return ", ".join(map(self._chosen, held))
        return self.place(held) if held in self._world.channels else str(held or "")

    def _lines(self, text: str) -> list[str]:
        return [line for line in map(self.plain, text.splitlines()) if line.strip()]

    def _group(self, group_id: str) -> str:
        return self._world.groups[group_id].handle
