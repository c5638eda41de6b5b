"""Who may request, how many must approve, and who may: picked by name, kept by id.

A name that somebody typed is taken only where it is one person's whole name or handle; anything else is shown
to choose from, for the names in Slack are whatever their owners want.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot import config
from bot.checks.of_slack import never_allowed
from bot.domain.problem import Problem
from bot.domain.slack_ids import is_group, is_user
from bot.domain.wording import quote
from bot.errors import ConfigError
from bot.setup.step import Known
from bot.setup.terminal import Terminal
from bot.slack.roster import Group, Member

Named = Member | Group

_MOST_SHOWN = 60
_MOST_CHOICES = 9

_PICK = "Type a whole name, @handle or id"


def words_of(answer: str) -> list[str]:
    """What stands between the commas."""
    return list(dict.fromkeys(word.strip() for word in answer.split(",") if word.strip()))


def named(known: Known, word: str) -> list[Named]:
    """Who is called exactly so, by id, handle or name: one, several or nobody."""
    everybody: list[Named] = [*known.members, *known.groups]
    if by_id := [one for one in everybody if one.id == word]:
        return by_id
    name = word.removeprefix("@").casefold()
    people = [one for one in known.members if name in one.names and never_allowed(one) is None]
    groups = [one for one in known.groups if name in _names(one) and one.active]
    return [*people, *groups]


def similar(known: Known, word: str) -> list[Named]:
    """Who could be meant: part of a name."""
    part = word.removeprefix("@").casefold()
    people = [
        one for one in known.members if never_allowed(one) is None and any(part in name for name in one.names)
    ]
    groups = [one for one in known.groups if one.active and any(part in name for name in _names(one))]
    return [*people, *groups]


def _names(group: Group) -> tuple[str, str]:
    return group.handle.casefold(), group.name.casefold()


def the_one(known: Known, word: str, variable: str) -> Named:
    """Who is meant. Raises ConfigError where that is nobody, several, or somebody who never counts."""
    found = named(known, word)
    if len(found) > 1:
        several = " or ".join(map(str, found[:_MOST_CHOICES]))
        raise ConfigError(Problem(variable, f"{quote(word)} may be {several}", "Give the id."))
    if not found:
        gone = [one for one in known.members if word.removeprefix("@").casefold() in one.names]
        why = next((f"{one} {never_allowed(one)}" for one in gone), f"{quote(word)} is nobody in this team")
        raise ConfigError(Problem(variable, why, f"{_PICK}."))
    (one,) = found
    flaw = never_allowed(one) if isinstance(one, Member) else _empty(one)
    if flaw is not None:
        raise ConfigError(Problem(variable, f"{one} {flaw}", "Name somebody else."))
    return one


def _empty(group: Group) -> str | None:
    if not group.active:
        return "is turned off"
    return None if group.members else "has nobody in it"


def _are_ids(written: str) -> bool:
    return all(is_user(word) or is_group(word) for word in words_of(written))


@dataclass(frozen=True, slots=True)
class _People:
    """A list of people and groups in one variable."""

    known: Known
    variable: str
    question: str

    def ask(self, terminal: Terminal) -> None:
        """By name, until each word is somebody."""
        draft = self.known.draft
        answer = terminal.ask(f"{self.question} ({_PICK}; commas between; ? lists them)", self._as_typed())
        while answer.strip() == "?":
            self._list(terminal)
            answer = terminal.ask(self.question, self._as_typed())
        picked = [self._picked(terminal, word) for word in words_of(answer)]
        draft.set(self.variable, ",".join(dict.fromkeys(picked)))

    def _picked(self, terminal: Terminal, word: str) -> str:
        """The id of who was chosen; the word itself where there is nothing to choose from."""
        exact = named(self.known, word)
        if len(exact) == 1:
            return exact[0].id
        choices: Sequence[Named] = exact or similar(self.known, word)
        if not choices:
            return word
        if len(choices) > _MOST_CHOICES:
            terminal.say(f"  {quote(word)} is part of {len(choices)} names; these are the first.")
        place = terminal.choose(f"  Who is {quote(word)}?", choices[:_MOST_CHOICES])
        return word if place is None else choices[place].id

    def _as_typed(self) -> str:
        """What is there now, as somebody could type it."""
        handles = []
        for word in words_of(self.known.draft.get(self.variable)):
            found = named(self.known, word)
            handle = f"@{found[0].handle}" if found else word
            handles.append(handle if len(named(self.known, handle)) == 1 else word)
        return ", ".join(handles)

    def _list(self, terminal: Terminal) -> None:
        people = [one for one in self.known.members if never_allowed(one) is None]
        groups = [one for one in self.known.groups if _empty(one) is None]
        everybody: list[Named] = [*groups, *sorted(people, key=lambda one: one.name.casefold())]
        for one in everybody[:_MOST_SHOWN]:
            terminal.say(f"    {one}")
        if len(everybody) > _MOST_SHOWN:
            terminal.say(f"    and {len(everybody) - _MOST_SHOWN} more; type part of a name")

    def resolved(self) -> list[str]:
        """Put ids in place of names; who they are. Raises ConfigError."""
        draft = self.known.draft
        found = [the_one(self.known, word, self.variable) for word in words_of(draft.get(self.variable))]
        draft.set(self.variable, ",".join(dict.fromkeys(one.id for one in found)))
        draft.check(self.variable)
        return [str(one) for one in found]


@dataclass(frozen=True, slots=True)
class Requesters:
    """Who may request payments."""

    known: Known
    variables = ("PAY_ALLOWED_USERS",)

    def needed(self) -> tuple[str, ...]:
        """Somebody, where the rules do not stand in a file of their own."""
        return () if self.known.draft.get("PAY_POLICY_FILE") else self.variables

    def wanted(self) -> bool:
        """Where the rules do not stand in a file of their own."""
        return bool(self.needed())

    def ask(self, terminal: Terminal) -> None:
        """By name."""
        self._people.ask(terminal)

    async def check(self) -> list[str]:
        """Each is somebody who may."""
        return self._people.resolved()

    @property
    def _people(self) -> _People:
        return _People(self.known, "PAY_ALLOWED_USERS", "Who may request payments?")


def approvals_of(known: Known) -> int:
    """How many must approve, as far as that was answered."""
    said = known.draft.get("PAY_APPROVALS_REQUIRED")
    return int(said) if re.fullmatch("[0-9]{1,4}", said) else 0


@dataclass(frozen=True, slots=True)
class Approvals:
    """How many must approve, and who may. One depends on the other, so they are asked again together."""

    known: Known
    variables = ("PAY_APPROVALS_REQUIRED", "PAY_APPROVERS")

    def needed(self) -> tuple[str, ...]:
        """Each where there is the other, as the bot itself demands."""
        if not self.wanted():
            return ()
        named = bool(self.known.draft.get("PAY_APPROVERS"))
        needs_people = approvals_of(self.known) > 0
        return ("PAY_APPROVALS_REQUIRED",) * named + ("PAY_APPROVERS",) * needs_people

    def wanted(self) -> bool:
        """Where the rules do not stand in a file of their own."""
        return not self.known.draft.get("PAY_POLICY_FILE")

    def ask(self, terminal: Terminal) -> None:
        """A number, one unless said otherwise; then people by name."""
        draft = self.known.draft
        default = draft.get("PAY_APPROVALS_REQUIRED") or "1"
        question = "How many people must approve each payment? (0: it is paid at once)"
        draft.set("PAY_APPROVALS_REQUIRED", terminal.ask(question, default))
        if approvals_of(self.known) > 0:
            self._people.ask(terminal)

    async def check(self) -> list[str]:
        """Each is somebody who may, and they are enough."""
        draft = self.known.draft
        draft.check("PAY_APPROVALS_REQUIRED")
        required = approvals_of(self.known)
        if not required and _are_ids(draft.get("PAY_APPROVERS")):
            return []  # they approve nothing, and what was lost they may settle
        said = self._people.resolved()
        problems = [one for one in config.policy_problems(draft.all()) if one.where in self.variables]
        if problems:
            raise ConfigError(*problems)
        could: set[str] = set()
        for word in words_of(draft.get("PAY_APPROVERS")):
            group = next((one for one in self.known.groups if one.id == word), None)
            could |= {word} if group is None else set(group.members)
        if len(could) < required:
            what = f"{required} must approve, and these are {len(could)} people"
            raise ConfigError(Problem("PAY_APPROVERS", what, "Name more, or ask for fewer approvals."))
        return said

    @property
    def _people(self) -> _People:
        question = "Who may approve? Nobody ever approves their own request."
        return _People(self.known, "PAY_APPROVERS", question)
