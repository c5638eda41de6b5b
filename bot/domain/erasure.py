"""What is personal in the audit trail, and what stands in its place once it is erased. Pure.

People are the actors whom Slack or the system knows by an id; what they wrote is their notes and reasons.
A direct message's id leads to its person.
What was paid, when, by which rule and with which answer is nobody's, and stays. So does how many people took
part in a request, and which of them did what: within one request each has a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from bot.domain.events import (
    ApprovalComplete,
    Cancelled,
    Corrected,
    Denied,
    Held,
    LeftOut,
    NoCard,
    NotTold,
    Paused,
    Requested,
    Resolved,
    Unrecognized,
    decode,
)
from bot.domain.payment import PAUSED

ERASED = "(erased)"
"""Stands for what somebody wrote."""

_NUMBERED = re.compile(r"erased-([1-9][0-9]*)", re.ASCII)
_NUMBERS = re.compile(r"(?<![A-Za-z0-9])erased-([1-9][0-9]{0,8})(?![0-9])", re.ASCII)
_PART_OF_THE_BOT = re.compile(r"[a-z]+(?:-[a-z]+)*", re.ASCII)


def is_erased(who: str) -> bool:
    """Whether this stands for a person whose id is erased."""
    return _NUMBERED.fullmatch(who) is not None


def is_person(actor: str) -> bool:
    """Whether an actor is somebody: the bot's own parts are called by plain words, such as `look-up`."""
    return not is_erased(actor) and not _PART_OF_THE_BOT.fullmatch(actor)


class Numbered:
    """The people of one request, by the numbers that stand for them: in the order in which they are met."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._last = 0

    def known(self, erased: str) -> None:
        """A text may name people whose ids are erased already: their numbers are given to nobody else."""
        self._last = max(self._last, *map(int, _NUMBERS.findall(erased)), 0)

    def __call__(self, who: str) -> str:
        """What stands for an actor: a part of the bot for itself. Let all that is `known` be told before."""
        if not is_person(who):
            return who
        if who not in self._names:
            self._last += 1
            self._names[who] = f"erased-{self._last}"
        return self._names[who]

    def within(self, text: str) -> str:
        """A text of the bot's, in which the people met so far are named by their ids."""
        for who, name in self._names.items():
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(who)}(?![A-Za-z0-9])", name, text)
        return text


def _written(_text: str, _people: Numbered) -> str:
    return ERASED


def _noted(_text: str, _people: Numbered) -> None:
    return None


def _listed(text: str, people: Numbered) -> str:
    return re.sub(r"[^,\s]+", lambda who: people(who[0]), text)


def _told(text: str, people: Numbered) -> str:
    """A reason of the bot's own; behind that of a pause stands what whoever paused wrote."""
    return f"{PAUSED}: {ERASED}" if text.startswith(f"{PAUSED}: ") else people.within(text)


def addressed(text: str, people: Numbered) -> str:
    """Where something is asked or told: a channel stays, a person, or a direct message with one, does not."""
    return people(text) if text[:1] in ("U", "W", "D") else text


_PERSONAL: dict[str, dict[str, Callable[[str, Numbered], str | None]]] = {
    Requested.action: {"note": _noted, "channel": addressed},
    ApprovalComplete.action: {"approvers": _listed},
    Denied.action: {"reason": _written},
    Cancelled.action: {"ask": _listed, "reason": _told, "remedy": _told, "other_channel": addressed},
    NoCard.action: {"channel": addressed},
    LeftOut.action: {"reason": _written},
    Held.action: {"reason": _told},
    Resolved.action: {"note": _written},
    Corrected.action: {"note": _written},
    Paused.action: {"reason": _written},
    NotTold.action: {"channel": addressed},
}
"""By action: the fields that are about people, as they are stored, and what becomes of them."""


def without_people(action: str, detail: str, people: Numbered) -> str:
    """The stored form of an event without what is personal in it; all else stays letter for letter.

    Of an event that nobody knows nothing stays but the payment that it is about.
    """
    if isinstance(decode(action, detail), Unrecognized):
        return _without_anything(detail)
    stored: dict[str, Any] = json.loads(detail)
    for name, erase in _PERSONAL.get(action, {}).items():
        if isinstance(kept := stored.get(name), str) and kept:
            stored[name] = erase(kept, people)
    written = json.dumps(stored, ensure_ascii=False, sort_keys=True)
    return detail if json.loads(detail) == stored else written


def _without_anything(detail: str) -> str:
    try:
        line = json.loads(detail)["line"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return "{}"
    return json.dumps({"line": line}) if type(line) is int else "{}"
