"""What happened past the bot: it cannot know of it at once, or ever, and the checks must."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.domain.payment import State
from bot.sandbox.local_slack import identifiers as ids
from tests.faults.invariants import PastTheBot, Ref
from tests.simulation.machine import Machine

NEVER = float("-inf")

ALL_OF = "#"
"""Stands for a module, with a request's number for the invoice's, where a card said that it shows not all."""

EVERYBODY_GROUP = "S0EVERYONE"
GROUPS = {
    ids.FINANCE_GROUP: (ids.BOB, ids.CAROL),
    EVERYBODY_GROUP: (ids.ALICE, ids.BOB, ids.CAROL),
}
"""Who is in which group unless they are out."""

MAY_LAG_S = 200.0
"""Seconds that something may have changed before a payment arrives: between its last check and the call."""

MEMBERS_LAG_S = MAY_LAG_S + 60.0 + 10.0
"""The same of who is in a group: what Slack said is kept for a while, and took a while to be said."""

LISTS_LAG_S = 100.0
"""Seconds for which a list may show what was. With the longest that a call may be late it is less than the
bot's settling time: what is later than that, nobody promises to notice."""


@dataclass(slots=True)
class Outside(PastTheBot):
    """Times are those of the loop.

    rules: what the bot on a machine was told, by the machine's name; machines: the same machines.
    amount_changed_at, gone_at: of invoices; gone: paid by hand or deleted. out_since: people who are
    deactivated, or in no group. clock_set_at: any clock. shown: on which invoices' cards who has pressed
    Approve, and which price those showed. unsafe_since: when the ledger lost commits that nobody waited for.
    restored_at: when a backup took its place, and all bots waited until nothing was under way any more.
    forged_refs: the invoices of payments that were forged, before and after. asked_on: the days for which
    invoices were asked for, as the ledger keeps them, "" for at once; of ALL_OF those for what is due.
    due_changed: invoices whose due date was changed. checked_at, ran, seen: when `invariants` looked last,
    the machines on which a bot ran since, and the last event that was there.
    """

    rules: dict[str, Mapping[str, str]] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    amount_changed_at: dict[Ref, float] = field(default_factory=dict)
    gone_at: dict[Ref, float] = field(default_factory=dict)
    out_since: dict[str, float] = field(default_factory=dict)
    clock_set_at: float = NEVER
    shown: set[tuple[str, str, int, str]] = field(default_factory=set)
    unsafe_since: float | None = None
    restored_at: float = NEVER
    forged_refs: set[Ref] = field(default_factory=set)
    asked_on: defaultdict[Ref, set[str]] = field(default_factory=lambda: defaultdict(set))
    due_changed: set[Ref] = field(default_factory=set)
    checked_at: float = 0.0
    ran: set[str] = field(default_factory=set)
    seen: int = 0

    def started(self, machine: Machine, rules: Mapping[str, str]) -> None:
        """A bot starts, and goes by these rules as long as it runs."""
        self.rules[machine.name] = dict(rules)
        self.machines[machine.name] = machine
        self.ran.add(machine.name)

    def asked(self, ref: Ref, when: str) -> None:
        """Somebody asks for an invoice. when: as it is typed, such as "on due date"; "" for at once."""
        day = when.removeprefix("on ")
        self.asked_on[ref].add("due" if day == "due date" else day)

    def stands_still(self, request_id: int, ref: Ref, state: str) -> bool:
        """Whether it may stay as it is until a person does something about it."""
        return (
            request_id in self.forged
            or ref in self.forged_refs
            or (state == State.UNKNOWN and ref in self.deleted)
        )

    def left(self, person: str, now: float) -> None:
        """Somebody is out from now on."""
        self.out_since.setdefault(person, now)
        self.were_out.add(person)

    def counts(self, person: str, principals: str, now: float) -> bool:
        """Whether a bot may let this person do it: named by id, or through a group until lately.

        principals: as the setting has them.
        """
        named = principals.split(",")
        if person in named:
            return True
        in_one = any(person in GROUPS.get(group, ()) for group in named)
        return in_one and now - self.out_since.get(person, now) < MEMBERS_LAG_S
