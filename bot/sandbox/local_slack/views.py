"""Open modals and Home tabs: who sees which view, and what they have entered into it."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.forms import Values, kept_values
from bot.sandbox.local_slack.identifiers import APP_ID, BOT_ID, TEAM_ID
from bot.sandbox.local_slack.messages import Json, visible_texts
from bot.sandbox.local_slack.world import World

STACK_LIMIT = 3
"""How many modals may lie on each other."""


@dataclass(frozen=True, slots=True)
class View:
    """A view as it was at one moment; an update makes a new one with a new hash.

    definition: what the app gave to views.open, with the ids that Slack made up.
    errors: block_id -> message, from the last refused submission.
    """

    id: str
    person: str
    definition: Json
    hash: str
    root_id: str
    previous_id: str | None = None
    values: Values = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """`modal` or `home`."""
        return str(self.definition["type"])

    @property
    def callback_id(self) -> str:
        """The app's name for this kind of view, or an empty string."""
        return str(self.definition.get("callback_id", ""))

    @property
    def blocks(self) -> list[Json]:
        """What it shows."""
        blocks: list[Json] = self.definition["blocks"]
        return blocks

    def texts(self) -> list[str]:
        """Every text in it, the title first."""
        return list(visible_texts([{"title": self.definition.get("title")}, *self.blocks]))

    def as_payload(self) -> Json:
        """The view object of the Web API and of interaction payloads."""
        return {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "title": None,
            "close": None,
            "submit": None,
            "clear_on_close": False,
            "notify_on_close": False,
            **self.definition,
            "id": self.id,
            "team_id": TEAM_ID,
            "app_id": APP_ID,
            "app_installed_team_id": TEAM_ID,
            "bot_id": BOT_ID,
            "hash": self.hash,
            "root_view_id": self.root_id,
            "previous_view_id": self.previous_id,
            "state": {"values": self.values},
        }


class Views:
    """Every open modal, as a stack per person, and every published Home tab."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = itertools.count(1)
        self._stacks: dict[str, list[View]] = {}
        self._homes: dict[str, View] = {}

    def stack(self, person: str) -> list[View]:
        """The modals that a person has open, the topmost last."""
        return list(self._stacks.get(person, ()))

    def home(self, person: str) -> View | None:
        """The Home tab that the app published for a person."""
        return self._homes.get(person)

    def find(self, view_id: str) -> View | None:
        """An open modal or a Home tab by its id."""
        return next((view for view in self._all() if view.id == view_id), None)

    def find_external(self, external_id: str) -> View | None:
        """An open modal or a Home tab by the id that the app gave it."""
        views = (view for view in self._all() if view.definition.get("external_id") == external_id)
        return next(views, None)

    def open(self, person: str, definition: Json) -> View:
        """Show a modal on an empty stack; what was open before is gone."""
        view = self._new(person, definition)
        self._stacks[person] = [view]
        self._announce(ChangeKind.VIEW_OPENED, view)
        return view

    def push(self, person: str, definition: Json) -> View:
        """Show a modal on top of the open one."""
        stack = self._stacks.get(person)
        if not stack:
            raise ApiError("not_found")
        if len(stack) >= STACK_LIMIT:
            raise ApiError("push_limit_reached")
        view = replace(self._new(person, definition), root_id=stack[0].id, previous_id=stack[-1].id)
        stack.append(view)
        self._announce(ChangeKind.VIEW_OPENED, view)
        return view

    def publish(self, person: str, definition: Json) -> View:
        """Replace somebody's Home tab."""
        previous = self._homes.pop(person, None)
        view = self._new(person, definition)
        if previous is not None:
            view = replace(view, id=previous.id, root_id=previous.id)
        self._homes[person] = view
        self._announce(ChangeKind.HOME_PUBLISHED, view)
        return view

    def redefine(self, view: View, definition: Json) -> View:
        """The app replaces what a view shows; what elements that stay hold is kept."""
        values = kept_values(view.blocks, view.values, definition["blocks"])
        return self.change(view, definition=definition, values=values, errors={}, hash=self._new_hash())

    def change(self, view: View, **fields: Any) -> View:
        """Replace fields of a view that is open."""
        changed = replace(view, **fields)
        if view.type == "home":
            self._homes[view.person] = changed
        else:
            stack = self._stacks[view.person]
            stack[[each.id for each in stack].index(view.id)] = changed
        self._announce(ChangeKind.VIEW_UPDATED, changed)
        return changed

    def close(self, view: View) -> None:
        """Take one modal away."""
        stack = self._stacks.get(view.person, [])
        self._stacks[view.person] = [each for each in stack if each.id != view.id]
        self._announce(ChangeKind.VIEW_CLOSED, view)

    def clear(self, person: str) -> None:
        """Take every modal of a person away."""
        for view in reversed(self.stack(person)):
            self.close(view)

    def _all(self) -> list[View]:
        modals = [view for stack in self._stacks.values() for view in stack]
        return [*modals, *self._homes.values()]

    def _new(self, person: str, definition: Json) -> View:
        external_id = definition.get("external_id")
        if external_id and self.find_external(external_id):
            raise ApiError("duplicate_external_id")
        identifier = f"V0{next(self._numbers):08d}"
        return View(identifier, person, definition, self._new_hash(), identifier)

    def _new_hash(self) -> str:
        return f"{int(self._world.clock.now())}.{secrets.token_hex(4)}"

    def _announce(self, kind: ChangeKind, view: View) -> None:
        self._world.announce(kind, person=view.person, subject=view.id, text=view.callback_id)
