"""What concerns one person: what waits for approval, their own requests, recent outcomes. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.batch import Batch
from bot.domain.payment import FINAL, State
from bot.domain.policy import Refusal
from bot.errors import DirectoryError
from bot.ledger.store import Ledger
from bot.payments.approvals import ApprovalStatus, shown
from bot.payments.authority import Authority, Person

_OPEN = [state for state in State if state not in FINAL]

MOST = 50
"""Requests whose approvals are looked up for one answer."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits for approval. mine: this person may decide it, and has not yet."""

    batch: Batch
    approvals: ApprovalStatus
    mine: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """All that waits for approval, what expires first before the others.

    mine: what this person may decide, and has not yet. others: what is not theirs to decide, or of which
    Slack did not say in time whether it is: `unsure` counts that; its cards take their click all the same.
    """

    mine: tuple[Batch, ...]
    others: tuple[Batch, ...]
    unsure: int = 0


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What is to be paid on a day, the next first. asked: the same of what waits for approval."""

    approved: tuple[Batch, ...]
    asked: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Concerns:
    """All that concerns one person, the newest first; of what waits for them, what expires first.

    waiting: the first of `pending.mine`, with their approvals. requested: all that they asked for and that is
    not at its end. outcomes: the latest. scheduled: whoever asked for it, what is paid next comes first.
    """

    pending: Pending
    waiting: tuple[Waiting, ...]
    requested: tuple[Batch, ...]
    outcomes: tuple[Batch, ...]
    scheduled: tuple[Batch, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """Answers from the ledger, for people whom `Authority.may_see` lets see it."""

    ledger: Ledger
    authority: Authority

    async def of(self, person: Person, *, most: int) -> Concerns:
        """All that waits for or was asked for by this person; at most `most` with their approvals."""
        pending = await self.pending(person)
        return Concerns(
            pending=pending,
            waiting=tuple(await self.standing(pending.mine[:most], mine=True)),
            requested=tuple(await self.ledger.recent(requester=person.id, states=_OPEN, limit=None)),
            outcomes=tuple(await self.ledger.concerning(person.id, FINAL, limit=most)),
            scheduled=await self._approved_for_later(),
        )

    async def scheduled(self) -> Scheduled:
        """All that is to be paid on a day, whoever asked for it."""
        asked = [one for one in await self.ledger.pending() if _next(one) is not None]
        return Scheduled(await self._approved_for_later(), tuple(sorted(asked, key=_in_turn)))

    async def _approved_for_later(self) -> tuple[Batch, ...]:
        approved = await self.ledger.recent(states=[State.APPROVED], limit=None)
        return tuple(sorted((one for one in approved if one.scheduled), key=_in_turn))

    async def standing(self, batches: Sequence[Batch], *, mine: bool) -> list[Waiting]:
        """How far these are with their approvals."""
        return [Waiting(one, await shown(self.ledger, self.authority, one), mine) for one in batches]

    async def pending(self, person: Person) -> Pending:
        """What waits for approval: all of it, however much that is, or the oldest would be forgotten."""
        approved = await self.ledger.approved_by(person.id)
        decidable = _Decidable(self.authority, person)
        mine: list[Batch] = []
        others: list[Batch] = []
        unsure = 0
        for batch in await self.ledger.pending():
            theirs = False if batch.request.id in approved else await decidable.is_theirs(batch)
            unsure += theirs is None
            (mine if theirs else others).append(batch)
        return Pending(tuple(mine), tuple(others), unsure)


def _next(batch: Batch) -> datetime | None:
    """When the first of it is sent that waits for its day."""
    to_come = (one for one in batch.scheduled or batch.waiting if one.pay_day is not None)
    return min((one.not_before for one in to_come if one.not_before is not None), default=None)


def _in_turn(batch: Batch) -> tuple[datetime, int]:
    return _next(batch) or batch.request.created_at, batch.request.id


class _Decidable:
    """Whether one person may decide on requests: asked once for all that are alike."""

    def __init__(self, authority: Authority, person: Person) -> None:
        self._authority = authority
        self._person = person
        self._known: dict[tuple[object, ...], bool | None] = {}

    async def is_theirs(self, batch: Batch) -> bool | None:
        """None where Slack does not say so in time."""
        request = batch.request
        modules = frozenset(one.ref.module for one in batch.waiting)
        alike = (modules, request.channel, request.team, request.requester, request.rule)
        if alike not in self._known:
            self._known[alike] = await self._ask(batch)
        return self._known[alike]

    async def _ask(self, batch: Batch) -> bool | None:
        requester = batch.request.requester
        if requester == self._person.id:
            return False
        try:
            rule = (await self._authority.rule_of(batch.waiting)).rule
            if isinstance(rule, Refusal):
                return False
            return await self._authority.may_approve(rule, self._person, requester) is None
        except DirectoryError:
            return None
