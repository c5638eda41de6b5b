"""A ledger that has been in use for years: payments of one each, all paid and told, with a whole trail.

Every other one was approved by somebody.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.domain.events import (
    Answered,
    ApprovalComplete,
    Approved,
    KnownEvent,
    LookedUp,
    Requested,
    Sending,
    encode,
)
from bot.domain.payment import State
from bot.ledger.audit import Link, digest
from bot.ledger.opening import open_ledger
from bot.ledger.replay import stamp
from bot.sandbox.local_slack import identifiers as ids

FIRST = 20_000_000
"""The number of the first invoice in it."""

APART = timedelta(seconds=40)
"""Between two requests; the last was made an hour ago."""

_BATCH = 20_000
_MODULES = ("vps", "domains", "servers", "mail", "webhosting")
_PEOPLE = (ids.ALICE, "U0DAVE0001", "U0ERIN0001", "U0FRED0001")
_INSTANCE = "host:1:abc123"


async def make(path: Path, count: int) -> None:
    """Write a ledger with so many payments to a new file."""
    async with open_ledger(f"sqlite+aiosqlite:///{path}"):
        pass
    with sqlite3.connect(path) as connection:
        # Nothing of it has to last, and a log of a transaction this long would be as large as the ledger.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        end = Link(*connection.execute("SELECT last_event, last_hash FROM chain").fetchone())
        for begin in range(0, count, _BATCH):
            end = _write(connection, range(begin, min(begin + _BATCH, count)), count, end)
        connection.execute("UPDATE chain SET last_event = ?, last_hash = ?", (end.event_id, end.hash))
    connection.close()


def events(path: Path) -> int:
    """How many events a ledger's trail has."""
    with sqlite3.connect(path) as connection:
        (last,) = connection.execute("SELECT last_event FROM chain").fetchone()
    connection.close()
    return int(last)


def _write(connection: sqlite3.Connection, places: range, count: int, end: Link) -> Link:
    """Write these; the trail's end by then. end: that of before."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("requests", "payments", "approvals", "attempts", "events", "deliveries")
    }
    for place in places:
        at = datetime.now(UTC) - timedelta(hours=1) - APART * (count - place)
        end = _one(rows, place + 1, at, end)
    for table, found in rows.items():
        if not found:
            continue
        names = ", ".join(found[0])
        values = ", ".join(f":{name}" for name in found[0])
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({values})", found)
    return end


def _one(rows: dict[str, list[dict[str, Any]]], number: int, at: datetime, end: Link) -> Link:
    """One request, and all that became of it; as `_write`."""
    module, requester = _MODULES[number % len(_MODULES)], _PEOPLE[number % len(_PEOPLE)]
    invoice, amount = FIRST + number, f"{number % 90 + 10}.00"
    text = f"Payment of {amount} USD for Invoice {invoice} Successful."
    made, expires = stamp(at), at + timedelta(days=3)
    ts = f"{int(at.timestamp())}.{number % 1_000_000:06}"
    approver = None if number % 2 else _PEOPLE[(number + 1) % len(_PEOPLE)]
    required = 0 if approver is None else 1
    happened: list[tuple[KnownEvent, str, State | None, State | None]] = [
        (
            Requested(
                ids.PAYMENTS,
                f"{module} {invoice}",
                None,
                "default",
                ids.TEAM_ID,
                State.REQUESTED,
                required,
                stamp(expires),
            ),
            requester,
            None,
            None,
        ),
        *_approved(amount, approver),
        (Sending(_INSTANCE, 1), "executor", State.APPROVED, State.SENDING),
        (Answered("PAID", "ok", text, "status is ok", 1), "billing", State.SENDING, State.PAID),
    ]
    for what, actor, before, after in happened:
        event_id, detail = end.event_id + 1, encode(what)
        content = (event_id, made, number, actor, what.action, before, after, detail)
        hashed = digest(content, end.hash)
        rows["events"].append(
            {
                "id": event_id,
                "at": made,
                "request_id": number,
                "actor": actor,
                "action": what.action,
                "from_state": before,
                "to_state": after,
                "detail": detail,
                "previous": end.hash,
                "hash": hashed,
            }
        )
        end = Link(event_id, hashed)
    if approver is not None:
        approval = {"request_id": number, "approver": approver, "decision": "approve", "at": made}
        rows["approvals"].append(approval)
    rows["requests"].append(
        {
            "id": number,
            "team": ids.TEAM_ID,
            "channel": ids.PAYMENTS,
            "requester": requester,
            "trigger_id": f"old.{number}",
            "rule": "default",
            "approvals_required": required,
            "invoices": 1,
            "card_ts": ts,
            "card_lost": 0,
            "created_at": made,
            "expires_at": stamp(expires),
        }
    )
    rows["payments"].append(
        {
            "id": number,
            "request_id": number,
            "line": 1,
            "module": module,
            "number": invoice,
            "state": State.PAID,
            "version": 5,
            "looked_up_at": made,
            "listed": 1,
            "amount": amount,
            "currency": "USD",
            "description": "Sample",
            "status": "ok",
            "status_text": text,
            "reason": "status is ok",
            "tries": 1,
            "updated_at": made,
            "due_at": made,
        }
    )
    rows["attempts"].append(
        {
            "id": number,
            "payment_id": number,
            "instance": _INSTANCE,
            "started_at": made,
            "finished_at": made,
            "verdict": "PAID",
            "status": "ok",
            "status_text": text,
            "evidence": "status is ok",
        }
    )
    rows["deliveries"] += _told(number, made, ts, end.event_id)
    return end


def _approved(
    amount: str, approver: str | None
) -> Iterator[tuple[KnownEvent, str, State | None, State | None]]:
    """How it came to be approved: by that person, or at once by the rule."""
    required, reached = (0, State.APPROVED) if approver is None else (1, State.PENDING_APPROVAL)
    seen = LookedUp(True, amount, "USD", required, "Sample", None, "default")
    yield seen, "look-up", State.REQUESTED, reached
    if approver is None:
        yield ApprovalComplete("default", ""), "policy", None, None
    else:
        yield Approved(1, 1, f"{amount} USD"), approver, None, None
        yield ApprovalComplete("default", approver), "policy", reached, State.APPROVED


def _told(number: int, made: str, ts: str, event: int) -> Iterator[dict[str, Any]]:
    """Its card, and the outcome under it. event: the last."""
    told = f"{ts[:-1]}{(int(ts[-1]) + 1) % 10}"
    for place, (slot, kind, posted, tells) in enumerate(
        [("card", "card", ts, None), (f"note:{event}:{ids.PAYMENTS}", "note", told, event)]
    ):
        yield {
            "id": (number - 1) * 2 + place + 1,
            "request_id": number,
            "slot": slot,
            "kind": kind,
            "channel": ids.PAYMENTS,
            "event_id": tells,
            "revision": 1,
            "done_revision": 1,
            "ts": posted,
            "tries": 0,
            "ambiguous": 0,
            "created_at": made,
            "due_at": made,
        }
