"""The conversation in the terminal: what is said and done in the local Slack, line by line, as it happens."""

from __future__ import annotations

import re
from collections.abc import Callable

from bot.sandbox.local_billing import Call
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.views import View
from bot.sandbox.plain_words import PlainWords

_READS = re.compile(r"get_modules|api_login|_invoices$")


class Conversation:
    """Prints what everybody and each single person sees, and the calls that the billing API received."""

    def __init__(self, slack: LocalSlack, write: Callable[[str], None]) -> None:
        self._slack = slack
        self._write = write
        self._words = PlainWords(slack.world)
        self._shown: dict[str, list[str]] = {}
        self._forms: dict[str, View] = {}
        self._channel = ""
        self._see: dict[ChangeKind, Callable[[Change], None]] = {
            ChangeKind.COMMAND_TYPED: self._typed,
            ChangeKind.ACTION_TAKEN: self._acted,
            ChangeKind.MESSAGE_POSTED: self._message,
            ChangeKind.MESSAGE_UPDATED: self._message,
            ChangeKind.EPHEMERAL_POSTED: self._message,
            ChangeKind.VIEW_OPENED: self._form_opened,
            ChangeKind.VIEW_UPDATED: self._form_changed,
            ChangeKind.VIEW_SUBMITTED: self._form_submitted,
            ChangeKind.VIEW_CLOSED: self._form_closed,
            ChangeKind.HOME_OPENED: self._home_opened,
            ChangeKind.HOME_PUBLISHED: self._home_published,
            ChangeKind.DELIVERY_ENDED: self._delivered,
        }

    def start(self) -> None:
        """Print from now on."""
        self._slack.on_change(lambda change: self._see.get(change.kind, _nothing)(change))

    def billing_called(self, call: Call) -> None:
        """The billing API received a call; reading is not worth a line."""
        if not _READS.search(call.operation):
            self._write(f"      · billing API: {call.operation} {call.module} {call.invoice}: {call.effect}")

    # Commands and buttons

    def _typed(self, change: Change) -> None:
        self._head(change.channel)
        self._say(self._words.name(change.person), change.text.splitlines() or [""])

    def _acted(self, change: Change) -> None:
        self._head(change.channel)
        who, pressed = (
            self._words.name(change.person),
            self._words.pressed(self._acted_on(change), change.text),
        )
        if pressed is None:
            view = self._view(change)
            self._write(f"  {who} chooses in the form")
            self._indented(self._words.entered(view) if view else [])
            return
        label, question, answer = pressed
        self._write(f"  {who} presses {label}")
        if question:
            self._write(f"    Slack asks: {' '.join(' '.join(question).split())}")
            self._write(f"  {who} presses {answer}")

    def _delivered(self, change: Change) -> None:
        """Slackbot tells when a command fails; what else the bot does not answer, nobody."""
        if change.subject != "slash_commands" and change.text != "ok":
            self._write(f"  (the bot did not answer: {change.text})")

    def _acted_on(self, change: Change) -> list[Json]:
        """The blocks of the message, form or Home tab."""
        if change.channel and change.subject:
            message = self._slack.message(change.channel, change.subject)
            return message.blocks if message else []
        view = self._view(change)
        return view.blocks if view else []

    # Messages

    def _message(self, change: Change) -> None:
        """A new message whole; of a changed one, what became different."""
        assert change.channel, "bug: every message is in a channel"
        assert change.subject, "bug: every message has a ts"
        message = self._slack.message(change.channel, change.subject)
        assert message is not None, "bug: messages are never forgotten"
        lines, fresh = self._different(f"{message.channel} {message.ts}", self._words.message(message))
        author = self._words.name(message.user)
        self._head(message.channel)
        if fresh is not None:
            if fresh:
                card = f"{author} (the card {lines[0].partition(' · ')[0]} changes)"
                self._say(self._seen_by(author, message) if message.ephemeral_for else card, fresh)
            return
        self._say(self._seen_by(author, message), lines, indent="      ↳ " if message.thread_ts else "  ")

    def _seen_by(self, author: str, message: Message) -> str:
        alone = message.ephemeral_for
        return f"{author} (only {self._words.name(alone)} sees this)" if alone else author

    # Forms and the Home tab

    def _form_opened(self, change: Change) -> None:
        view = self._view(change)
        if view is not None:
            self._forms[view.id] = view
            lines, _ = self._different(view.id, self._words.form(view))
            self._write(f"  (a form opens for {self._words.name(view.person)}: {view.texts()[0]})")
            self._indented(lines)

    def _form_changed(self, change: Change) -> None:
        """Typing is not worth a line; what the app then shows is."""
        view = self._view(change)
        if view is None or view.id not in self._forms:
            return
        before, self._forms[view.id] = self._forms[view.id], view
        _, fresh = self._different(view.id, self._words.form(view))
        if fresh:
            self._write(f"  (the form changes for {self._words.name(view.person)})")
            self._indented(fresh)
        if view.errors and view.errors != before.errors:
            self._write(f"  (the form is not accepted from {self._words.name(view.person)})")
            self._indented(self._words.errors(view))

    def _form_submitted(self, change: Change) -> None:
        view = self._view(change)
        if view is not None:
            submit = view.definition["submit"]["text"]
            self._write(f"  {self._words.name(view.person)} fills in the form and presses [{submit}]")
            self._indented(self._words.entered(view))

    def _form_closed(self, change: Change) -> None:
        self._forms.pop(change.subject or "", None)
        self._write(f"  (the form closes for {self._words.name(change.person)})")

    def _home_opened(self, change: Change) -> None:
        self._write(f"  {self._words.name(change.person)} opens the Home tab")

    def _home_published(self, change: Change) -> None:
        view = self._slack.home(change.person or "")
        if view is not None:
            lines, fresh = self._different(view.id, self._words.blocks(view.blocks))
            self._write(f"  (the Home tab of {self._words.name(view.person)})")
            self._indented(lines if fresh is None else fresh)

    def _view(self, change: Change) -> View | None:
        """The form or Home tab that a change is about; None where it is gone."""
        assert change.person, "bug: every view is somebody's"
        views = [*self._slack.views(change.person), self._slack.home(change.person)]
        return next((view for view in views if view and view.id == change.subject), None)

    # Lines

    def _different(self, key: str, lines: list[str]) -> tuple[list[str], list[str] | None]:
        """The lines, and those that were not there before, or None where nothing was."""
        before = self._shown.get(key)
        self._shown[key] = lines
        if before is None:
            return lines, None
        # A line that only lost its end, as an invoice that is overdue no more, is no news.
        fresh = [line for line in lines if not any(old.startswith(line) for old in before)]
        if any(map(_buttons, before)) and not any(map(_buttons, lines)):
            fresh.append("(its buttons are gone)")
        return lines, fresh

    def _head(self, channel: str | None) -> None:
        if channel and channel != self._channel:
            self._channel = channel
            self._write(self._words.place(channel))

    def _say(self, author: str, lines: list[str], indent: str = "  ") -> None:
        self._write(f"{indent}{author}: {lines[0]}")
        for line in lines[1:]:
            self._write(f"{' ' * (len(indent) + 2)}{line}")

    def _indented(self, lines: list[str]) -> None:
        for line in lines:
            self._write(f"      {line}")


def _buttons(line: str) -> bool:
    return line.startswith("[")


def _nothing(_: Change) -> None:
    """Most of what happens is not worth a line."""
