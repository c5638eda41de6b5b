"""A person who acts: types commands, presses buttons, fills in modals. For tests and scripts."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.events import Events
from bot.sandbox.local_slack.forms import Values, pressed
from bot.sandbox.local_slack.identifiers import BOT_USER_ID
from bot.sandbox.local_slack.interactions import Interactions, Result, Suggestions
from bot.sandbox.local_slack.messages import Json, Message, interactive_elements
from bot.sandbox.local_slack.views import View
from bot.sandbox.local_slack.workspace import Workspace
from bot.sandbox.local_slack.world import Channel, Person

_TYPED_AT_LEAST = 3
"""Characters, where the element does not say."""


@dataclass(frozen=True, eq=False)
class Actor:
    """One person of the workspace. Acting on what they cannot see raises NotThere."""

    _person: Person
    _workspace: Workspace
    _interactions: Interactions
    _events: Events

    @property
    def id(self) -> str:
        """The immutable id."""
        return self._person.id

    @property
    def name(self) -> str:
        """The name without the @."""
        return self._person.name

    @property
    def team_id(self) -> str:
        """The organization that this person belongs to."""
        return self._person.team_id

    async def types(self, channel: str, text: str, thread_ts: str | None = None) -> Result:
        """Type a slash command; returns after the app's acknowledgement, or when Slack gives up."""
        if not text.startswith("/"):
            raise ValueError("a command starts with a slash; use says() for a message")
        place = self._workspace.world.channel(channel)
        return await self._interactions.command(self._person, place, text, thread_ts)

    async def says(self, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Write a plain message. Slack escapes what people type, so nothing in it is a mention."""
        place = self._joined(channel)
        if place.is_archived:
            raise NotThere(f"#{place.name} is archived")
        if not self._workspace.may_write(place):
            raise NotThere("sending messages to this app has been turned off")
        if thread_ts and self._workspace.world.message(place, thread_ts) is None:
            raise NotThere(f"there is no message {thread_ts} in #{place.name}")
        written = html.escape(text, quote=False)
        return self._workspace.world.post(place, self.id, written, thread_ts=thread_ts)

    async def clicks(
        self,
        target: Message | View | str,
        action_id: str,
        value: Any = None,
        block_id: str | None = None,
        values: Values | None = None,
    ) -> Result:
        """Press a button, or choose `value` in a menu, of a message (or its ts), modal or Home tab.

        A snapshot of a message may be older than what is shown now: so a stale button is pressed.
        For several buttons of one action id, `value` or `block_id` tells which.
        values: what was entered in the inputs beside it.
        """
        shown = self.message(target) if isinstance(target, str) else target
        found, element = _find(shown.blocks, action_id, block_id, value)
        action = pressed(element, value) | {"block_id": found}
        return await self.acts(target, action, values or {})

    async def acts(self, target: Message | View | str, action: Json, values: Values) -> Result:
        """Send an action that the client has put together already."""
        if isinstance(target, View):
            view = self.view(target.id)
            return await self._interactions.view_action(self._person, view, action, values)
        ts = target if isinstance(target, str) else target.ts
        return await self._interactions.message_action(self._person, self.message(ts), action, values)

    async def looks_for(self, view: View | str, action_id: str, typed: str = "") -> Suggestions:
        """Open a menu whose options the app suggests, and type into it; without enough, nothing is asked."""
        shown = self.view(view if isinstance(view, str) else view.id)
        block_id, element = _find(shown.blocks, action_id, None, None)
        if element["type"] != "multi_external_select":
            raise NotThere(f"{action_id} has options of its own")
        if len(typed) < element.get("min_query_length", _TYPED_AT_LEAST):
            return Suggestions([])
        return await self._interactions.suggestions(self._person, shown, block_id, action_id, typed)

    async def submits(self, view: View | str, values: Values) -> Result:
        """Press a modal's submit button with these values in its inputs."""
        shown = self.view(view if isinstance(view, str) else view.id)
        return await self._interactions.submit(self._person, shown, values)

    async def closes(self, view: View | str) -> Result:
        """Press a modal's cross."""
        shown = self.view(view if isinstance(view, str) else view.id)
        return await self._interactions.close(self._person, shown)

    async def uses_shortcut(self, callback_id: str) -> Result:
        """Choose one of the app's global shortcuts."""
        known = {shortcut["callback_id"] for shortcut in self._workspace.manifest.shortcuts}
        if callback_id not in known:
            raise NotThere(f"the manifest has no global shortcut {callback_id}")
        return await self._interactions.shortcut(self._person, callback_id)

    async def opens_home(self) -> Result:
        """Look at the app's Home tab."""
        return await self._events.home_opened(self._person)

    async def invites_bot(self, channel: str) -> None:
        """Invite the bot to a channel that this person is in."""
        self._workspace.world.join(self._joined(channel).id, BOT_USER_ID)

    def view(self, view_id: str) -> View:
        """A modal or the Home tab that this person has before them, as it is now."""
        view = self._workspace.views.find(view_id)
        if view is None or view.person != self.id:
            raise NotThere(f"{self.name} has no view {view_id} open")
        return view

    def _joined(self, channel: str) -> Channel:
        place = self._workspace.world.channel(channel)
        if self.id not in place.members:
            raise NotThere(f"{self.name} is not in #{place.name}")
        return place

    def message(self, ts: str) -> Message:
        """A message that this person sees, in any channel, as it is now."""
        for channel in self._workspace.world.channels_of(self.id):
            message = self._workspace.world.message(channel, ts)
            if message and not message.deleted and message.ephemeral_for in (None, self.id):
                return message
        raise NotThere(f"{self.name} sees no message {ts}")


def _find(blocks: list[Json], action_id: str, block_id: str | None, value: Any) -> tuple[str, Json]:
    """(block_id, element) of what is to be pressed."""
    found = [
        (block, element)
        for block, element in interactive_elements(blocks)
        if element["action_id"] == action_id
        and block_id in (None, block)
        and not (element["type"] == "button" and value not in (None, element.get("value")))
    ]
    if not found:
        there = [element["action_id"] for _, element in interactive_elements(blocks)]
        raise NotThere(f"there is no {action_id} to press; there is {there or 'nothing'}")
    return found[0]
