"""What Slack delivers, where it is not what this bot knows: nothing of it is acted on.

Two kinds of that. What Slack itself writes of every payload, such as who acts, has a shape that Slack
documents: `odd_in` finds where it has another, before any listener sees it. What buttons and forms carry was
written by this app, perhaps by another version of it, or by whoever has its token: whoever reads that does so
inside of `understanding`, and the person is told to look again, with no bug behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

Place = tuple[str, ...]
"""Where it stands, from the outside in."""

OBJECTS = ("event", "view", "user")
"""What Bolt takes for objects without looking, wherever it stands in a body."""

_OF_A_COMMAND = ("command", "user_id", "team_id", "channel_id", "trigger_id", "response_url")

_OF_AN_INTERACTION = {
    "block_actions": (("user", "id"), ("trigger_id",)),
    "shortcut": (("user", "id"), ("trigger_id",), ("callback_id",)),
    "view_submission": (("user", "id"), ("view", "id"), ("view", "hash"), ("view", "callback_id")),
    "block_suggestion": (("user", "id"), ("view", "id"), ("action_id",)),
}

_OF_A_VIEW = (("view", "id"), ("view", "hash"))

_OF_AN_EVENT = {
    "app_home_opened": (("event", "user"),),
    "function_executed": (("event", "function_execution_id"),),
}


_LONGEST_ID = 32
"""Characters of an id of Slack's, which have some eleven, as the ledger has room for them."""

LONGEST_TRIGGER = 150
"""Characters of a trigger of Slack's, which have some fifty."""

_LONGEST = {
    "trigger_id": LONGEST_TRIGGER,
    "response_url": 2_000,
    **dict.fromkeys(("action_id", "callback_id", "command", "hash", "function_execution_id"), 255),
}
"""The same of what is longer."""


class NotUnderstood(Exception):
    """What a button or form carries is not what this version of the bot writes there. Holds nothing of it."""


@contextmanager
def understanding() -> Iterator[None]:
    """Reading in this block what the app wrote ends in `NotUnderstood`, where it is nothing that it wrote."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, StopIteration) as error:
        raise NotUnderstood(type(error).__name__) from None


def text_in(given: object) -> str:
    """A text that can be kept and sent. Raises ValueError."""
    if not isinstance(given, str) or "\x00" in given:
        raise ValueError("no text")
    given.encode()  # UnicodeEncodeError, for half a character, is a ValueError
    return given


def identifier_in(given: object) -> str:
    """The id of something in Slack. Raises ValueError."""
    if not is_identifier(given):
        raise ValueError("no id")
    return given


def odd_in(body: dict[str, Any]) -> list[str]:
    """The places where what Slack itself writes is not as it documents it."""
    odd = [name for name in OBJECTS if not isinstance(body.get(name), dict | None)]
    return odd or [place for place, given in _identifiers(body) if not is_identifier(given, _longest(place))]


def _identifiers(body: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """All that must be there, with its place."""
    if "command" in body:
        yield from ((name, body.get(name)) for name in _OF_A_COMMAND)
        return
    kind, event = body.get("type"), body.get("event") or {}
    places = [*_known(_OF_AN_INTERACTION, kind), *_known(_OF_AN_EVENT, event.get("type"))]
    if kind == "block_actions":
        actions = body.get("actions")
        for action in actions if isinstance(actions, list) and actions else [None]:
            yield "actions.action_id", action.get("action_id") if isinstance(action, dict) else None
        places += _OF_A_VIEW if body.get("view") is not None else ()
    if body.get("view") is not None:
        places.append(("view", "type"))
    if (body.get("user") or {}).get("team_id") is not None:
        places.append(("user", "team_id"))
    for place in places:
        given: Any = body
        for name in place:
            given = (given or {}).get(name)
        yield ".".join(place), given


def _known(table: Mapping[str, Sequence[Place]], kind: object) -> Sequence[Place]:
    return table.get(kind, ()) if isinstance(kind, str) else ()


def _longest(place: str) -> int:
    return next((most for name, most in _LONGEST.items() if place.endswith(name)), _LONGEST_ID)


def is_identifier(given: object, longest: int = _LONGEST_ID) -> TypeGuard[str]:
    """Whether it can be an id, or with more characters an address: all of Slack's are of ASCII."""
    return isinstance(given, str) and given.isascii() and given.isprintable() and 1 <= len(given) <= longest
