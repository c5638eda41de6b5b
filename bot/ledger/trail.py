"""The audit trail as one write transaction has it: its end, which it holds, and the proofs made by it.

Whoever adds to the trail locks its end, so that is read once a transaction; take other locks before. The
events of a request are read and proved once as well: its rows are locked, so that whatever is added to them
afterwards is added here. What is added is written before the trail is read, and before the commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain.events import DomainEvent, encode
from bot.domain.payment import State
from bot.ledger.audit import GENESIS, Link, digest
from bot.ledger.moved import must_not_have_moved
from bot.ledger.proof import Told, told
from bot.ledger.replay import stamp
from bot.ledger.rows import END, Pause, end_in, pause_of
from bot.ledger.schema import chain, events

_LAST = select(events.c.hash).where(events.c.id == chain.c.last_event).scalar_subquery()
_END = END.add_columns(_LAST.label("hash")).with_for_update(of=chain)


@dataclass(slots=True)
class _End:
    """fits: it is what the last event says."""

    event_id: int
    hash: str
    fits: bool
    pause: Pause | None


class Trail:
    """The trail, inside one transaction. sealed_by: the last event that it added."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._end: _End | None = None
        self._unwritten: list[dict[str, Any]] = []
        self._told: dict[int, Told] = {}
        self.sealed_by: Link | None = None

    async def hold_end(self) -> _End:
        """Let nobody else add to the trail until the transaction ends.

        Raises LedgerUnfit where the ledger was moved elsewhere, and LedgerContradicted: see `end_in`.
        """
        if self._end is None:
            row = end_in((await self._connection.execute(_END)).mappings())
            must_not_have_moved(row["moved_to"])
            last, fits = (
                row["last_event"],
                row["last_hash"] == (row["hash"] if row["last_event"] else GENESIS),
            )
            if last and not fits:
                # Who had to wait for the end sees it, and not yet the event that was added meanwhile.
                hashed = await self._connection.execute(select(events.c.hash).where(events.c.id == last))
                fits = row["last_hash"] == hashed.scalar_one_or_none()
            self._end = _End(last, row["last_hash"], fits, pause_of(row))
        return self._end

    async def append(
        self,
        what: DomainEvent,
        *,
        request_id: int | None,
        actor: str,
        line: int | None = None,
        from_state: State | None = None,
        to_state: State | None = None,
    ) -> Link:
        """Add one event. line: see `encode`."""
        end = await self.hold_end()
        event_id, at, text = end.event_id + 1, stamp(self._now), encode(what, line)
        content = (event_id, at, request_id, actor, what.action, from_state, to_state, text)
        hashed = digest(content, end.hash)
        self._unwritten.append(
            {
                "id": event_id,
                "at": self._now,
                "request_id": request_id,
                "actor": actor,
                "action": what.action,
                "from_state": from_state,
                "to_state": to_state,
                "detail": text,
                "previous": end.hash,
                "hash": hashed,
            }
        )
        if request_id in self._told:
            self._told[request_id].add(content, fits=end.fits)
        # One that does not fit is followed by its own hash all the same.
        end.event_id, end.hash, end.fits = event_id, hashed, True
        self.sealed_by = Link(event_id, hashed)
        return self.sealed_by

    async def told(self, request_id: int) -> Told:
        """What the events of a request say, whose rows are locked, or where the end is held."""
        if request_id not in self._told:
            await self.write()
            self._told[request_id] = await told(self._connection, request_id)
        return self._told[request_id]

    def forget(self, request_id: int) -> None:
        """Its events are not what they were: they are read and proved anew."""
        self._told.pop(request_id, None)

    async def write(self) -> None:
        """Let the tables hold what was added so far. Before anything else reads the events."""
        if not self._unwritten:
            return
        added, self._unwritten = self._unwritten, []
        await self._connection.execute(events.insert(), added)
        last = added[-1]
        await self._connection.execute(chain.update().values(last_event=last["id"], last_hash=last["hash"]))

    async def set_pause(self, pause: Pause | None) -> None:
        """Whether sending is paused from now on, on any instance; its event is the caller's."""
        end = await self.hold_end()
        at, by, reason = (pause.at, pause.by, pause.reason) if pause is not None else (None, None, None)
        await self._connection.execute(
            chain.update().values(paused_at=at, paused_by=by, paused_reason=reason)
        )
        end.pause = pause
