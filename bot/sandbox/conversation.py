"""The conversation in the terminal: what is said in the local Slack, line by line, as it happens."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from bot.sandbox.billing import Call
from bot.sandbox.slack import LocalSlack
from bot.sandbox.slack.changes import Change, ChangeKind
from bot.sandbox.slack.messages import Json, Message, visible_texts

_EMOJI = {
    "alarm_clock": "⏰",
    "ballot_box_with_check": "☑️",
    "bell": "🔔",
    "grey_question": "❔",
    "heavy_minus_sign": "➖",
    "hourglass_flowing_sand": "⏳",
    "no_entry": "⛔",
    "outbox_tray": "📤",
    "repeat": "🔁",
    "white_check_mark": "✅",
    "x": "❌",
}
_READS = re.compile(r"get_modules|api_login|_invoices$")


class Conversation:
    """Prints what everybody and each single person sees, and the calls that the billing API received."""

    def __init__(self, slack: LocalSlack, write: Callable[[str], None]) -> None:
        self._slack = slack
        self._write = write
        self._shown: dict[tuple[str, str], list[str]] = {}
        self._channel = ""

    def start(self) -> None:
        """Print from now on."""
        self._slack.on_change(self._see)

    def billing_called(self, call: Call) -> None:
        """The billing API received a call; reading is not worth a line."""
        if not _READS.search(call.operation):
            self._write(f"      · billing API: {call.operation} {call.module} {call.invoice}: {call.effect}")

    def _see(self, change: Change) -> None:
        if change.kind is ChangeKind.COMMAND_TYPED:
            self._head(change.channel)
            self._say(self._name(change.person), change.text.splitlines() or [""])
        elif change.kind is ChangeKind.ACTION_TAKEN:
            self._write(f"  {self._name(change.person)} presses {change.text}")
        elif change.kind is ChangeKind.COMMAND_FAILED:
            self._write(f"  Slackbot (only {self._name(change.person)} sees this): {change.text}")
        elif change.kind is ChangeKind.VIEW_OPENED:
            self._write(f"  (a form opens for {self._name(change.person)})")
        elif change.subject and change.channel and change.kind in _MESSAGES:
            message = self._slack.message(change.channel, change.subject)
            if message is not None:
                self._show(message)

    def _show(self, message: Message) -> None:
        """A new message whole; of a changed one, the lines that it did not have before."""
        key = (message.channel, message.ts)
        lines = self._lines(message)
        before = self._shown.get(key)
        self._shown[key] = lines
        self._head(message.channel)
        author = self._name(message.user)
        if before is not None:
            fresh = [line for line in lines if line not in before]
            if fresh:
                self._say(f"{author} (the card changes)", fresh)
            return
        if message.ephemeral_for:
            author += f" (only {self._name(message.ephemeral_for)} sees this)"
        self._say(author, lines, indent="      ↳ " if message.thread_ts else "  ")

    def _head(self, channel: str | None) -> None:
        if channel and channel != self._channel:
            self._channel = channel
            place = self._slack.world.channel(channel)
            self._write(f"#{place.name}")

    def _say(self, author: str, lines: list[str], indent: str = "  ") -> None:
        self._write(f"{indent}{author}: {lines[0]}")
        for line in lines[1:]:
            self._write(f"{' ' * (len(indent) + 2)}{line}")

    def _lines(self, message: Message) -> list[str]:
        texts = [text for block in message.blocks for text in _texts(block)] or [message.text]
        plain = (self._plain(line) for text in texts for line in text.splitlines())
        return [line for line in plain if line.strip()] or [""]

    def _plain(self, text: str) -> str:
        """mrkdwn as a person would read it."""
        text = re.sub(r":([a-z_]+):", lambda found: _EMOJI.get(found[1], found[0]), text)
        text = re.sub(r"<@([A-Z0-9]+)>", lambda found: f"@{self._name(found[1])}", text)
        text = re.sub(r"<#([A-Z0-9]+)>", lambda found: f"#{self._slack.world.channel(found[1]).name}", text)
        text = re.sub(r"<!subteam\^([A-Z0-9]+)>", lambda found: f"@{self._group(found[1])}", text)
        text = re.sub(r"<!date\^[^|>]*\|([^>]*)>", r"\1", text)
        text = re.sub(r"<[^|>!@#]+\|([^>]*)>", r"\1", text)
        text = re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"\1", text)
        return html.unescape(text)

    def _group(self, group_id: str) -> str:
        return self._slack.world.groups[group_id].handle

    def _name(self, person_id: str | None) -> str:
        return self._slack.world.person(person_id).name if person_id else "?"


def _texts(block: Json) -> list[str]:
    """The lines of one block; buttons stand side by side."""
    texts = list(visible_texts(block))
    return [" ".join(f"[{text}]" for text in texts)] if block["type"] == "actions" else texts


_MESSAGES = (
    ChangeKind.MESSAGE_POSTED,
    ChangeKind.MESSAGE_UPDATED,
    ChangeKind.EPHEMERAL_POSTED,
)
